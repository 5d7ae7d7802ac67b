"""What every fault has: how often it strikes."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloudknot.testing.faults.checks import check_count, check_number

__all__ = ["Fault", "is_like"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that shall go wrong.

    An *occasion* is each time when it could: a request that fits, a launch, a pull, an event.

    Parameters
    ----------
    share : float, default 1
        The part of the occasions at which it strikes, above 0 and at most 1: which ones, the seed decides.
    times : int, optional
        After so many strikes it is over.
    after : int, default 0
        So many occasions pass before it can strike.

    Raises
    ------
    ValueError
        When a field holds what it cannot.
    """

    share: float = 1.0
    times: int | None = None
    after: int = 0

    def __post_init__(self) -> None:
        check_number("share", self.share, above=0, at_most=1)
        if self.times is not None:
            check_count("times", self.times, at_least=1)
        check_count("after", self.after, at_least=0)


def is_like(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern.

    Examples
    --------
    >>> is_like("DescribeJobs", "Describe*"), is_like("SubmitJob", "Describe*")
    (True, False)
    """
    return fnmatchcase(name, pattern)
