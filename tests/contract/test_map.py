"""What map and submit promise, in every place."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudknot import CallFuture, InputError, Knot, KnotError, MapFuture
from tests.conftest import WORKERS, wait_until

MakeKnot = Callable[..., Knot[Any]]


def test_values_come_in_the_order_of_the_inputs(make_knot: MakeKnot) -> None:
    def late_when_early(x: int) -> int:
        time.sleep(0.05 if x == 0 else 0)
        return x * x

    assert make_knot(late_when_early).map(range(10)).result() == [x * x for x in range(10)]


def test_map_returns_before_its_items_have_run(make_knot: MakeKnot, gate: Path) -> None:
    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(wait).map(range(3))
    assert not future.done()
    assert future.running()
    gate.touch()
    assert future.result() == [0, 1, 2]
    assert not future.running()


def test_results_arrive_while_the_map_runs(make_knot: MakeKnot, gate: Path) -> None:
    def wait_if_last(x: int) -> int:
        while x == 5 and not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(wait_if_last).map(range(6), chunk_size=6)
    assert [future[index].result(timeout=10) for index in range(5)] == list(range(5))
    assert not future.done()
    gate.touch()
    assert future.result() == list(range(6))


def test_a_map_of_nothing_is_done_and_true(make_knot: MakeKnot) -> None:
    future = make_knot(abs).map([])
    assert future.done()
    assert future.result() == []
    assert len(future) == 0
    assert bool(future)


@pytest.mark.parametrize("n_items", [1, 2, 21, 1000])
def test_any_number_of_items(make_knot: MakeKnot, n_items: int) -> None:
    assert make_knot(lambda x: -x).map(range(n_items)).result() == [-x for x in range(n_items)]


def test_a_generator_without_len(make_knot: MakeKnot) -> None:
    assert make_knot(abs).map(x for x in (-1, -2)).result() == [1, 2]


def test_a_generator_that_raises_starts_nothing(make_knot: MakeKnot) -> None:
    def broken() -> Any:
        yield 1
        raise LookupError("no more subjects")

    knot = make_knot(abs, name="broken-generator")
    with pytest.raises(LookupError, match="no more subjects"):
        knot.map(broken())
    assert len(knot.jobs) == 0


def test_numpy_arrays_go_and_come_row_by_row(make_knot: MakeKnot) -> None:
    rows = np.arange(12.0).reshape(4, 3)
    values = make_knot(lambda row: row * 2).map(rows).result()
    np.testing.assert_array_equal(np.stack(values), rows * 2)


def test_large_values_and_arguments_come_whole(make_knot: MakeKnot) -> None:
    large = np.random.default_rng(0).random(1_000_000)
    values = make_knot(lambda array: array[::-1]).map([large, large + 1]).result()
    np.testing.assert_array_equal(values[1], (large + 1)[::-1])


def test_starmap_spreads_each_item(make_knot: MakeKnot) -> None:
    assert make_knot(pow).map([(2, 3), [3, 2]], starmap=True).result() == [8, 9]


def test_submit_takes_arguments_as_the_function_does(make_knot: MakeKnot) -> None:
    future = make_knot(lambda a, *, b: (a, b)).submit(1, b=2)
    assert isinstance(future, CallFuture)
    assert future.result() == (1, 2)


@pytest.mark.parametrize("value", [None, False, 0, "", [], float("inf")])
def test_an_empty_value_is_a_value(make_knot: MakeKnot, value: Any) -> None:
    future = make_knot(lambda _: value).map([0, 1])
    assert future.result() == [value, value]
    assert future[1].result(timeout=0) == value


def test_a_map_future_is_a_future_and_a_sequence_of_futures(make_knot: MakeKnot) -> None:
    future = make_knot(abs).map([-1, -2, -3])
    assert isinstance(future, MapFuture)
    assert isinstance(future, concurrent.futures.Future)
    assert len(future) == 3
    assert [item.result() for item in future] == [1, 2, 3]
    assert future[-1].result() == 3
    assert [item.index for item in future[1:]] == [1, 2]
    assert future[2] is future[2]
    with pytest.raises(IndexError):
        future[3]


def test_concurrent_futures_own_functions_work(make_knot: MakeKnot) -> None:
    future = make_knot(abs).map([-1, -2, -3])
    assert {item.result() for item in concurrent.futures.as_completed(future, timeout=20)} == {1, 2, 3}
    assert concurrent.futures.wait(future, timeout=20).not_done == set()
    assert concurrent.futures.wait([future], timeout=20).done == {future}


def test_as_completed_gives_items_by_finish(make_knot: MakeKnot, gate: Path) -> None:
    def first_waits(x: int) -> int:
        while x == 0 and not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(first_waits).map([0, 1], chunk_size=1)
    finished = concurrent.futures.as_completed(future, timeout=20)
    assert next(finished).result() == 1
    gate.touch()
    assert next(finished).result() == 0


def test_asyncio_can_await_a_map_and_an_item(make_knot: MakeKnot) -> None:
    async def both() -> tuple[list[int], int]:
        future = make_knot(abs).map([-1, -2])
        return await asyncio.wrap_future(future), await asyncio.wrap_future(future[0])

    assert asyncio.run(both()) == ([1, 2], 1)


def test_callbacks_are_called_once_each(make_knot: MakeKnot) -> None:
    seen: list[Any] = []
    future = make_knot(abs).map([-1, -2])
    future[1].add_done_callback(lambda item: seen.append(item.result()))
    future.add_done_callback(lambda whole: seen.append(whole.result()))
    future.result()
    wait_until(lambda: len(seen) == 2)
    future.add_done_callback(lambda whole: seen.append("late"))
    assert sorted(map(str, seen)) == ["2", "[1, 2]", "late"]


def test_result_with_a_timeout_leaves_the_run_going(make_knot: MakeKnot, gate: Path) -> None:
    def wait(_: int) -> str:
        while not gate.exists():
            time.sleep(0.01)
        return "done"

    future = make_knot(wait).map([0])
    with pytest.raises(TimeoutError):
        future.result(timeout=0.05)
    gate.touch()
    assert future.result() == ["done"]


def test_the_same_name_with_an_edited_function_runs_the_edited_one(make_knot: MakeKnot) -> None:
    assert make_knot(lambda x: x + 1, name="edited").map([1]).result() == [2]
    assert make_knot(lambda x: x + 2, name="edited").map([1]).result() == [3]


def test_env_vars_of_knot_and_map(make_knot: MakeKnot) -> None:
    def read(name: str) -> str | None:
        return os.environ.get(name)

    knot = make_knot(read, env_vars={"CK_A": "knot", "CK_B": "knot"})
    assert knot.map(["CK_A", "CK_B"], env_vars={"CK_B": "map"}).result() == ["knot", "map"]
    assert make_knot(read).map(["CK_A"]).result() == [None]


def test_numerical_libraries_get_as_many_threads_as_processors(make_knot: MakeKnot) -> None:
    def threads(_: int) -> str | None:
        return os.environ.get("OMP_NUM_THREADS")

    assert make_knot(threads).map([0]).result() == [os.environ.get("OMP_NUM_THREADS", "1")]
    assert make_knot(threads, vcpus=2).map([0]).result() == [os.environ.get("OMP_NUM_THREADS", "2")]


def test_items_run_side_by_side(make_knot: MakeKnot, tmp_path: Path) -> None:
    def meet(x: int) -> int:
        (tmp_path / str(x)).touch()
        until = time.monotonic() + 20
        while len(list(tmp_path.iterdir())) < WORKERS and time.monotonic() < until:
            time.sleep(0.01)
        return len(list(tmp_path.iterdir()))

    assert min(make_knot(meet).map(range(WORKERS), chunk_size=1).result()) >= WORKERS


@pytest.mark.on_this_machine("Batch starts as many machines as it takes")
def test_more_vcpus_mean_fewer_side_by_side(make_knot: MakeKnot) -> None:
    def interval(_: int) -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(0.05)
        return began, time.monotonic()

    spans = sorted(make_knot(interval, vcpus=WORKERS).map(range(4), chunk_size=1).result())
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_no_two_items_share_a_random_state(make_knot: MakeKnot) -> None:
    def draw(_: int) -> tuple[float, float]:
        return random.random(), float(np.random.rand())

    pairs = make_knot(draw).map(range(40), chunk_size=5).result()
    assert len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs}) == 40


@pytest.mark.many_jobs
@pytest.mark.parametrize("draw", [random.random, np.random.rand, functools.partial(random.uniform, 0, 1)])
def test_a_random_function_of_a_module_is_not_shipped_with_its_state(
    make_knot: MakeKnot, draw: Callable[..., float]
) -> None:
    knot = make_knot(lambda _: draw())
    values = knot.map(range(40), chunk_size=5).result() + knot.map(range(5)).result()
    assert len(set(values)) == 45


@pytest.mark.many_jobs
@pytest.mark.parametrize("make", [np.random.default_rng, random.Random, np.random.RandomState])
def test_a_generator_that_the_function_uses_gives_no_number_twice(
    make_knot: MakeKnot, make: Callable[[], Any]
) -> None:
    generator = make()
    values = make_knot(lambda _: float(generator.random())).map(range(40), chunk_size=5).result()
    values += make_knot(generator.random).map([()] * 5, starmap=True).result()
    assert len(set(values)) == 45
    seeded = np.random.default_rng(7)
    assert make_knot(lambda rng: rng.random()).map([seeded]).result() == [np.random.default_rng(7).random()]


def test_a_chunk_size_is_kept(make_knot: MakeKnot) -> None:
    future = make_knot(abs).map(range(10), chunk_size=np.int64(4))
    assert future.result() == list(range(10))
    assert future.run.orders.chunk_size == 4


@pytest.mark.on_this_machine("on Batch the items of a job run one after the other; chunk_size says how many")
def test_one_slow_item_does_not_hold_up_those_behind_it(make_knot: MakeKnot, gate: Path) -> None:
    def slow_in_the_middle(x: int) -> int:
        while x == 150 and not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(slow_in_the_middle).map(range(300))
    others = [item for item in future if item.index != 150]
    assert not concurrent.futures.wait(others, timeout=20).not_done
    gate.touch()
    assert future.result() == list(range(300))


class TestBadInput:
    """Bad input fails before anything is started."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "no spaces"}, "name 'no spaces' will not do"),
            ({"name": ""}, "will not do"),
            ({"name": "x" * 64}, "will not do"),
            ({"name": 3}, "will not do"),
            ({"vcpus": -1}, "vcpus must be positive, not -1"),
            ({"vcpus": "two"}, "vcpus must be a number"),
            ({"memory_mib": 0}, "memory_mib must be positive"),
            ({"timeout_s": float("nan")}, "timeout_s must be positive"),
            ({"retries": -1}, "retries must be a whole number"),
            ({"retries": 1.5}, "retries must be a whole number"),
            ({"env_vars": {"A": 1}}, r"env_vars\['A'\] must be a string, not int: write '1'"),
            ({"env_vars": {1: "A"}}, "env_vars has a bad name 1"),
            ({"env_vars": ["A"]}, "env_vars must be a dict"),
            ({"backend": "moon"}, "no backend 'moon': choose from"),
        ],
    )
    def test_a_knot_says_what_will_not_do(
        self, make_knot: MakeKnot, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            make_knot(abs, **options)

    @pytest.mark.parametrize("func", [None, 3, "abs"])
    def test_the_function_must_be_callable(self, make_knot: MakeKnot, func: Any) -> None:
        with pytest.raises(InputError, match="func must be callable"):
            make_knot(func)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"iterdata": 3}, "map needs something to iterate over, not int 3"),
            ({"iterdata": [3], "starmap": True}, "item 0 must be a tuple of arguments, not int 3"),
            ({"iterdata": [1], "chunk_size": 0}, "chunk_size must be 'auto' or a whole number"),
            ({"iterdata": [1], "chunk_size": "big"}, "chunk_size must be"),
            ({"iterdata": [1], "on_error": "ignore"}, "on_error must be one of auto, continue, stop"),
            ({"iterdata": [1], "env_vars": {"A": None}}, "must be a string"),
        ],
    )
    def test_a_map_says_what_will_not_do(
        self, make_knot: MakeKnot, options: dict[str, Any], message: str
    ) -> None:
        knot = make_knot(abs, name="bad-map")
        with pytest.raises(InputError, match=message):
            knot.map(**options)
        assert len(knot.jobs) == 0

    def test_an_argument_that_cannot_be_pickled_is_named(self, make_knot: MakeKnot) -> None:
        knot = make_knot(abs, name="bad-argument")
        with pytest.raises(InputError, match=r"the argument of item 2 cannot be pickled: .*generator"):
            knot.map([1, 2, (x for x in "ab")])
        assert len(knot.jobs) == 0

    def test_what_keeps_a_function_from_being_pickled_is_named(self, make_knot: MakeKnot) -> None:
        handle = (x for x in "ab")

        with pytest.raises(InputError, match=r"it uses the variable 'handle', a generator"):
            make_knot(lambda x: next(handle)).map([1])

    def test_nothing_is_left_behind(self, make_knot: MakeKnot, client: Any) -> None:
        folder = client.settings.home / "runs"
        before = set(folder.iterdir()) if folder.exists() else set()
        with pytest.raises(InputError):
            make_knot(abs, name="leaves-nothing").map([*range(100), (x for x in "ab")])
        assert set(folder.iterdir()) if folder.exists() else set() == before


