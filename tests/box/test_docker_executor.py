"""Tasks as containers: what docker is asked for, images, logs, and what is left."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from cloudknot.testing.executors import Outcome
from cloudknot.testing.executors.docker import DockerExecutor, sweep
from cloudknot.testing.executors.docker_logs import Demultiplexer
from cloudknot.testing.executors.docker_options import config_of, host_of
from cloudknot.testing.executors.docker_outcomes import outcome_of
from cloudknot.testing.executors.docker_pulls import PullError, Pulls
from tests.box.executing import IMAGE, SLEEP, TIMEOUT_S, Told, make_task, script
from tests.rig.registry import Registry

Login = Mapping[str, Any] | None
IS_X86_64 = platform.machine() == "x86_64"


@pytest.fixture
def label() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def logins() -> dict[str, Login]:
    """Return what the executor has to log in with, an image."""
    return {}


@pytest.fixture
def executor(engine: DockerClient, label: str, logins: dict[str, Login]) -> Iterator[DockerExecutor]:
    executor = DockerExecutor(login=logins.get, label=label, at_once=4)
    yield executor
    executor.close()
    assert containers_of(engine, label) == []


@pytest.fixture
def told() -> Told:
    return Told()


def containers_of(engine: DockerClient, label: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.api.containers(
        all=True, filters={"label": f"cloudknot.testing.box={label}"}
    )
    return found


def test_a_container_has_what_its_job_asks_for(executor: DockerExecutor, told: Told, tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("from the host")
    code = """
import os, resource
def size(path): return os.statvfs(path).f_blocks * os.statvfs(path).f_frsize >> 20
print(os.getuid(), os.getpid() != 1, size("/dev/shm"), size("/scratch"))
print(resource.getrlimit(resource.RLIMIT_NOFILE), os.path.exists("/dev/nothing"), open("/host/seen").read())
open("/host/written", "w").write("from the task"); open("/own/file", "w").write("")
for path in ("/file", "/read-only/seen"):
    try: open(path, "w")
    except OSError as error: print(error.strerror)
