"""What becomes of items that fail, in every place."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from cloudknot import (
    CallLostError,
    CallSkippedError,
    CallTimeoutError,
    InputError,
    Knot,
    NotPicklableError,
    NotRebuiltError,
    RemoteTraceback,
    Retry,
)
from tests.conftest import is_alive, leave_footprint, wait_until

MakeKnot = Callable[..., Knot[Any]]


class BadSubjectError(Exception):
    """An exception of a person's own."""

    def __init__(self, subject: str, *, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.subject = subject


def _cancel_all(items: list[Any]) -> None:
    for item in items:
        item.cancel()


def fail_if_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def test_an_item_fails_by_the_functions_own_exception(make_knot: MakeKnot) -> None:
    future = make_knot(fail_if_odd).map(range(4))
    assert future[2].result() == 2
    with pytest.raises(ValueError, match="3 is odd"):
        future[3].result()


def test_an_exception_of_the_persons_own_keeps_its_type(make_knot: MakeKnot) -> None:
    class LocalError(RuntimeError):
        pass

    def fail(_: int) -> None:
        raise LocalError("mine")

    with pytest.raises(LocalError, match="mine"):
        make_knot(fail).submit(0).result()


def test_the_remote_traceback_is_the_cause_and_shows_the_line(make_knot: MakeKnot) -> None:
    error = make_knot(fail_if_odd).submit(1).exception()
    assert isinstance(error.__cause__, RemoteTraceback)
    text = "".join(traceback.format_exception(error))
    assert 'raise ValueError(f"{x} is odd")' in text
    assert "in fail_if_odd" in text
    assert "cloudknot/runner/worker.py" not in text


def test_the_first_failure_is_raised_with_a_note_that_counts_the_rest(make_knot: MakeKnot) -> None:
    future = make_knot(fail_if_odd).map(range(10))
    with pytest.raises(ValueError, match="1 is odd") as caught:
        future.result()
    [note] = caught.value.__notes__
    assert "item 1 of 10; 4 more failed; 5 succeeded" in note
    assert isinstance(future.exception(), ValueError)


def test_exceptions_can_be_had_in_place_of_values(make_knot: MakeKnot) -> None:
    values = make_knot(fail_if_odd).map(range(4)).result(return_exceptions=True)
    assert values[::2] == [0, 2]
    assert [str(error) for error in values[1::2]] == ["1 is odd", "3 is odd"]


def test_the_failed_are_told_and_grouped_by_cause(make_knot: MakeKnot) -> None:
    def fail(x: int) -> int:
        if x in (1, 3, 5):
            raise KeyError("subject")
        return 1 // (x - 2)

    future = make_knot(fail).map(range(6))
    future.exception()
    assert [item.index for item in future.failed] == [1, 2, 3, 5]
    assert list(future.failed.causes().values()) == [[1, 3, 5], [2]]
    assert "3 x KeyError: 'subject'" in repr(future.failed)


def test_a_failure_inside_a_library_is_placed_in_the_persons_own_code(make_knot: MakeKnot) -> None:
    def parse(x: str) -> Any:
        import json

        return json.loads(x)

    future = make_knot(parse).map(["{"])
    future.exception()
    [cause] = future.failed.causes()
    assert cause.startswith("json.decoder.JSONDecodeError: Expecting property name")
    assert "test_failures.py:" in cause


def test_retry_failed_runs_only_those(make_knot: MakeKnot, tmp_path: Path) -> None:
    def fail_at_first(x: int) -> int:
        with (tmp_path / f"{x}").open("a") as file:
            file.write("x")
        if x % 3 == 0 and (tmp_path / f"{x}").stat().st_size == 1:
            raise OSError("a passing fault")
        return x * 10

    first = make_knot(fail_at_first).map(range(7), on_error="continue")
    first.exception()
    again = first.retry_failed()
    assert again.result() == [x * 10 for x in range(7)]
    assert len(again) == 7
    assert again[3].result() == 30
    assert [(tmp_path / f"{x}").stat().st_size for x in range(7)] == [2, 1, 1, 2, 1, 1, 2]
    assert not again.failed
    assert len(first.failed) == 3


def test_retry_failed_with_a_mended_function(make_knot: MakeKnot) -> None:
    future = make_knot(fail_if_odd).map(range(5))
    future.exception()
    still_bad = future.retry_failed(lambda x: 1 // (x - 3))
    assert [item.index for item in still_bad if item.exception() is not None] == [3]
    assert still_bad.retry_failed(lambda x: -x).result() == [0, -1, 2, -3, 4]


def test_retry_failed_waits_for_the_end(make_knot: MakeKnot, gate: Path) -> None:
    def wait(_: int) -> None:
        while not gate.exists():
            time.sleep(0.01)

    future = make_knot(wait).map([0])
    with pytest.raises(InputError, match="still running"):
        future.retry_failed()
    gate.touch()
    future.result()
    assert future.retry_failed() is future


def test_retries_are_for_what_the_function_raises(make_knot: MakeKnot, tmp_path: Path) -> None:
    def third_time(x: int) -> int:
        with (tmp_path / f"{x}").open("a") as file:
            file.write("x")
        if (tmp_path / f"{x}").stat().st_size < 3:
            raise OSError("not yet")
        return x

    assert make_knot(third_time, retries=2).map([7]).result() == [7]
    with pytest.raises(OSError, match="not yet"):
        make_knot(third_time, retries=1).map([8]).result()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"signal 9 \(SIGKILL\)"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), r"signal 15 \(SIGTERM\)"),
        (lambda: __import__("ctypes").string_at(0), r"signal 11 \(SIGSEGV, a segmentation fault\)"),
        (lambda: os._exit(3), "ended by itself with exit code 3"),
    ],
    ids=["kill", "term", "segfault", "exit"],
)
def test_a_killed_call_is_reported_lost_and_the_others_are_unharmed(
    make_knot: MakeKnot, end: Callable[[], None], said: str
) -> None:
    def die(x: int) -> int:
        if x == 3:
            end()
        return x

    future = make_knot(die).map(range(6))
    with pytest.raises(CallLostError, match=f"the process of item 3 was lost, 3 times: .*{said}"):
        future[3].result()
    assert [future[x].result() for x in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]
    assert [item.index for item in future.failed] == [3]


