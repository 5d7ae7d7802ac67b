"""Images that are sent to a registry, and what it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError

from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.explaining import FREE_SPACE, is_disk_full
from cloudknot.docker_engine.images import tag_image
from cloudknot.errors import EngineError

Tell = Callable[[str], None]
_STEP_MIB = 16
_THERE = ("Layer already exists", "Mounted from")


@dataclass(frozen=True, kw_only=True)
class Login:
    """What a registry is told of who asks.

    Parameters
    ----------
    user : str
        The name.
    password : str
        It goes to the engine with the one request, and is shown and kept nowhere.
    """

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What became of a push.

    Parameters
    ----------
    digest : str
        What the registry knows the image by; empty where it was refused, or the engine does not tell.
    refusal : str
        The engine's or the registry's words; empty where the image is there.
    """

    digest: str = ""
    refusal: str = ""


class PushLog:
    """Follows a push, and says how far it is.

    Parameters
    ----------
    name : str
        What is pushed.

    Attributes
    ----------
    digest, refusal : str
        As those of `Pushed`.

    Examples
    --------
    >>> log = PushLog("lab:1")
    >>> log.add({"id": "a", "status": "Preparing"}), log.add({"id": "b", "status": "Preparing"})
    ('', '')
    >>> log.add({"id": "a", "status": "Layer already exists"})
    'pushing lab:1: 1 of 2 layers are there'
    >>> log.add({"id": "b", "status": "Pushing", "progressDetail": {"current": 17 << 20, "total": 20 << 20}})
    'pushing lab:1: 1 of 2 layers are there, 17 of 20 MiB sent (before compression)'
    """

    def __init__(self, name: str) -> None:
        self.digest = ""
        self.refusal = ""
        self._name = name
        self._is_there: dict[str, bool] = {}
        self._sent: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._told = (0, 0)

    def add(self, event: Mapping[str, Any]) -> str:
        """Take in one of the engine's messages; return a line to tell, or nothing."""
        if "error" in event:
            self.refusal = str((event.get("errorDetail") or {}).get("message") or event["error"])
        self.digest = str((event.get("aux") or {}).get("Digest") or self.digest)
        layer, status = event.get("id"), str(event.get("status", ""))
        if not layer or not status or status.startswith("Retrying"):
            return ""
        self._is_there[layer] = status == "Pushed" or status.startswith(_THERE)
        if status == "Pushing":
            detail = event.get("progressDetail") or {}
            self._sent[layer] = int(detail.get("current", 0))
            self._sizes[layer] = int(detail.get("total", 0))
        return self._tell()

    def _tell(self) -> str:
        # An archive is a little larger than what is in it.
        mib = sum(min(sent, self._sizes[layer]) for layer, sent in self._sent.items()) >> 20
        there = sum(self._is_there.values())
        if self._told == (there, mib // _STEP_MIB):
            return ""
        self._told = (there, mib // _STEP_MIB)
        whole_mib = sum(self._sizes.values()) >> 20
        sent = f", {mib} of {whole_mib} MiB sent (before compression)" if whole_mib else ""
        return f"pushing {self._name}: {there} of {len(self._is_there)} layers are there{sent}"


def push_image(engine: Engine, image: str, name: str, login: Login, *, tell: Tell) -> Pushed:
    """Send an image to the registry that a name begins with; layers that are there are not sent again.

    Parameters
    ----------
    engine : Engine
        Where the image is.
    image : str
        What it is called there.
    name : str
        What it is called in the registry, with its tag. The engine knows that name while it pushes.
    login : Login
        Who asks.
    tell : callable
        Told, line by line, how it goes on.

    Raises
    ------
    EngineError
        The engine failed, or its disk is full.
    """
    repository, _, tag = name.rpartition(":")
    log = PushLog(name)
    auth = {"username": login.user, "password": login.password}
    api = engine.client.api
    tag_image(engine, image, name)
    try:
        with engine.translated(f"push {name}"):
            try:
                for event in api.push(repository, tag, stream=True, decode=True, auth_config=auth):
                    if line := log.add(event):
                        tell(line)
            except APIError as error:
                log.refusal = str(error.explanation)
    finally:
        with contextlib.suppress(EngineError), engine.translated(f"take the name {name} away"):
            api.remove_image(name, noprune=True)
    if is_disk_full(log.refusal):
        raise EngineError(f"could not push {name}: {FREE_SPACE}")
    return Pushed(digest="" if log.refusal else log.digest, refusal=log.refusal)
