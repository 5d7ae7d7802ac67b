"""What a SubmitJob may hold, how many there may be, and how many ids are taken at once."""

from typing import Any

import pytest

from cloudknot.testing.batch.limits import TokenBucket, are_overrides_too_long
from cloudknot.testing.batch.refusals import TooManyRequestsException
from cloudknot.testing.clock import Clock
from tests.box.making import Front, ready, submit_params

RULE = {"action": "EXIT", "onReason": "*"}


def test_a_submit_has_at_most_30_kib() -> None:
    front = ready()
    front.ask("SubmitJob", size=30 * 1024, **submit_params())
    said = front.refused("SubmitJob", size=47 * 1024, **submit_params())
    assert said == "<Job size must be less than 30 KiB, got 47 KiB>"
    front.refused("SubmitJob", size=30 * 1024 + 1, **submit_params())


@pytest.mark.parametrize(("characters", "is_too_long"), [(8192, False), (8193, True)])
def test_overrides_have_at_most_8192_characters(characters: int, *, is_too_long: bool) -> None:
    overrides = {"command": ["x" * (characters - len('{"command":[""]}'))]}
    assert are_overrides_too_long(overrides) is is_too_long


def test_a_submit_with_long_overrides_is_taken_since_it_is_the_job_that_fails() -> None:
    front = ready()
    front.submit(containerOverrides={"command": ["x" * 9000]})
    assert len(front.jobs.submitted) == 1


@pytest.mark.parametrize(
    ("params", "is_taken"),
    [
        ({"arrayProperties": {"size": 2}}, True),
        ({"arrayProperties": {"size": 10_000}}, True),
        ({"arrayProperties": {"size": 1}}, False),
        ({"arrayProperties": {"size": 0}}, False),
        ({"arrayProperties": {"size": 10_001}}, False),
        ({"arrayProperties": {}}, True),
        ({"dependsOn": [{"jobId": "j"}] * 20}, True),
        ({"dependsOn": [{"jobId": "j"}] * 21}, False),
        ({"retryStrategy": {"attempts": 10, "evaluateOnExit": [RULE] * 5}}, True),
        ({"retryStrategy": {"attempts": 11}}, False),
        ({"timeout": {"attemptDurationSeconds": 60}}, True),
        ({"timeout": {"attemptDurationSeconds": 59}}, False),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}}, False),
        ({"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "x"}]}}, False),
    ],
)
def test_a_submit_is_taken_or_refused_with(params: dict[str, Any], *, is_taken: bool) -> None:
    front = ready()
    if is_taken:
        front.submit(**params)
    else:
        front.refused("SubmitJob", **submit_params(**params))
    assert len(front.jobs.submitted) == is_taken


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("a", True),
        ("9-_", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("-a", False),
        ("a.b", False),
    ],
)
def test_a_jobs_name_is_of_awss_pattern(name: str, *, is_taken: bool) -> None:
    front = ready()
    if is_taken:
        front.submit(jobName=name)
    else:
        said = front.refused("SubmitJob", **submit_params(jobName=name))
        assert said == "<Job name should match valid pattern>"


def test_fifty_submits_a_second_are_taken() -> None:
    front = ready()
    for _ in range(50):
        front.submit()
    with pytest.raises(TooManyRequestsException) as caught:
        front.submit()
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    assert caught.value.message == "Too Many Requests"
    front.clock.advance(0.11)
    for _ in range(5):
        front.submit()
    with pytest.raises(TooManyRequestsException):
        front.submit()


def test_other_requests_are_not_counted_as_submits() -> None:
    front = ready()
    for _ in range(60):
        front.ask("DescribeJobQueues")


def test_the_rate_can_be_left_open() -> None:
    front = ready(submits_per_s=None)
    for _ in range(60):
        front.submit()


def test_a_bucket_holds_no_more_than_a_second_of_calls() -> None:
    clock = Clock(ticking=False)
    bucket = TokenBucket(clock, 2)
    clock.advance(1000)
    bucket.take()
    bucket.take()
    with pytest.raises(TooManyRequestsException):
        bucket.take()


def test_a_hundred_jobs_are_described_at_once() -> None:
    front = Front()
    ids = [f"id-{number}" for number in range(100)]
    reply = front.ask("DescribeJobs", jobs=ids)
    assert [one["jobId"] for one in reply["jobs"]] == ids
    said = front.refused("DescribeJobs", jobs=[*ids, "more"])
    assert said == "<Maximum number of jobs supported is  100 .>"


@pytest.mark.parametrize("operation", ["CancelJobs", "TerminateJobs"])
def test_fifty_jobs_are_stopped_at_once(operation: str) -> None:
    front = Front()
    ids = [f"id-{number}" for number in range(50)]
    assert front.ask(operation, jobs=ids, reason="r") == {"successful": ids, "errors": []}
    front.refused(operation, jobs=[*ids, "more"], reason="r")
    assert len(front.jobs.stopped) == 50
