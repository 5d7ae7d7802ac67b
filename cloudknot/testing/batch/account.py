"""What Batch needs of the account around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Account", "InstanceType", "NotStarted", "Trouble"]


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """A kind of machine that EC2 offers."""

    name: str
    vcpus: int
    memory_mib: int
    architecture: str
    """`x86_64` or `arm64`."""
    gpus: int = 0


class NotStarted(Exception):  # noqa: N818 - an outcome of a task, not a fault of the box
    """A task cannot be started, in the words that AWS gives as its reason.

    `container_reason` is what DescribeJobs shows as the attempt's `container.reason`, `status_reason` what it
    shows as `statusReason`.
    """

    def __init__(self, container_reason: str | None, status_reason: str) -> None:
        super().__init__(status_reason)
        self.container_reason = container_reason
        self.status_reason = status_reason


class Account(Protocol):
    """One region of one account: where Batch's jobs get their roles, secrets, logs and machines."""

    id: str
    region: str

    def publish(
        self, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any], at: float
    ) -> None:
        """Tell EventBridge's default bus of an event of source `aws.batch`."""

    def write_log(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Append lines (milliseconds, text) to a log stream of CloudWatch; make it when it is not there."""

    def admit(
        self,
        task_id: str,
        container: Mapping[str, Any],
        *,
        instance_role: str | None,
        log: tuple[str, str] | None,
    ) -> dict[str, str]:
        """Let a task start; return the variables that it gets from the platform.

        Parameters
        ----------
        task_id : str
            Which.
        container : mapping
            Its container properties.
        instance_role : str or None
            The machine's instance profile; None on Fargate.
        log : tuple of str or None
            The group and the stream of CloudWatch that it will write to.

        Raises
        ------
        NotStarted
            When the image may not be pulled, its role cannot be assumed, a secret cannot be read, or there is
            no such log group.
        """

    def end_task(self, task_id: str) -> None:
        """Take back the credentials of a task that has ended."""

    def instance_types(self) -> Sequence[InstanceType]:
        """Return the kinds of machine that this region has."""


class Trouble(Protocol):
    """What shall go wrong inside of Batch (`cloudknot.testing.faults`); each is asked once an occasion."""

    def launch(self, environment: str, instance_type: str) -> str | None:
        """Return the reason why this instance cannot be launched, or None."""

    def pull(self, image: str) -> str | None:
        """Return the reason why this image cannot be pulled, or None."""

    def reclaim_after(self, instance_id: str, environment: str) -> float | None:
        """Return after how many seconds a Spot machine (a task on Fargate) is taken away, or None.

        Asked when it gets its first job.
        """

    def copies_of_event(self) -> int:
        """Return how many times the next event is delivered: 1 or more."""

    def lag_s(self, service: str) -> float:
        """Return for how many seconds what was made lately is not yet seen by those who read."""
