"""Tasks as processes: a place of their own, and nothing that survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudknot.testing.executors import Outcome
from cloudknot.testing.executors.children import OUT_OF_MEMORY
from cloudknot.testing.executors.memory import measure, unshared_kib
from cloudknot.testing.executors.process import ProcessExecutor, environment_of
from tests.box.executing import SLEEP, Told, make_task, script
from tests.conftest import is_running, wait_until

# Leaves its session in the way that daemons do it.
DAEMON = """
import os, sys, time
reads, writes = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        os.write(writes, b".")
        time.sleep(1000)
    os._exit(0)
os.wait()
os.read(reads, 1)
"""
CHILDREN = """
import os, subprocess, time
child = subprocess.Popen(["sh", "-c", "sleep 1000 & echo child $!; wait"])
print("child", child.pid, flush=True)
"""
HOLD = "\nimport time; time.sleep(1000)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tasks"


@pytest.fixture
def executor(folder: Path) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(folder=folder)
    yield executor
    executor.close()


@pytest.fixture
def told() -> Told:
    return Told()


def pids_in(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines]


def test_a_task_sees_its_own_variables_and_a_folder_that_goes_with_it(
    executor: ProcessExecutor, told: Told, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_BOX", "1")
    code = (
        "import json, os, sys; os.makedirs('a/b'); open('a/b/c', 'w'); os.chmod('a/b', 0o500);"
        "os.chmod('a', 0); os.symlink('a', 'link');"
        "print(json.dumps([dict(os.environ), os.getcwd(), sys.executable, os.getsid(0) == os.getpid()]))"
    )
    task = make_task("python3", "-S", "-c", code, environment={"MINE": "é"})
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)
    environment, cwd, python, is_leader = json.loads(told.text(task)[0])
    assert environment.pop("PATH").split(":")[0] == str(Path(sys.executable).parent)
    assert set(environment) - {"LC_CTYPE"} == {"MINE", "HOME", "TMPDIR", "LANG"}
    assert environment["MINE"] == "é"
    assert environment["HOME"] == environment["TMPDIR"] == cwd
    assert Path(python).parent == Path(sys.executable).parent
    assert Path(cwd).is_relative_to(folder)
    assert is_leader
    wait_until(lambda: not Path(cwd).exists())
    executor.close()
    assert list(folder.iterdir()) == []


def test_a_task_keeps_what_it_sets_itself() -> None:
    task = make_task("true", environment={"HOME": "/root", "PATH": "/opt/bin"})
    environment = environment_of(task, Path("/here"), {"PATH": "/bin", "LANG": "C", "OTHER": "1"})
    here = str(Path(sys.executable).parent)
    assert environment == {"HOME": "/root", "TMPDIR": "/here", "LANG": "C", "PATH": f"{here}:/opt/bin"}


def test_a_program_at_a_path_that_only_the_image_has_is_looked_for_by_its_name(
    executor: ProcessExecutor, told: Told
) -> None:
    task = make_task("/opt/image/bin/python3", "-S", "-c", "import sys; print(sys.executable)")
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)
    assert Path(told.text(task)[0]).parent == Path(sys.executable).parent


def test_a_task_without_a_command_says_that_it_needs_one(executor: ProcessExecutor, told: Told) -> None:
    task = make_task()
    executor.start(task, told)
    outcome = told.outcome(task)
    assert (outcome.exit_code, outcome.status_reason) == (None, "Task failed to start")
    assert outcome.reason is not None
    assert "give the job definition a command" in outcome.reason


@pytest.mark.parametrize("number", [0, -1])
def test_an_executor_has_places(folder: Path, number: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, not {number}"):
        ProcessExecutor(folder=folder, at_once=number)


@pytest.mark.parametrize("code", [CHILDREN, DAEMON], ids=["children", "a daemon"])
def test_what_a_task_started_ends_with_it(executor: ProcessExecutor, told: Told, code: str) -> None:
    other, task = make_task(*SLEEP), make_task(*script(code))
    executor.start(other, told)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)
    assert told.text(task)
    for pid in pids_in(told.text(task)):
        wait_until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]  # of the default
    assert other.id not in told.outcomes


@pytest.mark.parametrize("code", [CHILDREN, DAEMON], ids=["children", "a daemon"])
def test_what_a_task_started_lives_while_it_does_and_is_killed_with_it(
    executor: ProcessExecutor, told: Told, code: str
) -> None:
    other, task = make_task("true"), make_task(*script(code + HOLD))
    executor.start(task, told)
    told.wait(lambda: told.text(task))
    executor.start(other, told)  # an end is when strays are looked for
    told.outcome(other)
    pids = pids_in(told.text(task))
    assert all(is_running(pid) for pid in pids)
    executor.kill(task.id)
    assert told.outcome(task) == Outcome(exit_code=137)
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]  # of the default


def test_output_that_a_child_holds_open_does_not_keep_a_task_from_ending(
    executor: ProcessExecutor, told: Told
) -> None:
    task = make_task("sh", "-c", "sleep 1000 & printf last")
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)
    assert told.text(task) == ["last"]


def test_memory_is_that_of_all_processes_of_a_task(executor: ProcessExecutor, told: Told) -> None:
    code = "import os; [os.fork() for _ in range(2)]; held = b'x' * (50 << 20)" + HOLD
    task = make_task(*script(code), memory_mib=150)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=137, reason=OUT_OF_MEMORY)


def test_memory_that_processes_share_is_counted_once(executor: ProcessExecutor, told: Told) -> None:
    code = "import os, time; held = b'x' * (80 << 20); [os.fork() for _ in range(2)]; time.sleep(0.6)"
    task = make_task(*script(code), memory_mib=150)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)


def test_pages_of_files_are_not_counted(executor: ProcessExecutor, told: Told, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (150 << 20))
    code = (
        f"import mmap, time; file = open({str(large)!r}, 'rb');"
        "held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); held.find(b'y'); time.sleep(0.6)"
    )
    task = make_task(*script(code), memory_mib=100)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)


def test_a_session_is_measured() -> None:
    mine = os.getsid(0)
    used = measure({mine})[mine]
    assert os.getpid() in used.pids
    assert used.resident_kib > unshared_kib([os.getpid()]) > 1000
    assert measure({-1}) == {}


BOX = """
import sys, threading
from pathlib import Path
from cloudknot.testing.executors.process import ProcessExecutor
from tests.box.executing import *
told = Told()
executor = ProcessExecutor(folder=Path(sys.argv[1]))
for code in sys.argv[2:]:
    task = make_task(*script(code))
    executor.start(task, told)
    told.wait(lambda: told.text(task))
    print(*told.text(task), sep="\\n", flush=True)
