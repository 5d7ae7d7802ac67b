"""When jobs ran: real jobs of the box, and as many as a large array has."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cloudknot.aws.session import Aws
from cloudknot.aws.times import JobTime, job_times
from cloudknot.errors import AwsError
from cloudknot.testing import Box
from tests.aws.jobs import GatedJobs

pytestmark = pytest.mark.aws_box(executor="process", ticking=False)
HOUR = 3600
WEEK = 7 * 24 * HOUR


def read_times(*job_ids: str) -> dict[str, JobTime]:
    return {one.job_id: one for one in job_times(Aws(), job_ids)}


def seconds(one: JobTime, now: float = 0.0) -> list[float]:
    return [round(attempt.seconds(now), 1) for attempt in one.attempts]  # Batch has milliseconds


def test_each_child_of_an_array_and_a_single_job_have_their_times(aws_box: Box, tmp_path: Path) -> None:
    jobs = GatedJobs(aws_box, tmp_path)
    array, single = jobs.start(2), jobs.start()
    aws_box.advance(HOUR)
    jobs.open(0)
    jobs.finish(f"{array}:0")
    aws_box.advance(HOUR)
    jobs.open(1, code=1)
    jobs.open()
    jobs.finish(array)
    jobs.finish(single)
    found = read_times(array, single)
    assert set(found) == {f"{array}:0", f"{array}:1", single}
    assert [seconds(found[job_id]) for job_id in sorted(found) if job_id != single] == [[HOUR], [2 * HOUR]]
    assert seconds(found[single]) == [2 * HOUR]
    assert [found[f"{array}:{index}"].attempts[0].is_cut for index in range(2)] == [False, True]
    assert all(one.is_over and one.is_known for one in found.values())


def test_one_that_runs_has_run_until_now(aws_box: Box, tmp_path: Path) -> None:
    jobs = GatedJobs(aws_box, tmp_path)
    single = jobs.start()
    aws_box.advance(HOUR)
    [found] = job_times(Aws(), [single])
    assert not found.is_over
    assert seconds(found, now=aws_box.now()) == [HOUR]
    assert not found.attempts[0].is_cut
    jobs.open()
    jobs.finish(single)


def test_every_attempt_counts(aws_box: Box, tmp_path: Path) -> None:
    jobs = GatedJobs(aws_box, tmp_path, kind="SPOT")
    single = jobs.start()
    aws_box.advance(HOUR)
    [host] = aws_box.hosts()
    aws_box.reclaim(host)
    jobs.wait(single, "RUNNING")
    [running] = job_times(Aws(), [single])
    assert seconds(running, now=aws_box.now() + 5) == [HOUR, 5]
    aws_box.advance(60)
    jobs.open()
    jobs.finish(single)
    [found] = job_times(Aws(), [single])
    assert seconds(found) == [HOUR, 60]
    assert [attempt.is_cut for attempt in found.attempts] == [True, False]


def test_one_that_never_ran_has_no_time(aws_box: Box, tmp_path: Path) -> None:
    jobs = GatedJobs(aws_box, tmp_path)
    first = jobs.start()
    waits = aws_box.client("batch").submit_job(
        jobName="waits", jobQueue="queue", jobDefinition="definition", dependsOn=[{"jobId": first}]
    )["jobId"]
    found = read_times(waits)
    assert found == {waits: JobTime(job_id=waits, is_over=False)}
    aws_box.client("batch").cancel_job(jobId=waits, reason="enough")
    aws_box.advance(0)
    jobs.open()
    jobs.finish(first)
    jobs.wait(waits, "FAILED")
    assert read_times(waits) == {waits: JobTime(job_id=waits)}


def test_one_that_batch_has_forgotten_says_so(aws_box: Box, tmp_path: Path) -> None:
    jobs = GatedJobs(aws_box, tmp_path)
    array = jobs.start(2)
    for index in range(2):
        jobs.open(index)
    jobs.finish(array)
    aws_box.advance(WEEK + HOUR)
    assert read_times(array) == {array: JobTime(job_id=array, is_known=False)}


class LargeArray:
    """Batch with one array, that may say that it is asked too much."""

    def __init__(self, size: int, *, refusals: int = 0, code: str = "TooManyRequestsException") -> None:
        self._size = size
        self._refusals = refusals
        self._code = code
        self._lock = threading.Lock()
        self.answered = 0

    def call(self, service: str, operation: str, *, jobs: list[str]) -> Any:
        assert (service, operation) == ("batch", "describe_jobs")
        assert 1 <= len(jobs) <= 100
        with self._lock:
            if ":" in jobs[0] and self._refusals:
                self._refusals -= 1
                throttled = self._code == "TooManyRequestsException"
                raise AwsError("too fast", code=self._code, is_throttle=throttled)
            self.answered += 1
        return {"jobs": [self._describe(job_id) for job_id in jobs]}

    def _describe(self, job_id: str) -> dict[str, Any]:
        if ":" not in job_id:
            return {"jobId": job_id, "status": "SUCCEEDED", "arrayProperties": {"size": self._size}}
        times = {"startedAt": 1000, "stoppedAt": 4000}
        attempts = [{**times, "container": {"exitCode": 0}}]
        return {"jobId": job_id, "status": "SUCCEEDED", "attempts": attempts, **times}


def test_ten_thousand_children_are_a_hundred_requests_and_one() -> None:
    batch = LargeArray(10_000)
    found = list(job_times(batch, ["a"]))  # type: ignore[arg-type]
    assert len({one.job_id for one in found}) == 10_000
    assert sum(sum(seconds(one)) for one in found) == 30_000
    assert batch.answered == 101


def test_throttled_requests_are_sent_again_after_a_pause() -> None:
    batch, pauses = LargeArray(2000, refusals=5), []
    found = list(job_times(batch, ["a"], sleep=pauses.append))  # type: ignore[arg-type]
    assert len({one.job_id for one in found}) == 2000
    assert len(pauses) == 5


@pytest.mark.parametrize(
    ("refusals", "code"), [(1, "AccessDeniedException"), (999, "TooManyRequestsException")]
)
def test_what_batch_refuses_for_good_is_an_error(refusals: int, code: str) -> None:
    batch = LargeArray(2000, refusals=refusals, code=code)
    with pytest.raises(AwsError, match="too fast"):
        list(job_times(batch, ["a"], sleep=lambda _: None))  # type: ignore[arg-type]
