"""What containers on this machine do beyond the contract that all places keep."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from cloudknot import CallLostError, Image, ImageError, InputError, Knot, Retry
from cloudknot.backends.docker import is_left_by
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.containers import sweep
from cloudknot.docker_engine.images import BUILDING, remove_unused_layers
from tests.conftest import WORKERS, Script, wait_until

MakeKnot = Callable[..., Knot[Any]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, engine: DockerClient) -> Client:
    """A client whose containers see nothing of this machine."""
    home = tmp_path_factory.mktemp("home")
    return Client(Settings(home=home, local_workers=WORKERS, progress=False))


@pytest.fixture
def make_knot(alone: Client) -> MakeKnot:
    def make(func: Callable[..., Any], **options: Any) -> Knot[Any]:
        return Knot(func, **{"backend": "docker", "client": alone, **options})

    return make


@pytest.fixture
def unique() -> str:
    """A name that no other test has, also of another run of the tests on this engine."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def place(engine: DockerClient) -> str:
    """The place of scripts."""
    return "docker"


def read_limits(_: int) -> dict[str, str]:
    v1 = {"memory": "memory/memory.limit_in_bytes", "cpu": "cpu/cpu.cfs_quota_us"}
    v2 = {"memory": "memory.max", "cpu": "cpu.max"}
    root = Path("/sys/fs/cgroup")
    names = v2 if (root / "memory.max").exists() else v1
    return {name: (root / path).read_text().split()[0] for name, path in names.items()}


def allocate(mib: int) -> int:
    print("allocating", mib)
    return len(bytearray(mib << 20))


class TestLimits:
    """What an item may use is all that it can use."""

    def test_memory_and_processors_are_limited(self, make_knot: MakeKnot) -> None:
        [limits] = make_knot(read_limits, vcpus=0.5, memory_mib=200).map([0]).result()
        assert limits == {"memory": str(200 << 20), "cpu": "50000"}

    def test_more_processors_than_there_are_give_all_there_are(self, make_knot: MakeKnot) -> None:
        assert make_knot(abs, vcpus=1000).map([-1]).result() == [1]

    def test_lack_of_memory_is_told_and_the_others_are_unharmed(self, make_knot: MakeKnot) -> None:
        future = make_knot(allocate, memory_mib=200, retries=Retry(lost=0)).map([1, 900, 2], chunk_size=3)
        with pytest.raises(CallLostError, match=r"lack of memory .*: give it more with memory_mib"):
            future[1].result()
        assert (future[0].result(), future[2].result()) == (1 << 20, 2 << 20)
        assert future[1].logs() == "allocating 900\n"

    def test_another_kill_is_not_taken_for_lack_of_memory(self, make_knot: MakeKnot) -> None:
        knot = make_knot(lambda _: os.kill(os.getpid(), signal.SIGKILL), memory_mib=200)
        with pytest.raises(CallLostError, match=r"3 times: killed by signal 9 \(SIGKILL\)"):
            knot.map([0]).result()

    def test_failed_items_can_have_more_memory(self, make_knot: MakeKnot) -> None:
        future = make_knot(allocate, memory_mib=200, retries=Retry(lost=0)).map([1, 400])
        assert isinstance(future.exception(), CallLostError)
        assert future.retry_failed(memory_mib=800).result() == [1 << 20, 400 << 20]


