"""Runs on Batch when things go wrong: machines, memory, jobs, money; and what is left of them."""

from __future__ import annotations

import datetime
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from cloudknot import CallLostError, Knot, Retry, StoreError
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_substrate
from cloudknot.aws.teardown import Teardown
from cloudknot.cli.runs import _read_rows
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.ledger import Outcomes, read_mark, write_lost, write_mark
from cloudknot.removal import Clobbered, prune
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import FileStore
from cloudknot.runs import State
from cloudknot.testing import Box
from cloudknot.testing.faults import PullFailure
from tests.aws.lab import make_stack
from tests.conftest import Script, wait_until


@pytest.fixture
def place() -> str:
    return "aws"


@pytest.fixture
def far(aws_lab: Box, home: Path) -> Iterator[Client]:
    """A client with a ledger of its own."""
    yield Client(Settings(home=home, progress=False))
    aws_lab.clear_faults()


def knot(client: Client, func: Any, **options: Any) -> Knot[Any]:
    return Knot(func, backend="aws", client=client, **options)


def children(box: Box, run_id: str, *, spot: bool = False) -> list[dict[str, Any]]:
    """Return what Batch says of a run's jobs."""
    batch = box.client("batch")
    queue = read_substrate(Aws(), "cloudknot").queues["x86-spot" if spot else "x86"]
    filters = [{"name": "JOB_NAME", "values": [f"{run_id}*"]}]
    found = batch.list_jobs(jobQueue=queue, filters=filters)["jobSummaryList"]
    jobs: list[dict[str, Any]] = batch.describe_jobs(jobs=[job["jobId"] for job in found])["jobs"]
    return jobs


def test_a_spot_reclaim_uses_no_retry_and_repeats_no_committed_item(
    aws_lab: Box, far: Client, tmp_path: Path
) -> None:
    def count(x: int) -> int:
        calls = tmp_path / f"calls-{x}"
        calls.write_text(calls.read_text() + "." if calls.exists() else ".")
        while x == 2 and len(calls.read_text()) == 1:
            time.sleep(0.05)  # the machine is taken away meanwhile
        return x

    future = knot(far, count, spot=True).map(range(4), chunk_size=4)
    wait_until((tmp_path / "calls-2").exists, timeout_s=60)
    store = far.store_of(future.run_id)
    wait_until(lambda: list(store.list(Keys(future.run_id).packs)), timeout_s=60)
    [host] = [host for host in aws_lab.hosts() if host.is_spot and host.job_ids]
    aws_lab.reclaim(host)
    assert future.result(timeout=90) == [0, 1, 2, 3]
    assert [(tmp_path / f"calls-{x}").read_text() for x in range(4)] == [".", ".", "..", "."]
    assert {future.items.envelope(x).tries for x in range(4)} == {1}
    [job] = children(aws_lab, future.run_id, spot=True)
    assert len(job["attempts"]) == 2


def test_an_item_that_takes_the_whole_job_with_it_is_named_and_the_others_end(far: Client) -> None:
    def deadly(x: int) -> int:
        if x == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return x

    future = knot(far, deadly, retries=Retry(lost=1)).map(range(4), chunk_size=4, on_error="continue")
    values = future.result(timeout=120, return_exceptions=True)
    assert [values[0], *values[2:]] == [0, 2, 3]
    assert isinstance(values[1], CallLostError)
    assert "lost, 2 times" in str(values[1])
    assert [item.index for item in future.failed] == [1]


def test_an_image_that_is_gone_fails_the_run_at_once_with_the_cure(aws_lab: Box, far: Client) -> None:
    aws_lab.add_fault(PullFailure())
    future = knot(far, abs).map([-1, -2])
    errors = future.result(timeout=60, return_exceptions=True)
    assert all(isinstance(error, CallLostError) for error in errors)
    assert "the image cannot be pulled" in str(errors[0])
    [cause] = future.failed.causes()
    assert future.failed.causes()[cause] == [0, 1]


