"""Boxes by name: started once, found again, stopped for good."""

import fcntl
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from cloudknot.testing.box import Box
from cloudknot.testing.errors import BoxError

__all__ = ["down", "find", "names", "running", "up"]

_STATE = "box.json"
_LOG = "box.log"
_PATIENCE_S = 60.0
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def up(name: str = "default", *, executor: str = "docker", port: int = 0, region: str = "us-east-1") -> Box:
    """Return the box of this name; start it when it is not up.

    Parameters
    ----------
    name : str, default 'default'
        Boxes of different names know nothing of each other.
    executor : {'docker', 'process'}
        What runs the containers of jobs. A box that is up already keeps its own.
    port : int, default 0
        Where it listens on 127.0.0.1; 0 takes a free one.
    region : str
        The region that `Box.environment` names. Every region is there.

    Raises
    ------
    BoxError
        When it cannot be started; the message has the reason.
    """
    folder = _folder(name)
    if not _REGION.fullmatch(region):
        raise BoxError(f"a region is named like us-east-1, not {region!r}")
    with _locked(folder):
        if box := find(name):
            return box
        pid = _detached(_command(folder, name, executor, port, region), folder / _LOG)
        return _await(folder, name, lambda: not _is_alive(pid))


def find(name: str = "default") -> Box | None:
    """Return the box of this name when it is up, else None."""
    try:
        box = Box(**json.loads((_folder(name) / _STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return box if box.is_up() else None


def names() -> list[str]:
    """Return the names of the boxes that are up."""
    return [path.name for path in sorted(_root().glob("*")) if find(path.name)]


def down(name: str = "default") -> bool:
    """Stop the box of this name and remove all that it has made; tell whether it was up."""
    folder = _folder(name)
    with _locked(folder):
        box = find(name)
        if box is None:
            return False
        box.down()
        _wait_until(lambda: not _is_alive(box.pid), f"the box {name!r} (process {box.pid}) does not end")
        return True


@contextmanager
def running(folder: Path, *, name: str, executor: str = "process") -> Iterator[Box]:
    """Have a box for a while; it ends with this process too, however that happens.

    Parameters
    ----------
    folder : Path
        An empty folder for its files.
    name : str
        What it is called.
    executor : {'docker', 'process'}
        What runs jobs.

    Raises
    ------
    BoxError
        When it does not come up.
    """
    log = folder / _LOG
    command = [*_command(folder, name, executor, 0, "us-east-1"), "--lifeline"]
    with (
        log.open("w") as lines,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=lines, stderr=lines, start_new_session=True
        ) as process,
    ):
        box = _await(folder, name, lambda: process.poll() is not None)
        try:
            yield box
        finally:
            box.down()


def _detached(command: list[str], log: Path) -> int:
    """Start a process that outlives this one, and is nobody's child; return its id."""
    with log.open("w") as lines:
        started = subprocess.run(
            ["sh", "-c", '"$@" 1>&2 & echo $!', "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=lines,
            start_new_session=True,
        )
    return int(started.stdout)


def _command(folder: Path, name: str, executor: str, port: int, region: str) -> list[str]:
    missing = [part for part in ("moto", "flask", "werkzeug") if importlib.util.find_spec(part) is None]
    if missing:
        raise BoxError(f"{', '.join(missing)} not installed: pip install 'cloudknot[testing]'")
    (folder / _STATE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "cloudknot.testing.server", str(folder), "--name", name]
    return [*command, "--executor", executor, "--port", str(port), "--region", region]


def _await(folder: Path, name: str, has_ended: Callable[[], bool]) -> Box:
    state, log = folder / _STATE, folder / _LOG
    _wait_until(lambda: state.exists() or has_ended(), f"the box {name!r} does not come up; see {log}")
    if not state.exists():
        raise BoxError(f"the box {name!r} did not come up: {_last_line(log)}")
    box = Box(**json.loads(state.read_text()))
    _wait_until(lambda: box.is_up() or has_ended(), f"the box {name!r} does not answer; see {log}")
    return box


def _root() -> Path:
    return platformdirs.user_state_path("cloudknot") / "boxes"


def _folder(name: str) -> Path:
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise BoxError(f"a box is named by letters, digits, - and _, not {name!r}")
    return _root() / name


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise BoxError(otherwise)
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # A child of this process that has ended, and was not waited for, is a zombie.
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
