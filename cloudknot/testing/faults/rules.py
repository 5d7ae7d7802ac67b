"""The faults that are in force, and what each decides."""

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cloudknot.testing.faults.batch_faults import (
    DuplicateEvents,
    LaunchFailure,
    PullFailure,
    SpotReclaim,
    Stale,
)
from cloudknot.testing.faults.fault import Fault, is_like
from cloudknot.testing.faults.wire_faults import RequestFault, SlowConnection, WireFault

__all__ = ["Faults", "Rule"]

F = TypeVar("F", bound=Fault)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A fault that is in force, and what it did so far."""

    number: int
    fault: Fault
    occasions: int = 0
    """How many times it could have struck."""
    struck: int = 0
    """How many times it did."""


@dataclass(eq=False)
class _Standing:
    """A rule with its dice: other rules do not disturb them."""

    number: int
    fault: Fault
    dice: random.Random
    occasions: int = 0
    struck: int = 0
    chance: float = 0.0
    """A second throw of the last occasion, for what is left to chance in how it strikes."""

    def strikes(self, *, is_taken: bool = False) -> bool:
        """Meet an occasion, and decide; one that another rule has taken is met, but not struck."""
        self.occasions += 1
        falls, self.chance = self.dice.random() < self.fault.share, self.dice.random()
        is_over = self.fault.times is not None and self.struck >= self.fault.times
        if is_taken or not falls or is_over or self.occasions <= self.fault.after:
            return False
        self.struck += 1
        return True


class Faults:
    """What shall go wrong in the box, decided by a seed.

    It is the `Trouble` of the box's Batch, and the door asks it about each request. With the same seed and
    rules, the same occasions are struck: a rule has dice of its own, made of the seed and its number, and
    throws them at each occasion that fits it, whatever other rules do. Where several threads ask, the order
    in which they come is the order of occasions.

    Parameters
    ----------
    seed : int, default 0
        What decides.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._next = 1
        self._rules: dict[int, _Standing] = {}

    def add(self, fault: Fault) -> int:
        """Put a fault in force, and return its rule's number.

        Raises
        ------
        TypeError
            When it is no fault.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"a fault is such as Throttle(service='batch'), not {fault!r}")
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._rules[number] = _Standing(number, fault, random.Random(f"{self._seed}/{number}"))
        return number

    def remove(self, number: int) -> None:
        """Take a rule away.

        Raises
        ------
        KeyError
            When there is none of this number.
        """
        with self._lock:
            if self._rules.pop(number, None) is None:
                known = ", ".join(map(str, self._rules)) or "none"
                raise KeyError(f"no rule {number}: in force are {known}")

    def clear(self) -> None:
        """Take all rules away; numbers are not given again."""
        with self._lock:
            self._rules.clear()

    def reset(self, seed: int | None = None) -> None:
        """Take all rules away and begin anew, with this seed or with the same."""
        with self._lock:
            self._rules.clear()
            self._next = 1
            self._seed = self._seed if seed is None else seed

    def list(self) -> Sequence[Rule]:
        """Return the rules in force, in the order in which they were added, and how often each struck."""
        with self._lock:
            return tuple(
                Rule(number=rule.number, fault=rule.fault, occasions=rule.occasions, struck=rule.struck)
                for rule in self._rules.values()
            )

    def on_request(self, service: str, operation: str | None, principal_arn: str) -> WireFault | None:
        """Return what goes wrong with a request, or None.

        A slow connection and one that ends badly may come together; of several that end badly, the rule that
        was added first strikes.
        """
        slow: SlowConnection | None = None
        ending: RequestFault | None = None
        with self._lock:
            for rule, fault in self._of(RequestFault):
                if not fault.fits(service, operation or "", principal_arn):
                    continue
                if isinstance(fault, SlowConnection):
                    slow = fault if rule.strikes(is_taken=slow is not None) else slow
                else:
                    ending = fault if rule.strikes(is_taken=ending is not None) else ending
        return WireFault(slow=slow, ending=ending) if slow or ending else None

    def launch(self, environment: str, instance_type: str) -> str | None:
        """Return the reason why this instance cannot be launched, or None."""
        reason: str | None = None
        with self._lock:
            for rule, fault in self._of(LaunchFailure):
                fits = is_like(environment, fault.environment) and is_like(instance_type, fault.instance_type)
                if fits and rule.strikes(is_taken=reason is not None):
                    reason = fault.reason_for(instance_type)
        return reason

    def pull(self, image: str) -> str | None:
        """Return the reason why this image cannot be pulled, or None."""
        reason: str | None = None
        with self._lock:
            for rule, fault in self._of(PullFailure):
                if is_like(image, fault.image) and rule.strikes(is_taken=reason is not None):
                    reason = fault.words
        return reason

    def copies_of_event(self) -> int:
        """Return how many times the next event is delivered: 1 or more."""
        with self._lock:
            return max([1, *(fault.copies for rule, fault in self._of(DuplicateEvents) if rule.strikes())])

    def lag_s(self, service: str) -> float:
        """Return for how many seconds what was made lately is not yet seen by those who read."""
        with self._lock:
            lags = [
                fault.seconds
                for rule, fault in self._of(Stale)
                if fault.service == service and rule.strikes()
            ]
        return max(lags, default=0.0)

    def reclaim_after(self, instance_id: str, environment: str) -> float | None:
        """Decide when a machine is taken away; asked once for each, when it gets its first job.

        Parameters
        ----------
        instance_id : str
            The machine. Its id plays no part: it differs from run to run, the order of machines does not.
        environment : str
            The name of its compute environment.

        Returns
        -------
        float or None
            After how many seconds of the box's time, or None when it stays.
        """
        del instance_id
        seconds: float | None = None
        with self._lock:
            for rule, fault in self._of(SpotReclaim):
                fits = is_like(environment, fault.environment)
                if fits and rule.strikes(is_taken=seconds is not None):
                    seconds = fault.after_s + fault.spread_s * rule.chance
        return seconds

    def _of(self, kind: type[F]) -> Iterator[tuple[_Standing, F]]:
        return ((rule, rule.fault) for rule in self._rules.values() if isinstance(rule.fault, kind))
