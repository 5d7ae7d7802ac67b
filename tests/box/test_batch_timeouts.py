"""Attempts that take too long."""

import pytest

from cloudknot.testing.executors import Outcome
from tests.box.fakes import FAILURE, SUCCESS, Box

TIMED_OUT = ("FAILED", "Job attempt duration exceeded timeout")
KILLED = Outcome(exit_code=137)
LIMIT = {"attemptDurationSeconds": 60}


@pytest.fixture
def box() -> Box:
    return Box()


def test_an_attempt_that_takes_too_long_is_asked_to_end_and_killed_30_s_later(box: Box) -> None:
    job = box.submit(timeout=LIMIT)
    box.begin(job)
    box.clock.advance(59)
    assert not box.executor.stopped
    box.clock.advance(1)
    assert box.executor.stopped
    box.clock.advance(29)
    assert not box.executor.killed
    box.clock.advance(1)
    assert box.executor.killed == box.executor.stopped
    box.executor.end(job, KILLED)
    assert box.ending(job) == TIMED_OUT
    assert box.job(job)["container"]["exitCode"] == 137


@pytest.mark.parametrize("outcome", [KILLED, SUCCESS])
def test_a_job_that_timed_out_is_not_tried_again(box: Box, outcome: Outcome) -> None:
    job = box.submit(timeout=LIMIT, retryStrategy={"attempts": 3})
    box.begin(job)
    box.clock.advance(60)
    box.executor.end(job, outcome)
    box.settle()
    assert box.ending(job) == TIMED_OUT
    (attempt,) = box.job(job)["attempts"]
    assert attempt["statusReason"] == TIMED_OUT[1]


def test_the_time_counts_from_the_start_of_the_container_and_anew_for_each_attempt(box: Box) -> None:
    job = box.submit(timeout=LIMIT, retryStrategy={"attempts": 2})
    box.clock.advance(50)
    box.begin(job)
    box.clock.advance(50)
    box.executor.end(job, FAILURE)
    box.settle()
    box.begin(job)
    box.clock.advance(59)
    assert not box.executor.stopped
    box.clock.advance(1)
    assert box.executor.stopped


def test_it_holds_for_each_child_of_an_array(box: Box) -> None:
    array = box.submit(size=2, timeout=LIMIT)
    box.begin(f"{array}:0")
    box.clock.advance(30)
    box.begin(f"{array}:1")
    box.clock.advance(30)
    assert box.executor.stopped == [box.executor.task_of(f"{array}:0").id]


def test_an_attempt_that_ended_in_time_is_left_alone(box: Box) -> None:
    job = box.submit(timeout=LIMIT)
    box.run(job)
    box.clock.advance(120)
    assert not box.executor.stopped
    assert box.status(job) == "SUCCEEDED"


def test_a_job_that_is_terminated_is_not_stopped_again_by_its_timeout(box: Box) -> None:
    job = box.submit(timeout=LIMIT)
    box.begin(job)
    box.clock.advance(50)
    box.engine.terminate(job, "enough")
    box.clock.advance(20)
    assert len(box.executor.stopped) == 1
    box.clock.advance(10)
    assert len(box.executor.killed) == 1
    box.executor.end(job, KILLED)
    assert box.ending(job) == ("FAILED", "enough")


def test_a_job_that_is_terminated_when_it_has_timed_out_is_killed_no_later(box: Box) -> None:
    job = box.submit(timeout=LIMIT)
    box.begin(job)
    box.clock.advance(80)
    box.engine.terminate(job, "enough")
    box.clock.advance(10)
    assert (len(box.executor.stopped), len(box.executor.killed)) == (1, 1)
    box.executor.end(job, KILLED)
    assert box.ending(job) == ("FAILED", "enough")
