"""What a job waits for: other jobs, or its own siblings (user guide, job_dependencies and array_jobs)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.batch.jobs import ENDED, Job, State
from cloudknot.testing.batch.refusals import refusal

__all__ = ["DEPENDENCY_FAILED", "Dependencies", "note_end", "read_dependencies", "wait_by_index", "wait_for"]

DEPENDENCY_FAILED = "Dependent Job failed"


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What `dependsOn` asks for."""

    whole: tuple[Job, ...] = ()
    """Jobs that must have succeeded before any of this one begins."""
    by_index: tuple[Job, ...] = ()
    """Arrays each child of which is waited for by the child of the same index (N_TO_N)."""
    is_sequential: bool = False
    """Whether each child waits for the one before it."""


def read_dependencies(
    asked: Sequence[Mapping[str, Any]], size: int | None, find: Callable[[str], Job | None]
) -> Dependencies:
    """Read a `dependsOn`.

    Parameters
    ----------
    asked : sequence of mappings
        `dependsOn` as it was given.
    size : int or None
        The size of the array that depends, None for a single job.
    find : callable
        Gives the job of an id.

    Raises
    ------
    ClientException
        When a job is not there, or the kind of dependency does not fit. The words are not confirmed.
    """
    whole: list[Job] = []
    by_index: list[Job] = []
    is_sequential = False
    for one in asked:
        kind, job_id = one.get("type"), one.get("jobId")
        if kind and size is None:
            raise refusal(f"Dependency type {kind} is only for array jobs")
        if not job_id:
            if kind != "SEQUENTIAL":
                raise refusal("A dependency must have a jobId, or be of type SEQUENTIAL")
            is_sequential = True
            continue
        job = find(job_id)
        if job is None:
            raise refusal(f"Dependency job {job_id} does not exist")
        if kind != "N_TO_N":
            whole.append(job)
        elif job.size == size:
            by_index.append(job)
        else:
            raise refusal(f"N_TO_N dependency {job_id} must be an array job of the same size {size}")
    return Dependencies(whole=tuple(whole), by_index=tuple(by_index), is_sequential=is_sequential)


def wait_for(job: Job, dependencies: Dependencies) -> None:
    """Let a job wait for the jobs that all of it depends on."""
    for other in dependencies.whole:
        _wait(job, other, other.dependents)


def wait_by_index(child: Job, dependencies: Dependencies) -> None:
    """Let a child wait for those that only it depends on."""
    index = child.index or 0
    for array in dependencies.by_index:
        waiting = array.index_dependents.setdefault(index, [])
        if array.children:
            _wait(child, array.children[index], waiting)
        else:  # its children are still to be made, or never will be
            _wait(child, array, waiting)
    if dependencies.is_sequential and index and child.parent:
        before = child.parent.children[index - 1]
        _wait(child, before, before.dependents)


def _wait(job: Job, other: Job, waiting: list[Job]) -> None:
    if other.state not in ENDED:
        job.waits += 1
        waiting.append(job)
    elif other.state is State.FAILED:
        job.has_failed_dependency = True


def note_end(job: Job) -> list[Job]:
    """Tell those who waited for a job that it has ended, and return them."""
    told = job.dependents
    if job.parent is not None and job.index is not None:
        told = told + job.parent.index_dependents.pop(job.index, [])
    elif job.index_dependents:  # an array that ended without ever having had children
        told = told + [one for waiting in job.index_dependents.values() for one in waiting]
        job.index_dependents = {}
    job.dependents = []
    for one in told:
        one.waits -= 1
        one.has_failed_dependency |= job.state is State.FAILED
    return told