class TestIsolation:
    """A container sees what it was given, and nothing else."""

    def test_it_has_no_privileges(self, make_knot: MakeKnot) -> None:
        def look(_: int) -> tuple[int, int, dict[str, str]]:
            status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
            return os.getuid(), os.getgid(), status

        [(uid, gid, status)] = make_knot(look).map([0]).result()
        assert uid != 0
        assert gid != 0
        assert (int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, "1")

    def test_it_can_write_at_home(self, make_knot: MakeKnot) -> None:
        def write(_: int) -> str:
            Path("here").write_text("x")
            (Path.home() / "there").write_text("y")
            return str(Path.cwd())

        assert make_knot(write).map([0]).result() == ["/home/cloudknot"]

    def test_it_sees_nothing_of_this_machine(self, make_knot: MakeKnot, alone: Client) -> None:
        paths = [alone.settings.home, Path(__file__), Path("/var/run/docker.sock")]
        assert all(path.exists() for path in paths)
        assert make_knot(lambda path: Path(path).exists()).map(map(str, paths)).result() == [False] * 3

    def test_it_has_not_this_machines_environment(
        self, make_knot: MakeKnot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CK_SECRET", "token")
        assert make_knot(lambda name: name in os.environ).map(["CK_SECRET"]).result() == [False]

    def test_it_reaches_its_own_run_in_the_ledger_and_no_other(self, make_knot: MakeKnot) -> None:
        def reach(run_id: str) -> str:
            from cloudknot.runner.relayed import RelayedStore

            handles = [handle for handle in range(3, 30) if Path(f"/proc/self/fd/{handle}").is_socket()]
            handle = min(handles)
            try:
                return str(len(RelayedStore(handle).get(f"runs/{run_id}/function")) > 0)
            except OSError as error:
                return str(error)

        other = make_knot(abs).map([-1])
        other.result()
        [answer] = make_knot(reach).map([other.run_id]).result()
        assert answer == f"PermissionError: a worker must not get runs/{other.run_id}/function"

    def test_volumes_are_seen_under_the_same_path(self, make_knot: MakeKnot, tmp_path: Path) -> None:
        def copy(folder: Path) -> int:
            (folder / "out" / "copy").write_text((folder / "in" / "age").read_text())
            try:
                (folder / "in" / "more").write_text("x")
            except OSError as error:
                return error.errno
            return 0

        for name in ("in", "out"):
            (tmp_path / name).mkdir()
        (tmp_path / "in" / "age").write_text("6.5")
        knot = make_knot(copy, volumes=[f"{tmp_path / 'in'}:ro", tmp_path / "out"])
        assert knot.map([tmp_path]).result() == [30]
        assert (tmp_path / "out" / "copy").read_text() == "6.5"
        assert (tmp_path / "out" / "copy").stat().st_uid == os.getuid()

    @pytest.mark.parametrize(
        ("volumes", "message"),
        [
            (["/no/such/folder"], "names '/no/such/folder', which is not there"),
            ("/tmp", "volumes must be a list of paths, not str"),
            ([3], "volumes holds 3, which is no path"),
            (["/opt"], "'/opt', which would hide what the image has there"),
            (["/"], "'/', which would hide"),
            (["/tmp", "/tmp:ro"], "'/tmp' twice"),
        ],
    )
    def test_bad_volumes(self, make_knot: MakeKnot, volumes: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            make_knot(abs, volumes=volumes)

    def test_memory_that_is_too_little_for_a_container_is_refused(self, make_knot: MakeKnot) -> None:
        knot = make_knot(abs, name="too-little", memory_mib=16)
        with pytest.raises(
            InputError, match="memory_mib=16 is too little: a container's Python alone needs 32"
        ):
            knot.map([-1])
        assert len(knot.jobs) == 0

    def test_an_item_may_sweep_the_temporary_folder(self, make_knot: MakeKnot) -> None:
        def sweep_all(_: int) -> int:
            for path in [*Path("/tmp").iterdir(), *Path("/var/tmp").iterdir()]:
                shutil.rmtree(path, ignore_errors=True)
            return len(list(Path("/tmp").iterdir()))

        assert make_knot(sweep_all).map([0, 0, 0]).result() == [0] * 3
        assert make_knot(abs).map([-1, -2]).result() == [1, 2]


class TestEdits:
    """The function is not in the image."""

    def test_a_version_that_is_asked_for_goes_before_the_one_here(self, make_knot: MakeKnot) -> None:
        knot = make_knot(
            importlib.metadata.version,
            name="asked-for",
            image=Image(packages=["six==1.16.0"]),
        )
        assert importlib.metadata.version("six") != "1.16.0"
        assert knot.map(["six"]).result() == ["1.16.0"]
        knot.clobber(results=True)

    def test_an_edited_environment_file_is_seen(self, make_knot: MakeKnot, tmp_path: Path) -> None:
        lines = tmp_path / "requirements.txt"

        def version(name: str) -> str:
            return importlib.metadata.version(name)

        for wanted in ("1.17.0", "1.16.0"):
            lines.write_text(f"six=={wanted}\n")
            knot = make_knot(version, name="edited-file", image=Image(environment=lines))
            assert knot.map(["six"]).result() == [wanted]
        knot.clobber(results=True)

    def test_an_edited_function_needs_no_build(self, make_knot: MakeKnot, engine: DockerClient) -> None:
        first = make_knot(lambda x: x + 1, name="edited").map([1])
        assert first.result() == [2]
        before = engine.images.get(first.run.image)
        second = make_knot(lambda x: x + 2, name="edited").map([1])
        assert second.result() == [3]
        assert second.run.image == first.run.image
        assert engine.images.get(second.run.image).attrs == before.attrs  # its id, and when it was made

    def test_arguments_bring_what_they_need(self, make_knot: MakeKnot) -> None:
        import numpy as np

        knot = make_knot(lambda row: float(row.sum()))
        assert knot.map(np.ones((2, 3))).result() == [3.0, 3.0]


class TestDeaths:
    """A container that ends is told of, and leaves nothing."""

    @pytest.fixture
    def of_knot(self, engine: DockerClient) -> Callable[[str], list[Any]]:
        def find(name: str) -> list[Any]:
            label = {"label": f"cloudknot.knot={name}"}
            return list(engine.containers.list(all=True, filters=label, ignore_removed=True))

        return find

    def test_a_container_killed_from_outside_is_replaced(
        self, make_knot: MakeKnot, of_knot: Callable[[str], list[Any]], tmp_path: Path, unique: str
    ) -> None:
        def once(x: int) -> int:
            if not (tmp_path / "began").exists():
                (tmp_path / "began").touch()
                time.sleep(60)
            return x

        future = make_knot(once, name=unique, volumes=[tmp_path]).map([7])
        wait_until((tmp_path / "began").exists)
        [container] = of_knot(unique)
        container.kill()
        assert future.result(timeout=30) == [7]

    def test_and_is_told_of_where_it_may_not_be_tried_again(
        self, make_knot: MakeKnot, of_knot: Callable[[str], list[Any]], tmp_path: Path, unique: str
    ) -> None:
        def wait(x: int) -> None:
            (tmp_path / "began").touch()
            time.sleep(60)

        future = make_knot(wait, name=unique, volumes=[tmp_path], retries=Retry(lost=0)).map([7])
        wait_until((tmp_path / "began").exists)
        [container] = of_knot(unique)
        container.kill()
        with pytest.raises(CallLostError, match="its container ended with exit code 137"):
            future.result(timeout=30)

    def test_lack_of_memory_is_told_of_the_item_that_lacked_it_alone(self, make_knot: MakeKnot) -> None:
        def take_or_kill(x: int) -> int:
            if x == 0:
                return allocate(900)
            time.sleep(1)  # seconds tell the engine's events apart
            if x == 2:
                os.kill(os.getppid(), signal.SIGKILL)  # the relay
            return x

        knot = make_knot(take_or_kill, memory_mib=200, retries=Retry(lost=0))
        future = knot.map(range(3), chunk_size=3, on_error="continue")
        assert "lack of memory" in str(future[0].exception())
        assert future[1].result() == 1
        assert "its container ended with exit code 137" in str(future[2].exception())

    def test_a_killed_client_leaves_no_container(
        self, script: Script, of_knot: Callable[[str], list[Any]], unique: str
    ) -> None:
        process = script.start(
            "import pathlib, time\nimport cloudknot as ck\n"
            "def wait(x):\n    pathlib.Path(f'began-{x}').touch()\n    time.sleep(60)\n"
            f"future = ck.Knot(wait, name='{unique}').map([0, 1], chunk_size=1)\n"
            "future.result()\n"
        )
        wait_until(lambda: len(list(script.folder.glob("began-*"))) == WORKERS, timeout_s=60)
        assert len(of_knot(unique)) == WORKERS
        process.kill()
        wait_until(lambda: not of_knot(unique), timeout_s=10)

    def test_what_was_left_is_swept(self, engine: DockerClient, unique: str) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        owners = {
            f"{socket.gethostname()} {gone.pid}",
            f"{socket.gethostname()} {os.getpid()}",
            "elsewhere 1",
        }
        for owner in owners:
            engine.containers.create("python:3.11-slim", labels={unique: owner})
        try:
            assert sweep(Engine(), unique, is_left_by) == 1
            left = engine.containers.list(all=True, filters={"label": unique})
            assert {one.labels[unique] for one in left} == owners - {f"{socket.gethostname()} {gone.pid}"}
        finally:
            for one in engine.containers.list(all=True, filters={"label": unique}):
                one.remove()


class TestClobber:
    """Clobber removes containers and images that it made, and says so."""

    @pytest.fixture
    def knot(self, make_knot: MakeKnot) -> Iterator[Knot[Any]]:
        import packaging.version

        def major(text: str) -> int:
            return packaging.version.Version(text).major

        knot = make_knot(major, name="clobbered")
        yield knot
        knot.clobber(results=True)

    def test_it_removes_them(self, knot: Knot[Any], engine: DockerClient) -> None:
        future = knot.map(["3.11"])
        assert future.result() == [3]
        layers = set(engine.images.get(future.run.image).attrs["RootFS"]["Layers"])

        def are_left() -> bool:
            own = {tuple(image.attrs["RootFS"]["Layers"]) for image in engine.images.list("cloudknot-layer")}
            return any(len(layers.intersection(other)) == len(layers) - 1 for other in own)

        def is_building() -> bool:
            return bool(engine.containers.list(all=True, filters={"name": BUILDING}))

        assert are_left()
        done = knot.clobber()
        assert done.images == (future.run.image,)
        if is_building():  # a test beside this one: layers stay, and go with the next image that goes
            wait_until(lambda: not is_building(), timeout_s=120)
            remove_unused_layers(Engine())
        assert not are_left()
        assert done.containers == 1
        assert not engine.images.list(name=future.run.image)
        assert not engine.containers.list(all=True, filters={"label": "cloudknot.knot=clobbered"})
        assert knot.jobs[0].result() == [3]

    def test_what_another_knot_has_too_is_kept(
        self, knot: Knot[Any], make_knot: MakeKnot, engine: DockerClient
    ) -> None:
        assert knot.map(["3.11"]).result() == [3]
        other = make_knot(knot.func, name="other-knot")
        kept = other.map(["3.12"])
        assert kept.result() == [3]
        assert knot.clobber().images == ()
        assert engine.images.list(name=kept.run.image)
        assert other.clobber(results=True).images == ()  # now the first one's jobs have it
        assert knot.clobber(results=True).images == (kept.run.image,)

    def test_it_works_again_afterwards(self, knot: Knot[Any]) -> None:
        first = knot.map(["3.11"])
        assert first.result() == [3]
        knot.clobber()
        again = knot.map(["4.0"])
        assert again.result() == [4]
        assert again.run.image == first.run.image

    def test_a_failed_item_can_be_tried_again_afterwards(self, knot: Knot[Any], tmp_path: Path) -> None:
        future = knot.map(["3.11", "no version"])
        future.exception()
        knot.clobber()
        assert future.retry_failed()[0].result() == 3


def test_an_image_that_cannot_be_made_again_is_told(
    make_knot: MakeKnot, engine: DockerClient, tmp_path: Path
) -> None:
    lines = tmp_path / "requirements.txt"
    lines.write_text("six==1.17.0\n")
    knot = make_knot(lambda x: 1 // x, name="changed", image=Image(environment=lines))
    future = knot.map([0, 1])
    future.exception()
    knot.clobber()
    lines.write_text("six==1.16.0\n")
    with pytest.raises(ImageError, match="from what is installed now another one comes out"):
        future.retry_failed()
    assert future.retry_failed(lambda x: x).result() == [0, 1]
    knot.clobber(results=True)


def test_without_an_engine_it_says_what_to_do(script: Script) -> None:
    out = script.run(
        "import cloudknot as ck\ntry:\n    ck.Knot(abs)\nexcept ck.EngineError as error:\n    print(error)\n",
        DOCKER_HOST="unix:///nowhere/docker.sock",
    )
    assert "unix:///nowhere/docker.sock" in out
    assert "backend='local'" in out or 'backend="local"' in out


def test_the_places_settings_are_read_from_the_environment(tmp_path: Path) -> None:
    from cloudknot.config import load_settings

    environ = {
        "CLOUDKNOT_CONFIG": str(tmp_path / "none"),
        "CLOUDKNOT_BASE_IMAGE": "lab/base:1",
        "CLOUDKNOT_VOLUMES": f"{tmp_path}:ro:/tmp",
    }
    settings = load_settings(environ)
    assert settings.base_image == "lab/base:1"
    assert settings.volumes == (f"{tmp_path}:ro", "/tmp")