def test_numpys_numbers_are_numbers(make_knot: MakeKnot) -> None:
    knot = make_knot(
        abs, memory_mib=np.int64(200), retries=np.int64(1), vcpus=np.float32(1), timeout_s=np.float64(9)
    )
    assert knot.map([-1]).result() == [1]


def test_an_async_function_is_refused(make_knot: MakeKnot) -> None:
    async def fetch(x: int) -> int:
        return x

    with pytest.raises(InputError, match=r"is async: give one that calls asyncio.run"):
        make_knot(fetch)


@pytest.mark.many_jobs
def test_what_items_of_a_map_leave_behind_does_not_reach_the_next(make_knot: MakeKnot) -> None:
    def litter(_: int) -> None:
        os.chdir("/")
        os.environ["CK_LITTER"] = "1"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def look(_: int) -> tuple[bool, str | None]:
        print("seen")
        return os.getcwd() != "/", os.environ.get("CK_LITTER")  # noqa: PTH109

    make_knot(litter).map(range(WORKERS * 3), chunk_size=1).result()
    future = make_knot(look).map(range(WORKERS * 3), chunk_size=1)
    assert set(future.result()) == {(True, None)}
    assert {item.logs() for item in future} == {"seen\n"}


def test_a_map_can_be_started_in_a_callback_but_not_waited_for(make_knot: MakeKnot) -> None:
    knot, seen = make_knot(abs), []

    def again(_: Any) -> None:
        second = knot.map([-2])
        try:
            second.result()
        except KnotError as error:
            seen.append(error)
        seen.append(second)

    knot.map([-1]).add_done_callback(again)
    wait_until(lambda: len(seen) == 2)
    assert "a done-callback cannot wait for another result" in str(seen[0])
    assert seen[1].result() == [2]
