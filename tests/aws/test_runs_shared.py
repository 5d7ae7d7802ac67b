"""Runs that several processes, machines or stacks have to do with."""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cloudknot import AwsError, CallSkippedError, Knot, Retry
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_substrate
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.ledger import Outcomes
from cloudknot.removal import prune
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import FileStore
from cloudknot.runs import State, Status
from cloudknot.testing import Box
from cloudknot.testing.faults import ServerError, SlowConnection
from cloudknot.watcher import Following
from tests.aws.lab import make_stack, switch_queue
from tests.conftest import Script, wait_until


@pytest.fixture
def place() -> str:
    return "aws"


@pytest.fixture
def far(aws_lab: Box, home: Path) -> Iterator[Client]:
    """A client with a ledger of its own."""
    yield Client(Settings(home=home, progress=False))
    aws_lab.clear_faults()


def waiting(gate: Path) -> Callable[[int], int]:
    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.05)
        return x

    return wait


def begin(script: Script, gate: Path, n_items: int) -> tuple[subprocess.Popen[str], str]:
    """Have another process start a map whose items wait; return it, and the run's id."""
    process = script.start(
        "import pathlib, time\nimport cloudknot as ck\n"
        f"gate = pathlib.Path({str(gate)!r})\n"
        "def wait(x):\n    while not gate.exists(): time.sleep(0.05)\n    return x\n"
        f"print(ck.Knot(wait).map(range({n_items})).run_id, flush=True)\ntime.sleep(60)\n"
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


class Heard:
    """Stands in for a future: keeps what it was told."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes, self.run, self.run_id = outcomes, None, "run"
        self.settled: list[int] = []

    @property
    def items(self) -> Any:
        return self

    @property
    def counts(self) -> Any:
        return self.outcomes.counts

    def of_positions(self, positions: list[int]) -> list[int]:
        return positions

    def settle(self, indices: list[int]) -> None:
        self.settled += indices

    def finish(self, state: State, explain: Any) -> None:
        self.state = state


def test_what_nobody_announced_is_found_at_the_end(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    outcomes = Outcomes(store, "run", 1, has_news=True)
    outcomes.refresh()
    store.put(Keys("run").pack(0), Envelope(outcome=Outcome.VALUE, position=0).encode())
    heard: Any = Heard(outcomes)
    Following(heard, lambda: Status(state=State.DONE)).advance()
    assert heard.settled == [0]
    assert outcomes.is_complete


def test_a_run_that_stops_ends_though_what_was_planned_could_not_be_submitted(
    aws_lab: Box, far: Client, gate: Path
) -> None:
    wait = waiting(gate)

    def fail_at_19(x: int) -> int:
        wait(x)
        if x == 19:
            time.sleep(4)
            raise ValueError(x)
        return x

    future = Knot(fail_at_19, backend="aws", client=far).map(range(100), on_error="stop")
    queue = read_substrate(Aws(), "cloudknot").queues["x86"]
    switch_queue(aws_lab, queue, "DISABLED")
    try:
        gate.touch()
        with pytest.raises(ValueError, match="19"):
            future.result(timeout=60)
        assert future.state is State.STOPPED
    finally:
        switch_queue(aws_lab, queue, "ENABLED")


def test_items_behind_a_failure_that_stops_the_map_were_not_run_and_can_be(far: Client) -> None:
    def fail_at_first(x: int) -> int:
        return 1 // x

    knot = Knot(fail_at_first, backend="aws", client=far, retries=Retry(lost=0))
    future = knot.map(range(5), chunk_size=5, on_error="stop")
    errors = future.result(timeout=60, return_exceptions=True)
    assert isinstance(errors[0], ZeroDivisionError)
    assert all(isinstance(error, CallSkippedError) for error in errors[1:])


def test_an_attach_that_failed_can_be_tried_again(
    aws_lab: Box, far: Client, script: Script, gate: Path
) -> None:
    process, run_id = begin(script, gate, 3)
    process.kill()
    process.wait()
    aws_lab.add_fault(ServerError(service="batch", operation="DescribeJobDefinitions", times=8))
    with pytest.raises(AwsError):
        far.attach(run_id)
    gate.touch()
    assert far.attach(run_id).result(timeout=60) == [0, 1, 2]


def test_a_run_that_was_followed_is_taken_over_when_its_process_is_gone(
    far: Client, script: Script, gate: Path
) -> None:
    process, run_id = begin(script, gate, 30)
    followed = far.attach(run_id)
    assert far.catalog.generation(run_id) == 0
    process.kill()
    process.wait()
    taken = far.attach(run_id)
    assert far.catalog.generation(run_id) == 2
    gate.touch()
    assert taken.result(timeout=60) == list(range(30))
    assert followed.result(timeout=60) == list(range(30))


def test_of_two_threads_that_attach_one_follows_the_other(
    aws_lab: Box, far: Client, script: Script, gate: Path
) -> None:
    process, run_id = begin(script, gate, 3)
    process.kill()
    process.wait()
    aws_lab.add_fault(SlowConnection(service="batch", operation="DescribeJobDefinitions", delay_s=1.0))
    gate.touch()
    with ThreadPoolExecutor(2) as threads:
        futures = list(threads.map(far.attach, [run_id] * 2))
    assert [future.result(timeout=60) for future in futures] == [[0, 1, 2]] * 2


def test_pruning_leaves_a_run_that_goes_on_without_a_process(
    far: Client, script: Script, gate: Path, home: Path
) -> None:
    process, run_id = begin(script, gate, 3)
    process.kill()
    process.wait()
    done = Knot(abs, client=far).map([-1])
    assert done.result() == [1]
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert prune(Client(Settings(home=home, backend="aws", progress=False)), tomorrow) == [done.run_id]
    gate.touch()
    assert far.attach(run_id).result(timeout=60) == [0, 1, 2]
    assert run_id in prune(far, tomorrow)


def test_a_run_taken_over_elsewhere_is_followed_to_its_end(
    aws_lab: Box, far: Client, tmp_path: Path, gate: Path
) -> None:
    future = Knot(waiting(gate), backend="aws", client=far).map(range(30))
    elsewhere = Client(Settings(home=tmp_path / "elsewhere", backend="aws", progress=False))
    taken: Any = elsewhere.attach(future.run_id)
    gate.touch()
    assert taken.result(timeout=90) == list(range(30))
    assert future.result(timeout=90) == list(range(30))
    queue = read_substrate(Aws(), "cloudknot").queues["x86"]
    filters = [{"name": "JOB_NAME", "values": [f"{future.run_id}*"]}]
    jobs = aws_lab.client("batch").list_jobs(jobQueue=queue, filters=filters)["jobSummaryList"]
    assert sorted(job["jobName"].removeprefix(future.run_id) for job in jobs) == ["-0-0", "-1-0"]


@pytest.mark.aws_box(executor="process")
def test_a_run_of_another_stack_is_found_and_cancelled_there(
    aws_box: Box, engine: Any, home: Path, gate: Path
) -> None:
    make_stack()
    make_stack("second")
    there = Client(Settings(home=home, stack="second", progress=False))
    future = Knot(waiting(gate), backend="aws", client=there).map(range(2))
    here = Client(Settings(home=home, progress=False))
    found = here.find(future.run_id)
    assert found.state is State.RUNNING
    here.cancel(found.run, None)
    queue = read_substrate(Aws(), "second").queues["x86"]
    batch = aws_box.client("batch")
    wait_until(
        lambda: batch.list_jobs(jobQueue=queue, jobStatus="FAILED")["jobSummaryList"] != [], timeout_s=40
    )
    wait_until(lambda: future.state is State.CANCELLED, timeout_s=40)
