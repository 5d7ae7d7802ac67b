"""What EventBridge is told of jobs (user guide, batch_job_events and batch-job-queue-blocked-events)."""

from collections.abc import Callable

from cloudknot.testing.batch.account import Account, Trouble
from cloudknot.testing.batch.describing import detail
from cloudknot.testing.batch.jobs import Job

__all__ = ["Events"]

_CHANGE = "Batch Job State Change"
_BLOCKED = "Batch Job Queue Blocked"


class Events:
    """Tells of moves. "Events aren't created for the initial job submission", and so for no child's birth.

    Parameters
    ----------
    account : Account
        Whose bus is told.
    trouble : Trouble
        Says how often one event is delivered: EventBridge promises at least once.
    now : callable
        Gives the box's time.
    """

    def __init__(self, account: Account, trouble: Trouble, now: Callable[[], float]) -> None:
        self._account = account
        self._trouble = trouble
        self._now = now

    def tell_change(self, job: Job) -> None:
        """Tell that a job has moved."""
        self._tell(_CHANGE, (job.arn,), job)

    def tell_blocked(self, job: Job) -> None:
        """Tell that a job blocks its queue."""
        self._tell(_BLOCKED, (job.arn, job.order.queue), job)

    def _tell(self, kind: str, resources: tuple[str, ...], job: Job) -> None:
        body = detail(job)
        body["tags"] = {"resourceArn": job.arn, **job.tags}
        for _ in range(self._trouble.copies_of_event()):
            self._account.publish(kind, resources, body, self._now())
