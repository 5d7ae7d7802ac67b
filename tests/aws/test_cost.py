"""What a run has cost: real jobs of the box, at prices of the package's table, against figures by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudknot.aws.prices import price_of
from cloudknot.aws.session import Aws
from cloudknot.catalog import Catalog
from cloudknot.cli import main
from cloudknot.cost import Cost, cost_of
from cloudknot.ledger import write_mark, write_run
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import Orders
from cloudknot.runner.stores import FileStore
from cloudknot.runner.waves import Span, Wave
from cloudknot.runs import Run
from cloudknot.specs import Resources
from cloudknot.testing import Box
from cloudknot.testing.faults import Stale
from tests.aws.jobs import GatedJobs

pytestmark = pytest.mark.aws_box(executor="process", ticking=False)
HOUR = 3600
WEEK = 7 * 24 * HOUR
# Half a c6i.large: 0.085 USD an hour on demand, and of its disk of 100 GiB at 0.08 USD a month.
PER_HOUR = 0.0425
DISK_PER_HOUR = 0.5 * 100 * 0.08 / 730
LARGE = 6000  # MiB that no c6i.large has


class Ledger:
    """A run of six items in a ledger, with the waves that a test says."""

    def __init__(self, home: Path, box: Box | None, *, place: str = "aws", **resources: Any) -> None:
        self.home = home
        self.box = box
        self.store = FileStore(home)
        self.run = Run(
            run_id="fit-1",
            name="fit",
            backend=place,
            created="2026-11-01T10:00:00+00:00",
            is_single=False,
            length=6,
            orders=Orders(count=6, inputs_run="fit-1", shards=(0, 6)),
            resources=Resources(memory_mib=1024, **resources),
            function="fit",
        )
        self.keys = Keys("fit-1")
        write_run(self.store, self.run, function=b"")
        write_mark(self.store, self.keys.settled(0), {"state": "done", "reason": ""})
        Catalog(home).add(self.run, self.store.uri)

    def add_wave(
        self, number: int, *spans: Span, jobs: dict[int, str] | None, memory_mib: int = 1024
    ) -> None:
        wave = Wave(number=number, spans=spans, memory_mib=memory_mib)
        self.store.put(self.keys.wave(number), wave.encode())
        if jobs is not None:
            write_mark(self.store, self.keys.submitted(number), {"jobs": jobs})

    def add_pack(self, first: int, *seconds: float) -> None:
        envelopes = (
            Envelope(outcome=Outcome.VALUE, position=first + place, seconds=one, payload=b"1").encode()
            for place, one in enumerate(seconds)
        )
        self.store.put(self.keys.pack(first), b"".join(envelopes))

    def cost(self, ended: int = 6) -> Cost:
        now = 0.0 if self.box is None else self.box.now()
        return cost_of(self.run, self.store, Aws(), ended=ended, now=now, home=self.home)


def requests(box: Box) -> list[str]:
    return [call.operation for call in box.calls() if call.service == "batch"]


def run_array(jobs: GatedJobs, *, hours: float = 1.0, code: int = 0) -> str:
    """Run an array of two for so many hours."""
    array = jobs.start(2)
    jobs.box.advance(hours * HOUR)
    for index in range(2):
        jobs.open(index, code=code)
    jobs.finish(array)
    return array


def test_a_run_costs_the_time_of_its_jobs(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    ledger.add_wave(0, Span(0, 6, 3), jobs={0: run_array(GatedJobs(aws_box, tmp_path))})
    cost = ledger.cost()
    assert cost.seconds == pytest.approx(2 * HOUR, abs=0.1)
    assert cost.usd == pytest.approx(2 * (PER_HOUR + DISK_PER_HOUR), rel=1e-4)
    assert cost.storage_usd == pytest.approx(2 * DISK_PER_HOUR, rel=1e-4)
    assert cost.usd_per_item == pytest.approx(cost.usd / 6)
    assert cost.cut_usd == 0
    assert cost.is_final
    [source] = cost.sources
    assert source.startswith("cloudknot's own table of 20")


def test_what_attempts_cost_that_did_not_end_well_is_told(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box, spot=True)
    jobs = GatedJobs(aws_box, tmp_path, kind="SPOT")
    job = jobs.start()
    aws_box.advance(HOUR)
    aws_box.reclaim(aws_box.hosts()[0])
    jobs.wait(job, "RUNNING")
    aws_box.advance(3 * HOUR)
    jobs.open()
    jobs.finish(job)
    ledger.add_wave(0, Span(0, 6, 6), jobs={0: job})
    cost = ledger.cost()
    spot = price_of(Aws(), ledger.run.resources, region="us-east-1").usd_per_hour
    assert cost.count("attempts") == 2
    assert cost.cut_usd == pytest.approx(spot, rel=1e-4)
    assert cost.usd - cost.storage_usd == pytest.approx(4 * spot, rel=1e-4)
    assert cost.sources[0].startswith("EC2's Spot price history, us-east-1")


def test_each_wave_has_the_price_of_its_memory(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    jobs = GatedJobs(aws_box, tmp_path)
    job = jobs.start()
    aws_box.advance(HOUR)
    jobs.open()
    jobs.finish(job)
    ledger.add_wave(0, Span(0, 6, 6), jobs={0: job}, memory_mib=LARGE)
    large = price_of(Aws(), replace(ledger.run.resources, memory_mib=LARGE), region="us-east-1")
    assert large.machine == "r6i.large"  # 6,000 of 15,938 usable MiB are less than one of two vCPUs
    assert large.usd_per_hour == pytest.approx(0.126 / 2)
    assert ledger.cost().usd == pytest.approx(large.usd_per_hour + large.storage_usd_per_hour, rel=1e-4)


def test_a_cost_is_kept_when_batch_has_forgotten_the_jobs(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    ledger.add_wave(0, Span(0, 6, 3), jobs={0: run_array(GatedJobs(aws_box, tmp_path))})
    before = ledger.cost()
    asked = requests(aws_box)
    aws_box.advance(WEEK + HOUR)
    assert ledger.cost() == before
    assert requests(aws_box) == asked


def test_what_runs_costs_until_now_and_is_not_kept(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    jobs = GatedJobs(aws_box, tmp_path)
    array = jobs.start(2)
    ledger.add_wave(0, Span(0, 6, 3), jobs={0: array})
    aws_box.advance(HOUR)
    jobs.open(0)
    jobs.finish(f"{array}:0")
    aws_box.advance(HOUR)
    so_far = ledger.cost(ended=3)
    assert so_far.seconds == pytest.approx(3 * HOUR, abs=0.1)
    assert not so_far.is_final
    aws_box.advance(HOUR)
    jobs.open(1)
    jobs.finish(array)
    assert ledger.cost().seconds == pytest.approx(4 * HOUR, abs=0.1)


def test_of_jobs_that_batch_has_forgotten_the_items_times_are_counted(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    array = run_array(GatedJobs(aws_box, tmp_path))
    ledger.add_wave(0, Span(0, 6, 3), jobs={0: array})
    # Items 4 and 5 were lost there, and planned again.
    ledger.add_wave(1, Span(4, 6, 2), jobs={0: "forgotten-too"}, memory_mib=LARGE)
    ledger.add_pack(0, 900.0, 1800.0)
    ledger.add_pack(2, 900.0, 0.0)
    ledger.add_pack(4, 1800.0, 1800.0)
    aws_box.advance(WEEK + HOUR)
    cost = ledger.cost()
    assert cost.count("forgotten") == 2 + 1
    assert [job.seconds for job in cost.jobs] == [3600.0, 3600.0]
    assert cost.usd - cost.storage_usd == pytest.approx(PER_HOUR + 0.126 / 2)
    assert cost.count("attempts") == 0


def test_a_job_that_batch_does_not_know_yet_is_not_taken_for_forgotten(aws_box: Box, tmp_path: Path) -> None:
    ledger, jobs = Ledger(tmp_path, aws_box), GatedJobs(aws_box, tmp_path)
    aws_box.add_fault(Stale(service="batch", seconds=5))
    job = jobs.submit()
    ledger.add_wave(0, Span(0, 6, 6), jobs={0: job})
    assert ledger.cost(ended=0).usd_per_item is None
    aws_box.advance(5)
    jobs.wait_until_running(job)
    aws_box.advance(HOUR)
    jobs.open()
    jobs.finish(job)
    assert ledger.cost().seconds == pytest.approx(HOUR, abs=0.1)


def test_a_wave_whose_jobs_are_not_written_down_is_told(aws_box: Box, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, aws_box)
    ledger.add_wave(0, Span(0, 6, 3), jobs=None)
    assert not ledger.cost().is_final
    assert ledger.cost().unconfirmed == 1


def test_a_run_on_this_machine_costs_nothing_and_nobody_is_asked(aws_box: Box, tmp_path: Path) -> None:
    cost = Ledger(tmp_path, aws_box, place="docker").cost()
    assert cost.usd == 0
    assert cost.is_final
    assert [call.operation for call in aws_box.calls() if call.service != "sts"] == []


# -- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Run the command line with a ledger of its own; return what it printed."""
    home = tmp_path / "ledger"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("CLOUDKNOT_HOME", str(home))
    monkeypatch.setenv("CLOUDKNOT_CONFIG", str(tmp_path / "no-config.toml"))

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == 0
        return capsys.readouterr().out

    run.home = home
    return run


