"""One connection to a docker engine, and its failures in words for the person who meets them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import docker
import requests.exceptions
import urllib3.exceptions
from docker.errors import DockerException, StreamParseError

from cloudknot.docker_engine.explaining import explain
from cloudknot.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")

# Removing or unpacking an image of many gigabytes keeps the engine silent for minutes.
_TIMEOUT_S = 600
_LINKS_KEPT = 64
_FAILURES = (
    DockerException,
    StreamParseError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What an engine has for all its containers.

    Parameters
    ----------
    vcpus : int
        Processors.
    memory_mib : int
        Memory in MiB.
    """

    vcpus: int
    memory_mib: int


class Engine:
    """A docker engine: that of ``DOCKER_HOST``, else that of the current docker context.

    Nothing is sent before something is asked. It may be used from several threads.
    """

    def __init__(self) -> None:
        self._client: DockerClient | None = None
        self._opening = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, Any] = {}

    @property
    def client(self) -> Any:
        """The SDK's client, connected when it is first asked for.

        Raises
        ------
        EngineError
            No engine answers, or it may not be used.
        """
        with self._opening:
            if self._client is None:
                with self.translated("connect to docker"):
                    self._client = docker.from_env(timeout=_TIMEOUT_S, max_pool_size=_LINKS_KEPT)
            return self._client

    @property
    def platform(self) -> str:
        """What the engine runs by itself, such as ``"linux/amd64"``."""
        return self.once("platform", self._ask_platform)

    def capacity(self) -> Capacity:
        """Return the processors and the memory that containers share."""
        client = self.client
        with self.translated("ask docker what it has"):
            facts = client.info()
        return Capacity(vcpus=int(facts["NCPU"]), memory_mib=int(facts["MemTotal"]) >> 20)

    @contextlib.contextmanager
    def translated(self, asked: str) -> Iterator[None]:
        """Turn the failures of the engine and of the way to it into an ``EngineError``.

        Parameters
        ----------
        asked : str
            What was asked of the engine, as it continues "could not".
        """
        try:
            yield
        except _FAILURES as error:
            raise EngineError(f"could not {asked}: {explain(error)}") from error

    def lock(self, name: str) -> threading.Lock:
        """Return the lock of that name, so that threads do a thing once."""
        with self._opening:
            return self._locks.setdefault(name, threading.Lock())

    def once(self, name: str, find: Callable[[], T]) -> T:
        """Return what was found under that name the first time; threads wait for the one that looks."""
        with self.lock(name):
            if name not in self._known:
                self._known[name] = find()
            found: T = self._known[name]
        return found

    def close(self) -> None:
        """Close the connection; asking again opens a new one."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask_platform(self) -> str:
        client = self.client
        with self.translated("ask docker for its version"):
            version = client.version()
        return f"{version['Os']}/{version['Arch']}"
