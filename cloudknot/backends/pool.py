"""A warm pool of workers, shared by every Knot of the process; both places on this machine have one."""

from __future__ import annotations

import abc
import atexit
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from cloudknot.backends.dispatch import Dispatch, has_room, missing_chunks
from cloudknot.errors import KnotError
from cloudknot.ledger import Outcomes, cancelled_positions, write_mark
from cloudknot.runner.control import Control
from cloudknot.runner.envelopes import SUCCESSES, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.packs import Reports
from cloudknot.runner.stores import Store, open_store
from cloudknot.runner.supervisor import Assignment, Supervisor, Worker
from cloudknot.runs import CANARY_ITEMS, Chunk, FailureRule, Run, State, Status
from cloudknot.specs import Resources

logger = logging.getLogger(__name__)

# Ended items are committed at the latest after this.
_COMMIT_S = 0.1
# A worker that has had nothing to do for this long is ended.
_IDLE_S = 300.0
# So long is waited for workers that are to end.
_END_S = 5.0

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Berth(Protocol[S_contra]):
    """Where one worker after the other is started."""

    def start(self, spec: S_contra) -> Worker:
        """Start a worker; the one before has ended."""

    def close(self, *, waits: bool) -> None:
        """Give back what it holds; where it ``waits``, return when that is gone."""


@dataclass(eq=False, kw_only=True)
class _Task(Generic[S]):
    """A run in the pool."""

    run: Run
    dispatch: Dispatch
    generation: int
    spec: S
    controls: dict[Chunk, Control] = field(default_factory=dict)
    cancelled_positions: set[int] = field(default_factory=set)


