"""Layers that are added to an image by running a command in a container of it.

What the command needs, passwords among it, lies in a volume of that container, which goes with it: so it is
in no layer and in no history, and an image need not be copied from stage to stage to be rid of it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from docker.errors import NotFound
from docker.types import LogConfig, Mount
from docker.utils.config import load_general_config
from docker.utils.proxy import ProxyConfig
from docker.utils.socket import frames_iter

from cloudknot.docker_engine.building import StepLog
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import BUILDING, LABEL, pack_context
from cloudknot.errors import ImageError

Tell = Callable[[str], None]
_SHELL = "/bin/sh"


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a command finds what it needs: below a folder that is no part of the image.

    Parameters
    ----------
    folder : str
        An absolute path that images have and do not use, such as ``/mnt``. What is put there is gone when
        the command has ended.
    tools : str
        The folder below it that stays, for the next command.
    volume : str
        The name of the volume that holds it.
    """

    folder: str
    tools: str
    volume: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """A shell command and the files that it needs.

    Parameters
    ----------
    script : str
        The command, as a Dockerfile would have it.
    files : dict of str to bytes
        The path below the workplace's folder, and what the file holds.
    opening : str
        Run before it in the same shell.
    """

    script: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    opening: str = ":"


def run_command(
    engine: Engine, image: str, command: Command, place: Workplace, *, platform: str | None, tell: Tell
) -> None:
    """Run a command in a container of an image, for what it does to the tools; nothing else stays.

    Raises
    ------
    ImageError
        It failed.
    EngineError
        The engine failed.
    """
    with _workshop(engine, image, command, place, platform) as container:
        _run(engine, container, command, tell)


def add_layer(
    engine: Engine,
    image: str,
    command: Command,
    place: Workplace,
    *,
    name: str,
    platform: str | None,
    cleaner: Executor,
    tell: Tell,
) -> str:
    """Run a command in a container of an image, and keep what it did as a new image; return its id.

    Its container is removed by the cleaner, unless it failed.

    Raises
    ------
    ImageError
        The command failed. Nothing is left of it.
    EngineError
        The engine failed. Nothing is left.
    """
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(_workshop(engine, image, command, place, platform))
        _run(engine, container, command, tell)
        made = _commit(engine, container, name, [f'LABEL {LABEL}="{name}"'])
        cleaner.submit(stack.pop_all().close)
    return made


def add_files(
    engine: Engine,
    image: str,
    files: Mapping[str, bytes],
    *,
    name: str,
    command: Sequence[str],
    changes: Sequence[str],
    platform: str | None,
) -> str:
    """Put files into an image and change its settings, as Dockerfile lines do; return the new image's id.

    Parameters
    ----------
    engine : Engine
        Where.
    image : str
        The image below.
    files : dict of str to bytes
        The path below the root, and what the file holds.
    name : str
        What the new image is called.
    command : sequence of str
        What the new image runs where nothing else is said; it has no entry point.
    changes : sequence of str
        Such as ``USER nobody``.
    platform : str, optional
        None: the engine's own.

    Raises
    ------
    EngineError
        The engine failed. Nothing is left.
    """
    # An entry point that is one empty string is none; it cannot be taken away later on.
    with _container(engine, image, platform, entrypoint=[""], command=list(command)) as container:
        with engine.translated(f"write into {name}"):
            engine.client.api.put_archive(container, "/", pack_context(files))
        return _commit(engine, container, name, changes)


def proxies() -> Mapping[str, str]:
    """Return the proxies that the docker client is set to give to containers."""
    settings = (load_general_config().get("proxies") or {}).get("default") or {}
    found: Mapping[str, str] = ProxyConfig.from_dict(settings).get_environment()
    return found


@contextlib.contextmanager
def _workshop(
    engine: Engine, image: str, command: Command, place: Workplace, platform: str | None
) -> Iterator[str]:
    """Make a container that will run a command, with the command's files in its volume."""
    api = engine.client.api
    with engine.translated("make a volume"):
        api.create_volume(place.volume, labels={LABEL: "tools"})
    host_config = api.create_host_config(
        mounts=[
            # What an image has in that folder stays there, unseen and uncopied.
            Mount(place.folder, None, no_copy=True, labels={LABEL: str(os.getpid())}),
            Mount(place.tools, place.volume, no_copy=True),
        ],
        # What it says is heard as it says it: on a full disk the engine could not keep it.
        log_config=LogConfig(type="none"),
    )
    script = ["-c", f"{command.opening} && {command.script}"]
    with _container(
        engine, image, platform, entrypoint=[_SHELL], command=script, host_config=host_config
    ) as container:
        if command.files:
            with engine.translated("hand a container its files"):
                api.put_archive(container, place.folder, pack_context(command.files))
        yield container


@contextlib.contextmanager
def _container(engine: Engine, image: str, platform: str | None, **settings: Any) -> Iterator[str]:
    """Make a container and remove it in any case, with its own volume."""
    api = engine.client.api
    with engine.translated(f"make a container of {image}"):
        container: str = api.create_container(
            image,
            user="0",
            working_dir="/",
            name=f"{BUILDING}{os.getpid()}-{uuid.uuid4().hex[:12]}",
            platform=platform,
            use_config_proxy=False,  # it would stay in the image
            **settings,
        )["Id"]
    try:
        yield container
    finally:
        with engine.translated("remove a container"), contextlib.suppress(NotFound):
            api.remove_container(container, v=True, force=True)


def _run(engine: Engine, container: str, command: Command, tell: Tell) -> None:
    api = engine.client.api
    log = StepLog(command.script)
    with engine.translated("run a step of a build"):
        with _output_of(api, container) as output:
            api.start(container)
            for _, piece in output:
                for line in log.add(piece.decode(errors="replace")):
                    tell(line)
        code = api.wait(container)["StatusCode"]
    if code:
        failure = log.describe_failure(f"it ended with exit code {code}")
        raise ImageError(f"could not build the image: {failure}")


@contextlib.contextmanager
def _output_of(api: Any, container: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Listen to a container that is not started yet."""
    stream = api.attach_socket(container, {"stdout": 1, "stderr": 1, "stream": 1})
    connection = getattr(stream, "_sock", stream)
    connection.settimeout(None)  # a step may be silent for long
    with contextlib.closing(connection), contextlib.closing(stream):
        yield frames_iter(stream, tty=False)


def _commit(engine: Engine, container: str, name: str, changes: Sequence[str]) -> str:
    repository, _, tag = name.rpartition(":")
    with engine.translated(f"keep the image {name}"):
        made: Mapping[str, Any] = engine.client.api.commit(
            container, repository, tag, changes=list(changes), pause=False
        )
    return str(made["Id"])
