"""The box's time: it goes with real time, and can be moved on by hours at once."""

import bisect
import heapq
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Clock", "Timer"]

_LOG = logging.getLogger(__name__)


@dataclass(order=True)
class Timer:
    """Something that will be done at a moment of the box's time."""

    when: float
    number: int
    action: Callable[[], None] = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Leave it undone."""
        self.is_cancelled = True


class Clock:
    """Seconds since the epoch, in the box.

    Parameters
    ----------
    ticking : bool, default True
        Whether time goes on by itself. A clock that does not moves only by `advance`, and what is due is then
        done in the thread that moves it.
    read : callable, default time.time
        Where real time is read from.
    """

    def __init__(self, *, ticking: bool = True, read: Callable[[], float] = time.time) -> None:
        start = read()
        self._read = read if ticking else lambda: start
        self._ahead = 0.0
        self._jumps = [(0.0, 0.0)]
        self._due: list[Timer] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._moving = threading.RLock()
        self._is_closed = False
        if ticking:
            threading.Thread(target=self._tick, name="box clock", daemon=True).start()

    def now(self) -> float:
        """Return the box's time, in seconds since the epoch."""
        with self._changed:
            return self._read() + self._ahead

    def at(self, moment: float) -> float:
        """Return the box's time at a moment of real time, such as that of a thing which moto has made."""
        with self._changed:
            jump = bisect.bisect(self._jumps, (moment, math.inf)) - 1
            return min(moment, self._read()) + self._jumps[jump][1]

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        """Do `action` when the box's time reaches `when`."""
        timer = Timer(when, next(self._numbers), action)
        with self._changed:
            heapq.heappush(self._due, timer)
            self._changed.notify()
        return timer

    def call_in(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do `action` so many seconds from now."""
        return self.call_at(self.now() + seconds, action)

    def advance(self, seconds: float) -> None:
        """Move time on; what falls due on the way is done at its own moment, in order.

        Raises
        ------
        ValueError
            When `seconds` is negative or has no end.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time goes forward by a number of seconds, not by {seconds}")
        with self._moving:
            end = self.now() + seconds
            while timer := self._take(end):
                self._jump_to(timer.when)
                _do(timer)
            self._jump_to(end)
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Do nothing more that is due."""
        with self._changed:
            self._is_closed = True
            self._due.clear()
            self._changed.notify()

    def _jump_to(self, when: float) -> None:
        with self._changed:
            self._ahead += max(0.0, when - (self._read() + self._ahead))
            self._jumps.append((time.time(), self._ahead))

    def _take(self, until: float) -> Timer | None:
        with self._changed:
            while self._due and self._due[0].when <= until:
                timer = heapq.heappop(self._due)
                if not timer.is_cancelled:
                    return timer
        return None

    def _tick(self) -> None:
        while not self._is_closed:
            with self._moving:
                timer = self._take(self.now())
                if timer:
                    _do(timer)
                    continue
            with self._changed:
                ahead = self._due[0].when - (self._read() + self._ahead) if self._due else None
                if not self._is_closed and (ahead is None or ahead > 0):
                    self._changed.wait(ahead)


def _do(timer: Timer) -> None:
    try:
        timer.action()
    except Exception:
        _LOG.exception("what was due at %s failed", timer.when)
