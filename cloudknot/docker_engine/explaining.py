"""What went wrong between this process and a docker engine, and what to do about it: pure."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

_TOO_OLD = re.compile(r"API versions? below|client version \S+ is too (old|new)", re.IGNORECASE)
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
FREE_SPACE = (
    "the disk of the docker engine is full: see what takes it with `docker system df`, "
    "and free what no container uses with `docker system prune`"
)


def explain(error: BaseException, *, host: str | None = None, system: str = sys.platform) -> str:
    """Return what was found and what to do, for a failure of the docker SDK or of what it stands on.

    Parameters
    ----------
    error : BaseException
        The failure, with its causes.
    host : str, optional
        Where the engine was looked for; None: ``DOCKER_HOST``, if it is set.
    system : str
        This machine's, as ``sys.platform`` has it.

    Examples
    --------
    >>> explain(ConnectionResetError("reset by peer"), host="")
    'the docker engine stopped in the middle of it: start it and try again'
    """
    place = _place(os.environ.get("DOCKER_HOST", "") if host is None else host)
    causes = list(_causes(error))
    text = _text_of(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return (
            f"this user may not use the docker engine{place}: join its group with "
            "`sudo usermod -aG docker $USER` and log in again, or use backend='local'"
        )
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in causes):
        return f"no docker engine answers{place}: {_how_to_start(place, system)}, or use backend='local'"
    if is_disk_full(text):
        return FREE_SPACE
    if _TOO_OLD.search(text):
        return f"the docker engine and the Python package docker do not match ({text}): upgrade the older one"
    if any(isinstance(cause, ConnectionError) or "Read timed out" in str(cause) for cause in causes):
        return "the docker engine stopped in the middle of it: start it and try again"
    return text


def is_disk_full(text: str) -> bool:
    """Return whether an engine's words mean that its disk is full."""
    return bool(_FULL.search(text))


def _how_to_start(place: str, system: str) -> str:
    if place:
        return "start it there, or unset DOCKER_HOST"
    if system == "darwin":
        return "start Docker Desktop (`open -a Docker`)"
    return (
        "start it with `sudo systemctl start docker`, or install it (https://docs.docker.com/engine/install)"
    )


def _place(host: str) -> str:
    return f" at DOCKER_HOST={host}" if host else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield a failure and what it came from: the SDK and requests wrap them in several ways."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        linked = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting.extend(one for one in linked if isinstance(one, BaseException))


def _text_of(error: BaseException) -> str:
    """Return an engine's own words where it gave some."""
    return str(getattr(error, "explanation", None) or error).strip() or type(error).__name__
