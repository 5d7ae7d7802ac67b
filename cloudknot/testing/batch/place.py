"""What everything that is made stands on: one region of one account, and its time."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from cloudknot.testing.batch.account import Account, Trouble
from cloudknot.testing.clock import Clock

__all__ = ["Place"]


class _Made(Protocol):
    @property
    def arn(self) -> str: ...


M = TypeVar("M", bound=_Made)


@dataclass(kw_only=True)
class Place:
    """One region of one account, as the makers of queues and the like need it."""

    account_id: str
    region: str
    clock: Clock
    lock: threading.RLock
    account: Account
    trouble: Trouble
    settle_s: float
    """How long something takes to become VALID, and to vanish."""
    changed: Callable[[], None]
    """Called after anything that may let jobs move."""
    _seen_from: dict[str, float] = field(default_factory=dict)
    _unsettled: dict[int, Callable[[], None]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def arn(self, kind: str, name: str) -> str:
        """Return what a thing of Batch is known by everywhere."""
        return f"arn:aws:batch:{self.region}:{self.account_id}:{kind}/{name}"

    def settle(self, action: Callable[[], None]) -> None:
        """Do what AWS does a moment after it has answered."""
        self.later(self.settle_s, action)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds of the box's time, with the lock held; at once for 0."""
        number = next(self._numbers)
        with self.lock:
            self._unsettled[number] = action
        if seconds > 0:
            self.clock.call_in(seconds, lambda: self._do(number))
        else:
            self._do(number)

    def hurry(self) -> None:
        """Do now what is still to be done; what that begins in its turn has its time."""
        with self.lock:
            numbers = list(self._unsettled)
        for number in numbers:
            self._do(number)

    def note_made(self, arn: str) -> None:
        """Take down that a thing was made, for those that read too early to see it."""
        lag_s = self.trouble.lag_s("batch")
        if lag_s > 0:
            self._seen_from[arn] = self.clock.now() + lag_s

    def seen(self, made: Iterable[M]) -> list[M]:
        """Return those things that one who reads now sees."""
        now = self.clock.now()
        return [one for one in made if self._seen_from.get(one.arn, now) <= now]

    def _do(self, number: int) -> None:
        with self.lock:
            action = self._unsettled.pop(number, None)
            if action:
                action()
                self.changed()
