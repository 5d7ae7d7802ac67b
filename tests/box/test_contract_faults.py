"""Faults on demand as a client meets them: errors of AWS and of the network, and what retries make of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from cloudknot.testing import Box
from cloudknot.testing.faults import (
    DuplicateEvents,
    Fault,
    LaunchFailure,
    PullFailure,
    ResetConnection,
    ServerError,
    SlowConnection,
    Stale,
    Throttle,
    TruncateAnswer,
)
from tests.box import cloud
from tests.box.lab import ONCE, Lab, open_lab

STANDARD = Config(retries={"mode": "standard", "total_max_attempts": 3})
MIB = 1 << 20
CALLS: dict[str, Callable[[Any], Any]] = {
    "batch": lambda batch: batch.describe_job_queues(),
    "s3": lambda s3: s3.list_buckets(),
    "ecr": lambda ecr: ecr.describe_repositories(),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.box.client("s3").create_bucket(Bucket="brains")
        yield lab


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").box.clear_faults()


def struck(box: Box) -> int:
    (rule,) = box.faults()
    return rule.struck


@pytest.mark.parametrize(
    ("service", "fault", "code", "status"),
    [
        ("batch", Throttle(service="batch"), "TooManyRequestsException", 429),
        ("s3", Throttle(service="s3"), "SlowDown", 503),
        ("ecr", Throttle(service="ecr"), "ThrottlingException", 400),
        ("batch", ServerError(service="batch"), "ServerException", 500),
        ("s3", ServerError(service="s3"), "InternalError", 500),
        ("s3", ServerError(service="s3", status=503), "ServiceUnavailable", 503),
        ("ecr", ServerError(service="ecr"), "ServerException", 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else None,
)
class TestAnErrorOfAws:
    def test_is_the_one_that_botocore_knows(
        self, lab: Lab, service: str, fault: Fault, code: str, status: int
    ) -> None:
        lab.box.add_fault(fault)
        with pytest.raises(ClientError) as caught:
            CALLS[service](lab.box.client(service, config=ONCE))
        reply = caught.value.response
        assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
        assert reply["Error"]["Message"]
        assert struck(lab.box) == 1

    def test_is_survived_by_retries(
        self, lab: Lab, service: str, fault: Fault, code: str, status: int
    ) -> None:
        lab.box.add_fault(type(fault)(**{**vars(fault), "times": 1}))
        reply = CALLS[service](lab.box.client(service, config=STANDARD))
        assert reply["ResponseMetadata"]["RetryAttempts"] == 1
        assert struck(lab.box) == 1


def test_nothing_is_done_where_a_submit_is_throttled(lab: Lab) -> None:
    lab.box.add_fault(Throttle(service="batch", operation="SubmitJob"))
    asked = {"jobName": "job", "jobQueue": lab.queue, "jobDefinition": lab.sh("exit 0")}
    assert lab.error("submit_job", **asked)["Code"] == "TooManyRequestsException"
    lab.pass_time()
    assert lab.ids(jobQueue=lab.queue, filters=[{"name": "JOB_NAME", "values": ["*"]}]) == []


@pytest.mark.parametrize(
    "fault",
    [
        ServerError(service="batch", operation="SubmitJob", is_carried_out=True, times=1),
        ResetConnection(service="batch", operation="SubmitJob", moment="answer", times=1),
    ],
)
def test_a_submit_whose_answer_is_lost_is_done_twice(lab: Lab, fault: Fault) -> None:
    queue, definition = lab.make_queue(lab.make_environment()), lab.sh("exit 0")
    lab.box.add_fault(fault)
    batch = lab.box.client("batch", config=STANDARD)
    job_id = batch.submit_job(jobName="job", jobQueue=queue, jobDefinition=definition)["jobId"]
    lab.finish(job_id)
    found = lab.ids(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["*"]}])
    assert len(found) == 2
    assert job_id in found


class TestAConnectionToS3:
    @pytest.mark.parametrize(
        "fault",
        [
            ResetConnection(service="s3"),
            ResetConnection(service="s3", moment="upload", after_bytes=100_000),
            ResetConnection(service="s3", moment="answer"),
        ],
        ids=lambda fault: fault.moment,
    )
    def test_that_is_reset_is_an_error_of_the_network(self, lab: Lab, fault: ResetConnection) -> None:
        s3 = lab.box.client("s3", config=ONCE)
        key = lab.name("key")
        lab.box.add_fault(fault)
        with pytest.raises((ConnectionClosedError, HTTPClientError)) as caught:
            s3.put_object(Bucket="brains", Key=key, Body=b"x" * MIB)
        assert not isinstance(caught.value, ClientError)
        lab.box.clear_faults()
        found = s3.list_objects_v2(Bucket="brains", Prefix=key)["KeyCount"]
        assert found == (fault.moment == "answer")

    @pytest.mark.parametrize("moment", ["before", "upload", "answer"])
    def test_that_is_reset_once_is_survived_by_retries(self, lab: Lab, moment: str) -> None:
        s3 = lab.box.client("s3", config=STANDARD)
        key = lab.name("key")
        lab.box.add_fault(ResetConnection(service="s3", moment=moment, times=1))
        s3.put_object(Bucket="brains", Key=key, Body=b"x" * MIB)
        assert struck(lab.box) == 1
        assert s3.head_object(Bucket="brains", Key=key)["ContentLength"] == MIB

    @pytest.mark.parametrize(
        "fault",
        [
            ResetConnection(service="s3", operation="GetObject", moment="answer", after_bytes=100_000),
            TruncateAnswer(service="s3", operation="GetObject", after_bytes=100_000),
        ],
        ids=lambda fault: type(fault).__name__,
    )
    def test_that_ends_early_is_seen_by_who_reads_the_body(self, lab: Lab, fault: Fault) -> None:
        s3 = lab.box.client("s3", config=STANDARD)
        s3.put_object(Bucket="brains", Key="early", Body=b"x" * MIB)
        lab.box.add_fault(fault)
        body = s3.get_object(Bucket="brains", Key="early")["Body"]
        with pytest.raises((ResponseStreamingError, IncompleteReadError, ConnectionError)):
            body.read()
        lab.box.clear_faults()
        assert len(s3.get_object(Bucket="brains", Key="early")["Body"].read()) == MIB

    def test_that_is_slow_to_begin_meets_a_timeout(self, lab: Lab) -> None:
        lab.box.add_fault(SlowConnection(service="s3", delay_s=1))
        patience = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
        with pytest.raises(ReadTimeoutError):
            lab.box.client("s3", config=patience).list_buckets()

    def test_that_is_slow_throughout_takes_its_time(self, lab: Lab) -> None:
        s3 = lab.box.client("s3")
        s3.put_object(Bucket="brains", Key="slow", Body=b"x" * 100_000)
        lab.box.add_fault(SlowConnection(service="s3", operation="GetObject", bytes_per_s=400_000))
        start = time.monotonic()
        assert len(s3.get_object(Bucket="brains", Key="slow")["Body"].read()) == 100_000
        assert time.monotonic() - start >= 0.2


class TestWhatWasJustMade:
    def test_is_not_shown_for_a_while(self, lab: Lab) -> None:
        lab.box.add_fault(Stale(service="batch", seconds=10))
        definition = lab.sh("exit 0")
        asked = {"jobDefinitions": [definition]}
        assert lab.batch.describe_job_definitions(**asked)["jobDefinitions"] == []
        lab.pass_time(10)
        assert len(lab.batch.describe_job_definitions(**asked)["jobDefinitions"]) == 1
        job_id = lab.submit(jobDefinition=definition)
        assert lab.batch.describe_jobs(jobs=[job_id])["jobs"] == []
        lab.pass_time(10)
        assert lab.finish(job_id)["status"] == "SUCCEEDED"

    def test_cannot_be_submitted_at_once(self, lab: Lab) -> None:
        lab.box.add_fault(Stale(service="batch", seconds=10))
        definition = lab.sh("exit 0")
        asked = {"jobName": "job", "jobQueue": lab.queue, "jobDefinition": definition}
        assert "does not exist" in lab.refused("submit_job", **asked)
        lab.pass_time(10)
        assert lab.batch.submit_job(**asked)["jobId"]


class TestJobs:
    def test_may_be_told_of_more_than_once(self, lab: Lab) -> None:
        lab.box.add_fault(DuplicateEvents(copies=3))
        queue = lab.listen()
        job_id = lab.run()["jobId"]
        details = [event["detail"] for event in lab.hear(queue)]
        told = Counter(detail["status"] for detail in details if detail["jobId"] == job_id)
        assert told == dict.fromkeys(("RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"), 3)

    def test_wait_while_no_machine_can_be_launched(self, lab: Lab) -> None:
        lab.box.add_fault(LaunchFailure(times=2))
        job_id = lab.submit(queue=lab.make_queue(lab.make_environment(instanceTypes=["m5.large"])))
        shown = lab.wait_for(job_id, "RUNNABLE")
        assert shown["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
        lab.pass_time(60)
        ended = lab.finish(job_id)
        assert ended["status"] == "SUCCEEDED"
        assert struck(lab.box) == 2

    def test_whose_image_cannot_be_pulled_are_tried_again(self, lab: Lab) -> None:
        lab.box.add_fault(PullFailure(image="lab/*", times=1))
        definition = lab.sh("exit 0", image="lab/brain:1")
        once, again = (
            lab.run(jobDefinition=definition, retryStrategy={"attempts": attempts}) for attempts in (1, 1)
        )
        assert (once["status"], again["status"]) == ("FAILED", "SUCCEEDED")
        assert once["statusReason"] == "Task failed to start"
        assert once["attempts"][0]["container"]["reason"] == "CannotPullContainerError: context canceled"


@pytest.mark.aws_box(executor="process", ticking=False)
class TestTheSeed:
    FAULTS = (
        Throttle(service="batch", operation="DescribeJobs", share=0.3),
        ServerError(service="s3", share=0.4, after=3),
        PullFailure(share=0.5),
    )

    def strikes(self, box: Box, seed: int) -> tuple[list[Any], list[int]]:
        """Return what each of many calls ends in, and how often each fault has struck."""
        box.reset(executor="process", seed=seed, ticking=False)
        lab = Lab(box)
        for fault in self.FAULTS:
            box.add_fault(fault)
        s3 = box.client("s3", config=ONCE)
        jobs = [lab.submit() for _ in range(12)]
        box.remove_fault(1)
        ends: list[Any] = [lab.finish(job_id)["status"] for job_id in jobs]
        box.add_fault(self.FAULTS[0])
        for _ in range(20):
            ends.append(code_of(lambda: lab.batch.describe_jobs(jobs=["x"])))
            ends.append(code_of(s3.list_buckets))
        return ends, [rule.struck for rule in box.faults()]

    def test_decides_what_is_struck(self, aws_box: Box) -> None:
        first, again, other = (self.strikes(aws_box, seed) for seed in (7, 7, 8))
        assert first == again
        assert first != other
        assert set(first[0]) == {"SUCCEEDED", "FAILED", "TooManyRequestsException", "InternalError", ""}


def code_of(call: Callable[[], Any]) -> str:
    """Return the code of the error that a call ends in; empty where it ends well."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.aws_box(executor="process")
@pytest.mark.aws_box(executor="process", ticking=False)  # however slow this machine is
def test_more_submits_than_are_taken_a_second_are_survived_by_retries(aws_box: Box) -> None:
    cloud.make_queue(aws_box)
    batch = aws_box.client("batch", config=Config(retries={"mode": "standard", "total_max_attempts": 5}))
    asked = {"jobName": "job", "jobQueue": "queue", "jobDefinition": cloud.make_definition(aws_box, "true")}
    with going_on_when_throttled(aws_box):
        replies = [batch.submit_job(**asked) for _ in range(80)]
    assert len({reply["jobId"] for reply in replies}) == 80
    assert sum(reply["ResponseMetadata"]["RetryAttempts"] for reply in replies) > 0


@contextmanager
def going_on_when_throttled(box: Box) -> Iterator[None]:
    """Move a box's time on by a second whenever it has refused something for coming too soon."""
    over, seen = threading.Event(), 0

    def go_on() -> None:
        nonlocal seen
        while not over.wait(0.05):
            refused = sum(call.status == 429 for call in box.calls())
            if refused > seen:
                seen = refused
                box.advance(1)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
