"""A run outlives the process that made it."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudknot import CallLostError, InputError, Knot, RunOwnedError, StoreError, UnknownRunError
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.removal import prune
from cloudknot.runner.keys import Keys
from tests.conftest import WORKERS, Script, is_alive, wait_until

MakeKnot = Callable[..., Knot[Any]]

# Maps 12 items of which the first four end at once, and prints the run's id.
HALF_DONE = """
import os, pathlib, subprocess, sys, time
import cloudknot as ck

LEAVE_FOOTPRINT = (
    "import os, pathlib, sys\\n"
    "footprint = pathlib.Path(f'{sys.argv[1]}-{os.getpid()}')\\n"
    "footprint.unlink(missing_ok=True)\\n"  # another container may have had a process of that number
    "footprint.symlink_to(os.readlink('/proc/self/ns/pid'))\\n"
)

HERE = os.getcwd()

def wait(x):
    os.chdir(HERE)  # a job has a folder of its own
    sys.argv = ["", f"began-{x}"]
    exec(LEAVE_FOOTPRINT)
    print("item", x)
    if x >= 4 and not pathlib.Path("gate").exists():
        wait = "import time\\nwhile not pathlib.Path('gate').exists(): time.sleep(0.01)"
        subprocess.run([sys.executable, "-c", LEAVE_FOOTPRINT + wait, f"child-{x}"], check=True)
    return x * 10

future = ck.Knot(wait, name="half").map(range(12), chunk_size=1)
for x in range(4):
    future[x].result()
print(future.run_id, flush=True)
"""


@pytest.fixture
def other(home: Path, tmp_path: Path) -> Client:
    """A client on the script's ledger: as another process would see it."""
    return Client(Settings(home=home, local_workers=WORKERS, progress=False, volumes=(str(tmp_path),)))


def _footprints(folder: Path) -> list[Path]:
    return [path for pattern in ("began-*", "child-*") for path in folder.glob(pattern)]


def test_attach_gives_the_same_futures_in_another_process(script: Script, other: Client) -> None:
    run_id = script.run(
        "import cloudknot as ck\n"
        "future = ck.Knot(lambda x: 1 // x, name='finished').map([1, 0, 2])\n"
        "future.exception()\n"
        "print(future.run_id)\n"
    ).strip()
    future = other.find(run_id)
    assert future.done()
    assert future.result(return_exceptions=True)[::2] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        future[1].result()


def test_attach_gives_a_submits_own_future(script: Script, home: Path) -> None:
    out = script.run(
        "import cloudknot as ck\n"
        "future = ck.Knot(pow, name='single').submit(2, exp=5)\n"
        "future.result()\n"
        "again = ck.attach(future.run_id)\n"
        "print(again.result(), type(again).__name__, again.run_id == future.run_id)\n"
    )
    assert out.split() == ["32", "CallFuture", "True"]