print("end", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_the_box(folder: Path, number: int) -> None:
    command = [sys.executable, "-c", BOX, str(folder), CHILDREN + HOLD, DAEMON + HOLD]
    box = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert box.stdout is not None
    lines = [line.strip() for line in iter(box.stdout.readline, "end\n")]
    pids = pids_in(lines)
    assert len(pids) >= 2
    assert all(is_running(pid) for pid in pids)
    box.send_signal(number)
    box.wait()
    box.stdout.close()
    wait_until(lambda: not any(is_running(pid) for pid in pids))
    wait_until(lambda: not list(folder.iterdir()))


def test_a_keeper_that_is_killed_takes_its_tasks_with_it_and_the_next_gets_another(
    executor: ProcessExecutor, told: Told, folder: Path
) -> None:
    task = make_task("sh", "-c", "echo pid $$; echo parent $PPID; exec sleep 1000")
    executor.start(task, told)
    told.wait(lambda: len(told.text(task)) == 2)
    pid, keeper = pids_in(told.text(task))
    os.kill(keeper, signal.SIGKILL)
    assert told.outcome(task) == Outcome(exit_code=137)
    wait_until(lambda: not is_running(pid))
    following = make_task("true")
    executor.start(following, told)
    assert told.outcome(following) == Outcome(exit_code=0)
    assert len(list(folder.iterdir())) == 1


def test_many_tasks_need_few_threads(executor: ProcessExecutor, told: Told) -> None:
    before = threading.active_count()
    tasks = [make_task("true") for _ in range(300)]
    for task in tasks:
        executor.start(task, told)
    told.outcome(tasks[-1])
    assert threading.active_count() <= before + 2
    assert {told.outcome(task) for task in tasks} == {Outcome(exit_code=0)}
