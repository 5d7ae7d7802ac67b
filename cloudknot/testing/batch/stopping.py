"""What CancelJob and TerminateJob do to a job (API reference of both). Pure."""

from enum import Enum, auto

from cloudknot.testing.batch.jobs import PLACED, Job, State

__all__ = [
    "GRACE_S",
    "SPOT_INTERRUPTED",
    "TIMED_OUT",
    "Step",
    "on_cancel",
    "on_terminate",
    "reason_host_lost",
]

GRACE_S = 30.0
"""From SIGTERM to SIGKILL (user guide, job_timeouts)."""
TIMED_OUT = "Job attempt duration exceeded timeout"
SPOT_INTERRUPTED = "Your Spot Task was interrupted."
"""What ECS gives as the reason when FARGATE_SPOT takes a task back."""


class Step(Enum):
    """What is done."""

    NOTHING = auto()
    FAIL = auto()
    FAIL_AFTER_DEPENDENCIES = auto()
    END_TASK = auto()
    EACH_CHILD = auto()


def on_cancel(job: Job) -> Step:
    """Return what CancelJob does: nothing at all once a job is STARTING, though the call succeeds."""
    if job.has_ended or job.state in PLACED:
        return Step.NOTHING
    if job.children:
        return Step.EACH_CHILD
    # "A PENDING job is cancelled after all dependency jobs are completed."
    return Step.FAIL_AFTER_DEPENDENCIES if job.state is State.PENDING and job.waits else Step.FAIL


def on_terminate(job: Job) -> Step:
    """Return what TerminateJob does."""
    if job.has_ended:
        return Step.NOTHING
    if job.children:
        return Step.EACH_CHILD
    return Step.END_TASK if job.state in PLACED else Step.FAIL


def reason_host_lost(instance_id: str) -> str:
    """Return the status reason of an attempt whose machine is gone.

    >>> reason_host_lost("i-0abc")
    'Host EC2 (instance i-0abc) terminated.'
    """
    return f"Host EC2 (instance {instance_id}) terminated."