def test_an_unknown_run_says_so(other: Client) -> None:
    with pytest.raises(UnknownRunError, match="no run 'nothing'"):
        other.attach("nothing")


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
class TestAfterKill:
    """The client was killed by force."""

    @pytest.fixture
    def killed(self, script: Script) -> str:
        process = script.start(HALF_DONE + "\ntime.sleep(600)\n")
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        wait_until(lambda: len(list(script.folder.glob("child-*"))) >= WORKERS)
        process.kill()
        process.communicate()
        return run_id

    def test_workers_and_what_they_started_end_within_seconds(self, script: Script, killed: str) -> None:
        wait_until(lambda: not any(map(is_alive, _footprints(script.folder))), timeout_s=5)

    def test_attach_gives_what_had_ended_and_never_hangs(self, killed: str, other: Client) -> None:
        future = other.find(killed)
        assert [future[x].result(timeout=0) for x in range(4)] == [0, 10, 20, 30]
        assert future[0].logs() == "item 0\n"
        with pytest.raises(CallLostError, match=r"the process that ran it has ended.*resume\(\)"):
            future.result(timeout=5)
        assert "interrupted: 4 done, 8 not finished of 12" in repr(future)

    def test_resume_runs_what_had_not_finished_and_only_that(
        self, script: Script, killed: str, other: Client
    ) -> None:
        (script.folder / "gate").touch()
        wait_until(lambda: not any(map(is_alive, _footprints(script.folder))), timeout_s=5)
        began = {path.name.split("-")[1] for path in script.folder.glob("began-*")}
        assert began >= {"0", "1", "2", "3"}
        for path in script.folder.glob("began-*"):
            path.unlink()
        resumed = other.find(killed).resume()
        assert resumed.run_id == killed
        assert resumed.result(timeout=30) == [x * 10 for x in range(12)]
        assert {path.name.split("-")[1] for path in script.folder.glob("began-*")} == set(
            map(str, range(4, 12))
        )
        assert resumed.resume() is resumed

    def test_two_cannot_resume_at_once(self, script: Script, killed: str, other: Client, home: Path) -> None:
        future = other.find(killed)
        future.resume()
        third = Client(Settings(home=home, local_workers=WORKERS, progress=False))
        attached = third.find(killed)
        assert not attached.done()
        with pytest.raises(RunOwnedError, match=f"run {killed} is being run by process {os.getpid()}"):
            attached.resume()
        (script.folder / "gate").touch()
        assert attached.result(timeout=30) == [x * 10 for x in range(12)]

    def test_it_resumes_the_code_as_it_was(self, script: Script, other: Client) -> None:
        (script.folder / "helpers.py").write_text("def answer(): return 'as it was'\n")
        process = script.start(
            "import pathlib, time\nimport cloudknot as ck\nimport helpers\n"
            "def wait(x):\n"
            "    while x and not pathlib.Path('gate').exists(): time.sleep(0.01)\n"
            "    return helpers.answer()\n"
            "future = ck.Knot(wait).map([0, 1], chunk_size=1)\n"
            "future[0].result()\n"
            "print(future.run_id, flush=True)\n"
            "time.sleep(600)\n"
        )
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        process.kill()
        process.communicate()
        (script.folder / "helpers.py").write_text("def answer(): return 'edited since'\n")
        (script.folder / "gate").touch()
        assert other.find(run_id).resume().result(timeout=30) == ["as it was"] * 2


def test_another_version_of_python_cannot_go_on(script: Script, other: Client) -> None:
    run_id = script.run(
        "import cloudknot as ck\n"
        "future = ck.Knot(lambda x: 1 // x).map([0, 1])\n"
        "future.exception()\n"
        "print(future.run_id)\n"
    ).strip()
    store, key = other.store_of(run_id), Keys(run_id).run
    store.put(key, re.sub(rb'"python": "[0-9.]+"', b'"python": "3.1"', store.get(key)))
    older = other.find(run_id)
    with pytest.raises(InputError, match=r"was started with Python 3.1 and this is"):
        older.retry_failed()
    assert older.retry_failed(lambda x: x).result() == [0, 1]


def test_attach_to_a_living_run_follows_it(script: Script, other: Client) -> None:
    process = script.start(HALF_DONE + "\nprint(future.result()[-1])\n")
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    future = other.find(run_id)
    assert future[3].result(timeout=10) == 30
    assert not future.done()
    with pytest.raises(RunOwnedError, match=f"process {process.pid}"):
        future.resume()
    (script.folder / "gate").touch()
    assert future.result(timeout=30) == [x * 10 for x in range(12)]
    assert process.communicate(timeout=20)[0].strip() == "110"


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
def test_a_followers_future_fails_when_the_owner_is_killed(script: Script, other: Client) -> None:
    process = script.start(HALF_DONE + "\ntime.sleep(600)\n")
    assert process.stdout is not None
    future = other.find(process.stdout.readline().strip())
    assert not future.done()
    process.kill()
    process.communicate()
    assert isinstance(future.exception(timeout=10), CallLostError)


