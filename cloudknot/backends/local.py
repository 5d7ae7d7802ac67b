"""The place on this machine: a warm pool of worker processes, shared by every Knot of the process."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cloudknot.backends.dispatch import Dispatch, has_room, missing_chunks
from cloudknot.catalog import count_owners
from cloudknot.errors import KnotError
from cloudknot.ledger import Outcomes, cancelled_positions, write_mark
from cloudknot.runner.bundles import unpack_bundle
from cloudknot.runner.control import Control
from cloudknot.runner.envelopes import SUCCESSES, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.packs import Reports
from cloudknot.runner.processes import WorkerSpec
from cloudknot.runner.stores import Store
from cloudknot.runner.supervisor import Assignment, Supervisor
from cloudknot.runs import CANARY_ITEMS, Chunk, FailureRule, Run, State, Status
from cloudknot.specs import Resources

logger = logging.getLogger(__name__)

# Ended items are committed at the latest after this.
_COMMIT_S = 0.1
# A worker that has had nothing to do for this long is ended.
_IDLE_S = 300.0
_MEMORY_MIB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


@dataclass(eq=False, kw_only=True)
class _Task:
    """A run in the pool."""

    run: Run
    dispatch: Dispatch
    generation: int
    spec: WorkerSpec
    controls: dict[Chunk, Control] = field(default_factory=dict)
    cancelled_positions: set[int] = field(default_factory=set)


class LocalBackend:
    """Runs runs in worker processes on this machine.

    Parameters
    ----------
    store : Store
        The ledger.
    home : Path
        Where a resumed run's modules are unpacked.
    workers : int, optional
        Processes side by side; None: as many as processors.
    wake : callable
        Called when a run has moved.
    """

    name = "local"

    def __init__(
        self,
        store: Store,
        *,
        home: Path,
        workers: int | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self._code_folder = home / "code"
        self._workers = workers or _count_processors()
        self._wake = wake
        self._tasks: dict[str, _Task] = {}
        self._slots: set[_Slot] = set()
        self._changed = threading.Condition()
        self._is_closed = False
        atexit.register(self.teardown)

    def submit(self, run: Run) -> None:
        """Queue a run, or what is left of it."""
        task = self._make_task(run)
        with self._changed:
            if self._is_closed:
                raise KnotError("the interpreter is ending: no run can be started any more")
            self._tasks[run.run_id] = task
            for _ in range(min(self._workers - len(self._slots), run.orders.count)):
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
            slot.join(timeout=5)

    def _make_task(self, run: Run) -> _Task:
        outcomes = Outcomes(self.store, run.run_id, run.orders.count)
        outcomes.refresh()
        generation = count_owners(self.store, run.run_id)
        canaries = tuple(itertools.islice(outcomes.unsettled(), CANARY_ITEMS))
        orders = run.orders
        remaining = missing_chunks(outcomes.unsettled_spans(), orders.chunk_size)
        path = run.sys_path
        if orders.bundle and (run.is_rerun or generation > 1):
            # The person's modules may have been edited since: the run goes on with its own.
            path = (str(unpack_bundle(self.store, orders.bundle, self._code_folder)), *path)
        return _Task(
            run=run,
            generation=generation,
            cancelled_positions=set(cancelled_positions(self.store, run.run_id)),
            dispatch=Dispatch(
                remaining, chunk_size=orders.chunk_size, rule=FailureRule(orders.on_error, canaries)
            ),
            spec=WorkerSpec(
                sys_path=path,
                cwd=run.cwd,
                environment=orders.environment(os.environ),
                code=run.code,
            ),
        )

    def take_work(self, slot: _Slot) -> tuple[_Task, Chunk, Control] | None:
        """Wait for a chunk; None when the slot should end."""
        with self._changed:
            until = time.monotonic() + _IDLE_S
            while not self._is_closed:
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
                self._changed.wait(until - time.monotonic())
            self._slots.discard(slot)
            return None

    def run_work(self, supervisor: Supervisor, task: _Task, chunk: Chunk, control: Control) -> None:
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

    def lose_slot(self, slot: _Slot) -> None:
        """Take note that a slot's thread has ended, however it came to that."""
        with self._changed:
            self._slots.discard(slot)

    def _has_room(self, wanted: Resources) -> bool:
        running = [task.run.resources for task in self._tasks.values() for _ in task.controls]
        return has_room(wanted, running, vcpus=self._workers, memory_mib=_MEMORY_MIB)

    def _give_back(self, task: _Task, chunk: Chunk) -> None:
        with self._changed:
            task.dispatch.give_back(chunk)
            self._changed.notify_all()

    def _observe(self, task: _Task, reports: Reports) -> None:
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


class _Slot(threading.Thread):
    """A thread that drives one worker process."""

    def __init__(self, backend: LocalBackend) -> None:
        super().__init__(name="cloudknot-local", daemon=True)
        self._backend = backend
        self.supervisor = Supervisor(backend.store, commit_s=_COMMIT_S)
        self.run_id = ""

    def run(self) -> None:
        """Run chunks until there have been none for long."""
        try:
            while (work := self._backend.take_work(self)) is not None:
                task, chunk, control = work
                self.run_id = task.run.run_id
                self._backend.run_work(self.supervisor, task, chunk, control)
        finally:
            self._backend.lose_slot(self)
            self.supervisor.close()


def _count_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
