"""What a run on Batch does next: decisions that need no AWS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudknot.aws.planning import (
    MOST_CHILDREN,
    TARGET_S,
    Cause,
    Ending,
    canary_seconds,
    chunk_size_for,
    chunks_at,
    first_spans,
    job_of,
    job_slices,
    judge,
    larger_memory,
    make_wave,
    take,
    without,
)
from cloudknot.runner.waves import Span, WaveChunk
from cloudknot.sizes import FARGATE

POSITIONS = st.integers(0, 60)
SPANS = st.lists(st.tuples(POSITIONS, st.integers(1, 9)), max_size=6).map(
    lambda pairs: [(first, first + length) for first, length in pairs]
)


def members(spans: list[tuple[int, int]]) -> set[int]:
    return {position for first, last in spans for position in range(first, last)}


def apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of the same positions that do not overlap."""
    whole = sorted(members(spans))
    return [(position, position + 1) for position in whole]


@given(st.integers(0, 60_000))
def test_arrays_are_of_2_to_10_000_and_cover_each_chunk_once(n_chunks: int) -> None:
    slices = job_slices(n_chunks)
    assert [number for part in slices for number in range(part.offset, part.offset + part.size)] == list(
        range(n_chunks)
    )
    assert all(1 <= part.size <= MOST_CHILDREN for part in slices)


@given(SPANS, SPANS)
def test_without_takes_away_what_is_covered_and_nothing_else(
    spans: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    left = without(apart(spans), [Span(first, last, 1) for first, last in holes])
    assert members(left) == members(spans) - members(holes)


@given(SPANS, st.integers(0, 40))
def test_take_keeps_the_first_ones(spans: list[tuple[int, int]], count: int) -> None:
    assert sorted(members(list(take(apart(spans), count)))) == sorted(members(spans))[:count]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 7)), min_size=1, max_size=5))
def test_each_position_is_found_in_its_own_chunk(lengths: list[tuple[int, int]]) -> None:
    spans, first = [], 0
    for length, size in lengths:
        spans.append(Span(first, first + length, size))
        first += length + 2
    wave = make_wave(0, spans, generation=1, memory_mib=512)
    for number in range(wave.n_chunks):
        chunk = wave.chunk(number)
        for position in range(chunk.first, chunk.last):
            assert list(chunks_at([wave], position)) == [(wave, number)]
    with pytest.raises(IndexError, match="no number"):
        wave.chunk(wave.n_chunks)


def test_a_chunk_knows_the_array_that_runs_it() -> None:
    wave = make_wave(0, [Span(0, 25_001, 1)], generation=1, memory_mib=512)
    assert job_of(wave, 9_999) == (0, 10_000)
    assert job_of(wave, 10_000) == (10_000, 10_000)
    assert job_of(wave, 25_000) == (20_000, 5_001)


def test_the_first_wave_is_a_canary_unless_the_chunk_size_is_given() -> None:
    assert first_spans([(3, 7), (9, 200)], None) == (Span(3, 7, 1), Span(9, 25, 1))
    assert first_spans([(3, 7), (9, 200)], 50) == (Span(3, 7, 50), Span(9, 200, 50))


@pytest.mark.parametrize(
    ("item_s", "n_items", "size"),
    [
        (0.0, 10**7, 18_000),
        (1.0, 10**6, 180),
        (1.0, 7_000, 110),
        (1.0, 100, 60),
        (60.0, 10_000, 3),
        (1000.0, 10, 1),
    ],
)
def test_a_job_lasts_minutes_and_few_items_are_spread(item_s: float, n_items: int, size: int) -> None:
    assert chunk_size_for(item_s, n_items) == size


def test_half_of_the_canaries_tell_how_long_an_item_takes() -> None:
    assert canary_seconds([5.0] * 9, 20, running_s=1) is None
    assert canary_seconds([5.0] * 9 + [7.0], 20, running_s=1) == 5.0
    assert canary_seconds([2.0], 1, running_s=1) == 2.0
    assert canary_seconds([5.0], 20, running_s=TARGET_S) == TARGET_S


def test_many_jobs_commit_and_look_less_often() -> None:
    small = make_wave(0, [Span(0, 10, 1)], generation=1, memory_mib=512)
    large = make_wave(0, [Span(0, 10_000, 1)], generation=1, memory_mib=512)
    assert (small.commit_s, small.look_s) == (3.0, 2.0)
    assert (large.commit_s, large.look_s) == (20.0, 200.0)


def test_after_a_loss_each_item_is_committed_at_once() -> None:
    assert make_wave(1, [Span(4, 9, 5, 1)], generation=1, memory_mib=512).commit_s == 0


DIED = Ending(Cause.DIED, "killed")


@pytest.mark.parametrize("lost_before", [0, 1])
def test_what_a_dead_child_left_runs_again(lost_before: int) -> None:
    verdict = judge(WaveChunk(10, 20, lost_before), [(10, 20)], DIED, lost_retries=2)
    assert verdict.again == (Span(10, 20, 10, lost_before + 1),)
    assert verdict.lost == ()


def test_the_count_of_losses_is_the_first_missing_items_own() -> None:
    verdict = judge(WaveChunk(10, 20, 2), [(13, 20)], DIED, lost_retries=2)
    assert verdict.again == (Span(13, 20, 7, 1),)


def test_an_item_that_was_lost_too_often_is_given_up_and_the_rest_goes_on() -> None:
    verdict = judge(WaveChunk(13, 20, 2), [(13, 15), (17, 20)], DIED, lost_retries=2)
    assert verdict.lost == ((13, 14),)
    assert verdict.again == (Span(14, 15, 1), Span(17, 20, 3))


@pytest.mark.parametrize("cause", [Cause.NEVER_STARTED, Cause.ENDED_BY_HAND])
def test_what_cannot_end_otherwise_is_not_tried_again(cause: Cause) -> None:
    verdict = judge(WaveChunk(0, 9, 0), [(2, 4), (6, 9)], Ending(cause, "no image"), lost_retries=2)
    assert verdict == (((2, 4), (6, 9)), ())


def test_a_child_that_left_nothing_needs_nothing() -> None:
    assert judge(WaveChunk(0, 9, 0), [], DIED, lost_retries=2) == ((), ())


def test_memory_is_doubled_up_to_a_limit() -> None:
    assert [larger_memory(mib, 1000, None) for mib in (1000, 2000, 4000, 8000)] == [2000, 4000, 8000, 8000]
    assert larger_memory(1000, 1000, 1500) == 1500
    assert larger_memory(1500, 1000, 1500) == 1500


@pytest.mark.parametrize(
    ("vcpus", "memory_mib", "max_memory_mib", "tries"),
    [
        (1, 2048, None, [4096, 8192, 8192]),
        (1, 3072, None, [6144, 8192, 8192]),
        (1, 2048, 5000, [4096, 4096]),
        (0.25, 512, None, [1024, 2048, 2048]),
        (32, 61440, None, [122880, 249856, 249856]),
    ],
)
def test_on_fargate_memory_is_doubled_within_its_sizes(
    vcpus: float, memory_mib: int, max_memory_mib: int | None, tries: list[int]
) -> None:
    found = [memory_mib]
    for _ in tries:
        found.append(larger_memory(found[-1], memory_mib, max_memory_mib, sizes=FARGATE[vcpus]))
    assert found[1:] == tries