def test_a_map_can_be_cancelled_from_another_process(script: Script, other: Client) -> None:
    process = script.start(HALF_DONE + "\nprint(repr(future.exception() if not future.cancelled() else 0))\n")
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    wait_until(lambda: len(list(script.folder.glob("child-*"))) >= WORKERS)
    assert other.find(run_id).cancel()
    wait_until(lambda: not any(map(is_alive, _footprints(script.folder))), timeout_s=5)
    out, err = process.communicate(timeout=20)
    assert "CancelledError" in out + err


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
def test_the_end_of_the_interpreter_does_not_wait_for_jobs(script: Script, other: Client) -> None:
    began = time.monotonic()
    run_id = script.run(HALF_DONE).strip()
    assert time.monotonic() - began < 10
    wait_until(lambda: not any(map(is_alive, _footprints(script.folder))), timeout_s=5)
    future = other.find(run_id)
    assert "interrupted" in repr(future)
    (script.folder / "gate").touch()
    assert future.resume().result(timeout=30)[-1] == 110


def test_ctrl_c_in_result_leaves_the_run_going(script: Script, place: str) -> None:
    process = script.start(
        HALF_DONE.rpartition("print")[0]
        + """
try:
    print(future.run_id, flush=True)
    future.result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(future.result()[-1], len(future.failed))
"""
    )
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(lambda: len(list(script.folder.glob("child-*"))) >= WORKERS)
    # A terminal sends it to the whole foreground group; workers are in sessions of their own.
    if place == "local":
        pids = [int(path.name.rpartition("-")[2]) for path in _footprints(script.folder) if is_alive(path)]
        assert pids
        assert all(os.getsid(pid) != os.getsid(process.pid) for pid in pids)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().strip() == "interrupted"
    (script.folder / "gate").touch()
    assert process.communicate(timeout=20)[0].strip() == "110 0"


def test_jobs_are_those_of_earlier_processes_too(script: Script, other: Client) -> None:
    code = (
        "import cloudknot as ck\n"
        "ck.Knot(abs, name='pi').map([{}]).result()\n"
        "ck.Knot(abs, name='pi-b').map([1])\n"
    )
    script.run(code.format(-1))
    script.run(code.format(-2))
    knot = Knot(abs, name="pi", client=other)
    mine = knot.map([-3])
    assert mine.result() == [3]
    assert [job.result() for job in knot.jobs] == [[1], [2], [3]]
    assert knot.jobs[-1] is mine
    assert len(knot.jobs) == 3