def test_a_lost_call_is_tried_again_twice(make_knot: MakeKnot, tmp_path: Path) -> None:
    def die_twice(x: int) -> int:
        with (tmp_path / f"{x}").open("a") as file:
            file.write("x")
        if (tmp_path / f"{x}").stat().st_size <= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    assert make_knot(die_twice).map([5, 6], chunk_size=2).result() == [5, 6]
    with pytest.raises(CallLostError):
        make_knot(die_twice, retries=Retry(lost=0)).map([7]).result()
    assert (tmp_path / "7").stat().st_size == 1


def test_a_segmentation_fault_leaves_its_traceback_in_the_log(make_knot: MakeKnot) -> None:
    def crash(_: int) -> None:
        import ctypes

        ctypes.string_at(0)

    future = make_knot(crash).submit(0)
    assert isinstance(future.exception(), CallLostError)
    assert "in crash" in future.logs()


def test_a_lost_call_is_noticed_though_its_children_hold_the_pipe(make_knot: MakeKnot) -> None:
    def die_leaving_a_child(_: int) -> None:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(CallLostError):
        make_knot(die_leaving_a_child, retries=Retry(lost=0)).submit(0).result(timeout=15)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_a_program_ends_an_item(make_knot: MakeKnot, error: BaseException) -> None:
    def leave(_: int) -> None:
        raise error

    assert isinstance(make_knot(leave).submit(0).exception(), type(error))


