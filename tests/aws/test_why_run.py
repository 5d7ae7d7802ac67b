"""``cloudknot why RUN``: what the ledger tells, wherever the run was, and how items that failed are cured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloudknot import Knot
from cloudknot.cli import main
from cloudknot.cli.advice import advise
from cloudknot.cli.choosing import aws_of
from cloudknot.cli.why import Jobs, read_jobs
from cloudknot.config import Settings
from cloudknot.ledger import write_mark
from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import Orders
from cloudknot.runner.stores import FileStore
from cloudknot.runs import Run


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of its own."""
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOUDKNOT_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("CLOUDKNOT_PROGRESS", "no")
    monkeypatch.setenv("CLOUDKNOT_LOCAL_WORKERS", "2")


def open_brain(name: str) -> str:
    return Path(name).read_text()


def run_on(backend: str) -> Run:
    return Run(
        run_id="fit-1",
        name="fit",
        backend=backend,
        created="2026-01-01T00:00:00+00:00",
        is_single=False,
        length=3,
        orders=Orders(count=3, inputs_run="fit-1", shards=(0, 3)),
    )


def test_a_run_of_this_machine_names_its_causes_and_cures(capsys: pytest.CaptureFixture[str]) -> None:
    future = Knot(open_brain, name="brains").map(["/none/a", "/none/b"], on_error="continue")
    future.exception()
    assert main(["why", future.run_id]) == 0
    out = capsys.readouterr().out
    assert "2 items failed: FileNotFoundError" in out
    assert "(items 0, 1)" in out
    assert "to do: an absolute path of a file that is there" in out


def test_a_run_that_is_well_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    future = Knot(abs, name="well").map([-1, 2])
    future.result()
    assert main(["why", future.run_id]) == 0
    assert "nothing is wrong with it" in capsys.readouterr().out


def test_another_program_reads_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    future = Knot(open_brain, name="brains").map(["/none/a"], on_error="continue")
    future.exception()
    assert main(["why", future.run_id, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    [cause] = report["items"]
    assert cause["indices"] == [0]
    assert cause["cure"]
    assert report["jobs"]["groups"] == []


CURES = (
    (
        "CallLostError: killed for lack of memory (the control group counted an out-of-memory kill)",
        "memory_mib",
    ),
    ("MemoryError: Unable to allocate 8.0 GiB (fit.py:3)", "memory_mib="),
    ("CallLostError: killed by signal 11 (SIGSEGV)", "a library crashed"),
    ("CallLostError: ended with exit code 3", "cloudknot logs fit-1 2"),
    ("CallTimeoutError: it ran longer than 5 s", "timeout_s="),
    ("NotPicklableError: a generator", "plain values"),
    ("ModuleNotFoundError: No module named 'nibabel' (fit.py:1)", "Image(packages=[...])"),
    ("FileNotFoundError: no such file (fit.py:1)", "do not see this machine's files"),
    ("OSError: [Errno 28] No space left on device (fit.py:1)", "volume_gib="),
    ("ClientError: An error occurred (AccessDenied) when calling GetObject (fit.py:1)", "job role"),
    ("EndpointConnectionError: Could not connect (fit.py:1)", "cloudknot doctor"),
    ("ValueError: too few streamlines (fit.py:9)", "retry_failed(func)"),
)


@pytest.mark.parametrize(("cause", "cure"), CURES)
def test_an_item_that_failed_on_aws_has_a_cure(cause: str, cure: str) -> None:
    assert cure in advise(cause, run_on("aws"), 2)


def test_the_cure_goes_by_the_place() -> None:
    cause = "CallLostError: killed for lack of memory"
    assert "on_oom" in advise(cause, run_on("aws"), 0)
    assert "on_oom" not in advise(cause, run_on("local"), 0)


@pytest.mark.parametrize(("address", "region"), [("eu-west-1/cloudknot", "eu-west-1"), ("", "us-east-1")])
def test_a_runs_jobs_are_looked_for_in_its_own_region(tmp_path: Path, address: str, region: str) -> None:
    settings = Settings(home=tmp_path, region="us-east-1")
    assert aws_of(replace(run_on("aws"), address=address), settings).region == region


def test_the_jobs_of_a_run_stand_in_its_ledger(tmp_path: Path) -> None:
    store, keys = FileStore(tmp_path), Keys("fit-1")
    for wave in range(3):
        store.put(keys.wave(wave), b"{}")
    write_mark(store, keys.submitted(0), {"jobs": {"0": "a", "10000": "b"}})
    write_mark(store, keys.submitted(1), {"jobs": {"0": "c"}})
    assert read_jobs(store, "fit-1") == Jobs(ids=["a", "b", "c"], unconfirmed=1)
