"""A real docker engine for the tests: the one that answers, or Debian's own, installed and started."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from tests.rig.apt import find_program, install_missing, why_not_install
from tests.rig.errors import EngineUnavailableError
from tests.rig.state import only_one, state_file, tail

PACKAGES = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "iptables": "iptables",
    "update-ca-certificates": "ca-certificates",
}
SOCKET = "unix:///var/run/docker.sock"
PING_TIMEOUT_S = 5
START_TIMEOUT_S = 60.0


def ensure_engine() -> None:
    """Return when a docker engine answers; start one where that is allowed.

    Raises
    ------
    EngineUnavailableError
        When there is none, with what to do about it.
    """
    if is_answering():
        return
    address = _address()
    refusal = why_not_install(os.environ) if address == SOCKET else "start it, or unset DOCKER_HOST"
    if refusal:
        raise EngineUnavailableError(f"no docker engine answers at {address}; one must be started: {refusal}")
    with only_one("engine"):
        if not is_answering():
            install_missing(PACKAGES)
            _start()


def is_answering() -> bool:
    """Return whether the engine that the SDK would use answers."""
    # Asked first, as the SDK leaves its socket open where nobody listens, and warnings are errors.
    scheme, _, path = _address().partition("://")
    if scheme == "unix" and not _is_listening(path):
        return False
    try:
        client = docker.from_env(timeout=PING_TIMEOUT_S)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, RequestException):
        return False
    finally:
        client.close()


def default_route_mtu(routes: str, devices: Path = Path("/sys/class/net")) -> int | None:
    """Return the MTU of the default route's device, or None where there is no such route."""
    for line in routes.splitlines()[1:]:
        device, destination, _, _, _, _, _, mask, *_ = line.split()
        if int(destination, 16) == 0 and int(mask, 16) == 0:
            return int((devices / device / "mtu").read_text())
    return None


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or SOCKET


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except OSError:
            return False
    return True


def _start() -> None:
    """Start dockerd in a session of its own and wait until it answers; it outlives this process."""
    mtu = default_route_mtu(Path("/proc/net/route").read_text())
    path = state_file("dockerd.log")
    with path.open("wb") as log:
        process = subprocess.Popen(
            [find_program("dockerd") or "dockerd", f"--host={SOCKET}", *([f"--mtu={mtu}"] if mtu else [])],
            start_new_session=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + START_TIMEOUT_S
    while not is_answering():
        if process.poll() is not None:
            raise EngineUnavailableError(
                f"dockerd ended with exit code {process.returncode}; {path} ends so:\n{tail(path)}"
            )
        if time.monotonic() > until:
            process.terminate()
            process.wait()
            raise EngineUnavailableError(
                f"dockerd did not answer in {START_TIMEOUT_S:.0f} s; {path} ends so:\n{tail(path)}"
            )
        time.sleep(0.1)
    process.returncode = 0  # or Popen warns of a child that is left running, which is what is wanted
