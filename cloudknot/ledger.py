"""A run's record in a store: written before anything starts, read by whoever follows it."""

from __future__ import annotations

import json
import re
import threading
import time
from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from cloudknot.errors import StoreError, UnknownRunError
from cloudknot.runner.envelopes import (
    SUCCESSES,
    Envelope,
    Outcome,
    decode_envelope,
    outcomes_in,
    payloads_in,
    seconds_in,
    split_envelopes,
)
from cloudknot.runner.keys import Keys
from cloudknot.runner.shards import encode_indices, encode_shard
from cloudknot.runner.stores import Store
from cloudknot.runs import Run

SHARD_BYTES = 4 << 20
SHARD_ITEMS = 1 << 16
_CACHE_BYTES = 8 << 20
# Where packs come over the network, more of them are kept.
_FAR_CACHE_BYTES = 64 << 20
# Machines' clocks may differ by so much: news that is older than this is not looked for again.
_SKEW_MS = 5_000
_UNSETTLED = re.compile(b"\0+")


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


def cancelled_positions(keys: Iterable[str], run_id: str) -> Iterator[int]:
    """Yield the positions that somebody has asked to cancel, from the keys below the run's ``cancels``."""
    prefix = Keys(run_id).cancels + "item-"
    return (int(key[len(prefix) :]) for key in keys if key.startswith(prefix))


class Counts(NamedTuple):
    """How many items have ended."""

    done: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        """Return how many have ended in any way."""
        return self.done + self.failed + self.cancelled


