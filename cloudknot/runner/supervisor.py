"""Drives one worker process through chunks: limits, deaths, and the commit of what it says.

The supervisor runs none of a person's code, so it survives what kills a worker and knows which item
did it.
"""

from __future__ import annotations

import contextlib
import math
import select
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from cloudknot.runner.assignments import Assignment, Worker
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runner.packs import PackWriter
from cloudknot.runner.processes import describe_exit
from cloudknot.runner.stores import Store

__all__ = ["Assignment", "ChunkFailedError", "Supervisor", "Worker"]

# A dead worker whose children still hold its pipe is noticed by looking this often.
_LOOK_S = 0.5
# While items come one after the other, wait this long to read many at once.
_GATHER_S = 0.002


class ChunkFailedError(Exception):
    """The chunk cannot go on, through no item's fault."""


S = TypeVar("S")


class Supervisor(Generic[S]):
    """Keeps one warm worker and drives it through chunks.

    Parameters
    ----------
    store : Store
        Where the runs are.
    start : callable
        Starts a worker.
    commit_s : float
        Seconds after which ended items are committed at the latest; 0: before the next one begins.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        store: Store,
        *,
        start: Callable[[S], Worker],
        commit_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._start = start
        self._commit_s = commit_s
        self._clock = clock
        self._worker: Worker | None = None
        self._spec: S | None = None
        self._number = 0
        self._chunk: _ChunkRun[S] | None = None

    def run_chunk(self, assignment: Assignment[S]) -> int:
        """Run a chunk and commit what becomes of its items.

        Returns
        -------
        int
            The position that was reached: less than the chunk's last where it was stopped.

        Raises
        ------
        ChunkFailedError
            The worker could not read or write the store.
        OSError
            The store could not be written here, or no worker could be started.
        """
        task = assignment

        def tell(first: int) -> None:
            task.announce(first)
            task.committed()

        pack = PackWriter(
            self._store,
            task.run_id,
            task.first,
            commit_s=self._commit_s,
            clock=self._clock,
            committed=tell,
        )
        self._chunk = chunk = _ChunkRun(self, task, pack, self._clock, is_one_by_one=not self._commit_s)
        try:
            chunk.end_if_lost_too_often()
            while chunk.position < chunk.last and not (task.control.is_cancelled or task.control.is_stopping):
                if chunk.position in task.control.cancelled_positions:
                    chunk.end_item(Outcome.CANCELLED)
                else:
                    self._number += 1
                    chunk.drive(self._warm_worker(task.spec), self._number, self._store.uri)
                if not self._commit_s:
                    pack.commit()
        except BaseException:
            self.close()  # the worker is still at this chunk: what it says must not reach the next
            raise
        finally:
            pack.commit()
        return chunk.position

    def read_log(self, position: int) -> bytes:
        """Return what an item has written so far, if it is the present one."""
        chunk, worker = self._chunk, self._worker
        if chunk is None or worker is None or chunk.position != position:
            return b""
        with contextlib.suppress(ValueError, OSError):  # the worker may just be closed by its own thread
            return worker.read_log()
        return b""

    def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _warm_worker(self, spec: S) -> Worker:
        if self._worker is not None and (self._spec != spec or self._worker.has_ended()):
            self.close()
        if self._worker is None:
            self._worker = self._start(spec)
            self._spec = spec
        return self._worker


class _ChunkRun(Generic[S]):
    """One chunk on its way: the item at ``position`` runs, since ``began``."""

    def __init__(
        self,
        supervisor: Supervisor[S],
        task: Assignment[S],
        pack: PackWriter,
        clock: Callable[[], float],
        *,
        is_one_by_one: bool,
    ) -> None:
        self._is_one_by_one = is_one_by_one
        self._supervisor = supervisor
        self._task = task
        self._pack = pack
        self._clock = clock
        self._yields_at = math.inf if task.yield_s is None else clock() + task.yield_s
        self._began: float | None = None
        self._read_at = clock()
        self._lost = task.lost
        self.position = task.first
        self.last = self._ordered_last = task.last

    def drive(self, worker: Worker, number: int, store_uri: str) -> None:
        """Order what is left and follow it until the worker has ended it, or has died."""
        control, listener = self._task.control, self._task.listener
        self._pack.drop_tail()
        self._began = None
        # Where each item is committed before the next one begins, a death tells which item it was.
        self._ordered_last = self._next_cancelled(self.position + 1 if self._is_one_by_one else self.last)
        worker.order(number, store_uri, self._task.run_id, self.position, self._ordered_last)
        poll = select.poll()
        poll.register(worker, select.POLLIN)
        poll.register(control, select.POLLIN)
        while True:
            ready = {handle for handle, _ in poll.poll(self._patience_ms())}
            if control.fileno() in ready:
                control.clear()
                if control.is_cancelled:
                    self._leave(worker)
                    return
                if self._next_cancelled(self._ordered_last) < self._ordered_last:
                    worker.stop(number)
            if control.is_stopping or self._clock() >= self._yields_at:
                self._yields_at = math.inf
                worker.stop(number)
            heard = listener.listen() if worker.fileno() not in ready else b""
            has_died = worker.has_ended()  # before the last read, so that nothing it said is missed
            data = worker.read()
            if data and self._take(data):
                return
            if not data and self.position < self.last:  # otherwise it may be of the item behind
                listener.hear(self.position, heard)
            if not data and (data is not None or has_died):
                self._bury(worker)
                return
            if self._ends_item_early():
                return
            self._pack.commit_if_due()

    def end_if_lost_too_often(self) -> None:
        """Say that the first item is lost, where it has no try left."""
        if self._lost > self._task.orders.lost_retries and self.position < self.last:
            self.end_item(
                Outcome.LOST, reason=f"its whole job was killed while it ran, {self._lost} times in all"
            )

    def end_item(self, outcome: Outcome, *, log: bytes = b"", reason: str = "") -> None:
        """Say what became of the present item, where no worker can."""
        envelope = Envelope(
            outcome=outcome,
            position=self.position,
            tries=max(self._lost, 1),
            seconds=self._clock() - self._began if self._began is not None else 0.0,
            detail={"type": outcome.name, "reason": reason},
            log=log,
        )
        self._pack.drop_tail()
        self._task.observe(self._pack.feed(envelope.encode())[0])
        self.position += 1
        self._lost = 0

    def _take(self, data: bytes) -> bool:
        """Take in what the worker said; return whether that was the end of the chunk."""
        items, frames = self._pack.feed(data)
        if items.entries:
            self.position = items.entries[-1][1] + 1
            self._lost = 0
            self._task.observe(items)
        if items.entries or frames.entries:
            self._began = self._clock()
        for outcome, position, offset in frames.entries:
            if outcome == Outcome.LIMIT:
                self._task.give_back(position, self.last)
                self.last = self._ordered_last = position
            elif outcome == Outcome.END:
                reason = frames.decode(offset).detail.get("reason")
                if reason:
                    raise ChunkFailedError(reason)
                if self.position < self._ordered_last:  # it stopped by itself
                    self._task.give_back(self.position, self.last)
                    self.last = self.position
                return True
        if items.entries and self.position < self.last:
            self._gather(len(items.entries))
        return False

    def _gather(self, n_items: int) -> None:
        """Wait for more items to read at once, but not beyond the chunk's end at their present pace."""
        now = self._clock()
        left_s = (now - self._read_at) / n_items * (self.last - self.position)
        time.sleep(min(_GATHER_S, left_s))
        self._read_at = self._clock()

    def _ends_item_early(self) -> bool:
        if self.position >= self.last:
            return False
        if self.position in self._task.control.cancelled_positions:
            outcome, reason = Outcome.CANCELLED, ""
        elif self._seconds_left() <= 0:
            outcome, reason = (
                Outcome.TIMED_OUT,
                f"it ran longer than timeout_s={self._task.orders.timeout_s:g}",
            )
        else:
            return False
        log = self._supervisor.read_log(self.position)
        self._supervisor.close()
        self.end_item(outcome, log=log, reason=reason)
        return True

    def _bury(self, worker: Worker) -> None:
        end = worker.kill()
        log = worker.read_log()
        self._supervisor.close()
        self._lost += 1
        if self.position >= self.last:
            return
        if end.is_out_of_memory and self._task.defer is not None:
            self._task.listener.end(self.position, log)
            self._defer(self._task.defer)
        elif self._lost > self._task.orders.lost_retries:
            self.end_item(Outcome.LOST, log=log, reason=describe_exit(end, log=log))
        else:
            self._task.listener.end(self.position, log)

    def _defer(self, defer: Callable[[int], None]) -> None:
        """Leave the present item to others, and go on behind it."""
        self._pack.skip_to(self.position + 1)
        defer(self.position)
        self.position += 1
        self._lost = 0

    def _leave(self, worker: Worker) -> None:
        """Kill the worker; what had ended before is kept."""
        listener = self._task.listener
        heard = listener.listen()
        while data := worker.read():
            heard = b""
            self._take(data)
        if self.position < self.last:
            listener.hear(self.position, heard)
        self._supervisor.close()

    def _next_cancelled(self, last: int) -> int:
        """Return the first cancelled position behind the present item, or last."""
        behind = (
            position
            for position in frozenset(self._task.control.cancelled_positions)
            if position > self.position
        )
        return min((last, *behind))

    def _seconds_left(self) -> float:
        timeout_s = self._task.orders.timeout_s
        if timeout_s is None or self._began is None:
            return math.inf
        return self._began + timeout_s - self._clock()

    def _patience_ms(self) -> float:
        wait_s = min(
            _LOOK_S,
            self._pack.seconds_until_due(),
            self._seconds_left(),
            self._yields_at - self._clock(),
        )
        return max(0.0, wait_s) * 1000