def test_a_value_that_cannot_be_pickled_fails_its_own_item(make_knot: MakeKnot) -> None:
    future = make_knot(lambda x: threading.Lock() if x == 1 else x).map(range(3))
    with pytest.raises(NotPicklableError, match=r"item 1 returned a value of type _thread.lock"):
        future[1].result()
    assert (future[0].result(), future[2].result()) == (0, 2)


def test_a_value_that_cannot_be_rebuilt_here_fails_its_own_item(make_knot: MakeKnot) -> None:
    def only_there(x: int) -> Any:
        here = os.getpid()

        class Picky:
            def __reduce__(self) -> Any:
                return _rebuild_in, (here,)

        def _rebuild_in(pid: int) -> str:
            if os.getpid() != pid:
                raise RuntimeError("wrong machine")
            return "right machine"

        return Picky() if x == 1 else x

    future = make_knot(only_there).map(range(3))
    assert isinstance(future[1].exception(), NotRebuiltError)
    assert (
        "item 1 returned a value that cannot be rebuilt in this process: RuntimeError: wrong machine"
        in str(future[1].exception())
    )
    assert future[2].result() == 2
    with pytest.raises(NotRebuiltError):
        future.result()


def test_an_exception_that_cannot_be_pickled_fails_its_own_item(make_knot: MakeKnot) -> None:
    def fail(_: int) -> None:
        error = ValueError("held a lock")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    future = make_knot(fail).map(range(2))
    with pytest.raises(NotPicklableError, match=r"item 0 raised ValueError\('held a lock'\)") as caught:
        future.result()
    assert "in fail" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_rebuilt_fails_its_own_item(make_knot: MakeKnot) -> None:
    def fail(x: int) -> None:
        raise BadSubjectError(f"sub-{x}", reason="no data")  # its keyword is lost by pickle's own protocol

    future = make_knot(fail).map(range(2))
    with pytest.raises(
        NotRebuiltError, match=r"item 0 raised .*BadSubjectError\('sub-0: no data'\)"
    ) as caught:
        future.result()
    assert "in fail" in str(caught.value.__cause__)


def test_an_argument_that_cannot_be_rebuilt_there_fails_its_own_item(make_knot: MakeKnot) -> None:
    class Picky:
        def __reduce__(self) -> Any:
            return exec, ("raise OSError('no such file on the far side')",)

    future = make_knot(lambda x: 1).map([0, Picky(), 2])
    with pytest.raises(OSError, match="no such file on the far side"):
        future[1].result()
    assert future[2].result() == 1


def test_a_function_that_cannot_be_loaded_there_fails_each_item(make_knot: MakeKnot) -> None:
    class Picky:
        def __call__(self, x: int) -> int:
            return x

        def __reduce__(self) -> Any:
            return exec, ("raise ImportError('no such library on the far side')",)

    future = make_knot(Picky(), name="picky").map(range(3))
    assert [str(item.exception()) for item in future] == ["no such library on the far side"] * 3


def test_an_item_that_takes_too_long_is_killed(make_knot: MakeKnot) -> None:
    def sleep(x: int) -> int:
        print("asleep", flush=True)
        time.sleep(30 if x == 1 else 0)
        return x

    future = make_knot(sleep, timeout_s=0.5).map(range(3), chunk_size=3)
    with pytest.raises(CallTimeoutError, match=r"item 1 was killed: it ran longer than timeout_s=0.5"):
        future[1].result(timeout=20)
    assert isinstance(future[1].exception(), TimeoutError)
    assert future[1].logs() == "asleep\n"
    assert future[2].result() == 2


def test_a_timeout_is_one_items_not_the_chunks(make_knot: MakeKnot) -> None:
    def sleep(x: int) -> int:
        time.sleep(0.2)
        return x

    assert make_knot(sleep, timeout_s=1.0).map(range(8), chunk_size=8).result() == list(range(8))


