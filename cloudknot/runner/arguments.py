"""Arguments, from the store to the worker: only the bytes of the items asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial

from cloudknot.runner.orders import Orders
from cloudknot.runner.stores import Store
from cloudknot.runner.wire import Keys, decode_indices, read_shard


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
