"""What the tests share: a client with a ledger of its own, and scripts run as a user would run them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker import DockerClient

from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.knot import Knot
from cloudknot.testing import Box
from cloudknot.testing.launch import running
from tests.aws.lab import enter, make_stack
from tests.rig.base_image import ensure_base_image
from tests.rig.engine import ensure_engine
from tests.rig.errors import EngineUnavailableError
from tests.side_by_side import group_of

pytest_plugins = ["cloudknot.testing.pytest_plugin"]

WORKERS = 2


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests together that share something, where several processes run them."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(group_of(item)))


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """One client with one warm pool for the whole session; containers see the tests' folders."""
    home = tmp_path_factory.mktemp("home")
    volumes = (str(tmp_path_factory.getbasetemp()), f"{Path.cwd()}:ro")
    return Client(Settings(home=home, local_workers=WORKERS, progress=False, volumes=volumes))


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A real docker engine that has the base image; without one the tests are skipped, and fail under CI."""
    try:
        ensure_engine()
        ensure_base_image()
    except EngineUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    connection = docker.from_env()
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def lab_box(tmp_path_factory: pytest.TempPathFactory, engine: DockerClient) -> Iterator[Box]:
    """A box with a stack of cloudknot's, for all tests of the session; it runs jobs as processes."""
    folder = tmp_path_factory.mktemp("lab_box")
    with running(folder, name=f"lab-{folder.parent.name}-{folder.name}") as box:
        box.reset(executor="process")
        with pytest.MonkeyPatch.context() as monkeypatch:
            enter(box, monkeypatch)
            make_stack()
        yield box


@pytest.fixture
def aws_lab(lab_box: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    """The same, with this test's environment variables set so that AWS is the box."""
    enter(lab_box, monkeypatch)
    return lab_box


@pytest.fixture
def place() -> str:
    """The place where Knots run; the contract's tests run in each."""
    return "local"


@pytest.fixture
def make_knot(client: Client, place: str) -> Callable[..., Knot[Any]]:
    """Make a Knot in the place under test."""

    def make(func: Callable[..., Any], **options: Any) -> Knot[Any]:
        return Knot(func, **{"backend": place, "client": client, **options})

    return make


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A ledger of its own for scripts."""
    return tmp_path / "home"


class Script:
    """A script that runs as a user's would: another process, and nothing shared but the ledger."""

    def __init__(self, folder: Path, home: Path, place: str = "local") -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {
            **os.environ,
            "CLOUDKNOT_HOME": str(home),
            "CLOUDKNOT_CONFIG": str(folder / "no-config.toml"),
            "CLOUDKNOT_LOCAL_WORKERS": str(WORKERS),
            "CLOUDKNOT_BACKEND": place,
            "CLOUDKNOT_VOLUMES": str(folder),
        }

    def start(self, code: str, **environment: str) -> subprocess.Popen[str]:
        """Start it; whatever becomes of the test, it is ended."""
        path = self.folder / f"script_{time.monotonic_ns()}.py"
        path.write_text(code)
        process = subprocess.Popen(
            # Where tests run in the background, an interrupt may be ignored from the start.
            ["env", "--default-signal=INT", sys.executable, str(path)],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what was started."""
        for process in self._started:
            process.kill()
            process.communicate()

    def run(self, code: str, **environment: str) -> str:
        """Run it to its end and return what it printed."""
        process = self.start(code, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{err}"
        return out


@pytest.fixture
def script(tmp_path: Path, home: Path, place: str) -> Iterator[Script]:
    script = Script(tmp_path, home, place)
    yield script
    script.end()


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for a condition of another process, and fail when it does not come."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Return whether a process lives; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def leave_footprint(path: Path) -> None:
    """Leave a link whose name ends in this process's number, and that points to its namespace."""
    path.symlink_to(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  # it is no path of a file


def is_alive(footprint: Path) -> bool:
    """Return whether the process that left a footprint lives; a zombie does not."""
    namespace, number = str(footprint.readlink()), footprint.name.rpartition("-")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "ns" / "pid") == namespace:  # noqa: PTH115
                fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                if fields["NSpid"].split()[-1] == number:
                    return fields["State"].split()[0] not in "ZX"
    return False


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that items wait for, so that a test decides when they end."""
    path = tmp_path / "gate"
    yield path
    path.touch()
