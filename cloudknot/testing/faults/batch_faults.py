"""Faults inside of AWS: of machines, images, events, and of what was made a moment ago."""

from dataclasses import dataclass

from cloudknot.testing.faults.checks import (
    check_choice,
    check_count,
    check_number,
    check_pattern,
    check_words,
)
from cloudknot.testing.faults.fault import Fault

__all__ = ["DuplicateEvents", "LaunchFailure", "PullFailure", "SpotReclaim", "Stale"]

_LAGGING = ("batch", "iam")
# The user guide, "Jobs stuck in RUNNABLE due to capacity"; whether AWS writes its brackets is not confirmed.
_NO_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
    " for instance type [{instance_type}]"
)
# What busy registries end in (nextflow#4096): it goes away when it is tried again.
_NO_IMAGE = "CannotPullContainerError: context canceled"


@dataclass(frozen=True, kw_only=True)
class Stale(Fault):
    """Who reads does not see yet what was made lately: AWS's eventual consistency.

    Batch may not know a job definition that was just registered; IAM's roles take seconds to be known
    everywhere, and a job whose role was just made cannot start.

    Parameters
    ----------
    service : str
        ``"batch"`` or ``"iam"``.
    seconds : float
        How long it takes, in the box's time.
    share, times, after
        How often, the occasions being what Batch makes, or roles that jobs ask for: see `Fault`.
    """

    service: str
    seconds: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("service", self.service, _LAGGING)
        check_number("seconds", self.seconds, above=0)


@dataclass(frozen=True, kw_only=True)
class DuplicateEvents(Fault):
    """An event comes more than once: EventBridge delivers AWS Batch's events *at least* once.

    Parameters
    ----------
    copies : int, default 2
        How many times it comes.
    share, times, after
        How often, the occasions being events: see `Fault`.
    """

    copies: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("copies", self.copies, at_least=2)


@dataclass(frozen=True, kw_only=True)
class LaunchFailure(Fault):
    """A machine cannot be launched.

    AWS Batch goes on trying, and the job at the queue's head says why it waits.

    Parameters
    ----------
    environment : str, default "*"
        The compute environment's name; a pattern.
    instance_type : str, default "*"
        Such as ``"p4d.*"``; a pattern.
    reason : str, optional
        By default there is no capacity: ``CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ...``, which the queue's
        `jobStateTimeLimitActions` know.
    share, times, after
        How often, the occasions being launches: see `Fault`.
    """

    environment: str = "*"
    instance_type: str = "*"
    reason: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pattern("environment", self.environment)
        check_pattern("instance_type", self.instance_type)
        check_words("reason", self.reason)

    def reason_for(self, instance_type: str) -> str:
        """Return why a machine of this type cannot be launched."""
        return self.reason or _NO_CAPACITY.format(instance_type=instance_type)


@dataclass(frozen=True, kw_only=True)
class PullFailure(Fault):
    """An image cannot be pulled, and the attempt fails: `Task failed to start`.

    Parameters
    ----------
    image : str, default "*"
        As the job definition names it; a pattern.
    reason : str, optional
        What stands in the attempt's `container.reason`; by default ``CannotPullContainerError: context
        canceled``, as from a registry that is busy.
    share, times, after
        How often, the occasions being pulls: see `Fault`.
    """

    image: str = "*"
    reason: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pattern("image", self.image)
        check_words("reason", self.reason)

    @property
    def words(self) -> str:
        """Why it cannot be pulled."""
        return self.reason or _NO_IMAGE


@dataclass(frozen=True, kw_only=True)
class SpotReclaim(Fault):
    """A machine is taken away while jobs run on it.

    Its attempts end without an exit code, and with ``Host EC2 (instance i-...) terminated.`` as their status
    reason, which a retry strategy matches by ``Host EC2*``.

    Parameters
    ----------
    environment : str, default "*"
        The compute environment's name; a pattern.
    after_s : float, default 60
        How long a machine is there at the least after it got its first job, in the box's time.
    spread_s : float, default 0
        Up to so much longer: how much, the seed decides.
    share, times, after
        How often, the occasions being machines that get their first job: see `Fault`.
    """

    environment: str = "*"
    after_s: float = 60.0
    spread_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pattern("environment", self.environment)
        check_number("after_s", self.after_s)
        check_number("spread_s", self.spread_s)
