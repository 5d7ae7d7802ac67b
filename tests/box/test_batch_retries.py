"""Which failures get another attempt."""

from typing import Any

import pytest

from cloudknot.testing.batch.account import NotStarted
from cloudknot.testing.batch.retries import action_of, is_retried, matches
from cloudknot.testing.executors import Outcome
from tests.box.fakes import FAILURE, SUCCESS, Box

LOST = Outcome(exit_code=None, status_reason="Host EC2 (instance i-0abc) terminated.")
NOT_PULLED = Outcome(
    exit_code=None, reason="CannotPullContainerError: no such tag", status_reason="Task failed to start"
)
KILLED = Outcome(exit_code=137, reason="OutOfMemoryError: Container killed due to memory usage")


@pytest.mark.parametrize(
    ("pattern", "value", "is_match"),
    [
        ("Host EC2*", "Host EC2 (instance i-0abc) terminated.", True),
        ("Task failed to start", "Task failed to start", True),
        ("Task failed", "Task failed to start", False),
        ("EC2*", "Host EC2 (instance i-0abc) terminated.", False),
        ("task failed*", "Task failed to start", False),
        ("*", "", True),
        ("1*", "137", True),
        ("1*", "2", False),
        ("137", "137", True),
        ("", "", True),
    ],
)
def test_only_an_asterisk_at_the_end_stands_for_something(pattern: str, value: str, is_match: bool) -> None:
    assert matches(pattern, value) is is_match


@pytest.mark.parametrize(
    ("rules", "outcome", "action"),
    [
        ([], FAILURE, "RETRY"),
        ([{"onExitCode": "2", "action": "EXIT"}], FAILURE, "RETRY"),
        ([{"onExitCode": "1", "action": "EXIT"}], FAILURE, "EXIT"),
        ([{"onReason": "*", "action": "EXIT"}], FAILURE, "EXIT"),
        (
            [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}],
            LOST,
            "RETRY",
        ),
        (
            [{"onReason": "*", "action": "EXIT"}, {"onStatusReason": "Host EC2*", "action": "RETRY"}],
            LOST,
            "EXIT",
        ),
        ([{"onReason": "CannotPullContainer*", "action": "EXIT"}], NOT_PULLED, "EXIT"),
        ([{"onReason": "OutOfMemoryError*", "onExitCode": "137", "action": "exit"}], KILLED, "EXIT"),
        ([{"onReason": "OutOfMemoryError*", "onExitCode": "1", "action": "EXIT"}], KILLED, "RETRY"),
        ([{"onExitCode": "137", "action": "EXIT"}], LOST, "RETRY"),
    ],
)
def test_the_first_rule_all_of_whose_conditions_hold_decides(
    rules: list[dict[str, str]], outcome: Outcome, action: str
) -> None:
    assert action_of(rules, outcome) == action


@pytest.mark.parametrize(
    ("strategy", "attempt", "is_again"),
    [({}, 1, False), ({"attempts": 1}, 1, False), ({"attempts": 2}, 1, True), ({"attempts": 2}, 2, False)],
)
def test_there_are_as_many_attempts_as_were_asked_for(
    strategy: dict[str, Any], attempt: int, is_again: bool
) -> None:
    assert is_retried(strategy, attempt, FAILURE) is is_again


def test_a_job_is_tried_again_with_the_next_number_until_it_succeeds() -> None:
    box = Box()
    job = box.submit(retryStrategy={"attempts": 3})
    numbers = []
    for outcome in (FAILURE, LOST, SUCCESS):
        numbers.append(box.executor.task_of(job).environment["AWS_BATCH_JOB_ATTEMPT"])
        box.run(job, outcome)
    assert numbers == ["1", "2", "3"]
    shown = box.job(job)
    assert shown["status"] == "SUCCEEDED"
    assert [attempt["container"].get("exitCode") for attempt in shown["attempts"]] == [1, None, 0]
    assert [attempt["statusReason"] for attempt in shown["attempts"]] == [
        "Essential container in task exited",
        LOST.status_reason,
        "Essential container in task exited",
    ]
    assert len({attempt["container"]["taskArn"] for attempt in shown["attempts"]}) == 3


def test_a_job_that_is_out_of_attempts_fails_with_its_last_reason() -> None:
    box = Box()
    job = box.submit(retryStrategy={"attempts": 2})
    box.run(job, FAILURE)
    box.run(job, LOST)
    assert box.ending(job) == ("FAILED", LOST.status_reason)
    assert len(box.job(job)["attempts"]) == 2


def test_a_rule_to_exit_ends_a_job_that_has_attempts_left() -> None:
    box = Box()
    rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    job = box.submit(retryStrategy={"attempts": 5, "evaluateOnExit": rules})
    box.run(job, LOST)
    assert box.status(job) == "STARTING"
    box.run(job, FAILURE)
    assert box.status(job) == "FAILED"
    assert box.job(job)["retryStrategy"] == {"attempts": 5, "evaluateOnExit": rules}


def test_a_task_that_did_not_start_has_burnt_an_attempt() -> None:
    box = Box()
    box.account.refusals.append(NotStarted(None, "Task failed to start"))
    job = box.submit(retryStrategy={"attempts": 2})
    assert box.executor.task_of(job).environment["AWS_BATCH_JOB_ATTEMPT"] == "2"
    (attempt,) = box.job(job)["attempts"]
    assert attempt["statusReason"] == "Task failed to start"
    assert "startedAt" not in attempt


def test_a_job_that_is_tried_again_is_in_front_of_those_submitted_after_it() -> None:
    box = Box(maxvCpus=2)
    first, _, third = (box.submit(retryStrategy={"attempts": 2}) for _ in range(3))
    box.run(first, FAILURE)
    assert (box.status(first), box.status(third)) == ("STARTING", "RUNNABLE")
