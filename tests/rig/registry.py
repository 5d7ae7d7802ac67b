"""A registry of images on this machine, which the engine takes without TLS as it is on the loopback."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.rig.apt import find_program, install_missing
from tests.rig.errors import EngineUnavailableError
from tests.rig.state import tail

START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 10.0


class Registry:
    """A registry that keeps its images in a folder, from entering the context to its exit.

    Attributes
    ----------
    address : str
        What stands before the slash of an image's name: "localhost:PORT".
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        program = _registry_program()
        port = _free_port()
        self.address = f"localhost:{port}"
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "config.yml"
        config.write_text(json.dumps(registry_config(self._folder / "storage", port)))  # JSON is YAML too
        with (self._folder / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(port)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait(self, port: int) -> None:
        """Return when it answers."""
        until = time.monotonic() + START_TIMEOUT_S
        while not _is_answering(port):
            ended = self._process.poll() if self._process else None
            if ended is not None or time.monotonic() > until:
                log = tail(self._folder / "registry.log")
                raise EngineUnavailableError(f"the registry does not answer (exit code {ended}):\n{log}")
            time.sleep(0.05)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def registry_config(storage: Path, port: int) -> dict[str, Any]:
    """Return the configuration of a registry on this port of the loopback."""
    return {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


def _registry_program() -> str:
    """Return the path of the registry, as Debian or as its makers call it."""
    other = find_program("registry")
    if other:
        return other
    install_missing({"docker-registry": "docker-registry"})
    return find_program("docker-registry") or "docker-registry"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_answering(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
