"""The decisions of the local pool, without a pool."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudknot.backends.dispatch import TARGET_S, Dispatch, missing_chunks
from cloudknot.runs import CANARY_ITEMS, Chunk, FailureRule, State

CANARIES = tuple(range(CANARY_ITEMS))


def make(n_items: int, *, chunk_size: int | None = None, on_error: str = "continue") -> Dispatch:
    rule = FailureRule(on_error, CANARIES)  # type: ignore[arg-type]
    return Dispatch([Chunk(0, n_items)] if n_items else [], chunk_size=chunk_size, rule=rule)


def test_a_chunk_is_one_item_until_an_items_time_is_known() -> None:
    dispatch = make(1000)
    assert dispatch.take(2) == Chunk(0, 1)
    dispatch.measure(TARGET_S / 10)
    assert dispatch.take(2) == Chunk(1, 10)


def test_a_slow_item_is_a_chunk_of_its_own() -> None:
    dispatch = make(1000)
    dispatch.measure(60.0)
    assert dispatch.take(2) == Chunk(0, 1)


def test_chunks_become_smaller_towards_the_end() -> None:
    dispatch = make(1000)
    dispatch.measure(1e-3)
    sizes = []
    while dispatch.has_more:
        chunk = dispatch.take(2)
        sizes.append(chunk.last - chunk.first)
    assert sizes[0] > sizes[-1]
    assert sum(sizes) == 1000


def test_auto_takes_single_items_until_the_rule_has_seen_enough() -> None:
    dispatch = make(1000, on_error="auto")
    dispatch.measure(1e-6)
    assert dispatch.take(2) == Chunk(0, 1)
    dispatch.rule.observe_success()
    assert dispatch.take(2).last > 2


def test_a_given_chunk_size_is_kept() -> None:
    dispatch = make(10, chunk_size=4)
    dispatch.measure(1e-6)
    assert [dispatch.take(2) for _ in range(3)] == [Chunk(0, 4), Chunk(4, 8), Chunk(8, 10)]
    assert dispatch.yield_s is None


def test_what_is_given_back_is_given_out_again() -> None:
    dispatch = make(10, chunk_size=10)
    chunk = dispatch.take(1)
    assert not dispatch.has_more
    dispatch.give_back(Chunk(6, 10))
    dispatch.finish(chunk)
    assert dispatch.take(1) == Chunk(6, 10)


def test_the_states_of_a_run() -> None:
    dispatch = make(2, chunk_size=1)
    first, second = dispatch.take(1), dispatch.take(1)
    dispatch.finish(first)
    assert dispatch.status().state is State.RUNNING
    dispatch.finish(second)
    assert dispatch.status().state is State.DONE
    cancelled = make(2, chunk_size=1)
    cancelled.is_cancelled = True
    assert cancelled.status().state is State.CANCELLED
    broken = make(2, chunk_size=1)
    broken.give_up(broken.take(1), "disk full")
    assert broken.status().reason == "disk full"
    assert broken.status().state is State.INTERRUPTED
    stopped = make(2, chunk_size=1, on_error="stop")
    stopped.rule.observe_failure(0, ("ValueError", "a.py:1"))
    assert stopped.status().state is State.STOPPED
    assert make(0).status().state is State.DONE


@given(st.lists(st.booleans(), max_size=60), st.none() | st.integers(1, 7))
def test_missing_chunks_cover_what_is_missing_and_nothing_else(
    is_missing: list[bool], chunk_size: int | None
) -> None:
    missing = [position for position, flag in enumerate(is_missing) if flag]
    spans = [found.span() for found in re.finditer(b"\1+", bytes(is_missing))]
    chunks = list(missing_chunks(spans, chunk_size))
    assert [position for chunk in chunks for position in range(*chunk)] == missing
    if chunk_size:
        assert all(chunk.first // chunk_size == (chunk.last - 1) // chunk_size for chunk in chunks)


class TestFailureRule:
    SAME = ("ValueError", "a.py:1")

    def test_auto_stops_after_as_many_equal_failures(self) -> None:
        rule = FailureRule("auto", CANARIES)
        for position in reversed(CANARIES):
            assert not rule.reason
            rule.observe_failure(position, self.SAME)
        assert "ValueError at a.py:1" in rule.reason

    def test_auto_goes_on_after_a_success(self) -> None:
        rule = FailureRule("auto", CANARIES)
        rule.observe_success()
        for position in range(100):
            rule.observe_failure(position, self.SAME)
        assert not rule.reason
        assert not rule.is_watching

    @pytest.mark.parametrize("other", [("KeyError", "a.py:1"), ("ValueError", "a.py:2")])
    def test_auto_goes_on_after_another_failure(self, other: tuple[str, str]) -> None:
        rule = FailureRule("auto", CANARIES)
        rule.observe_failure(0, self.SAME)
        rule.observe_failure(1, other)
        for position in range(2, 100):
            rule.observe_failure(position, self.SAME)
        assert not rule.reason

    def test_auto_looks_at_the_first_items_only(self) -> None:
        rule = FailureRule("auto", CANARIES)
        for position in range(CANARY_ITEMS - 1):
            rule.observe_failure(position, self.SAME)
        for position in range(CANARY_ITEMS, 100):
            rule.observe_failure(position, self.SAME)
        assert not rule.reason
        assert rule.is_open

    def test_nineteen_items_never_stop_a_map(self) -> None:
        rule = FailureRule("auto", range(CANARY_ITEMS - 1))
        for position in range(CANARY_ITEMS - 1):
            rule.observe_failure(position, self.SAME)
        assert not rule.reason

    def test_items_behind_the_first_ones_wait_when_many_of_these_fail_alike(self) -> None:
        dispatch = make(100, on_error="auto")
        first = dispatch.take(2)
        others = [dispatch.take(2) for _ in CANARIES[1:]]
        for chunk in others:
            dispatch.rule.observe_failure(chunk.first, self.SAME)
            dispatch.finish(chunk)
        assert not dispatch.has_more
        assert dispatch.status().state is State.RUNNING
        dispatch.rule.observe_success()
        dispatch.finish(first)
        assert dispatch.has_more

    def test_a_cancelled_item_is_no_failure(self) -> None:
        rule = FailureRule("auto", CANARIES)
        rule.forget(3)
        for position in CANARIES:
            rule.observe_failure(position, self.SAME)
        assert not rule.reason
