"""One thread a process that follows all its runs: looks in bulk, settles futures, tells observers."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Protocol

from cloudknot.calls import SettlingThread
from cloudknot.errors import CallLostError, CallSkippedError, KnotError
from cloudknot.events import ItemsSettled, Observer, RunSettled, tell
from cloudknot.futures import MapFuture
from cloudknot.runs import State, Status

logger = logging.getLogger(__name__)

# So long the end of the interpreter waits before it looks whether the last look is over.
_MOMENT_S = 0.05
# Looks that take longer than this are spaced, so that they take no more than this share of the time.
_NOTICED_S = 0.005
# So long the end of the interpreter waits for a look that is under way, and the callbacks that it calls.
_LAST_LOOK_S = 60.0
# Runs elsewhere go on without this process: a slow answer of AWS's must not hold up its end.
_LAST_FAR_LOOK_S = 5.0
_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a run is looked at: soon after it has moved, and less and less often while it does not.

    Parameters
    ----------
    shortest_s, longest_s : float
        Seconds between two looks.
    can_wake : bool
        Whether its place tells when it has moved; a run elsewhere is looked at when it is due.
    """

    shortest_s: float
    longest_s: float
    can_wake: bool = True


HERE = Pace(shortest_s=0.05, longest_s=1.0)
# A request costs time and, in great numbers, is refused.
FAR = Pace(shortest_s=0.5, longest_s=15.0, can_wake=False)


class Followed(Protocol):
    """What a watcher looks after."""

    pace: Pace

    def advance(self) -> bool:
        """Take in what is new; return whether anything was."""

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come."""


class Following:
    """A run that is followed until it is over.

    Parameters
    ----------
    future : MapFuture
        Settled as envelopes come.
    look : callable
        Says where the run stands.
    observers : iterable of callable
        Told of what happens.
    on_end : callable
        Called with the run's last status before the future is done.
    pace : Pace
        How often it is looked at.
    """

    def __init__(
        self,
        future: MapFuture[Any],
        look: Callable[[], Status],
        *,
        observers: Iterable[Observer] = (),
        on_end: Callable[[MapFuture[Any], Status], None] = lambda future, status: None,
        pace: Pace = HERE,
    ) -> None:
        self.pace = pace
        self._future = future
        self._look = look
        self._observers = tuple(observers)
        self._on_end = on_end
        self.is_over = False

    def advance(self) -> bool:
        """Look first, then read the packs: what was committed before the end is not missed."""
        status = self._look()
        future, outcomes = self._future, self._future.items.outcomes
        positions = outcomes.refresh()
        if status.is_over and not outcomes.is_complete:
            outcomes.catch_up()  # what was committed and not announced
            positions += outcomes.refresh()
        if positions:
            future.settle(future.items.of_positions(positions))
            tell(self._observers, ItemsSettled(run=future.run, counts=future.items.counts))
        if outcomes.is_complete:
            status = Status(state=State.DONE)
        if status.is_over:
            self.is_over = True
            self._end(status)
        return bool(positions)

    def _end(self, status: Status) -> None:
        future = self._future
        try:
            self._on_end(future, status)
        except Exception:  # the ledger may be full: the futures must be settled all the same
            logger.exception("the end of run %s could not be written down", future.run_id)
        # First the observers: a bar must be closed before whoever waits goes on to print.
        tell(self._observers, RunSettled(run=future.run, counts=future.items.counts, state=status.state))
        future.finish(status.state, lambda index: explain(status, index))


def explain(status: Status, index: int) -> BaseException:
    """Return why an item of a run that is over has no outcome."""
    if status.state is State.CANCELLED:
        return CancelledError(f"item {index} was cancelled with its map")
    if status.state is State.STOPPED:
        return CallSkippedError(f"item {index} was not run: {status.reason}")
    return CallLostError(
        f"item {index} was not finished: {status.reason}. resume() runs what is left of the map"
    )


class Watcher:
    """Follows runs in one daemon thread, which ends when there is none left.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: list[_Turn] = []
        self._changed = threading.Condition()
        self._is_woken = False
        self._thread: threading.Thread | None = None
        self._looking = threading.Lock()
        self._n_looks = 0
        atexit.register(self._end)

    def follow(self, followed: Followed) -> None:
        """Look after a run until it is over."""
        with self._changed:
            self._turns.append(_Turn(followed, due=self._clock(), wait_s=followed.pace.shortest_s))
            if self._thread is None:
                self._thread = SettlingThread(target=self._watch, name="cloudknot-watcher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wake(self) -> None:
        """Look now: a run here has moved."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def _end(self) -> None:
        """Take a last look, now that the places have ended what ran, and then no other.

        Daemon threads die with the interpreter, in the midst of a person's callback too.
        """
        until = self._clock() + _LAST_LOOK_S
        with self._changed:
            last = self._n_looks + 2  # the one that is under way may have begun too early
            while self._has_any_here() and self._n_looks < last and self._clock() < until:
                self._is_woken = True
                self._changed.notify_all()
                self._changed.wait(_MOMENT_S)
            wait_s = _LAST_LOOK_S if self._has_any_here() else _LAST_FAR_LOOK_S
        self._looking.acquire(timeout=wait_s)

    def _has_any_here(self) -> bool:
        return self._thread is not None and any(turn.followed.pace.can_wake for turn in self._turns)

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._turns = [turn for turn in self._turns if not turn.followed.is_over]
                if not self._turns:
                    self._thread = None
                    return
                if not self._is_woken:
                    self._changed.wait(max(min(turn.due for turn in self._turns) - self._clock(), 0))
                for turn in self._turns if self._is_woken else ():
                    turn.hurry()
                self._is_woken, now = False, self._clock()
                turns = [turn for turn in self._turns if turn.due <= now]
            with self._looking:
                for turn in turns:
                    turn.take(self._clock)
            self._n_looks += 1


@dataclass(eq=False)
class _Turn:
    """When a run is looked at next."""

    followed: Followed
    due: float
    wait_s: float
    not_before: float = 0.0

    def hurry(self) -> None:
        """Look as soon as may be, where the run is one that tells when it has moved."""
        if self.followed.pace.can_wake:
            self.due = min(self.due, self.not_before)

    def take(self, clock: Callable[[], float]) -> None:
        """Look, and say when to look again: looks that take long are spaced, whatever has moved."""
        pace, began = self.followed.pace, clock()
        has_moved = _advance_safely(self.followed)
        spent_s = clock() - began
        self.wait_s = pace.shortest_s if has_moved else min(self.wait_s * 1.5, pace.longest_s)
        now = clock()
        self.not_before = now + (min(spent_s / _SHARE, pace.longest_s) if spent_s > _NOTICED_S else 0.0)
        self.due = max(now + self.wait_s, self.not_before)


def _advance_safely(followed: Followed) -> bool:
    try:
        return followed.advance()
    except (OSError, KnotError) as error:  # a store or AWS is out of reach: words say it all
        logger.warning("a look at a run failed, and it is looked at again: %s", error)
        return False
    except BaseException:  # not even a callback's SystemExit may end the looks at other runs
        logger.exception("a look at a run failed; it is looked at again")
        return False