class TestOnError:
    """When a map stops by itself."""

    def test_auto_stops_when_the_first_items_all_fail_alike(self, make_knot: MakeKnot) -> None:
        future = make_knot(lambda x: 1 // (x - x)).map(range(500))
        with pytest.raises(ZeroDivisionError):
            future.result()
        assert isinstance(future[499].exception(), CallSkippedError)
        assert "the first 20 items all failed with ZeroDivisionError" in str(future[499].exception())
        assert len(future.failed) == 500
        ran, not_run = future.failed.causes().items()
        assert ran[0].startswith("ZeroDivisionError")
        assert not_run[0].startswith("CallSkippedError: was not run: the first 20 items all failed")
        assert f"stopped: 0 done, {len(ran[1])} failed, {len(not_run[1])} not run of 500" in repr(future)
        skipped = sum(isinstance(item.exception(), CallSkippedError) for item in future)
        assert 500 - skipped < 40

    def test_auto_goes_on_when_one_of_the_first_does_not_fail(self, make_knot: MakeKnot) -> None:
        future = make_knot(lambda x: 1 // (x - 19 and 0) if x != 19 else x).map(range(60))
        future.exception()
        assert len(future.failed) == 59
        assert not any(isinstance(item.exception(), CallSkippedError) for item in future)

    @pytest.mark.many_jobs
    def test_auto_goes_on_when_they_fail_differently(self, make_knot: MakeKnot) -> None:
        def fail(x: int) -> None:
            if x == 11:
                raise KeyError(x)
            raise ValueError(x)

        future = make_knot(fail).map(range(60))
        future.exception()
        assert not any(isinstance(item.exception(), CallSkippedError) for item in future)

    @pytest.mark.many_jobs
    def test_auto_never_stops_a_map_of_fewer(self, make_knot: MakeKnot) -> None:
        future = make_knot(lambda x: 1 // (x - x)).map(range(19))
        future.exception()
        assert all(isinstance(item.exception(), ZeroDivisionError) for item in future)

    @pytest.mark.many_jobs
    def test_continue_never_stops(self, make_knot: MakeKnot) -> None:
        future = make_knot(lambda x: 1 // (x - x)).map(range(60), on_error="continue")
        future.exception()
        assert all(isinstance(item.exception(), ZeroDivisionError) for item in future)

    def test_stop_stops_at_the_first_failure(self, make_knot: MakeKnot, tmp_path: Path) -> None:
        def fail_at_five(x: int) -> int:
            (tmp_path / str(x)).touch()
            if x == 5:
                raise ValueError(x)
            return x

        future = make_knot(fail_at_five).map(range(50), on_error="stop", chunk_size=50)
        with pytest.raises(ValueError, match="5"):
            future.result()
        assert [future[x].result() for x in range(5)] == list(range(5))
        assert isinstance(future[6].exception(), CallSkippedError)
        assert len(list(tmp_path.iterdir())) == 6


class TestCancel:
    """Cancelling stops running work, and keeps what had ended."""

    def test_a_cancelled_map_stops_within_seconds(self, make_knot: MakeKnot, tmp_path: Path) -> None:
        def wait(x: int) -> int:
            if x > 0:
                leave_footprint(tmp_path / f"began-{x}-{os.getpid()}")
                subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=True)
            return x

        future = make_knot(wait).map(range(10), chunk_size=1)
        assert future[0].result(timeout=20) == 0
        wait_until(lambda: any(tmp_path.iterdir()))
        footprints = list(tmp_path.iterdir())
        assert all(map(is_alive, footprints))
        began = time.monotonic()
        assert future.cancel() is True
        assert future.cancelled()
        assert future.done()
        wait_until(lambda: not any(map(is_alive, footprints)), timeout_s=5)
        assert time.monotonic() - began < 5
        assert future[9].cancelled()
        assert future[0].result() == 0
        assert not future.failed
        values = future.result(return_exceptions=True)
        assert values[0] == 0
        with pytest.raises(CancelledError):
            future.result()

    def test_a_cancelled_item_leaves_the_others(self, make_knot: MakeKnot, gate: Path) -> None:
        def wait(x: int) -> int:
            while x == 1 and not gate.exists():
                time.sleep(0.01)
            return x

        future = make_knot(wait).map(range(4), chunk_size=4)
        assert future[0].result(timeout=20) == 0
        assert future[1].cancel() is True
        assert future[1].cancelled()
        assert [future[x].result(timeout=20) for x in (0, 2, 3)] == [0, 2, 3]
        assert not future.failed
        assert not future.cancelled()
        assert future[1].cancel() is True

    def test_an_item_that_waits_its_turn_never_runs(
        self, make_knot: MakeKnot, gate: Path, tmp_path: Path
    ) -> None:
        def wait(x: int) -> int:
            while x == 0 and not gate.exists():
                time.sleep(0.01)
            (tmp_path / f"ran-{x}").touch()
            return x

        future = make_knot(wait).map(range(3), chunk_size=3)
        assert future[2].cancel() is True
        gate.touch()
        assert future[1].result(timeout=20) == 1
        future.exception()
        assert not (tmp_path / "ran-2").exists()

    def test_what_is_done_cannot_be_cancelled(self, make_knot: MakeKnot) -> None:
        future = make_knot(abs).map([-1])
        future.result()
        assert future.cancel() is False
        assert future[0].cancel() is False
        assert future.result() == [1]

    def test_the_pool_goes_on_after_a_cancel(self, make_knot: MakeKnot) -> None:
        slow = make_knot(time.sleep).map([60] * 8)
        slow.cancel()
        assert make_knot(abs).map([-1]).result(timeout=20) == [1]


@pytest.mark.many_jobs
def test_a_child_that_an_item_forked_does_not_speak_for_it(make_knot: MakeKnot) -> None:
    def daemonise(x: int) -> int:
        if os.fork() == 0:
            sys.exit(0)
        return x

    for _ in range(3):
        assert make_knot(daemonise).map(range(20)).result(timeout=30) == list(range(20))
        assert make_knot(abs).map(range(20)).result(timeout=30) == list(range(20))


def test_a_callback_that_leaves_does_not_end_the_watcher(make_knot: MakeKnot, caplog: Any) -> None:
    future = make_knot(abs).map([-1, -2])
    future[0].add_done_callback(lambda _: sys.exit())
    future.add_done_callback(lambda _: sys.exit())
    assert future[1].result(timeout=20) == 2
    assert make_knot(abs).map([-3]).result(timeout=20) == [3]


@pytest.mark.many_jobs
def test_many_may_cancel_at_once(make_knot: MakeKnot) -> None:
    knot = make_knot(time.sleep)
    for _ in range(10):
        future = knot.map([5] * 40)
        items = list(future)
        threads = [threading.Thread(target=_cancel_all, args=(items,)) for _ in range(3)]
        threads.append(threading.Thread(target=future.cancel))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert future.done()  # cancelled itself, unless the others had cancelled every item before
        assert all(item.cancelled() for item in items)


@pytest.mark.parametrize("on_error", ["auto", "stop"])
def test_cancelling_items_is_no_failure_of_the_map(make_knot: MakeKnot, gate: Path, on_error: Any) -> None:
    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(wait).map(range(40), on_error=on_error)
    for index in range(25):
        assert future[index].cancel()
    gate.touch()
    # On AWS these are 35 jobs in two waves, each of which loads a client of S3's.
    assert [item.result(timeout=60) for item in future[25:]] == list(range(25, 40))


def test_a_cancelled_map_can_be_resumed_at_once(make_knot: MakeKnot, gate: Path) -> None:
    def wait(x: int) -> int:
        while x and not gate.exists():
            time.sleep(0.01)
        return x

    future = make_knot(wait).map(range(4), chunk_size=1)
    assert future[0].result(timeout=20) == 0
    assert future.cancel()
    gate.touch()
    assert future.resume().result(timeout=20) == [0, 1, 2, 3]


def test_pickle_alone_would_lose_the_exception() -> None:
    """The case above is a real one: such exceptions are common, and pickle does not mind them."""
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(BadSubjectError("sub-1", reason="no data")))
