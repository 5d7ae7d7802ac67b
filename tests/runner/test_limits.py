"""What happens when the machine itself runs out: of memory, of disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudknot import CallLostError, Knot
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.runner.cgroups import count_oom_kills
from cloudknot.runner.processes import Exit, describe_exit
from tests.conftest import Script


@pytest.mark.parametrize(
    ("membership", "file", "content"),
    [
        ("0::/job\n", "job/memory.events", "low 0\noom 3\noom_kill 2\n"),
        ("0::/hidden/by/the/container\n", "memory.events", "oom_kill 2\n"),
        ("9:cpu:/\n4:memory:/job\n0::/\n", "memory/job/memory.oom_control", "under_oom 0\noom_kill 2\n"),
        ("4:memory:/docker/abc\n", "memory/memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ],
    ids=["v2", "v2 in a container", "v1", "v1 in a container"],
)
def test_the_control_groups_own_counter_is_read(
    tmp_path: Path, membership: str, file: str, content: str
) -> None:
    (tmp_path / "cgroup").write_text(membership)
    path = tmp_path / "fs" / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert count_oom_kills(tmp_path / "cgroup", tmp_path / "fs") == 2


def test_no_control_group_counts_nothing(tmp_path: Path) -> None:
    assert count_oom_kills(tmp_path / "none", tmp_path) == 0
    (tmp_path / "cgroup").write_text("0::/\n")
    assert count_oom_kills(tmp_path / "cgroup", tmp_path) == 0


def test_only_a_kill_can_be_for_memory() -> None:
    assert "lack of memory" in describe_exit(Exit(-9, was_out_of_memory=True))
    assert "lack of memory" not in describe_exit(Exit(-11, was_out_of_memory=True))


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A control group of 150 MiB, where one can be made."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    is_v1 = v1.is_dir()
    group = (v1 if is_v1 else v2) / f"cloudknot-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if is_v1 else "memory.max")
        limit.write_text(str(150 << 20))
        if not is_v1:
            (group / "memory.swap.max").write_text("0")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


def test_an_out_of_memory_kill_is_told_apart(small_memory: Path, script: Script) -> None:
    out = script.run(
        f"""
import os, pathlib
pathlib.Path({str(small_memory / "cgroup.procs")!r}).write_text(str(os.getpid()))
import cloudknot as ck

def eat(x):
    if x == 1:
        held = [bytearray(b"x" * (20 << 20)) for _ in range(20)]
    return x

future = ck.Knot(eat, retries=ck.Retry(lost=0)).map(range(3))
print(repr(future[1].exception()))
print(future[0].result(), future[2].result(), flush=True)
# Leave the group, so that it can be removed.
pathlib.Path({str(small_memory.parent / "cgroup.procs")!r}).write_text(str(os.getpid()))
"""
    )
    assert "CallLostError" in out
    assert "killed for lack of memory" in out
    assert out.split()[-2:] == ["0", "2"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where one can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class TestFullDisk:
    """The ledger's disk is full."""

    @pytest.fixture
    def client(self, small_disk: Path) -> Client:
        return Client(Settings(home=small_disk / "home", local_workers=1, progress=False))

    def test_what_cannot_be_kept_fails_and_can_be_resumed(
        self, client: Client, small_disk: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        knot = Knot(lambda x: os.urandom(100_000) if x else b"small", client=client)
        future = knot.map(range(12), chunk_size=1)
        error = future.exception(timeout=20)
        assert isinstance(error, CallLostError)
        assert "No space left on device" in str(error)
        assert "resume() runs what is left" in str(error)
        assert future[0].result() == b"small"
        assert "cannot go on" in caplog.text
        # Room is made; what had ended is kept.
        subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
        resumed = future.resume()
        assert [len(value) for value in resumed.result(timeout=20)] == [5] + [100_000] * 11

    def test_a_large_value_that_cannot_be_kept_is_no_hang(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        future = Knot(lambda x: bytes(5_000_000), client=client).map(range(2))
        assert "No space left on device" in str(future.exception(timeout=20))
        assert "cannot go on" in caplog.text

    def test_inputs_that_do_not_fit_start_nothing(self, client: Client) -> None:
        knot = Knot(len, name="too-large", client=client)
        with pytest.raises(OSError, match="No space left on device"):
            knot.map([bytes(5_000_000)])
        assert len(knot.jobs) == 0
        assert knot.map([b"123"]).result() == [3]
