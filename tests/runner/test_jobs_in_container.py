"""One job of a wave in a real container whose memory is limited."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from docker import DockerClient

import cloudknot
from cloudknot.ledger import Outcomes
from cloudknot.runner.envelopes import Outcome
from cloudknot.runner.jobs import DONE
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import FileStore
from cloudknot.runner.streams import ItemStream
from cloudknot.runs import Run
from tests.runner.test_jobs import plan
from tests.runner.test_supervisor import make_run, values_of

MEMORY_MIB = 200
IMAGE = "python:3.11-slim"

RunJob = Callable[[Run], tuple[int, str]]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def run_job(engine: DockerClient, tmp_path: Path, store: FileStore) -> Iterator[RunJob]:
    """Run the job of wave 0 in a container; return its exit code and what it said."""
    own, pickles = Path(cloudknot.__file__).parents[1], Path(cloudpickle.__file__).parent
    started: list[Any] = []

    def run(of: Run) -> tuple[int, str]:
        container = engine.containers.run(
            IMAGE,
            ["python", "-m", "cloudknot.runner", store.uri, of.run_id, "0", "0"],
            detach=True,
            mem_limit=MEMORY_MIB << 20,
            memswap_limit=MEMORY_MIB << 20,
            environment={"PYTHONPATH": "/opt/lib", "PYTHONDONTWRITEBYTECODE": "1"},
            volumes={
                str(own / "cloudknot" / "runner"): {"bind": "/opt/lib/cloudknot/runner", "mode": "ro"},
                str(pickles): {"bind": "/opt/lib/cloudpickle", "mode": "ro"},
                str(tmp_path): {"bind": str(tmp_path), "mode": "rw"},
            },
        )
        started.append(container)
        code = int(container.wait(timeout=60)["StatusCode"])
        return code, container.logs().decode()

    yield run
    for container in started:
        with contextlib.suppress(Exception):
            container.remove(force=True)


def make_taker() -> Callable[[int], int]:
    """Return a function that takes memory; it travels by value, as the container has no tests."""

    def take(mib: int) -> int:
        print("taking", mib, flush=True)
        return len(b"x" * (mib << 20)) >> 20

    return take


def outcomes_of(store: FileStore, run: Run) -> list[Outcome | None]:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    outcomes.refresh()
    return [outcomes.outcome(position) for position in range(run.orders.count)]


def test_an_item_that_lacks_memory_is_named_and_the_others_are_kept(
    store: FileStore, run_job: RunJob
) -> None:
    run = make_run(store, make_taker(), [1, 2, 900, 3])
    plan(store, run, memory_mib=MEMORY_MIB, commit_s=1000)
    code, said = run_job(run)
    assert code == DONE, said
    assert outcomes_of(store, run) == [Outcome.VALUE, Outcome.VALUE, Outcome.LOST, Outcome.VALUE]
    outcomes = Outcomes(store, run.run_id, 4)
    outcomes.refresh()
    lost = outcomes.envelope(2)
    assert "killed for lack of memory" in lost.detail["reason"]
    assert lost.log == b"taking 900\n"
    stream = ItemStream(2)
    stream.feed(said.splitlines())
    assert stream.log == lost.log


def test_an_item_that_lacks_memory_is_left_to_a_larger_job(store: FileStore, run_job: RunJob) -> None:
    run = make_run(store, make_taker(), [1, 900, 2, 901, 3, 902])
    plan(store, run, memory_mib=MEMORY_MIB, commit_s=1000, defers_oom=True)
    code, said = run_job(run)
    assert code == DONE, said
    assert [position for position, outcome in enumerate(outcomes_of(store, run)) if outcome is None] == [
        1,
        3,
        5,
    ]
    assert values_of(store, run) == [1, 2, 3]
    keys = Keys(run.run_id)
    assert list(store.list(keys.deferrals)) == [keys.deferral(position, MEMORY_MIB) for position in (1, 3, 5)]
    assert said.count("taking 900") == 1, "it was tried again with the same memory"
    assert f"[cloudknot] ! item 1 ran out of memory ({MEMORY_MIB} MiB): it is left to a larger job" in said


def test_a_program_that_lacks_memory_is_its_items_lack(store: FileStore, run_job: RunJob) -> None:
    def start_program(mib: int) -> bool:
        import os
        import subprocess
        import sys

        subprocess.run([sys.executable, "-c", f"len(b'x' * ({mib} << 20))"], check=True)
        return "CLOUDKNOT_DEFERS_OOM" in os.environ

    run = make_run(store, start_program, [1, 900, 2])
    plan(store, run, memory_mib=MEMORY_MIB, defers_oom=True)
    code, said = run_job(run)
    assert code == DONE, said
    assert outcomes_of(store, run) == [Outcome.VALUE, None, Outcome.VALUE]
    assert values_of(store, run) == [False, False]
    keys = Keys(run.run_id)
    assert list(store.list(keys.deferrals)) == [keys.deferral(1, MEMORY_MIB)]


def test_an_exception_is_no_lack_of_memory(store: FileStore, run_job: RunJob) -> None:
    run = make_run(store, lambda x: 1 // x, [0, 1])
    plan(store, run, memory_mib=MEMORY_MIB, defers_oom=True)
    assert run_job(run)[0] == DONE
    assert outcomes_of(store, run) == [Outcome.RAISED, Outcome.VALUE]


def test_another_kill_is_not_deferred(store: FileStore, run_job: RunJob) -> None:
    def die(x: int) -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    run = make_run(store, die, [0])
    plan(store, run, memory_mib=MEMORY_MIB, defers_oom=True)
    assert run_job(run)[0] == DONE
    assert outcomes_of(store, run) == [Outcome.LOST]
    assert list(store.list(Keys(run.run_id).deferrals)) == []
