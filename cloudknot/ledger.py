"""A run's record in a store: written before anything starts, read by whoever follows it."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cloudknot.errors import StoreError, UnknownRunError
from cloudknot.runner.envelopes import (
    SUCCESSES,
    Envelope,
    Outcome,
    decode_envelope,
    payload_of,
    split_envelopes,
)
from cloudknot.runner.keys import Keys
from cloudknot.runner.shards import encode_indices, encode_shard
from cloudknot.runner.stores import Store
from cloudknot.runs import Run

SHARD_BYTES = 4 << 20
SHARD_ITEMS = 1 << 16
# A cached pack's table of offsets is larger than the pack itself where values are small.
_CACHE_BYTES = 8 << 20


def write_inputs(store: Store, run_id: str, pickles: Iterable[bytes]) -> tuple[int, ...]:
    """Stream pickled arguments into shards.

    Returns
    -------
    tuple of int
        The first item index of each shard, then the number of items.
    """
    keys = Keys(run_id)
    shards, batch, size, count = [0], [], 0, 0
    for data in pickles:
        batch.append(data)
        size += len(data)
        if size >= SHARD_BYTES or len(batch) >= SHARD_ITEMS:
            store.put(keys.shard(len(shards) - 1), encode_shard(batch))
            count += len(batch)
            shards.append(count)
            batch, size = [], 0
    if batch:
        store.put(keys.shard(len(shards) - 1), encode_shard(batch))
        shards.append(count + len(batch))
    return tuple(shards)


def write_run(store: Store, run: Run, *, function: bytes, indices: tuple[int, ...] = ()) -> None:
    """Write what a run needs, its record last: a run without a record was never begun."""
    keys = Keys(run.run_id)
    store.put(keys.function, function)
    if indices:
        store.put(keys.indices, encode_indices(indices))
    store.put(keys.run, json.dumps(run.to_json()).encode())


def read_run(store: Store, run_id: str) -> Run:
    """Return a run by its id.

    Raises
    ------
    UnknownRunError
        The store has no such run.
    StoreError
        Its record cannot be read.
    """
    try:
        record = store.get(Keys(run_id).run)
    except KeyError:
        raise UnknownRunError(
            f"no run {run_id!r} in {store.uri}: 'cloudknot runs' lists those that are known here"
        ) from None
    try:
        return Run.from_json(json.loads(record))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the record of run {run_id!r} in {store.uri} cannot be read: {error!r}") from error


def write_mark(store: Store, key: str, fields: Mapping[str, Any]) -> None:
    """Write a small JSON object beside a run's record, such as why it was stopped."""
    store.put(key, json.dumps(fields).encode())


def read_mark(store: Store, key: str) -> dict[str, Any] | None:
    """Return what ``write_mark`` wrote, or None."""
    try:
        mark: dict[str, Any] = json.loads(store.get(key))
    except KeyError:
        return None
    return mark


def cancelled_positions(store: Store, run_id: str) -> Iterator[int]:
    """Yield the positions that somebody has asked to cancel."""
    prefix = Keys(run_id).cancels + "item-"
    return (int(key[len(prefix) :]) for key in store.list(prefix))


class Counts(NamedTuple):
    """How many items have ended."""

    done: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        """Return how many have ended in any way."""
        return self.done + self.failed + self.cancelled


class _Pack(NamedTuple):
    data: bytes
    offsets: dict[int, int]


class Outcomes:
    """What became of a run's items, as far as it is committed; safe from any thread.

    An item costs one byte here; envelopes are read again from the store when they are asked for.

    Parameters
    ----------
    store : Store
        Where the run is.
    run_id : str
        The run.
    count : int
        Its positions.
    """

    def __init__(self, store: Store, run_id: str, count: int) -> None:
        self._store = store
        self._keys = Keys(run_id)
        self._states = bytearray(count)
        self._packs: list[int] = []
        self._known: set[str] = set()
        self._cache: OrderedDict[int, _Pack] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.RLock()
        self._done = self._failed = self._cancelled = 0

    @property
    def counts(self) -> Counts:
        """Return how many items have ended so far."""
        return Counts(self._done, self._failed, self._cancelled)

    @property
    def is_complete(self) -> bool:
        """Return whether every item has ended."""
        return self.counts.ended == len(self._states)

    def refresh(self) -> list[int]:
        """Read the packs that are new; return the positions that they hold."""
        with self._lock:
            positions: list[int] = []
            for key in self._store.list(self._keys.packs):
                if key not in self._known:
                    positions.extend(self._add(key))
            return positions

    def outcome(self, position: int) -> Outcome | None:
        """Return how an item ended; None while it has not."""
        state = self._states[position]
        return Outcome(state) if state else None

    def positions(self, *, failed: bool) -> Iterator[int]:
        """Yield the positions that failed, or else those that have not ended well."""
        fine = {0, *SUCCESSES, Outcome.CANCELLED} if failed else SUCCESSES
        return (position for position, state in enumerate(self._states) if state not in fine)

    def unsettled(self) -> Iterator[int]:
        """Yield the positions that have not ended."""
        position = self._states.find(0)
        while position >= 0:
            yield position
            position = self._states.find(0, position + 1)

    def envelope(self, position: int) -> Envelope:
        """Return the envelope of an item that has ended."""
        with self._lock:
            first = self._packs[bisect_right(self._packs, position) - 1]
            pack = self._read(first)
            return decode_envelope(pack.data, pack.offsets[position])

    def pickles(self) -> Iterator[bytes | memoryview]:
        """Yield the pickle of each position's value, in order; all must have one."""
        for first in list(self._packs):
            with self._lock:
                pack = self._read(first)
            data = memoryview(pack.data)
            for position, offset in pack.offsets.items():
                payload = payload_of(data, offset)
                is_stored = self._states[position] == Outcome.STORED_VALUE
                yield self._get(bytes(payload).decode()) if is_stored else payload

    def read_stored(self, envelope: Envelope) -> bytes:
        """Return the pickle of an item's value or exception, wherever it lies."""
        if envelope.outcome is Outcome.STORED_VALUE:
            return self._get(envelope.payload.decode())
        return envelope.payload

    def _get(self, key: str) -> bytes:
        try:
            return self._store.get(key)
        except KeyError:
            raise StoreError(
                f"{key} is gone from {self._store.uri}: the run's results were removed"
            ) from None

    def _add(self, key: str) -> list[int]:
        first = int(key.rpartition("/")[2])
        entries = self._split(first)
        self._known.add(key)
        insort(self._packs, first)
        positions = []
        for position, _, state in entries:
            if self._states[position]:
                continue  # an item ends once
            self._states[position] = state
            positions.append(position)
            if state in SUCCESSES:
                self._done += 1
            elif state == Outcome.CANCELLED:
                self._cancelled += 1
            else:
                self._failed += 1
        return positions

    def _split(self, first: int) -> Iterator[tuple[int, int, int]]:
        data = self._get(self._keys.pack(first))
        found, _ = split_envelopes(data)
        self._remember(first, _Pack(data, {position: offset for _, position, offset in found}))
        return ((position, offset, outcome) for outcome, position, offset in found)

    def _read(self, first: int) -> _Pack:
        if first not in self._cache:
            for _ in self._split(first):
                break
        self._cache.move_to_end(first)
        return self._cache[first]

    def _remember(self, first: int, pack: _Pack) -> None:
        self._cache[first] = pack
        self._cached_bytes += len(pack.data)
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= len(oldest.data)
