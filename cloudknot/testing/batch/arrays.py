"""Array jobs: one parent that stands for many children (user guide, array_jobs)."""

from collections.abc import Mapping

from cloudknot.testing.batch.jobs import ENDED, Job, State

__all__ = ["CHILD_FAILED", "child_environment", "count_none", "make_children", "state_of_parent"]

CHILD_FAILED = "Array Child Job failed"


def state_of_parent(counts: Mapping[State, int], size: int) -> State:
    """Return the state of a parent whose children have been made.

    >>> state_of_parent({State.SUCCEEDED: 1, State.FAILED: 1}, 2)
    <State.FAILED: 'FAILED'>
    >>> state_of_parent({State.RUNNING: 1, State.FAILED: 1}, 2)
    <State.PENDING: 'PENDING'>
    """
    if sum(counts.get(state, 0) for state in ENDED) < size:
        return State.PENDING
    return State.FAILED if counts.get(State.FAILED) else State.SUCCEEDED


def count_none() -> dict[State, int]:
    """Return the counts of an array without children: every state is there."""
    return dict.fromkeys(State, 0)


def make_children(parent: Job, now: float) -> list[Job]:
    """Make the children of an array; a child is born PENDING (API reference, `createdAt`)."""
    children = [
        Job(
            id=f"{parent.id}:{index}",
            arn=f"{parent.arn}:{index}",
            order=parent.order,
            tags=parent.tags,
            created_at=now,
            seen_from=parent.seen_from,
            state=State.PENDING,
            parent=parent,
            index=index,
        )
        for index in range(parent.size or 0)
    ]
    parent.children = children
    parent.counts[State.PENDING] = len(children)
    parent.counted_at = now
    return children


def child_environment(job: Job) -> dict[str, str]:
    """Return the variables that only children have (user guide, job_env_vars)."""
    if job.parent is None:
        return {}
    return {
        "AWS_BATCH_JOB_ARRAY_INDEX": str(job.index),
        "AWS_BATCH_JOB_ARRAY_SIZE": str(job.parent.size),
    }
