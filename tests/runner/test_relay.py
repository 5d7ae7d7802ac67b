"""A relay and what it relays, with a process of this machine in the container's place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudknot.backends.contained import ContainedSpec, ContainedWorker, ContainerBerth
from cloudknot.docker_engine.containers import ContainerSpec
from cloudknot.ledger import Outcomes
from cloudknot.runner.control import Control
from cloudknot.runner.frames import Frames, Kind, frame, pieces
from cloudknot.runner.keys import Keys
from cloudknot.runner.relayed import Access, RelayedStore, answer
from cloudknot.runner.stores import FileStore
from cloudknot.runner.supervisor import Supervisor
from tests.conftest import is_running, wait_until
from tests.runner.test_supervisor import assign, make_run, values_of

SPEC = ContainedSpec(
    container=ContainerSpec(image="none", command=(), vcpus=1), bundle="", cwd="/", env_vars={"CK_A": "1"}
)


class ProcessContainer:
    """The relay as a process of this machine; satisfies what a container is used for."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cloudknot.runner.relay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            view = memoryview(data)
            while view:
                view = view[self.process.stdin.write(view) or 0 :]

    def receive(self) -> bytes:
        assert self.process.stdout is not None
        try:
            return os.read(self.process.stdout.fileno(), 1 << 20)
        except (OSError, ValueError):  # just removed
            return b""

    def expect(self) -> None:
        pass

    def describe_end(self) -> str:
        return "its container ended"

    def hang_up(self) -> None:
        self.remove()

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Yard:
    """Keeps the containers that were opened."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.opened: list[ProcessContainer] = []

    def berth(self) -> ContainerBerth:
        return ContainerBerth(self._open, self.store)

    def supervisor(self) -> Supervisor[ContainedSpec]:
        return Supervisor(self.store, start=self.berth().start, commit_s=0.05)

    def _open(self, _: ContainerSpec) -> Any:
        self.opened.append(ProcessContainer())
        return self.opened[-1]

    def close(self) -> None:
        for container in self.opened:
            container.remove()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def yard(store: FileStore) -> Iterator[Yard]:
    yard = Yard(store)
    yield yard
    yard.close()


def run_all(yard: Yard, run: Any, supervisor: Any = None) -> list[Any]:
    supervisor = supervisor or yard.supervisor()
    supervisor.run_chunk(assign(run, spec=SPEC))
    values = values_of(yard.store, run)
    supervisor.close()
    return values


def test_items_run_behind_a_relay(yard: Yard) -> None:
    run = make_run(yard.store, lambda x: (x, os.environ["CK_A"]), range(100))
    assert run_all(yard, run) == [(x, "1") for x in range(100)]


def test_the_kernel_takes_a_worker_before_the_relay(yard: Yard) -> None:
    def read_score(of: str) -> int:
        process = os.getppid() if of == "relay" else os.getpid()
        return int(Path(f"/proc/{process}/oom_score_adj").read_text())

    worker, relay = run_all(yard, make_run(yard.store, read_score, ["worker", "relay"]))
    assert worker > relay


def test_large_arguments_and_values_pass(yard: Yard) -> None:
    large = os.urandom(20_000_000)
    run = make_run(yard.store, lambda data: data[::-1] * 3, [large, large[:3_000_000]])
    assert run_all(yard, run) == [large[::-1] * 3, large[:3_000_000][::-1] * 3]


def test_many_values_below_the_size_of_an_object_of_their_own_pass(yard: Yard) -> None:
    run = make_run(yard.store, lambda x: bytes([x]) * 900_000, range(60))
    assert run_all(yard, run) == [bytes([x]) * 900_000 for x in range(60)]


def test_a_killed_worker_is_started_again_in_the_same_container(yard: Yard) -> None:
    def die(x: int) -> int:
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    run = make_run(yard.store, die, range(3))
    values = run_all(yard, run)
    assert (values[0], values[2]) == (0, 2)
    assert len(yard.opened) == 1


def test_a_container_that_vanishes_is_replaced(yard: Yard, tmp_path: Path) -> None:
    def wait(x: int) -> int:
        path = tmp_path / "began"
        if not path.exists():
            path.touch()
            time.sleep(60)
        return x

    run = make_run(yard.store, wait, [1, 2])

    def kill_it() -> None:
        wait_until((tmp_path / "began").exists)
        yard.opened[0].process.kill()

    threading.Thread(target=kill_it).start()
    assert run_all(yard, run) == [1, 2]
    assert len(yard.opened) == 2


def test_all_ends_when_nobody_speaks_to_the_relay(yard: Yard, tmp_path: Path) -> None:
    def wait(x: int) -> None:
        (tmp_path / f"began-{os.getpid()}").touch()
        time.sleep(60)

    run = make_run(yard.store, wait, [1])
    worker = yard.berth().start(SPEC)
    worker.order(1, yard.store.uri, run.run_id, 0, 1)
    wait_until(lambda: list(tmp_path.glob("began-*")))
    [began] = tmp_path.glob("began-*")
    process = yard.opened[0].process
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=5) == 0
    wait_until(lambda: not is_running(int(began.name.rpartition("-")[2])), timeout_s=5)
    wait_until(worker.has_ended)
    assert worker.kill().where == "its container ended"
    worker.close()


def test_a_cancel_while_a_large_value_is_on_its_way_harms_no_other_item(yard: Yard) -> None:
    run = make_run(yard.store, lambda x: bytes(200_000_000) if x % 2 else x, range(12))
    supervisor = yard.supervisor()
    for first in range(1, 11, 2):
        control = Control()
        timer = threading.Timer(0.1 + first / 20, control.cancel)
        timer.start()
        supervisor.run_chunk(assign(run, control, spec=SPEC, first=first, last=first + 1))
        timer.cancel()
        control.close()
        small = make_run(yard.store, lambda x: -x, [1])
        supervisor.run_chunk(assign(small, spec=SPEC))
        assert values_of(yard.store, small) == [-1]
    supervisor.close()


@pytest.mark.parametrize(
    "write",
    [
        lambda: os.write(_relay_output(), b"\xff" * 64),
        lambda: os.write(_relay_output(), bytes([6] + [255] * 8)),
        lambda: _store_sockets()[0].sendall(frame(Kind.REQUEST, b"{x\n")),
        lambda: _store_sockets()[0].sendall(b"\xff" * 64),
    ],
    ids=["output", "length", "request", "socket"],
)
def test_rubbish_from_an_item_fails_it_and_no_other(yard: Yard, write: Callable[[], Any]) -> None:
    def talk(x: int) -> int:
        if x == 1:
            write()
            time.sleep(20)
        return x

    # As long as a first item may take on a machine that is busy.
    run = make_run(yard.store, talk, range(3), timeout_s=3)
    values = run_all(yard, run)
    assert (values[0], values[2]) == (0, 2)
    assert values[1] is None  # it has failed


def _relay_output() -> int:
    folder = Path(f"/proc/{os.getppid()}/fd")
    numbers = sorted(int(path.name) for path in folder.iterdir())
    pipes = [number for number in numbers if str((folder / str(number)).readlink()).startswith("pipe:")]
    return os.open(folder / str(next(number for number in pipes if number > 2)), os.O_WRONLY)


def _store_sockets() -> list[socket.socket]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith("socket:"):
                found.append(socket.socket(fileno=os.dup(int(path.name))))
    return found


def test_a_worker_that_leaves_its_reply_unread_can_be_killed(yard: Yard) -> None:
    def ask(data: bytes) -> None:
        request = json.dumps({"do": "get", "key": os.environ["CK_INPUT"], "start": 0, "stop": None}).encode()
        _store_sockets()[0].sendall(frame(Kind.REQUEST, request + b"\n"))
        time.sleep(60)

    run = make_run(yard.store, ask, [bytes(40_000_000)], timeout_s=1)
    supervisor = yard.supervisor()
    spec = replace(SPEC, env_vars={"CK_INPUT": Keys(run.run_id).shard(0)})
    supervisor.run_chunk(assign(run, spec=spec))
    supervisor.close()
    assert values_of(yard.store, run) == [None]


def test_a_container_that_ends_between_chunks_costs_no_item_a_try(yard: Yard) -> None:
    run = make_run(yard.store, lambda x: x, [1, 2])
    supervisor = yard.supervisor()
    supervisor.run_chunk(assign(run, spec=SPEC, last=1))
    yard.opened[0].remove()
    supervisor.run_chunk(assign(run, spec=SPEC, first=1))
    supervisor.close()
    assert values_of(yard.store, run) == [1, 2]
    assert tries_of(yard.store, run) == [1, 1]


def test_a_worker_on_a_container_that_has_just_ended_is_told_of_it(yard: Yard) -> None:
    berth = yard.berth()
    berth.start(SPEC).close()
    link = berth._link
    assert link is not None
    yard.opened[0].remove()
    wait_until(lambda: link.has_ended)
    worker = ContainedWorker(link, SPEC)  # the look at the link had come too early
    assert worker.has_ended()
    assert worker.read() == b""
    assert worker.kill().where == "its container ended"
    worker.close()


def test_another_container_is_opened_for_another_spec(yard: Yard) -> None:
    berth = yard.berth()
    larger = replace(SPEC, container=replace(SPEC.container, memory_mib=64))
    renamed = replace(larger, container=replace(larger.container, labels={"knot": "other"}))
    for spec, n_opened in ((SPEC, 1), (SPEC, 1), (larger, 2), (renamed, 2)):
        berth.start(spec).close()
        assert len(yard.opened) == n_opened


def tries_of(store: FileStore, run: Any) -> list[int]:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    outcomes.refresh()
    return [outcomes.envelope(index).tries for index in range(run.orders.count)]


class TestAccess:
    """A worker reads and writes what its run needs, and nothing else."""

    def test_the_runs_own_objects(self, store: FileStore) -> None:
        access = Access.of("run-b", "run-a")
        for key in ("runs/run-b/function", "runs/run-a/inputs/00000000"):
            store.put(key, b"data")
            assert access.check("get", key) == key
        assert access.check("put", "runs/run-b/values/1-a")

    @pytest.mark.parametrize(
        ("do", "key"),
        [
            ("get", "runs/run-c/function"),
            ("get", "runs/run-a/function"),
            ("get", "runs/run-b/../run-c/function"),
            ("get", "runs/run-bb/function"),
            ("put", "runs/run-b/packs/000000000000"),
            ("put", "runs/run-b/function"),
            ("put", "runs/run-a/inputs/00000000"),
            ("put", "runs/run-b/values/../packs/000000000000"),
        ],
    )
    def test_nothing_else(self, store: FileStore, do: str, key: str) -> None:
        store.put("runs/run-c/function", b"secret")
        request = b'{"do": "%s", "key": "%s", "start": 0, "stop": null, "if_absent": false}\nx' % (
            do.encode(),
            key.encode(),
        )
        [(_, reply)] = Frames().feed(answer(store, Access.of("run-b", "run-a"), request))
        assert b"PermissionError" in reply
        assert b"secret" not in reply
        assert list(store.list("runs/")) == ["runs/run-c/function"]

    def test_a_worker_removes_nothing(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(PermissionError):
            RelayedStore(theirs.fileno()).delete("runs/")


def test_frames_come_whole_however_they_are_cut() -> None:
    data = b"".join(pieces(Kind.ENVELOPES, os.urandom(3_000_000))) + frame(Kind.KILL)
    frames, kinds = Frames(), []
    for first in range(0, len(data), 65_537):
        kinds += [kind for kind, _ in frames.feed(data[first : first + 65_537])]
    assert kinds == [Kind.ENVELOPES] * 3 + [Kind.KILL]
