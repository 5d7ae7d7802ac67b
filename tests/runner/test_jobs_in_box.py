"""Jobs of a wave in AWS Batch, all the way: submitted through boto3, read back out of S3 and CloudWatch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from cloudknot.aws.logs import ItemLog
from cloudknot.aws.session import Aws
from cloudknot.ledger import Outcomes
from cloudknot.runner.envelopes import Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import S3Store
from cloudknot.runner.waves import Span, Wave
from cloudknot.runs import Run
from cloudknot.testing import Box
from cloudknot.testing.faults import ResetConnection, ServerError, Throttle, TruncateAnswer
from tests.box import cloud
from tests.conftest import wait_until
from tests.runner.test_supervisor import make_run, values_of

pytestmark = pytest.mark.aws_box(executor="process")

GROUP = "/aws/batch/job"
BUCKET = "brains"
RULES = [
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onExitCode": "75", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
]


@pytest.fixture
def store(aws_box: Box) -> S3Store:
    """The lab's bucket; the queue and the jobs' role are there too."""
    aws_box.client("s3").create_bucket(Bucket=BUCKET)
    cloud.make_queue(aws_box)
    cloud.make_role(
        aws_box,
        "job",
        work=cloud.policy(
            (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
            ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
        ),
    )
    return S3Store(BUCKET, "lab")


def plan(store: S3Store, func: Callable[[Any], Any], items: Any, size: int, **options: Any) -> Run:
    run = make_run(store, func, items)
    spans = (Span(0, run.orders.count, size),)
    wave = Wave(number=0, spans=spans, memory_mib=512, **{"commit_s": 0, **options})
    store.put(Keys(run.run_id).wave(0), wave.encode(), if_absent=True)
    return run


def submit(box: Box, store: S3Store, run: Run, *, size: int | None = None, attempts: int = 10) -> str:
    role = f"arn:aws:iam::{box.account_id}:role/job"
    definition = cloud.make_definition(box, "true", memory_mib=512, container={"jobRoleArn": role})
    command = ["python", "-m", "cloudknot.runner", store.uri, run.run_id, "0", "0"]
    array: dict[str, Any] = {"arrayProperties": {"size": size}} if size else {}
    return cloud.submit(
        box,
        definition,
        containerOverrides={"command": command},
        retryStrategy={"attempts": attempts, "evaluateOnExit": RULES},
        **array,
    )


def test_an_array_runs_its_items_and_the_results_are_read_back(aws_box: Box, store: S3Store) -> None:
    run = plan(store, lambda x: x**2, range(10), 4)
    job = cloud.finish(aws_box, submit(aws_box, store, run, size=3))
    assert job["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    assert values_of(store, run) == [x**2 for x in range(10)]
    news = [int(key.rpartition("-")[2]) for key in store.list(Keys(run.run_id).news)]
    assert sorted(news) == [int(key.rpartition("/")[2]) for key in store.list(Keys(run.run_id).packs)]


def test_jobs_get_through_a_bad_network(aws_box: Box, store: S3Store) -> None:
    run = plan(store, lambda x: bytes(2_000_000) if x == 5 else x, range(12), 4)
    jobs: dict[str, Any] = {"service": "s3", "principal": "*:assumed-role/job/*"}
    for fault in (
        Throttle(share=0.1, **jobs),
        ServerError(share=0.1, is_carried_out=True, **jobs),
        ResetConnection(share=0.1, moment="answer", **jobs),
        TruncateAnswer(share=0.1, operation="GetObject", after_bytes=20, **jobs),
    ):
        aws_box.add_fault(fault)
    job = cloud.finish(aws_box, submit(aws_box, store, run, size=3), timeout_s=120)
    struck = sum(fault.struck for fault in aws_box.faults())
    aws_box.clear_faults()
    assert job["status"] == "SUCCEEDED"
    assert struck > 5
    assert values_of(store, run) == [bytes(2_000_000) if x == 5 else x for x in range(12)]


def test_a_store_that_fails_costs_an_attempt_and_no_item(aws_box: Box, store: S3Store) -> None:
    run = plan(store, lambda x: x, range(4), 4)
    # The second put tells of the first pack; botocore does not try again after a 501.
    aws_box.add_fault(ServerError(service="s3", operation="PutObject", status=501, after=1, times=1))
    job = cloud.finish(aws_box, submit(aws_box, store, run))
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [75, 0]
    assert values_of(store, run) == list(range(4))


def test_another_attempt_goes_on_where_a_reclaimed_machine_was(aws_box: Box, store: S3Store) -> None:
    def wait(x: int) -> str:
        import os

        attempt = os.environ["AWS_BATCH_JOB_ATTEMPT"]
        if x == 2 and attempt == "1":
            time.sleep(600)
        return attempt

    run = plan(store, wait, range(4), 4)
    job_id = submit(aws_box, store, run)
    wait_until(lambda: len(values_of(store, run)) == 2)
    [host] = aws_box.hosts()
    aws_box.reclaim(host)
    assert cloud.finish(aws_box, job_id)["status"] == "SUCCEEDED"
    assert values_of(store, run) == ["1", "1", "2", "2"]


def test_a_machine_that_goes_away_in_good_order_costs_an_attempt_and_no_item(
    aws_box: Box, store: S3Store
) -> None:
    def wait(x: int) -> str:
        import os
        import signal

        attempt = os.environ["AWS_BATCH_JOB_ATTEMPT"]
        if x == 2 and attempt == "1":
            os.kill(os.getppid(), signal.SIGTERM)  # as an engine does that shuts down
            time.sleep(600)
        return attempt

    run = plan(store, wait, range(4), 4)
    job = cloud.finish(aws_box, submit(aws_box, store, run))
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [75, 0]
    assert values_of(store, run) == ["1", "1", "2", "2"]


def test_a_terminated_job_keeps_what_has_ended_and_is_not_tried_again(aws_box: Box, store: S3Store) -> None:
    run = plan(store, lambda x: time.sleep(600) if x == 2 else print("item", x), range(4), 4, commit_s=1000)
    job_id = submit(aws_box, store, run)
    job = cloud.wait_for(aws_box, job_id, "RUNNING")
    wait_until(lambda: "item 1" in said(aws_box, job))
    aws_box.client("batch").terminate_job(jobId=job_id, reason="enough")
    job = cloud.finish(aws_box, job_id)
    assert (job["status"], job["container"].get("exitCode")) == ("FAILED", 75)
    assert len(job["attempts"]) == 1
    outcomes = Outcomes(store, run.run_id, 4)
    outcomes.refresh()
    assert [outcomes.outcome(position) for position in range(3)] == [Outcome.VALUE, Outcome.VALUE, None]


def said(box: Box, job: dict[str, Any]) -> list[str]:
    try:
        return cloud.log_of(box, job)
    except (KeyError, boto3.client("logs").exceptions.ResourceNotFoundException):
        return []


def test_what_an_item_writes_is_read_while_it_runs(aws_box: Box, store: S3Store) -> None:
    def talk(x: int) -> None:
        print(f"{x} begins\n\n[cloudknot] item 0")
        time.sleep(600 if x == 1 else 0)

    run = plan(store, talk, range(3), 3)
    job_id = submit(aws_box, store, run)
    stream = cloud.wait_for(aws_box, job_id, "RUNNING")["container"]["logStreamName"]
    aws = Aws()
    live = ItemLog(aws, GROUP, stream, 1)
    wait_until(lambda: live.read() == b"1 begins\n\n[cloudknot] item 0\n")
    assert ItemLog(aws, GROUP, stream, 0).read() == b"0 begins\n\n[cloudknot] item 0\n"
    assert ItemLog(aws, GROUP, stream, 2).read() == b""
    aws_box.client("batch").terminate_job(jobId=job_id, reason="enough")


def test_an_item_that_is_cancelled_ends_and_the_others_go_on(aws_box: Box, store: S3Store) -> None:
    run = plan(store, lambda x: time.sleep(600 if x == 1 else 0), range(3), 3, look_s=0.2)
    job_id = submit(aws_box, store, run)
    wait_until(lambda: any(store.list(Keys(run.run_id).packs)))
    store.put(Keys(run.run_id).cancel_item(1), b"{}")
    assert cloud.finish(aws_box, job_id)["status"] == "SUCCEEDED"
    outcomes = Outcomes(store, run.run_id, 3)
    outcomes.refresh()
    found = [outcomes.outcome(position) for position in range(3)]
    assert found == [Outcome.VALUE, Outcome.CANCELLED, Outcome.VALUE]