"""
    volumes = [{"name": "here", "host": {"sourcePath": str(tmp_path)}}, {"name": "own", "host": {}}]
    points = [("/host", False, "here"), ("/read-only", True, "here"), ("/own", False, "own")]
    container = {
        "user": "0:0",
        "readonlyRootFilesystem": True,
        "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
        "volumes": volumes,
        "mountPoints": [
            {"containerPath": path, "readOnly": is_read_only, "sourceVolume": name}
            for path, is_read_only, name in points
        ],
        "linuxParameters": {
            "initProcessEnabled": True,
            "sharedMemorySize": 7,
            "tmpfs": [{"containerPath": "/scratch", "size": 5, "mountOptions": ["noexec"]}],
            "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["READ"]}],
        },
    }
    task = make_task(*script(code), container=container)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)
    assert told.text(task) == [
        "0 True 7 5",
        "(100, 200) True from the host",
        "Read-only file system",
        "Read-only file system",
    ]
    assert (tmp_path / "written").read_text() == "from the task"


def test_a_task_that_is_stopped_while_docker_starts_it_is_killed(
    executor: DockerExecutor, told: Told
) -> None:
    """The moments between the start and its answer are too short to hit: all of them are tried."""
    tasks = [make_task(*SLEEP) for _ in range(12)]
    for number, task in enumerate(tasks):
        executor.start(task, told)
        threading.Event().wait(number * 0.02)
        executor.kill(task.id)
    assert {told.outcome(task).exit_code for task in tasks} <= {None, 137}


def test_a_user_without_rights_has_none(executor: DockerExecutor, told: Told) -> None:
    task = make_task("id", "-u", container={"user": "1234"})
    executor.start(task, told)
    told.outcome(task)
    assert told.text(task) == ["1234"]


def test_a_container_can_be_found_and_leaves_no_volume(
    executor: DockerExecutor, told: Told, engine: DockerClient, label: str
) -> None:
    points = {"volumes": [{"name": "own"}], "mountPoints": [{"containerPath": "/own", "sourceVolume": "own"}]}
    task = make_task(*SLEEP, container=points)
    executor.start(task, told)
    told.wait_started(task)
    [container] = containers_of(engine, label)
    assert container["Labels"]["cloudknot.testing.job"] == "a-job"
    assert container["Labels"]["cloudknot.testing.task"] == task.id
    assert container["HostConfig"]["NetworkMode"] == "host"
    [mount] = container["Mounts"]
    executor.kill(task.id)
    executor.close()
    assert mount["Name"] not in {volume["Name"] for volume in engine.api.volumes()["Volumes"] or ()}


def test_limits_are_shares_and_memory_without_swap() -> None:
    host = host_of(make_task("true", vcpus=0.25, memory_mib=100))
    assert host["cpu_shares"] == 256
    assert host["mem_limit"] == host["memswap_limit"] == 100 << 20
    assert "nano_cpus" not in host
    assert not host["privileged"]


def test_swap_gpus_and_privileges_are_asked_for_where_the_job_does() -> None:
    container = {"privileged": True, "linuxParameters": {"maxSwap": 50, "swappiness": 10}}
    host = host_of(make_task("true", memory_mib=100, gpus=2, container=container))
    assert (host["memswap_limit"], host["mem_swappiness"]) == (150 << 20, 10)
    assert host["device_requests"][0]["Count"] == 2
    assert host["privileged"]


def test_a_job_without_a_command_gets_that_of_its_image() -> None:
    assert config_of(make_task(), label="a")["command"] is None


@pytest.mark.parametrize("kind", ["efsVolumeConfiguration", "s3filesVolumeConfiguration"])
def test_a_volume_that_the_box_does_not_have_is_refused(
    executor: DockerExecutor, told: Told, kind: str
) -> None:
    task = make_task("true", container={"volumes": [{"name": "shared", kind: {"fileSystemId": "fs-1"}}]})
    executor.start(task, told)
    outcome = told.outcome(task)
    assert outcome.status_reason == "Task failed to start"
    assert str(outcome.reason).startswith(f"CannotCreateContainerError: volume 'shared' has {kind}")


@pytest.mark.parametrize("knows_login", [True, False])
def test_an_image_that_cannot_be_pulled_fails_to_start(
    executor: DockerExecutor, told: Told, logins: dict[str, Login], knows_login: bool
) -> None:
    task = make_task("true", image="localhost:1/nothing:latest")
    if knows_login:
        logins[task.image] = {"username": "AWS", "password": "token"}
    executor.start(task, told)
    outcome = told.outcome(task)
    assert (outcome.exit_code, outcome.status_reason) == (None, "Task failed to start")
    assert str(outcome.reason).startswith("CannotPullContainerError: Error response from daemon: ")
    assert "connection refused" in str(outcome.reason)


def test_a_login_that_fails_ends_the_task(engine: DockerClient, told: Told, label: str) -> None:
    def login(image: str) -> Login:
        raise KeyError(image)

    task = make_task("true")
    executor = DockerExecutor(login=login, label=label)
    executor.start(task, told)
    assert told.outcome(task).status_reason == "Task failed to start"
    assert IMAGE in str(told.outcome(task).reason)
    executor.close()


def test_a_task_whose_image_is_being_pulled_ends_at_once(
    executor: DockerExecutor, told: Told, logins: dict[str, Login]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a registry that never answers
        task = make_task("true", image=f"localhost:{silent.getsockname()[1]}/image:latest")
        logins[task.image] = {"username": "AWS", "password": "token"}
        executor.start(task, told)
        link, _ = silent.accept()
        stopped = time.monotonic()
        executor.stop(task.id)
        assert told.outcome(task) == Outcome(exit_code=None)
        assert time.monotonic() - stopped < 5  # docker itself gives up after more
        link.close()
    assert told.calls[task.id] == ["ended"]


@pytest.mark.skipif(not IS_X86_64, reason="the program of the image is one for x86_64")
def test_what_was_pushed_last_is_run_where_there_is_a_login(
    executor: DockerExecutor, told: Told, engine: DockerClient, logins: dict[str, Login], tmp_path: Path
) -> None:
    with Registry(tmp_path / "registry") as registry:
        image = f"{registry.address}/answer:latest"
        logins[image] = {"username": "AWS", "password": "token"}
        made: list[str] = []
        try:
            for code in (41, 42):
                make_image(engine, image, code)
                made.append(engine.images.get(image).id)
                engine.images.push(image)
                with contextlib.suppress(ImageNotFound):  # what is here under that name is another one
                    engine.images.remove(image)
                engine.api.tag(IMAGE, image)
                task = make_task(image=image)
                executor.start(task, told)
                assert told.outcome(task) == Outcome(exit_code=code)
        finally:
            for name in (image, *made):
                with contextlib.suppress(ImageNotFound):
                    engine.images.remove(name, force=True)


def make_image(engine: DockerClient, name: str, code: int) -> None:
    """Make an image whose command exits with a code; it is too small for a shell, and quick to push."""
    program = b"\xbf" + struct.pack("<I", code) + b"\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(code)
    base, header = 0x400000, 64 + 56
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + header, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = header + len(program)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + program
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("answer")
        entry.size, entry.mode = len(elf), 0o755
        archive.addfile(entry, io.BytesIO(elf))
    engine.api.import_image_from_data(
        packed.getvalue(), repository=name.rpartition(":")[0], tag="latest", changes=['CMD ["/answer"]']
    )


def test_an_engine_that_is_not_there_is_a_task_that_did_not_start(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    executor = DockerExecutor(login=lambda _: None, label="none")
    task = make_task("true")
    executor.start(task, told)
    assert str(told.outcome(task).reason).startswith("CannotGetDockerclientError: ")
    assert told.outcome(task).status_reason == "Task failed to start"
    executor.close()


def test_a_container_that_somebody_removes_ends_its_task(
    executor: DockerExecutor, told: Told, engine: DockerClient, label: str
) -> None:
    task = make_task(*SLEEP)
    executor.start(task, told)
    told.wait_started(task)
    [container] = containers_of(engine, label)
    engine.api.remove_container(container["Id"], force=True)
    assert told.outcome(task).exit_code in (None, 137)
    assert told.calls[task.id] == ["started", "ended"]


BOX = """
import sys, threading
from cloudknot.testing.executors.docker import DockerExecutor
from tests.box.executing import *
told, task = Told(), make_task(*SLEEP)
DockerExecutor(login=lambda _: None, label=sys.argv[1]).start(task, told)
told.wait_started(task)
print("started", flush=True)
threading.Event().wait()
"""


def test_what_a_killed_box_left_is_swept_and_no_more(
    executor: DockerExecutor, told: Told, engine: DockerClient, label: str
) -> None:
    mine, killed = make_task(*SLEEP), f"{label}-killed"
    executor.start(mine, told)
    told.wait_started(mine)
    box = subprocess.Popen([sys.executable, "-c", BOX, killed], stdout=subprocess.PIPE, text=True)
    assert box.stdout is not None
    assert box.stdout.readline() == "started\n"
    os.kill(box.pid, signal.SIGKILL)
    box.wait()
    box.stdout.close()
    assert len(containers_of(engine, killed)) == 1
    assert sweep(killed) == 1
    assert sweep(killed) == 0
    assert containers_of(engine, killed) == []
    assert len(containers_of(engine, label)) == 1
    assert mine.id not in told.outcomes


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ({"ExitCode": 0}, Outcome(exit_code=0)),
        (
            {"ExitCode": 1, "OOMKilled": True},
            Outcome(exit_code=1, reason="OutOfMemoryError: Container killed due to memory usage"),
        ),
        ({"ExitCode": 128, "Error": "broken"}, Outcome(exit_code=128, reason="DockerStateError: broken")),
    ],
)
def test_docker_s_record_is_read_as_ecs_reads_it(state: dict[str, Any], outcome: Outcome) -> None:
    assert outcome_of(state) == outcome


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_lines_of_two_streams_are_not_mixed(size: int) -> None:
    def piece(stream: int, text: str) -> bytes:
        return struct.pack(">BxxxI", stream, len(text)) + text.encode()

    data = piece(1, "long ") + piece(2, "other\n") + piece(1, "line\nla") + piece(1, "st")
    output = Demultiplexer()
    told = [line for at in range(0, len(data), size) for line in output.feed(data[at : at + size], 5)]
    assert told == [(5, "other"), (5, "long line")]
    assert output.finish() == [(5, "last")]


class SlowRegistry:
    """An engine whose pulls end when the test says so."""

    def __init__(self) -> None:
        self.pulls: list[str] = []
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def pull(self, image: str, **_: Any) -> Iterator[dict[str, str]]:
        self.pulls.append(image)
        self.begun.release()
        assert self.gate.acquire(timeout=TIMEOUT_S)
        yield {"status": "Pulling"}
        if image == "broken":
            yield {"error": "no space left on device"}


def test_tasks_share_a_pull_that_has_not_begun_and_no_other() -> None:
    api = SlowRegistry()
    pulls = Pulls(lambda: api)
    first = pulls.pull("a", None)
    assert api.begun.acquire(timeout=TIMEOUT_S)
    later: list[Future[None]] = [pulls.pull("a", None) for _ in range(3)]
    assert not first.done()
    api.gate.release(2)
    for future in (first, *later):
        assert future.result(TIMEOUT_S) is None
    assert api.pulls == ["a", "a"]


def test_a_pull_that_breaks_off_is_told_in_the_engine_s_words() -> None:
    api = SlowRegistry()
    api.gate.release()
    with pytest.raises(PullError, match=r"^no space left on device$"):
        Pulls(lambda: api).pull("broken", None).result(TIMEOUT_S)