def test_a_job_that_somebody_ends_in_the_console_is_not_started_again(aws_lab: Box, far: Client) -> None:
    future = knot(far, time.sleep).map([60])
    wait_until(
        lambda: [job["status"] for job in children(aws_lab, future.run_id)] == ["RUNNING"], timeout_s=60
    )
    [job] = children(aws_lab, future.run_id)
    aws_lab.client("batch").terminate_job(jobId=job["jobId"], reason="too dear")
    with pytest.raises(CallLostError, match="ended by hand: too dear"):
        future.result(timeout=60)
    assert len(children(aws_lab, future.run_id)) == 1


def test_cancel_ends_the_jobs_and_resume_goes_on(aws_lab: Box, far: Client, gate: Path) -> None:
    def wait(x: int) -> int:
        while x and not gate.exists():
            time.sleep(0.05)
        return x

    future = knot(far, wait).map(range(3))
    wait_until(future[0].done, timeout_s=60)
    assert future.cancel()
    wait_until(
        lambda: all(job["status"] in ("FAILED", "SUCCEEDED") for job in children(aws_lab, future.run_id)),
        timeout_s=30,
    )
    assert future[0].result() == 0
    gate.touch()
    assert future.resume().result(timeout=90) == [0, 1, 2]


def test_cancel_from_another_process_ends_the_jobs(aws_lab: Box, far: Client, script: Script) -> None:
    future = knot(far, time.sleep).map([600, 600])
    wait_until(lambda: [job["status"] for job in children(aws_lab, future.run_id)] != [], timeout_s=60)
    script.run(f"from cloudknot.cli import main; main(['cancel', {future.run_id!r}])")
    wait_until(
        lambda: all(job["status"] == "FAILED" for job in children(aws_lab, future.run_id)), timeout_s=60
    )
    wait_until(lambda: future.state is State.CANCELLED, timeout_s=60)


def test_a_budget_stops_the_run_and_keeps_the_results(far: Client, tmp_path: Path) -> None:
    def slow(x: int) -> int:
        time.sleep(0.0 if x < 2 else 600)
        return x

    future = knot(far, slow).map(range(4), chunk_size=1, budget_usd=2e-4, on_error="continue")
    values = future.result(timeout=120, return_exceptions=True)
    assert values[:2] == [0, 1]
    assert future.state is State.STOPPED
    assert "USD" in str(values[2])


def test_items_that_all_fail_alike_stop_the_map_before_the_rest_is_submitted(
    aws_lab: Box, far: Client
) -> None:
    def broken(x: int) -> int:
        raise OSError(f"no file {x}")

    future = knot(far, broken).map(range(5_000))
    with pytest.raises(OSError, match="no file 0"):
        future.result(timeout=120)
    assert future.state is State.STOPPED
    assert len(children(aws_lab, future.run_id)) == 1  # the canary's array


def test_the_rest_is_planned_by_the_time_that_the_first_items_take(aws_lab: Box, far: Client) -> None:
    future = knot(far, abs).map(range(1_000))
    assert future.result(timeout=120) == list(range(1_000))
    sizes = sorted(job.get("arrayProperties", {}).get("size", 1) for job in children(aws_lab, future.run_id))
    assert sizes == [1, 20]


def test_a_run_goes_on_when_its_process_is_killed_and_another_attaches(
    aws_lab: Box, script: Script, gate: Path
) -> None:
    process = script.start(
        "import cloudknot as ck, pathlib, time\n"
        f"gate = pathlib.Path({str(gate)!r})\n"
        "def wait(x):\n"
        "    while not gate.exists():\n"
        "        time.sleep(0.05)\n"
        "    return x\n"
        "future = ck.Knot(wait, backend='aws').map(range(30))\n"
        "print(future.run_id, flush=True)\n"
        "future.result()\n"
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.kill()
    shown = script.run(f"from cloudknot.cli import main; main(['show', {run_id!r}])")
    assert "running" in shown
    assert f"cloudknot resume {run_id}" in shown
    gate.touch()
    code = f"import cloudknot as ck; print(sum(ck.attach({run_id!r}).result(timeout=50)))"
    assert script.run(code).strip() == str(sum(range(30)))


def test_a_job_reaches_nothing_but_the_runs_of_its_stack(aws_lab: Box, far: Client) -> None:
    def look(bucket: str) -> str:
        try:
            boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="private/")
        except Exception as error:
            return str(error)
        return "it was let in"

    aws_lab.client("s3").create_bucket(Bucket="somebody-elses")
    assert "AccessDenied" in knot(far, look).map(["somebody-elses"]).result(timeout=60)[0]


