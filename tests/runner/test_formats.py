from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudknot.runner.envelopes import Envelope, Outcome, decode_envelope, encode_value, split_envelopes
from cloudknot.runner.pickles import Pickler, loads
from cloudknot.runner.shards import decode_indices, encode_indices, encode_shard, read_shard, shard_slices

envelopes = st.builds(
    Envelope,
    outcome=st.sampled_from(Outcome),
    position=st.integers(0, 2**40),
    tries=st.integers(1, 100),
    seconds=st.floats(0, 1e6),
    peak_memory_bytes=st.integers(0, 2**40),
    payload=st.binary(max_size=200),
    detail=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
    log=st.binary(max_size=50),
)


@given(st.lists(envelopes, max_size=6), st.integers(0, 60))
def test_envelopes_come_whole_or_not_at_all(written: list[Envelope], cut: int) -> None:
    data = b"".join(envelope.encode() for envelope in written)
    found, end = split_envelopes(data)
    assert [decode_envelope(data, offset) for _, _, offset in found] == written
    assert end == len(data)
    shortened = data[: max(0, len(data) - cut)]
    found, end = split_envelopes(shortened)
    assert [decode_envelope(shortened, offset) for _, _, offset in found] == written[: len(found)]
    assert end <= len(shortened)
    assert len(found) == len(written) or cut


def test_the_short_way_of_a_value_is_the_long_one() -> None:
    long = Envelope(
        outcome=Outcome.VALUE, position=7, tries=2, seconds=0.5, peak_memory_bytes=9, payload=b"x"
    )
    assert encode_value(7, 2, 0.5, 9, b"x") == long.encode()


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=10), st.data())
def test_a_shard_gives_any_slice_and_touches_nothing_else(items: list[bytes], data: st.DataObject) -> None:
    shard = encode_shard(items)
    first = data.draw(st.integers(0, len(items)))
    last = data.draw(st.integers(first, len(items)))
    read = 0

    def get(start: int, stop: int) -> bytes:
        nonlocal read
        read += stop - start
        return shard[start:stop]

    assert list(read_shard(get, len(items), first, last)) == items[first:last]
    assert read == 8 * (last - first + 1) + sum(map(len, items[first:last]))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_slices_of_shards_cover_what_was_asked_for(sizes: list[int], data: st.DataObject) -> None:
    shards = [0]
    for size in sizes:
        shards.append(shards[-1] + size)
    start = data.draw(st.integers(0, shards[-1] - 1))
    stop = data.draw(st.integers(start, shards[-1]))
    covered = [
        shards[number] + place
        for number, first, last in shard_slices(shards, start, stop)
        for place in range(first, last)
    ]
    assert covered == list(range(start, stop))


@given(st.lists(st.integers(0, 2**40), max_size=20))
def test_indices_come_back(indices: list[int]) -> None:
    assert decode_indices(encode_indices(indices)) == tuple(indices)


@pytest.mark.parametrize("value", [None, 1, "x", b"y", [1, 2], {"a": (1,)}, 2.5, 1 + 2j, True])
def test_one_pickler_serves_many_values(value: Any) -> None:
    pickler = Pickler()
    shared = [1, 2, 3]
    pickler.dumps([shared, shared])
    assert loads(pickler.dumps(value)) == value
    assert loads(pickler.dumps([value, shared])) == [value, shared]


def test_a_librarys_generator_is_not_copied() -> None:
    state = random.getstate()
    again = loads(Pickler().dumps(random.random))
    again()
    assert random.getstate() != state
    assert again.__self__ is random._inst  # the generator behind random.random
