"""One job of a wave: runs what is left of its chunk, and ends so that AWS Batch knows what to do next."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

from cloudknot.runner.assignments import Assignment
from cloudknot.runner.bundles import unpack_bundle
from cloudknot.runner.cancels import CancelLook
from cloudknot.runner.control import Control
from cloudknot.runner.envelopes import SUCCESSES, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.live import LiveLog
from cloudknot.runner.orders import Orders, read_orders
from cloudknot.runner.packs import PackTakenError, Reports, pack_end
from cloudknot.runner.processes import WorkerSpec
from cloudknot.runner.relayed import Access
from cloudknot.runner.served import ServedWorker
from cloudknot.runner.shards import decode_indices
from cloudknot.runner.stores import Store, open_store
from cloudknot.runner.streams import words
from cloudknot.runner.supervisor import ChunkFailedError, Supervisor
from cloudknot.runner.waves import Wave, WaveChunk, read_wave
from cloudknot.runner.worker import DEFERS_OOM

# Exit codes, by which AWS Batch's retry rules go. Another attempt helps where the store failed, and where a
# machine that goes away tells its containers to end; a job that is terminated gets none all the same.
DONE, NOT_DONE, AGAIN = 0, 1, 75
_FINE = frozenset({*SUCCESSES, Outcome.CANCELLED})
# Items use /tmp as they like, and sweep it.
_FOLDER = "/var/tmp"


def run_job(store_uri: str, run_id: str, wave: int, number: int) -> int:
    """Run what is left of a wave's chunk; return the exit code.

    Parameters
    ----------
    store_uri : str
        Where the run is.
    run_id : str
        The run.
    wave : int
        The wave's number.
    number : int
        The chunk's number in the wave.
    """
    signal.signal(signal.SIGTERM, _end)
    store = open_store(store_uri)
    try:
        try:
            job = Job(store, run_id, read_wave(store, run_id, wave), number, write=_write)
        except KeyError as error:
            _write(words(f"{error.args[0]} is not in {store_uri}: the run was removed"))
            return NOT_DONE
        signal.signal(signal.SIGTERM, lambda *_: job.control.cancel())
        return job.run()
    except (OSError, ChunkFailedError) as error:
        _write(words(f"the store failed: {error}"))
        return AGAIN


class Job:
    """One chunk of a wave.

    Parameters
    ----------
    store : Store
        Where the run is.
    run_id : str
        The run.
    wave : Wave
        The wave.
    number : int
        The chunk's number in it.
    write : callable
        Takes lines of the job's stream.
    """

    def __init__(
        self, store: Store, run_id: str, wave: Wave, number: int, *, write: Callable[[bytes], object]
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._keys = Keys(run_id)
        self._wave = wave
        self._chunk: WaveChunk = wave.chunk(number)
        self._orders: Orders = read_orders(store, run_id)
        self._write = write
        access = Access.of(run_id, self._orders.inputs_run)
        self._live = LiveLog(write, self._index_of, start=partial(ServedWorker, store=store, access=access))
        self.control = Control()

    def run(self) -> int:
        """Run what is left of the chunk; return the exit code.

        Raises
        ------
        OSError, ChunkFailedError
            The store failed.
        """
        look = CancelLook(self._store, self._run_id, *self._chunk[:2], self.control)
        look.look()
        look.begin(self._wave.look_s)
        supervisor = Supervisor(self._store, start=self._live.start, commit_s=self._wave.commit_s)
        try:
            with worker_spec(self._store, self._orders) as spec:
                marks = {DEFERS_OOM: "1"} if self._wave.defers_oom else {}
                wanted = replace(spec, environment={**spec.environment, **marks})
                return self._run_stretches(supervisor, wanted)
        finally:
            supervisor.close()
            look.end()

    def _run_stretches(self, supervisor: Supervisor[WorkerSpec], spec: WorkerSpec) -> int:
        """Run the positions between those that others have committed, or that are deferred."""
        position = self._chunk.first
        while not (self.control.is_cancelled or self.control.is_stopping):
            first, last = self._next_stretch(position)
            if first >= self._chunk.last:
                return DONE
            try:
                position = supervisor.run_chunk(self._assignment(first, last, spec))
            except PackTakenError as error:  # an attempt on a lost host may still be alive
                self._write(words(f"{error}: going on behind them"))
            if position >= self._chunk.last:
                return DONE
        return AGAIN if self.control.is_cancelled else NOT_DONE

    def _assignment(self, first: int, last: int, spec: WorkerSpec) -> Assignment[WorkerSpec]:
        return Assignment(
            run_id=self._run_id,
            orders=self._orders,
            first=first,
            last=last,
            spec=spec,
            control=self.control,
            observe=self._observe,
            announce=self._announce,
            lost=self._chunk.lost if first == self._chunk.first else 0,
            defer=self._defer if self._wave.defers_oom else None,
            listener=self._live,
        )

    def _next_stretch(self, position: int) -> tuple[int, int]:
        """Return the next positions (first, last) that are neither committed nor deferred."""
        packs = set(self._listed(self._keys.packs, self._keys.pack, position))
        deferred = set(self._deferred(position)) if self._wave.defers_oom else set()
        last_pack = None
        while position < self._chunk.last:
            end = pack_end(self._store, self._run_id, position) if position in packs else None
            if end is not None:
                last_pack, position = position, end
            elif position in deferred:
                position += 1
            else:
                break
        if last_pack is not None:
            self._announce(last_pack)  # who committed it may have been killed before it said so
        behind = (begin for begin in packs | deferred if begin > position)
        return position, min((self._chunk.last, *behind))

    def _listed(self, prefix: str, key_of: Callable[[int], str], position: int) -> Iterator[int]:
        """Yield the chunk's positions from ``position`` on that have a key."""
        for key in self._store.list(prefix, key_of(position - 1) if position else ""):
            found = int(key[len(prefix) :])
            if found >= self._chunk.last:
                return
            yield found

    def _deferred(self, position: int) -> Iterator[int]:
        """Yield the chunk's positions for which this wave's memory was too little."""
        prefix = self._keys.deferrals
        before = self._keys.deferral(position, 0)
        for key in self._store.list(prefix, before):
            found, _, memory_mib = key[len(prefix) :].partition("-")
            if int(found) >= self._chunk.last:
                return
            if int(memory_mib) == self._wave.memory_mib:
                yield int(found)

    def _defer(self, position: int) -> None:
        memory_mib = self._wave.memory_mib
        self._store.put(self._keys.deferral(position, memory_mib), b"", if_absent=True)
        lack = f"item {self._index_of(position)} ran out of memory ({memory_mib} MiB)"
        self._write(words(f"{lack}: it is left to a larger job"))

    def _announce(self, first: int) -> None:
        self._store.put(self._keys.announcement(int(time.time() * 1000), first), b"")

    def _observe(self, reports: Reports) -> None:
        self._live.observe(reports)
        if self._orders.on_error == "stop" and any(entry[0] not in _FINE for entry in reports.entries):
            self.control.stop()

    def _index_of(self, position: int) -> int:
        return self._indices[position - self._chunk.first] if self._orders.is_selection else position

    @cached_property
    def _indices(self) -> tuple[int, ...]:
        first, last, _ = self._chunk
        return decode_indices(self._store.get(self._keys.indices, 8 * first, 8 * last))


@contextmanager
def worker_spec(store: Store, orders: Orders) -> Iterator[WorkerSpec]:
    """Unpack the person's own modules for as long as a worker needs them; give what it is started with."""
    is_free = "TMPDIR" not in os.environ and os.access(_FOLDER, os.W_OK)
    with tempfile.TemporaryDirectory(dir=_FOLDER if is_free else None) as folder:
        path = [str(unpack_bundle(store, orders.bundle, Path(folder)))] if orders.bundle else []
        cwd = str(Path.cwd())
        yield WorkerSpec(
            sys_path=(*path, *(entry or cwd for entry in sys.path)),
            cwd=cwd,
            environment=orders.environment(os.environ),
        )


def _end(*_: object) -> NoReturn:
    # A container's first process dies of no signal that it does not handle.
    raise SystemExit(AGAIN)


def _write(lines: bytes) -> None:
    try:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
    except OSError:  # nobody reads the log; the items' envelopes keep it
        return