def test_a_value_is_read_from_below_its_own_run_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("runs/other/values/000000000000-abc", b"planted")
    planted = Envelope(
        outcome=Outcome.STORED_VALUE, position=0, payload=b"runs/other/values/000000000000-abc"
    )
    store.put(Keys("mine").pack(0), planted.encode())
    outcomes = Outcomes(store, "mine", 1)
    outcomes.refresh()
    with pytest.raises(StoreError, match="tampered"):
        outcomes.read_stored(outcomes.envelope(0))
    with pytest.raises(StoreError, match="tampered"):
        list(outcomes.pickles())


def test_clobber_leaves_another_knots_definitions_and_images(aws_lab: Box, far: Client) -> None:
    def first(x: int) -> int:
        return x

    mine, other = knot(far, first, name="mine"), knot(far, abs, name="other", base_image="python:3.11-slim")
    assert mine.map([1]).result(timeout=60) == [1]
    assert other.map([-1]).result(timeout=60) == [1]
    mine.clobber(results=True)
    assert [far.attach(run).result() for run in far.jobs("other")] == [[1]]
    assert other.map([-2]).result(timeout=60) == [2]
    assert far.jobs("mine") == []


def test_clobber_leaves_what_another_persons_knot_of_that_name_still_needs(
    aws_lab: Box, far: Client, home: Path
) -> None:
    def double(x: int) -> int:
        return 2 * x

    theirs = Client(Settings(home=home / "theirs", progress=False))
    mine, other = knot(far, double, name="shared"), knot(theirs, double, name="shared")
    future = other.map([1, 2])
    assert future.result(timeout=60) == [2, 4]
    store, end = theirs.store_of(future.run_id), Keys(future.run_id).settled(1)
    wait_until(lambda: read_mark(store, end))
    # As between its canary and the rest: none of its jobs is there, and it will submit more.
    ended = read_mark(store, end)
    store.delete(end)
    assert mine.clobber() == Clobbered(stopped=0, removed=0)
    assert ended is not None
    write_mark(store, end, ended)
    assert len(mine.clobber().definitions) == 1


@pytest.mark.aws_box(executor="docker")
@pytest.mark.parametrize("on_oom", ["fail", "double"])
def test_an_item_that_needs_more_memory_is_named_or_given_more(
    aws_box: Box, engine: Any, home: Path, on_oom: Any
) -> None:
    def fill(mib: int) -> int:
        return len(bytearray(mib << 20)) >> 20

    make_stack()
    client = Client(Settings(home=home, progress=False))
    retry = Retry(lost=0, on_oom=on_oom)
    future = knot(client, fill, memory_mib=256, retries=retry).map([1, 400, 2], chunk_size=3)
    values = future.result(timeout=120, return_exceptions=True)
    assert [values[0], values[2]] == [1, 2]
    if on_oom == "double":
        assert values[1] == 400
        return
    assert isinstance(values[1], CallLostError)
    assert "lack of memory" in str(values[1])
    assert future.retry_failed(memory_mib=768).result(timeout=120) == [1, 400, 2]


def test_what_is_given_up_is_told_to_those_who_only_follow(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    follower = Outcomes(store, "run", 3, has_news=True)
    assert follower.refresh() == []
    write_lost(store, "run", 0, 2, tries=1, reason="no image")
    assert follower.refresh() == [0, 1]


def test_runs_whose_bucket_is_gone_are_passed_over(
    aws_box: Box, engine: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack()
    client = Client(Settings(home=home, progress=False))
    far = Knot(abs, backend="aws", client=client).map([-1], chunk_size=1)
    near = Knot(abs, client=client).map([-1])
    assert near.result() == [1]
    far.cancel()
    teardown = Teardown(Aws())
    teardown.remove(teardown.look("cloudknot"))
    fresh = Client(Settings(home=home, progress=False))
    assert [run.run_id for run in _read_rows(fresh, fresh.catalog.entries())] == [near.run_id]
    assert far.run_id in capsys.readouterr().err
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert far.run_id in prune(fresh, tomorrow)
    assert fresh.jobs() == []
