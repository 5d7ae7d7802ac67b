"""Packs: envelopes of consecutive positions, committed as one object.

A pack's key is its first position, and it is created only where none exists: whoever runs a chunk
again goes on behind the packs that are there, so each item is committed exactly once, however often
it is tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cloudknot.runner.envelopes import FRAMES, Envelope, decode_envelope, end_of, split_envelopes
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store

# A pack is committed when it has grown to this, whatever the time.
PACK_BYTES = 4 << 20


class Reports(NamedTuple):
    """Whole envelopes as they came from a worker, not yet decoded.

    Parameters
    ----------
    data : bytes
        What holds them.
    entries : list of (outcome, position, offset)
        One an envelope.
    """

    data: bytes
    entries: list[tuple[int, int, int]]

    def decode(self, offset: int) -> Envelope:
        """Return the envelope at an offset."""
        return decode_envelope(self.data, offset)

    def seconds_of_last(self) -> float:
        """Return the seconds that the last of the items took."""
        return self.decode(self.entries[-1][2]).seconds


class PackTakenError(Exception):
    """Another supervisor has committed these items already."""


class PackWriter:
    """Gathers a worker's bytes into packs.

    Parameters
    ----------
    store : Store
        Where the run is.
    run_id : str
        The run.
    position : int
        The first position that will come.
    commit_s : float
        Seconds after which an ended item is committed at the latest.
    clock : callable
        Seconds, monotonic.
    committed : callable
        Told of a pack's first position, after each commit.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        position: int,
        *,
        commit_s: float,
        clock: Callable[[], float],
        committed: Callable[[int], None],
    ) -> None:
        self._store = store
        self._keys = Keys(run_id)
        self._first = self._next = position
        self._commit_s = commit_s
        self._clock = clock
        self._committed = committed
        self._tail = b""
        self._blocks: list[bytes] = []
        self._size = 0
        self._since = math.inf

    def feed(self, data: bytes) -> tuple[Reports, Reports]:
        """Take in bytes as they come from a worker.

        Returns
        -------
        items, frames : Reports
            The whole envelopes found: those of items, and those that frame them.
        """
        data = self._tail + data if self._tail else data
        entries, end = split_envelopes(data)
        self._tail = data[end:]
        frames = [entry for entry in entries if entry[0] in FRAMES]
        begin = 0
        for _, _, offset in frames:
            self._add(data[begin:offset])
            begin = end_of(data, offset)
        self._add(data[begin:end])
        items = [entry for entry in entries if entry[0] not in FRAMES] if frames else entries
        if items:
            self._next = items[-1][1] + 1
        return Reports(data, items), Reports(data, frames)

    def seconds_until_due(self) -> float:
        """Return how long a commit can wait; infinite when there is nothing to commit."""
        return self._since + self._commit_s - self._clock()

    def commit_if_due(self) -> None:
        """Commit what is old enough or large enough."""
        if self._size >= PACK_BYTES or self.seconds_until_due() <= 0:
            self.commit()

    def commit(self) -> None:
        """Commit all whole envelopes so far."""
        if not self._blocks:
            return
        if not self._store.put(self._keys.pack(self._first), b"".join(self._blocks), if_absent=True):
            raise PackTakenError(f"items from position {self._first} on were committed by another supervisor")
        committed, self._first = self._first, self._next
        self._blocks.clear()
        self._size, self._since = 0, math.inf
        self._committed(committed)

    def skip_to(self, position: int) -> None:
        """Commit, and go on at a position further behind."""
        self.drop_tail()
        self.commit()
        self._first = self._next = position

    def drop_tail(self) -> None:
        """Forget the part of an envelope that a dead worker left."""
        self._tail = b""

    def _add(self, block: bytes) -> None:
        if not block:
            return
        if not self._blocks:
            self._since = self._clock()
        self._blocks.append(block)
        self._size += len(block)


def committed_until(store: Store, run_id: str, position: int) -> int:
    """Return the first position at or behind ``position`` that no pack holds."""
    while (end := pack_end(store, run_id, position)) is not None:
        position = end
    return position


def pack_end(store: Store, run_id: str, position: int) -> int | None:
    """Return the position behind the pack that starts at ``position``; None where none does."""
    try:
        found, _ = split_envelopes(store.get(Keys(run_id).pack(position)))
    except KeyError:
        return None
    return found[-1][1] + 1
