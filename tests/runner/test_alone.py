"""The runner's folder alone, in an environment that holds nothing but cloudpickle."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import cloudknot
from cloudknot import Knot
from cloudknot.client import Client
from cloudknot.runner.keys import Keys
from cloudknot.runner.packs import committed_until
from cloudknot.runner.stores import FileStore

MakeKnot = Callable[..., Knot[Any]]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter whose environment has the runner's folder and cloudpickle, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    shutil.copytree(Path(cloudpickle.__file__).parent, site / "cloudpickle")
    shutil.copytree(
        Path(cloudknot.__file__).parent / "runner",
        site / "cloudknot" / "runner",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return folder / "bin" / "python"


def _forget_outcomes(client: Client, run_id: str, *, but: int = 0) -> FileStore:
    store = FileStore(client.settings.home)
    for key in list(store.list(Keys(run_id).packs))[but:]:
        store.delete(key)
    return store


def _run(python: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "cloudknot.runner", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd="/",
        check=False,
    )


def test_it_runs_a_chunk(bare_python: Path, make_knot: MakeKnot, client: Client) -> None:
    future = make_knot(lambda x: print("item", x) or x + 1).map(range(10), chunk_size=4)
    expected = future.result()
    store = _forget_outcomes(client, future.run_id)
    done = _run(bare_python, store.uri, future.run_id, "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"item {x}\n" for x in range(4, 8))
    assert committed_until(store, future.run_id, 4) == 8
    assert committed_until(store, future.run_id, 0) == 0
    for index in (0, 2):
        # The index that AWS Batch gives a child of an array.
        assert (
            _run(bare_python, store.uri, future.run_id, AWS_BATCH_JOB_ARRAY_INDEX=str(index)).returncode == 0
        )
    assert client.find(future.run_id).result() == expected


def test_it_goes_on_behind_what_was_committed(bare_python: Path, make_knot: MakeKnot, client: Client) -> None:
    future = make_knot(lambda x: print("item", x)).map(range(6), chunk_size=2)
    future.result()
    store = _forget_outcomes(client, future.run_id, but=1)
    first = next(iter(store.list(Keys(future.run_id).packs)))
    assert first.endswith("000000000000")
    # As one chunk of all six: the first two are there.
    record = store.get(Keys(future.run_id).run).replace(b'"chunk_size": 2', b'"chunk_size": 6')
    store.put(Keys(future.run_id).run, record)
    done = _run(bare_python, store.uri, future.run_id)
    assert done.stdout == "".join(f"item {x}\n" for x in range(2, 6))
    assert _run(bare_python, store.uri, future.run_id).stdout == ""


def test_it_brings_the_persons_own_modules(
    bare_python: Path, make_knot: MakeKnot, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_module_of_a_person.py").write_text("def triple(x): return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import own_module_of_a_person  # type: ignore[import-not-found]

    future = make_knot(own_module_of_a_person.triple).map([1, 2], chunk_size=2)
    assert future.result() == [3, 6]
    store = _forget_outcomes(client, future.run_id)
    done = _run(bare_python, store.uri, future.run_id)
    assert done.returncode == 0, done.stderr
    assert committed_until(store, future.run_id, 0) == 2


def test_it_says_how_it_is_used(bare_python: Path) -> None:
    done = _run(bare_python)
    assert done.returncode == 2
    assert "usage: python -m cloudknot.runner STORE RUN [INDEX]" in done.stderr


def test_sigterm_commits_what_has_ended(
    bare_python: Path, make_knot: MakeKnot, client: Client, tmp_path: Path
) -> None:
    def wait(x: int) -> int:
        import pathlib
        import time

        while x == 2 and not pathlib.Path(gate).exists():
            pathlib.Path(started).touch()
            time.sleep(0.01)
        return x

    gate, started = str(tmp_path / "gate"), str(tmp_path / "started")
    Path(gate).touch()
    future = make_knot(wait).map(range(4), chunk_size=4)
    future.result()
    store = _forget_outcomes(client, future.run_id)
    Path(gate).unlink()
    process = subprocess.Popen(
        [str(bare_python), "-m", "cloudknot.runner", store.uri, future.run_id],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    from tests.conftest import wait_until

    wait_until(Path(started).exists)
    process.terminate()
    assert process.wait(timeout=10) == 1
    assert committed_until(store, future.run_id, 0) == 2