def test_view_jobs_shows_a_table(make_knot: MakeKnot, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    knot = make_knot(lambda x: 1 // x, name=f"shown-{place}")
    knot.map([1, 0, 2]).exception()
    knot.view_jobs()
    head, row = capsys.readouterr().out.strip().split("\n")
    assert head.split() == ["Job", "ID", "Name", "Status", "Done", "Failed", "Total", "Started"]
    assert row.split()[1:6] == [f"shown-{place}", "failed", "2", "1", "3"]


class TestClobber:
    """Clobber stops a Knot's jobs and leaves all others."""

    def test_it_stops_jobs_and_keeps_results(self, make_knot: MakeKnot, gate: Path, place: str) -> None:
        def wait(x: int) -> int:
            while x and not gate.exists():
                time.sleep(0.01)
            return x

        # A name's jobs are those of all places, and other places' tests have the same ledger.
        mine, others = make_knot(wait, name=f"mine-{place}"), make_knot(wait, name=f"others-{place}")
        kept = others.map([1])
        future = mine.map([0, 1], chunk_size=1)
        assert future[0].result(timeout=20) == 0
        assert mine.clobber()[:2] == (1, 0)
        assert future.cancelled()
        assert mine.jobs[0].result(return_exceptions=True)[0] == 0
        gate.touch()
        assert kept.result(timeout=20) == [1]

    def test_it_removes_results_when_asked(self, make_knot: MakeKnot, client: Client, place: str) -> None:
        knot = make_knot(abs, name=f"removed-{place}")
        run_id = knot.map([1]).run_id
        knot.map([2]).result()
        assert knot.clobber(results=True).removed == 2
        assert len(knot.jobs) == 0
        assert not (client.settings.home / "runs" / run_id).exists()
        with pytest.raises(UnknownRunError):
            client.attach(run_id)

    def test_removing_a_running_job_leaves_nothing(
        self, make_knot: MakeKnot, client: Client, place: str
    ) -> None:
        knot = make_knot(time.sleep, name=f"running-{place}")
        run_id = knot.map([0, 30, 30, 30], chunk_size=1).run_id
        assert knot.clobber(results=True)[:2] == (1, 1)
        assert make_knot(abs).map([-1] * 20).result() == [1] * 20
        assert not (client.settings.home / "runs" / run_id).exists()


@pytest.mark.many_jobs
def test_many_processes_at_once_lose_nothing(script: Script, other: Client, place: str) -> None:
    n_processes = 3 if place == "aws" else 12  # each of its jobs there loads a client of S3's
    code = (
        "import cloudknot as ck\n"
        "for n in range(5):\n"
        "    assert ck.Knot(lambda x: x + n, name='many').map(range(3)).result() == [n, n + 1, n + 2]\n"
    )
    processes = [script.start(code) for _ in range(n_processes)]
    for process in processes:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    jobs = Knot(abs, name="many", client=other).jobs
    assert len(jobs) == 5 * n_processes
    assert all(job.done() and len(job.result()) == 3 for job in jobs)


@pytest.mark.many_jobs
def test_a_forked_child_can_map_too(script: Script) -> None:
    out = script.run(
        """
import os
import cloudknot as ck
knot = ck.Knot(abs)
print(knot.map([-1]).result(), flush=True)
if os.fork() == 0:
    print(ck.Knot(abs).map([-2]).result(), flush=True)
    os._exit(0)
os.wait()
print(knot.map([-3]).result(), flush=True)
"""
    )
    assert out.split() == ["[1]", "[2]", "[3]"]


def test_the_record_of_a_run_is_plain_json(make_knot: MakeKnot, client: Client) -> None:
    run_id = make_knot(abs, name="plain", env_vars={"A": "1"}).map([1]).run_id
    record = json.loads(client.store_of(run_id).get(Keys(run_id).run))
    assert record["name"] == "plain"
    assert record["orders"]["count"] == 1
    assert (client.settings.home.stat().st_mode & 0o077) == 0


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
def test_ctrl_c_at_the_end_of_a_script_leaves_an_interrupted_run(script: Script, other: Client) -> None:
    process = script.start(
        "import pathlib, time\nimport cloudknot as ck\n"
        "def wait(x):\n    pathlib.Path(f'began-{x}').touch()\n    time.sleep(60)\n"
        "future = ck.Knot(wait).map([0, 1], chunk_size=1)\n"
        "print(future.run_id, flush=True)\n"
        "future.result()\n"
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    wait_until(lambda: len(list(script.folder.glob("began-*"))) == WORKERS)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert "interrupted: 0 done, 2 not finished of 2" in repr(other.find(run_id))


def test_failures_that_differ_only_in_the_item_are_one_cause(make_knot: MakeKnot) -> None:
    def fail(x: int) -> None:
        raise KeyError(f"sub-{x:02}")

    future = make_knot(fail).map(range(5))
    future.exception()
    assert list(future.failed.causes().values()) == [[0, 1, 2, 3, 4]]
    assert next(iter(future.failed.causes())).startswith("KeyError: 'sub-00' (")


def test_a_callback_under_way_is_let_finish_at_the_end_of_the_interpreter(script: Script) -> None:
    out = script.run(
        "import time\nimport cloudknot as ck\n"
        "future = ck.Knot(abs).map([-1])\n"
        "future.add_done_callback(lambda f: (time.sleep(0.3), print('callback', f.result())))\n"
        "future.result()\n"
    )
    assert out.strip() == "callback [1]"


def test_a_knot_made_before_a_fork_works_in_the_child(script: Script) -> None:
    out = script.run(
        "import os\nimport cloudknot as ck\n"
        "knot = ck.Knot(abs)\n"
        "knot.map([-1] * 8).result()\n"
        "if os.fork() == 0:\n"
        "    print(knot.map([-2]).result(timeout=30), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert out.strip() == "[2]"


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
def test_a_map_at_the_end_of_the_interpreter_fails_rather_than_hangs(script: Script) -> None:
    out = script.run(
        "import atexit, time\nimport cloudknot as ck\n"
        "def late():\n"
        "    for do in (lambda: future.result(timeout=20), lambda: knot.map([0])):\n"
        "        try: do()\n"
        "        except ck.KnotError as error: print(type(error).__name__, error)\n"
        "atexit.register(late)\n"  # before a place has registered what it does at the end
        "knot = ck.Knot(time.sleep)\n"
        "future = knot.map([60, 60])\n"
    )
    assert "CallLostError" in out or "KnotError" in out
    assert "the interpreter is ending" in out


@pytest.mark.on_this_machine(
    "jobs on Batch go on when their client is killed: tests/aws/test_runs_failing.py"
)
@pytest.mark.parametrize("forks", [False, True], ids=["in C", "client forked"])
def test_workers_end_with_a_killed_client_whatever_they_do(script: Script, forks: bool) -> None:
    process = script.start(
        "import ctypes, os, pathlib, time\nimport cloudknot as ck\n"
        "def busy(x):\n"
        "    os.symlink(os.readlink('/proc/self/ns/pid'), f'began-{x}-{os.getpid()}')\n"
        f"    {'time.sleep(60)' if forks else 'ctypes.PyDLL(None).sleep(60)'}\n"
        "future = ck.Knot(busy).map([0, 1], chunk_size=1)\n"
        "while len(list(pathlib.Path().glob('began-*'))) < 2: time.sleep(0.01)\n"
        f"if {forks} and os.fork() == 0:\n"
        "    pathlib.Path(f'fork-{os.getpid()}').touch()\n"
        "    time.sleep(20)\n"
        "    os._exit(0)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, _footprints(script.folder))), timeout_s=5)
    for path in script.folder.glob("fork-*"):
        os.kill(int(path.name.rpartition("-")[2]), signal.SIGKILL)


def test_modules_in_the_working_directory_do_not_stand_in_for_the_librarys(script: Script) -> None:
    elsewhere = script.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise RuntimeError('my json.py')\n")
    code = (
        "import json, os\nimport cloudknot as ck\nos.chdir('elsewhere')\n"
        "print(ck.Knot(abs).map([-1]).result())\n"
    )
    assert script.run(code).strip() == "[1]"


def test_a_path_in_sys_path_does_no_harm(script: Script) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, Path('src'))\n"
        "import cloudknot as ck\nprint(ck.Knot(abs).map([-1]).result())\n"
    )
    assert script.run(code).strip() == "[1]"


def test_the_ledger_is_the_users_own_whatever_the_umask(script: Script, home: Path) -> None:
    script.run("import os\nos.umask(0o002)\nimport cloudknot as ck\nck.Knot(abs).map([-1]).result()\n")
    open_to_others = [
        path for path in [home, *home.rglob("*")] if path.is_dir() and path.stat().st_mode & 0o022
    ]
    assert open_to_others == []


def test_a_cancelled_item_stays_cancelled_when_the_run_is_resumed(script: Script, other: Client) -> None:
    process = script.start(
        "import pathlib, time\nimport cloudknot as ck\n"
        "gate = pathlib.Path('gate').absolute()\n"
        "def wait(x):\n"
        "    while not gate.exists(): time.sleep(0.01)\n"
        "    return x\n"
        "future = ck.Knot(wait).map(range(4), chunk_size=4)\n"
        "future[3].cancel()\n"
        "print(future.run_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    (script.folder / "gate").touch()
    resumed = other.find(run_id).resume()
    assert [resumed[x].result(timeout=20) for x in range(3)] == [0, 1, 2]
    wait_until(resumed[3].cancelled)


@pytest.mark.many_jobs
def test_the_end_of_a_run_is_written_down_for_others(script: Script, other: Client) -> None:
    process = script.start(
        "import time\nimport cloudknot as ck\n"
        "done = ck.Knot(abs).map([-1])\n"
        "done.result()\n"
        "stopped = ck.Knot(lambda x: time.sleep(0.02) or 1 // x).map(range(100), on_error='stop')\n"
        "stopped.exception()\n"
        "cancelled = ck.Knot(time.sleep).map([60])\n"
        "cancelled.cancel()\n"
        "print(done.run_id, stopped.run_id, cancelled.run_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    assert process.stdout is not None
    run_ids = process.stdout.readline().split()

    def states() -> list[str]:
        return [other.row(run_id).state.value for run_id in run_ids]

    wait_until(lambda: states() == ["done", "stopped", "cancelled"])
    process.kill()
    process.communicate()
    wait_until(lambda: other.find(run_ids[2]).state.value == "cancelled")
    assert [other.find(run_id).state.value for run_id in run_ids[:2]] == ["done", "stopped"]
    assert other.find(run_ids[1]).resume().result(return_exceptions=True)[1:3] == [1, 0]


@pytest.mark.on_this_machine("a bucket is shared: its lifecycle sweeps it")
def test_pruning_sweeps_what_was_never_begun_and_modules_that_nobody_needs(
    script: Script, other: Client, home: Path
) -> None:
    (script.folder / "helpers.py").write_text("def one(x): return 1\n")
    script.run("import cloudknot as ck\nimport helpers\nck.Knot(helpers.one).map([1]).result()\n")
    orphan = home / "runs" / "orphan-20200101t000000-abcdefgh" / "inputs" / "00000000"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    assert list((home / "bundles").iterdir())
    prune(other, datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5))
    assert not orphan.exists()
    assert list((home / "bundles").iterdir()) == []


def test_results_that_were_removed_say_so(make_knot: MakeKnot) -> None:
    knot = make_knot(lambda x: bytes(2_000_000), name="removed-large")
    future = knot.map([1])
    future.result()
    knot.clobber(results=True)
    with pytest.raises(StoreError, match="the run's results were removed"):
        future.result()


def test_a_retry_runs_the_modules_as_they_were(script: Script) -> None:
    (script.folder / "helpers.py").write_text("def check(x):\n    assert x\n    return 'as it was'\n")
    out = script.run(
        "import pathlib\nimport cloudknot as ck\nimport helpers\n"
        "future = ck.Knot(helpers.check).map([1, 0])\n"
        "future.exception()\n"
        "pathlib.Path('helpers.py').write_text('def check(x): return 1 // 1')\n"
        "print(type(future.retry_failed()[1].exception()).__name__)\n"
    )
    assert out.strip() == "AssertionError"


def test_a_cancelled_run_is_cancelled_for_others_though_its_process_was_killed(
    script: Script, other: Client
) -> None:
    out = script.run(
        "import os, signal, time\nimport cloudknot as ck\n"
        "future = ck.Knot(time.sleep).map([60, 60])\n"
        "future.cancel()\n"
        "print(future.run_id, flush=True)\n"
        "os._exit(0)\n"
    )
    # A worker that was about to start may have the process's lock for a moment longer than the process.
    wait_until(lambda: other.find(out.strip()).cancelled())


def test_one_item_can_be_cancelled_from_another_process(script: Script, other: Client) -> None:
    process = script.start(
        HALF_DONE
        + "\nfrom concurrent.futures import wait\nwait([future])\n"
        + "print([item.index for item in future if item.cancelled()])\n"
    )
    assert process.stdout is not None
    future = other.find(process.stdout.readline().strip())
    wait_until(lambda: list(script.folder.glob("began-4-*")))
    [began] = script.folder.glob("began-4-*")
    assert future[4].cancel()
    wait_until(lambda: not is_alive(began))
    (script.folder / "gate").touch()
    assert [future[x].result(timeout=30) for x in (0, 5, 11)] == [0, 50, 110]
    assert process.communicate(timeout=20)[0].strip() == "[4]"
    assert not future.cancelled()