def test_the_command_tells_a_person_and_a_program(aws_box: Box, tmp_path: Path, command: Any) -> None:
    ledger = Ledger(command.home, aws_box)
    array = run_array(GatedJobs(aws_box, tmp_path), code=1)
    ledger.add_wave(0, Span(0, 6, 3), jobs={0: array})
    ledger.add_pack(0, 1.0, 2.0)
    lines = {line[:12].strip(): line[12:].strip() for line in command("cost", "fit").splitlines()}
    assert lines["Cost"] == "0.096 USD"
    assert lines["Compute"] == "0.085 USD for 2 h of 2 jobs, 2 attempts"
    assert lines["cut short"].startswith("0.085 USD of it")
    assert lines["Per item"] == "0.048 USD for each of 2 items"
    assert "50% of c6i.large" in lines["Prices"]
    record = json.loads(command("cost", "fit-1", "--json"))
    assert record["usd"] == pytest.approx(2 * (PER_HOUR + DISK_PER_HOUR), rel=1e-4)
    assert (record["jobs"], record["attempts"], record["ended"]) == (2, 2, 2)
    assert record["is_final"]


def test_the_command_says_what_is_from_the_ledger(aws_box: Box, tmp_path: Path, command: Any) -> None:
    ledger = Ledger(command.home, aws_box)
    ledger.add_wave(0, Span(0, 6, 6), jobs={0: "long-ago"})
    ledger.add_pack(0, *[600.0] * 6)
    told = command("cost", "fit-1")
    assert "0.048 USD" in told
    assert "Batch has forgotten 1 job: of these what their items took, without starts and retries" in told


def test_the_command_says_that_this_machine_costs_nothing(command: Any) -> None:
    Ledger(command.home, None, place="local")
    told = command("cost", "fit-1")
    assert "nothing: fit-1 is a run of the place 'local', on this machine" in told
    assert json.loads(command("cost", "fit-1", "--json"))["usd"] == 0
    shutil.rmtree(command.home)
