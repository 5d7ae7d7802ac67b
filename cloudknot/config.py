"""What a person has set: environment variables first, then the configuration file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import platformdirs

from cloudknot.errors import InputError

_FALSE = frozenset({"0", "false", "no", "off"})
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
# It is part of the names of a bucket and of a repository, which take no capitals.
_STACK = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,31}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for every Knot of this process.

    Parameters
    ----------
    home : Path
        The folder of the ledger.
    backend : str
        The place where nothing else is said.
    local_workers : int, optional
        Worker processes on this machine; None: as many as processors.
    progress : bool, optional
        Whether long maps show a bar; None: on a terminal and in a notebook.
    base_image : str, optional
        The base of container images that name none; None: Python's own.
    volumes : tuple of str
        Folders that containers on this machine see, for Knots that name none.
    profile : str, optional
        The profile of AWS's configuration files; None goes by AWS's own order.
    region : str, optional
        The region of AWS; None goes by AWS's own order.
    stack : str
        The stack on AWS that Knots use.

    Raises
    ------
    InputError
        The region or the stack has a name that AWS does not take.
    """

    home: Path
    backend: str = "local"
    local_workers: int | None = None
    progress: bool | None = None
    base_image: str | None = None
    volumes: tuple[str, ...] = ()
    profile: str | None = None
    region: str | None = None
    stack: str = "cloudknot"

    def __post_init__(self) -> None:
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise InputError(f"region {self.region!r} will not do: use one of AWS's, such as 'us-east-1'")
        if not _STACK.fullmatch(self.stack):
            raise InputError(f"stack {self.stack!r} will not do: use 2 to 32 small letters, digits and '-'")


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the configuration file: ``CLOUDKNOT_CONFIG``, or the user's own."""
    given = environ.get("CLOUDKNOT_CONFIG")
    return Path(given) if given else Path(platformdirs.user_config_dir("cloudknot")) / "config.toml"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that are in force.

    Raises
    ------
    InputError
        The configuration file is not TOML, or a setting has a value that will not do.
    """
    path = config_file(environ)
    settings = _read_file(path)

    def setting(name: str) -> object:
        return environ.get(f"CLOUDKNOT_{name.upper()}", settings.get(name))

    home = setting("home")
    return Settings(
        home=Path(str(home)).expanduser() if home else Path(platformdirs.user_data_dir("cloudknot")),
        backend=str(setting("backend") or "local"),
        local_workers=_whole_number("local_workers", setting("local_workers")),
        progress=_truth(setting("progress")),
        base_image=str(setting("base_image") or "") or None,
        volumes=_folders(setting("volumes")),
        profile=str(setting("profile") or "") or None,
        region=str(setting("region") or "") or None,
        stack=str(setting("stack") or "cloudknot"),
    )


def check_home(home: Path) -> None:
    """Refuse a ledger that others can write: what they put there would run as this user.

    Raises
    ------
    InputError
        The folder is there, and is another user's or can be written by others.
    """
    try:
        status = home.stat()
    except FileNotFoundError:
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise InputError(f"the ledger's folder {home} is another user's: set CLOUDKNOT_HOME to one of yours")
    if status.st_mode & 0o022:
        raise InputError(
            f"the ledger's folder {home} can be written by others, who could make your session run "
            f"their code: chmod go-w {home}"
        )


def _read_file(path: Path) -> dict[str, object]:
    try:
        settings = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the configuration file {path} cannot be read: {error}") from error
    known = [field.name for field in fields(Settings)]
    for name in settings:
        if name not in known:
            raise InputError(
                f"the configuration file {path} has no setting {name!r}: choose from {', '.join(known)}"
            )
    return settings


def _whole_number(name: str, value: object) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise InputError(f"{name} must be a whole number from 1 up, not {value!r}")
    return number


def _truth(value: object) -> bool | None:
    if value is None or value == "":
        return None
    return str(value).lower() not in _FALSE


def _folders(value: object) -> tuple[str, ...]:
    """Return the folders of a list, or of a variable such as ``/data:ro:/scratch``."""
    if isinstance(value, list):
        return tuple(map(str, value))
    given = re.split(f"{os.pathsep}(?!ro(?:{os.pathsep}|$))", str(value or ""))
    return tuple(folder for folder in given if folder)
