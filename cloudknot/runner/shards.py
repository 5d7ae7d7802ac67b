"""Arguments on their way from the client to the worker, which reads only the bytes of its own items.

They lie in shards: a table of offsets, then the pickles, so that an item is a byte range.
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import Orders
from cloudknot.runner.stores import Store


def encode_shard(pickles: Sequence[bytes]) -> bytes:
    """Return one shard: the table of offsets, then the pickles."""
    offsets = [0]
    for data in pickles:
        offsets.append(offsets[-1] + len(data))
    return b"".join((struct.pack(f"<{len(offsets)}Q", *offsets), *pickles))


def read_shard(read: Callable[[int, int], bytes], count: int, first: int, last: int) -> Iterator[bytes]:
    """Yield the pickles of the items first to last (exclusive) of one shard.

    Parameters
    ----------
    read : callable
        Returns the shard's bytes from a start to a stop.
    count : int
        Items in the whole shard.
    first, last : int
        Places of the items within the shard.
    """
    offsets = struct.unpack(f"<{last - first + 1}Q", read(8 * first, 8 * (last + 1)))
    base = 8 * (count + 1)
    data, skipped = read(base + offsets[0], base + offsets[-1]), offsets[0]
    for start, stop in itertools.pairwise(offsets):
        yield data[start - skipped : stop - skipped]


def encode_indices(indices: Sequence[int]) -> bytes:
    """Return positions' item indices as bytes, for a run over some of another run's items."""
    return struct.pack(f"<{len(indices)}Q", *indices)


def decode_indices(data: bytes) -> tuple[int, ...]:
    """Return what ``encode_indices`` was given."""
    return struct.unpack(f"<{len(data) // 8}Q", data)


def read_arguments(
    store: Store, run_id: str, orders: Orders, first: int, last: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (position, pickled argument) for the positions first to last (exclusive)."""
    indices: Sequence[int] = range(first, last)
    if orders.is_selection:
        indices = decode_indices(store.get(Keys(run_id).indices, 8 * first, 8 * last))
    keys = Keys(orders.inputs_run)
    position = first
    for start, stop in _consecutive(indices):
        for shard, begin, end in shard_slices(orders.shards, start, stop):
            count = orders.shards[shard + 1] - orders.shards[shard]
            for data in read_shard(partial(store.get, keys.shard(shard)), count, begin, end):
                yield position, data
                position += 1


def shard_slices(shards: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (shard, first place in it, last place in it) that together cover start to stop.

    Examples
    --------
    >>> list(shard_slices((0, 10, 20, 25), 8, 21))
    [(0, 8, 10), (1, 0, 10), (2, 0, 1)]
    """
    number = bisect_right(shards, start) - 1
    while start < stop:
        base, after = shards[number], shards[number + 1]
        end = min(stop, after)
        if end > start:
            yield number, start - base, end - base
        start = max(start, end)
        number += 1


def _consecutive(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the runs of consecutive numbers.

    Examples
    --------
    >>> list(_consecutive((3, 4, 5, 9)))
    [(3, 6), (9, 10)]
    """
    if isinstance(indices, range):
        yield indices.start, indices.stop
        return
    begin = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            yield indices[begin], indices[place - 1] + 1
            begin = place