class _Pack:
    """Envelopes of consecutive positions; where each begins is found when one is asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._offsets: list[int] | None = None

    def envelope(self, place: int) -> Envelope:
        if self._offsets is None:
            self._offsets = [offset for _, _, offset in split_envelopes(self.data)[0]]
        return decode_envelope(self.data, self._offsets[place])


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
    has_news : bool
        Whether each pack is announced: then no more than what is new is listed.

    Attributes
    ----------
    item_s : float
        Seconds of all items that have ended, where packs are announced.
    """

    def __init__(self, store: Store, run_id: str, count: int, *, has_news: bool = False) -> None:
        self._store = store
        self._keys = Keys(run_id)
        self._has_news = has_news
        self._news_ms: int | None = None
        self.item_s = 0.0
        self._new: list[int] = []
        self._most_cached = _CACHE_BYTES if store.parallel == 1 else _FAR_CACHE_BYTES
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
        """Read the packs that are new; return the positions that have come since the last refresh."""
        with self._lock:
            self.catch_up(is_thorough=False)
            positions, self._new = self._new, []
            return positions

    def catch_up(self, *, is_thorough: bool = True) -> None:
        """Read the packs that are new; where it is thorough, also those that nobody has announced."""
        with self._lock:
            if is_thorough or not self._has_news or self._news_ms is None:
                if self._has_news and self._news_ms is None:
                    self._list_news()  # first, so that none is missed in between
                keys = list(self._store.list(self._keys.packs))
            else:
                keys = [self._keys.pack(position) for position in self._list_news()]
            new = [key for key in dict.fromkeys(keys) if key not in self._known]
            for key, data in _fetch(self._store, self._get, new):
                self._new.extend(self._add(key, data))

    def _list_news(self) -> list[int]:
        """Return the positions of the packs that were announced since the last look."""
        since = self._news_ms or 0
        after = self._keys.announcement(max(since - _SKEW_MS, 0), 0)
        found = [key.rpartition("/")[2].split("-") for key in self._store.list(self._keys.news, after=after)]
        self._news_ms = max([since, *(int(time_ms) for time_ms, _ in found)])
        return [int(position) for _, position in found]

    def outcome(self, position: int) -> Outcome | None:
        """Return how an item ended; None while it has not."""
        state = self._states[position]
        return Outcome(state) if state else None

    def positions(self, *, failed: bool) -> Iterator[int]:
        """Yield the positions that failed, or else those that have not ended well."""
        fine = {0, *SUCCESSES, Outcome.CANCELLED} if failed else SUCCESSES
        marked = self._states.translate(bytes(state not in fine for state in range(256)))
        return _places_of(1, marked)

    def unsettled(self) -> Iterator[int]:
        """Yield the positions that have not ended."""
        return _places_of(0, self._states)

    def unsettled_spans(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of the consecutive positions, between two, that have not ended."""
        end = len(self._states) if last is None else last
        return (found.span() for found in _UNSETTLED.finditer(self._states, first, end))

    def envelope(self, position: int) -> Envelope:
        """Return the envelope of an item that has ended."""
        with self._lock:
            first = self._packs[bisect_right(self._packs, position) - 1]
            return self._read(first).envelope(position - first)

    def pickles(self) -> Iterator[bytes]:
        """Yield the pickle of each position's value, in order; all must have one."""
        with self._lock:
            kept = {first: self._cache[first].data for first in self._packs if first in self._cache}
            packs = {self._keys.pack(first): kept.get(first) for first in self._packs}

        def read(key: str) -> bytes:
            data = packs[key]
            return self._get(key) if data is None else data

        for _, data in _fetch(self._store, read, packs):
            for outcome, payload in payloads_in(data):
                yield payload if outcome == Outcome.VALUE else self._value(payload.decode())

    def read_stored(self, envelope: Envelope) -> bytes:
        """Return the pickle of an item's value or exception, wherever it lies."""
        if envelope.outcome is Outcome.STORED_VALUE:
            return self._value(envelope.payload.decode())
        return envelope.payload

    def _value(self, key: str) -> bytes:
        """Return a value that is an object of its own: whoever wrote the pack may name no other run's."""
        if not key.startswith(self._keys.values) or ".." in key.split("/"):
            raise StoreError(f"{key} is not below {self._keys.values}: the run's results were tampered with")
        return self._get(key)

    def _get(self, key: str) -> bytes:
        try:
            return self._store.get(key)
        except KeyError:
            raise StoreError(
                f"{key} is gone from {self._store.uri}: the run's results were removed"
            ) from None

    def _add(self, key: str, data: bytes) -> range:
        first = int(key.rpartition("/")[2])
        self._remember(first, _Pack(data))
        outcomes = outcomes_in(data)
        if self._has_news:
            self.item_s += sum(seconds for _, seconds in seconds_in(data))
        last = first + len(outcomes)
        self._known.add(key)
        if any(self._states[first:last]):
            raise StoreError(f"{key} holds items that another pack holds too: the ledger is damaged")
        insort(self._packs, first)
        self._states[first:last] = outcomes
        done = sum(outcomes.count(outcome) for outcome in SUCCESSES)
        cancelled = outcomes.count(Outcome.CANCELLED)
        self._done += done
        self._cancelled += cancelled
        self._failed += len(outcomes) - done - cancelled
        return range(first, last)

    def _read(self, first: int) -> _Pack:
        if first not in self._cache:
            self._remember(first, _Pack(self._get(self._keys.pack(first))))
        self._cache.move_to_end(first)
        return self._cache[first]

    def _remember(self, first: int, pack: _Pack) -> None:
        self._cache[first] = pack
        self._cached_bytes += len(pack.data)
        while self._cached_bytes > self._most_cached and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= len(oldest.data)


def write_lost(store: Store, run_id: str, first: int, last: int, *, tries: int, reason: str) -> bool:
    """Say of the items first to last (exclusive) that they were lost, unless the first has ended already."""
    detail = {"type": Outcome.LOST.name, "reason": reason}
    lost = (
        Envelope(outcome=Outcome.LOST, position=position, tries=tries, detail=detail).encode()
        for position in range(first, last)
    )
    keys = Keys(run_id)
    is_written = store.put(keys.pack(first), b"".join(lost), if_absent=True)
    if is_written:  # others follow the run too
        store.put(keys.announcement(int(time.time() * 1000), first), b"")
    return is_written


def _fetch(store: Store, read: Callable[[str], bytes], keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (key, object) in order; where the store is far away, several are read at once."""
    if store.parallel == 1:
        yield from ((key, read(key)) for key in keys)
        return
    with ThreadPoolExecutor(store.parallel) as readers:
        waiting: deque[tuple[str, Future[bytes]]] = deque()
        for key in keys:
            waiting.append((key, _submit(readers, read, key)))
            if len(waiting) >= 2 * store.parallel:
                oldest, data = waiting.popleft()
                yield oldest, data.result()
        for key, data in waiting:
            yield key, data.result()


def _submit(readers: ThreadPoolExecutor, read: Callable[[str], bytes], key: str) -> Future[bytes]:
    """Have an object read; at the end of the interpreter, which starts no more threads, here and now."""
    try:
        return readers.submit(read, key)
    except RuntimeError:
        future: Future[bytes] = Future()
        future.set_result(read(key))
        return future


def _places_of(value: int, states: bytes | bytearray) -> Iterator[int]:
    place = states.find(value)
    while place >= 0:
        yield place
        place = states.find(value, place + 1)
