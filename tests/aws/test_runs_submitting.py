"""Submitting to Batch: few requests, constant memory, nothing lost or doubled when the client is killed."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudknot import Knot, attach
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_substrate
from cloudknot.cli import main
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.errors import AwsError
from cloudknot.testing import Box
from cloudknot.testing.faults import ResetConnection, ServerError, Stale, Throttle
from tests.aws.lab import make_stack, switch_queue
from tests.aws.stand import allow, become
from tests.conftest import Script


def square(x: int) -> int:
    return x * x


def jobs_of(box: Box, run_id: str) -> list[str]:
    """Return the names of the jobs that a run has in Batch."""
    filters = [{"name": "JOB_NAME", "values": [f"{run_id}*"]}]
    queue = read_substrate(Aws(), "cloudknot").queues["x86"]
    pages = box.client("batch").get_paginator("list_jobs").paginate(jobQueue=queue, filters=filters)
    return [job["jobName"] for page in pages for job in page["jobSummaryList"]]


@pytest.fixture
def place() -> str:
    return "aws"


@pytest.fixture
def far(aws_lab: Box, home: Path) -> Iterator[Client]:
    """A client with a ledger of its own."""
    yield Client(Settings(home=home, progress=False))
    aws_lab.clear_faults()


@pytest.fixture
def still_box(aws_box: Box, engine: Any) -> Box:
    """A box with a stack whose machines are off: jobs wait."""
    make_stack()
    batch = aws_box.client("batch")
    for environment in batch.describe_compute_environments()["computeEnvironments"]:
        name = environment["computeEnvironmentName"]
        batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    return aws_box


@pytest.mark.aws_box(executor="process")
@pytest.mark.parametrize("chunk_size", [7, 10])
def test_100_000_items_take_at_most_25_requests_beside_their_data(
    still_box: Box, home: Path, chunk_size: int
) -> None:
    client = Client(Settings(home=home, progress=False))
    knot = Knot(square, backend="aws", client=client)
    before = len(still_box.calls())
    future = knot.map(range(100_000), chunk_size=chunk_size)
    calls = Counter(
        (call.service, call.operation) for call in still_box.calls()[before:] if "jobs/" not in call.principal
    )
    n_chunks = -(-100_000 // chunk_size)
    assert calls["batch", "SubmitJob"] == -(-n_chunks // 10_000)
    data = 4  # two shards of arguments, the function, the person's modules
    assert calls.total() - data <= 25, calls
    assert len(jobs_of(still_box, future.run_id)) == -(-n_chunks // 10_000)


@pytest.mark.aws_box(executor="process")
def test_a_million_items_take_no_more_memory_than_ten_thousand(still_box: Box, script: Script) -> None:
    code = """
        import resource, sys
        import cloudknot as ck

        def same(x):
            return x

        knot = ck.Knot(same, backend="aws")
        knot.map((x for x in range(10_000)), chunk_size=1000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        future = knot.map((x for x in range(1_000_000)), chunk_size=1000)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(len(future), after - before)
    """
    length, grown_kib = map(int, script.run(textwrap.dedent(code)).split()[-2:])
    assert length == 1_000_000
    assert grown_kib < 40_000  # two shards of 4 MiB at a time, and a byte an item


def test_a_second_knot_is_a_few_look_ups(aws_lab: Box, far: Client) -> None:
    Knot(square, backend="aws", client=far).map(range(2)).result()
    before = len(aws_lab.calls())
    Knot(square, backend="aws", client=far).map([3], chunk_size=1)
    asked = [
        (call.service, call.operation)
        for call in aws_lab.calls()[before:]
        if "assumed-role" not in call.principal
    ]
    assert ("batch", "RegisterJobDefinition") not in asked
    assert ("cloudformation", "DescribeStacks") not in asked


# The requests of a map behind its arguments, in order; a client is killed as each is answered.
@pytest.mark.parametrize("killed_at", range(1, 13))
def test_a_client_killed_while_it_submits_loses_nothing_and_submits_nothing_twice(
    aws_lab: Box, script: Script, killed_at: int
) -> None:
    code = """
        import os, signal
        import cloudknot as ck
        from cloudknot.client import current_client

        def double(x):
            return 2 * x

        knot = ck.Knot(double, name="killed", backend="aws")
        aws = current_client().backend("aws").aws
        count = 0

        def end(**_):
            global count
            count += 1
            if count == KILLED_AT:
                os.kill(os.getpid(), signal.SIGKILL)

        for service, retries in (("s3", True), ("batch", True), ("batch", False)):
            aws.client(service, retries=retries).meta.events.register("after-call", end)
        knot.map(range(3))
        print(count)
    """
    process = script.start(textwrap.dedent(code).replace("KILLED_AT", str(killed_at)))
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, -9), err
    found = script.run("from cloudknot.client import current_client; print(*current_client().jobs())")
    if not found.split():
        assert jobs_of(aws_lab, "killed") == []  # nothing was known of it yet, and nothing had begun
        return
    [run_id] = found.split()
    code = f"import cloudknot as ck; print(ck.attach({run_id!r}).result(timeout=50))"
    assert script.run(code).strip() == "[0, 2, 4]"
    assert jobs_of(aws_lab, run_id) == [f"{run_id}-0-0"]


def test_a_submission_whose_answer_is_lost_is_not_sent_again(aws_lab: Box, far: Client) -> None:
    aws_lab.add_fault(ResetConnection(service="batch", operation="SubmitJob", moment="answer", times=1))
    future = Knot(square, backend="aws", client=far).map(range(3))
    assert future.result(timeout=60) == [0, 1, 4]
    assert len(jobs_of(aws_lab, future.run_id)) == 1


def test_a_submission_that_never_arrived_is_sent_again(aws_lab: Box, far: Client) -> None:
    aws_lab.add_fault(ResetConnection(service="batch", operation="SubmitJob", moment="before", times=1))
    aws_lab.add_fault(ServerError(service="batch", operation="SubmitJob", times=1))
    future = Knot(square, backend="aws", client=far).map(range(3))
    assert future.result(timeout=60) == [0, 1, 4]
    assert len(jobs_of(aws_lab, future.run_id)) == 1


def test_ctrl_c_while_a_job_is_submitted_leaves_no_job(aws_lab: Box, far: Client) -> None:
    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    knot = Knot(square, name="broken-off", backend="aws", client=far)
    events = far.backend("aws").aws.client("batch", retries=False).meta.events  # type: ignore[attr-defined]
    events.register("after-call.batch.SubmitJob", interrupt)
    with pytest.raises(KeyboardInterrupt):
        knot.map(range(3))
    assert far.jobs() == []
    queue = read_substrate(Aws(), "cloudknot").queues["x86"]
    filters = [{"name": "JOB_NAME", "values": ["broken-off*"]}]
    [job] = aws_lab.client("batch").list_jobs(jobQueue=queue, filters=filters)["jobSummaryList"]
    [described] = aws_lab.client("batch").describe_jobs(jobs=[job["jobId"]])["jobs"]
    assert described["isTerminated"]


def test_throttling_fails_no_run(aws_lab: Box, far: Client) -> None:
    aws_lab.add_fault(Throttle(service="batch", operation="SubmitJob", times=2))
    aws_lab.add_fault(Throttle(service="batch", operation="Describe*", times=4))
    aws_lab.add_fault(Throttle(service="s3", share=0.05))
    assert Knot(square, backend="aws", client=far).map(range(3)).result(timeout=120) == [0, 1, 4]


def test_a_definition_and_a_job_that_aws_does_not_know_yet(aws_lab: Box, far: Client) -> None:
    aws_lab.add_fault(Stale(service="batch", seconds=3))
    knot = Knot(square, backend="aws", client=far, secrets={})
    assert knot.map(range(3)).result(timeout=60) == [0, 1, 4]


def test_a_run_that_aws_refuses_leaves_nothing(aws_lab: Box, far: Client, home: Path) -> None:
    knot = Knot(square, backend="aws", client=far, spot=True)
    queue = read_substrate(Aws(), "cloudknot").queues["x86-spot"]
    switch_queue(aws_lab, queue, "DISABLED")
    try:
        with pytest.raises(AwsError, match=r"[Dd]isabled|not.*ENABLED"):
            knot.map(range(3))
    finally:
        switch_queue(aws_lab, queue, "ENABLED")
    assert far.jobs() == []


def test_why_a_run_was_refused_is_said_also_where_nothing_can_be_removed(
    aws_lab: Box, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
    become(aws_lab, monkeypatch, "keeper", {**allow(), "Statement": [*allow("*")["Statement"], denied]})
    knot = Knot(square, backend="aws", client=Client(Settings(home=home, progress=False)), spot=True)
    queue = read_substrate(Aws(), "cloudknot").queues["x86-spot"]
    switch_queue(aws_lab, queue, "DISABLED")
    try:
        with pytest.raises(AwsError, match=r"[Dd]isabled|not.*ENABLED") as refused:
            knot.map(range(3))
    finally:
        switch_queue(aws_lab, queue, "ENABLED")
    [note] = refused.value.__notes__
    assert "could not be removed" in note


def test_a_run_is_found_from_another_machine(
    aws_lab: Box, far: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = Knot(square, backend="aws", client=far).map(range(3))
    assert future.result(timeout=60) == [0, 1, 4]
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("CLOUDKNOT_BACKEND", "aws")
    assert attach(future.run_id).result(timeout=60) == [0, 1, 4]
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "elsewhere still"))
    assert main(["show", future.run_id]) == 0
