"""The box's time."""

import threading
import time

import pytest

from cloudknot.testing.clock import Clock


def test_time_stands_still_until_it_is_moved() -> None:
    clock = Clock(ticking=False)
    start = clock.now()
    clock.advance(3600)
    assert clock.now() == start + 3600
    assert clock.now() == start + 3600


def test_time_goes_on_by_itself_and_can_be_moved() -> None:
    real = iter([100.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0])
    clock = Clock(ticking=True, read=lambda: next(real, 106.0))
    before = clock.now()
    clock.advance(7200)
    assert 7200 < clock.now() - before < 7207
    clock.close()


def test_a_moment_of_real_time_has_its_time_in_the_box() -> None:
    clock = Clock()
    before = time.time()
    clock.advance(3600)
    assert clock.at(before) == pytest.approx(before, abs=1)
    assert clock.at(time.time()) == pytest.approx(before + 3600, abs=1)
    clock.close()


def test_what_is_due_happens_in_order_each_at_its_own_moment() -> None:
    clock = Clock(ticking=False)
    start, seen = clock.now(), []
    clock.call_in(20, lambda: seen.append(("b", clock.now() - start)))
    clock.call_in(10, lambda: seen.append(("a", clock.now() - start)))
    clock.advance(15)
    assert seen == [("a", 10)]
    clock.advance(15)
    assert seen == [("a", 10), ("b", 20)]


def test_what_is_due_may_call_for_more_on_the_way() -> None:
    clock = Clock(ticking=False)
    seen: list[int] = []

    def again() -> None:
        seen.append(len(seen))
        clock.call_in(30, again)

    clock.call_in(30, again)
    clock.advance(100)
    assert seen == [0, 1, 2]


def test_a_cancelled_timer_is_left_undone() -> None:
    clock = Clock(ticking=False)
    seen: list[str] = []
    clock.call_in(1, lambda: seen.append("x")).cancel()
    clock.advance(2)
    assert seen == []


def test_something_that_fails_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(ticking=False)
    seen: list[str] = []
    clock.call_in(1, lambda: seen.remove("nothing"))
    clock.call_in(2, lambda: seen.append("x"))
    clock.advance(3)
    assert seen == ["x"]
    assert "ValueError" in caplog.text


def test_a_ticking_clock_does_what_is_due_by_itself() -> None:
    clock = Clock()
    done = threading.Event()
    clock.call_in(0.01, done.set)
    assert done.wait(5)
    clock.close()


def test_moving_a_ticking_clock_does_what_is_due_before_it_returns() -> None:
    clock = Clock()
    done = threading.Event()
    clock.call_in(3600, done.set)
    clock.advance(3600)
    assert done.is_set()
    clock.close()


def test_a_closed_clock_does_nothing_more() -> None:
    clock = Clock(ticking=False)
    seen: list[str] = []
    clock.call_in(1, lambda: seen.append("x"))
    clock.close()
    clock.advance(2)
    assert seen == []


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_goes_forward_by_a_number(seconds: float) -> None:
    with pytest.raises(ValueError, match="goes forward"):
        Clock(ticking=False).advance(seconds)