class Pool(abc.ABC, Generic[S]):
    """Runs runs in workers side by side; they end with this process.

    Parameters
    ----------
    store : Store
        The ledger.
    workers : int
        Workers side by side.
    memory_mib : float
        Memory for them all.
    wake : callable
        Called when a run has moved.
    """

    is_remote = False
    address = ""

    def __init__(
        self, store: Store, *, workers: int, memory_mib: float, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store
        self._workers = workers
        self._memory_mib = memory_mib
        self._wake = wake
        self._tasks: dict[str, _Task[S]] = {}
        self._slots: set[_Slot[S]] = set()
        self._changed = threading.Condition()
        self._is_closed = False
        atexit.register(self.teardown)

    @abc.abstractmethod
    def open_berth(self) -> Berth[S]:
        """Return a new place for workers."""

    @abc.abstractmethod
    def spec_of(self, run: Run, *, as_shipped: bool) -> S:
        """Return what a run's workers are started with.

        Parameters
        ----------
        run : Run
            The run.
        as_shipped : bool
            Whether the person's own modules may be other ones now than those that the run has.
        """

    def check(self, resources: Resources) -> None:
        """Refuse nothing: who asks for more than this machine has gets all that it has."""

    def submit(self, run: Run, outcomes: Outcomes, generation: int) -> None:
        """Queue a run, or what is left of it."""
        task = self._make_task(run, outcomes, generation)
        with self._changed:
            if self._is_closed:
                raise KnotError("the interpreter is ending: no run can be started any more")
            self._tasks[run.run_id] = task
            slots = [slot for slot in self._slots if not slot.should_end]
            idle = sum(slot.is_waiting for slot in slots)
            waiting = sum(task.dispatch.left for task in self._tasks.values())
            for _ in range(min(self._workers - len(slots), waiting - idle)):
                slot = _Slot(self)
                self._slots.add(slot)
                slot.start()
            self._changed.notify_all()

    def poll(self, run: Run) -> Status:
        """Say where a run stands."""
        with self._changed:
            task = self._tasks.get(run.run_id)
            if task is None:
                return Status(state=State.INTERRUPTED, reason="it is not in this process's pool")
            return task.dispatch.status()

    def open_store(self, uri: str) -> Store:
        """Return the store that a URI names."""
        return open_store(uri)

    def look(self, run: Run) -> Status:
        """Say that it is over: what it runs here ends with this process."""
        return Status(state=State.INTERRUPTED, reason="the process that ran it has ended")

    def forget(self, run: Run) -> None:
        """Let go of a run that is over."""
        with self._changed:
            self._tasks.pop(run.run_id, None)

    def cancel(self, run: Run, position: int | None = None) -> None:
        """Kill what runs of a run, or of one item, and run no more of it."""
        with self._changed:
            task = self._tasks.get(run.run_id)
            if task is None:
                return
            if position is None:
                task.dispatch.is_cancelled = True
            elif position in task.cancelled_positions:
                return
            else:
                task.cancelled_positions.add(position)
                task.dispatch.rule.forget(position)
            for control in task.controls.values():
                if position is None:
                    control.cancel()
                else:
                    control.wake()

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what a running item has written so far."""
        for slot in list(self._slots):
            if slot.run_id == run.run_id and (log := slot.supervisor.read_log(position)):
                return log
        return b""

    def teardown(self) -> None:
        """End the workers, and with them what they run."""
        with self._changed:
            self._is_closed = True
            for task in self._tasks.values():
                task.dispatch.broken = "its process has ended"
                for control in task.controls.values():
                    control.cancel()
            self._changed.notify_all()
            slots = list(self._slots)
        for slot in slots:
            slot.join(timeout=_END_S)

    def end_idle(self, is_meant: Callable[[S], bool]) -> int:
        """End those workers that have nothing to do and are meant; return how many they were."""
        with self._changed:
            slots = [slot for slot in self._slots if slot.spec is not None and is_meant(slot.spec)]
            for slot in slots:
                slot.should_end = True
            self._changed.notify_all()
        for slot in slots:
            slot.join(timeout=_END_S)
        return sum(not slot.is_alive() for slot in slots)

    def _make_task(self, run: Run, outcomes: Outcomes, generation: int) -> _Task[S]:
        outcomes.catch_up()
        canaries = tuple(itertools.islice(outcomes.unsettled(), CANARY_ITEMS))
        orders = run.orders
        remaining = missing_chunks(outcomes.unsettled_spans(), orders.chunk_size)
        return _Task(
            run=run,
            generation=generation,
            cancelled_positions=set(
                cancelled_positions(self.store.list(Keys(run.run_id).cancels), run.run_id)
            ),
            dispatch=Dispatch(
                remaining, chunk_size=orders.chunk_size, rule=FailureRule(orders.on_error, canaries)
            ),
            spec=self.spec_of(run, as_shipped=run.is_rerun or generation > 1),
        )

    def take_work(self, slot: _Slot[S]) -> tuple[_Task[S], Chunk, Control] | None:
        """Wait for a chunk; None when the slot should end."""
        with self._changed:
            until = time.monotonic() + _IDLE_S
            while not (self._is_closed or slot.should_end):
                ready = [task for task in self._tasks.values() if task.dispatch.has_more]
                # The run with the fewest workers first, so that a short one is not kept waiting.
                for task in sorted(ready, key=lambda task: len(task.controls)):
                    if self._has_room(task.run.resources):
                        control = Control(task.cancelled_positions)
                        chunk = task.dispatch.take(self._workers)
                        task.controls[chunk] = control
                        return task, chunk, control
                if time.monotonic() >= until:
                    break
                slot.is_waiting = True
                self._changed.wait(until - time.monotonic())
                slot.is_waiting = False
            self._slots.discard(slot)
            return None

    def run_work(self, supervisor: Supervisor[S], task: _Task[S], chunk: Chunk, control: Control) -> None:
        """Run a chunk, and tell what became of it."""
        reason = ""
        try:
            supervisor.run_chunk(
                Assignment(
                    run_id=task.run.run_id,
                    orders=task.run.orders,
                    first=chunk.first,
                    last=chunk.last,
                    spec=task.spec,
                    control=control,
                    observe=lambda reports: self._observe(task, reports),
                    committed=self._wake,
                    give_back=lambda first, last: self._give_back(task, Chunk(first, last)),
                    yield_s=task.dispatch.yield_s,
                )
            )
        except Exception as error:  # whatever it is, the run ends and the pool goes on
            logger.warning("run %s cannot go on: %s: %s", task.run.run_id, type(error).__name__, error)
            reason = f"{type(error).__name__}: {error}"
        with self._changed:
            task.controls.pop(chunk).close()
            if reason:
                task.dispatch.give_up(chunk, reason)
            else:
                task.dispatch.finish(chunk)
            self._changed.notify_all()
        self._wake()

    def lose_slot(self, slot: _Slot[S]) -> None:
        """Take note that a slot's thread has ended, however it came to that."""
        with self._changed:
            self._slots.discard(slot)

    def _has_room(self, wanted: Resources) -> bool:
        running = [task.run.resources for task in self._tasks.values() for _ in task.controls]
        return has_room(wanted, running, vcpus=self._workers, memory_mib=self._memory_mib)

    def _give_back(self, task: _Task[S], chunk: Chunk) -> None:
        with self._changed:
            task.dispatch.give_back(chunk)
            self._changed.notify_all()

    def _observe(self, task: _Task[S], reports: Reports) -> None:
        rule = task.dispatch.rule
        with self._changed:
            task.dispatch.measure(reports.seconds_of_last())
            if not rule.is_watching:
                return
            for outcome, position, offset in reports.entries:
                if outcome in SUCCESSES:
                    rule.observe_success()
                elif outcome != Outcome.CANCELLED:
                    rule.observe_failure(position, reports.decode(offset).signature)
            reason = rule.reason
            for control in task.controls.values() if reason else ():
                control.stop()
        if reason:
            write_mark(self.store, Keys(task.run.run_id).stopped(task.generation), {"reason": reason})


class _Slot(threading.Thread, Generic[S]):
    """A thread that drives one worker."""

    def __init__(self, pool: Pool[S]) -> None:
        super().__init__(name="cloudknot-worker", daemon=True)
        self._pool = pool
        self._berth = pool.open_berth()
        self.supervisor = Supervisor(pool.store, start=self._berth.start, commit_s=_COMMIT_S)
        self.run_id = ""
        self.spec: S | None = None
        self.should_end = self.is_waiting = False

    def run(self) -> None:
        """Run chunks until there have been none for long."""
        try:
            while (work := self._pool.take_work(self)) is not None:
                task, chunk, control = work
                self.run_id, self.spec = task.run.run_id, task.spec
                self._pool.run_work(self.supervisor, task, chunk, control)
        finally:
            self._pool.lose_slot(self)
            self.supervisor.close()
            self._berth.close(waits=self.should_end)
