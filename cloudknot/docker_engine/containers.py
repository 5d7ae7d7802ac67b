"""Containers that are spoken to over their standard streams, and are gone when nobody speaks to them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker.errors
import docker.types

from cloudknot.docker_engine.connection import Engine

# The engine puts this before each piece of output: which stream it is of, and its length.
_HEADER = struct.Struct(">BxxxI")
_STDERR = 2
_READ_BYTES = 1 << 20
_KEPT_BYTES = 4096
_GONE_S = 20.0
_GOING_S = 0.02
# Seconds and microseconds, as the kernel takes them; a relay that reads nothing for so long is stuck.
_SEND_TIMEOUT = struct.pack("ll", 30, 0)
# The engine writes down how a container ended a little after its output has ended.
_SETTLE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """What a container is started with; equal specs can share one.

    Parameters
    ----------
    image : str
        Its image.
    command : tuple of str
        What runs in it.
    vcpus : float
        Processors that it may use at most.
    memory_mib : int, optional
        Memory that it may use at most, swap included.
    volumes : tuple of str
        Folders of this machine that it sees under the same path; read-only where they end in ``:ro``.
    user : str
        ``uid:gid``; empty: the image's own.
    groups : tuple of int
        Further groups of that user.
    environment : dict
        On top of the image's own.
    labels : dict
        What it can be found by; containers that differ in them alone are the same.
    """

    image: str
    command: tuple[str, ...]
    vcpus: float
    memory_mib: int | None = None
    volumes: tuple[str, ...] = ()
    user: str = ""
    groups: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)


class Container:
    """A running container; its standard input and output are this object's.

    The engine removes it when it has ended, and it ends with this process, however that ends.
    """

    def __init__(self, engine: Engine, spec: ContainerSpec) -> None:
        self._engine = engine
        self._buffer = bytearray()
        self._errors = bytearray()
        self._began = time.time()
        api = engine.client.api
        with engine.translated(f"start a container of {spec.image}"):
            created = api.create_container(**_creation(api, spec))
            self.id: str = created["Id"]
            try:
                self._stream = api.attach_socket(self.id, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
                self._socket: socket.socket = getattr(self._stream, "_sock", self._stream)
                self._socket.settimeout(None)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
                _open.add(self)
                api.start(self.id)
            except BaseException:
                self.remove()
                raise

    def send(self, data: bytes) -> None:
        """Write to its standard input; where it reads no more, the connection is ended."""
        try:
            self._socket.sendall(data)
        except OSError:  # half of it is no use, nor is what would come behind
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def expect(self) -> None:
        """Take note that something new runs in it: what it ends of has happened since."""
        self._began = time.time()

    def receive(self) -> bytes:
        """Wait for output and return it; empty when there will be no more."""
        while True:
            output = self._take_output()
            if output:
                return output
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError:
                return b""
            if not data:
                return b""
            self._buffer += data

    def describe_end(self) -> str:
        """Say why it ended by itself, as far as the engine knows."""
        attributes: Mapping[str, str] = {}
        with contextlib.suppress(Exception):  # it is an answer that may be had, not one that must
            filters = {"container": self.id, "event": ["die", "oom"]}
            time.sleep(_SETTLE_S)
            for event in self._engine.client.api.events(
                since=f"{self._began:.6f}", until=f"{time.time():.6f}", filters=filters, decode=True
            ):
                if event.get("Action") == "oom":
                    return "its container was killed for lack of memory: give it more with memory_mib"
                attributes = event.get("Actor", {}).get("Attributes", {})
        said = self._errors.decode(errors="replace").strip()
        code = attributes.get("exitCode")
        how = f"its container ended with exit code {code}" if code else "its container ended"
        return f"{how}; its last words: {said[-300:]}" if said else how

    def remove(self) -> None:
        """Kill it and wait until it is gone."""
        self.hang_up()
        api = self._engine.client.api
        until = time.monotonic() + _GONE_S
        while time.monotonic() < until:
            try:
                api.remove_container(self.id, force=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != _CONFLICT:
                    return
            except Exception:  # the engine is gone, and the container with it
                return
            time.sleep(_GOING_S)  # its removal is under way

    def hang_up(self) -> None:
        """Speak to it no more: it ends by itself, soon."""
        _open.discard(self)
        with contextlib.suppress(AttributeError, OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self._stream.close()
            self._socket.close()

    def _take_output(self) -> bytes:
        """Take what is whole of the streams; keep the end of standard error."""
        output = bytearray()
        while len(self._buffer) >= _HEADER.size:
            stream, size = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                break
            if stream == _STDERR:
                self._errors += self._buffer[_HEADER.size : end]
                del self._errors[:-_KEPT_BYTES]
            else:
                output += self._buffer[_HEADER.size : end]
            del self._buffer[:end]
        return bytes(output)


_CONFLICT = 409
# A forked child must not hold the containers of its parent.
_open: weakref.WeakSet[Container] = weakref.WeakSet()


def _let_go_after_fork() -> None:
    for container in list(_open):
        container._close()  # the parent's connection must not be shut down, only left
    _open.clear()


os.register_at_fork(after_in_child=_let_go_after_fork)


def sweep(engine: Engine, label: str, is_left: Callable[[str], bool]) -> int:
    """Remove the containers whose process is gone, as the value of a label tells; return how many there were.

    They end with their process by themselves, unless that was killed before it had started them, or what
    runs in them has stopped the relay.
    """
    with engine.translated("look for containers that were left"):
        found = engine.client.api.containers(all=True, filters={"label": label})
        left = [one["Id"] for one in found if is_left(one["Labels"][label])]
        for container in left:
            with contextlib.suppress(docker.errors.APIError):  # another process may just do the same
                engine.client.api.remove_container(container, force=True)
    return len(left)


def _creation(api: Any, spec: ContainerSpec) -> dict[str, Any]:
    limits: dict[str, Any] = {"nano_cpus": round(spec.vcpus * 1e9)}
    if spec.memory_mib is not None:
        limits |= {"mem_limit": spec.memory_mib << 20, "memswap_limit": spec.memory_mib << 20}
    return {
        "image": spec.image,
        "command": list(spec.command),
        "user": spec.user or None,
        "environment": dict(spec.environment),
        "labels": dict(spec.labels),
        "stdin_open": True,
        "host_config": api.create_host_config(
            auto_remove=True,
            init=True,
            mounts=[_mount(volume) for volume in spec.volumes],
            group_add=[str(group) for group in spec.groups],
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            log_config={"Type": "none"},  # what it says is for this process alone
            **limits,
        ),
    }


def _mount(volume: str) -> docker.types.Mount:
    folder = volume.removesuffix(":ro")
    return docker.types.Mount(folder, folder, type="bind", read_only=volume != folder)
