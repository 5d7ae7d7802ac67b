"""What a user may ask for: frozen values, checked when they are made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_args

from cloudknot.errors import InputError
from cloudknot.runner.orders import OnError

_SYSTEM = ("bin", "dev", "etc", "lib", "lib64", "opt", "proc", "sbin", "sys", "usr", "usr/local", "var")
_NO_VOLUMES = frozenset({"/", *(f"/{name}" for name in _SYSTEM)})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_APT_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLATFORM = re.compile(r"linux/[a-z0-9]+(/[a-z0-9]+)?")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one item may use.

    Parameters
    ----------
    vcpus : float, default 1
        Processors. Numerical libraries are told to use that many threads, and this machine runs
        as many items side by side as its processors allow.
    memory_mib : int, optional
        Memory in MiB. None leaves it to the place; this machine runs no more items side by side
        than its memory allows.
    timeout_s : float, optional
        Seconds after which an item is killed. None sets no limit.

    Raises
    ------
    InputError
        A value is not a positive number.
    """

    vcpus: float = 1
    memory_mib: int | None = None
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("vcpus", "memory_mib", "timeout_s"):
            value = getattr(self, name)
            if value is None and name != "vcpus":
                continue
            number = _as_number(name, value)
            if not (number > 0 and math.isfinite(number)):
                raise InputError(f"{name} must be positive, not {value!r}")
            object.__setattr__(self, name, int(number) if name == "memory_mib" else number)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often an item is tried again.

    Parameters
    ----------
    raised : int, default 0
        Further tries after the function raised.
    lost : int, default 2
        Further tries after the item's process was killed.

    Raises
    ------
    InputError
        A value is not a whole number from 0 up.
    """

    raised: int = 0
    lost: int = 2

    def __post_init__(self) -> None:
        for name in ("raised", "lost"):
            value = getattr(self, name)
            whole = _as_whole_number(value)
            if whole is None or whole < 0:
                raise InputError(f"retries must be a whole number from 0 up, not {value!r} ({name})")
            object.__setattr__(self, name, whole)


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the container image of a function is made from. Nothing needs to be said.

    Parameters
    ----------
    base : str, optional
        The image that it stands on, such as ``"python:3.11-slim"``, which is the default with the
        minor version of this Python. One that has no Python of that version gets it.
    packages : sequence of str
        Python packages beside those that the function imports, as pip takes them.
    apt : sequence of str
        Debian packages, where the base is Debian's or Ubuntu's.
    requirements : sequence of str, optional
        Python packages *instead of* those that the function imports.
    dockerfile : path, optional
        A Dockerfile of your own, whose image is the base. Its folder is its build context.
    environment : path, optional
        A ``uv.lock``, ``requirements.txt`` or ``environment.yml`` that says what is installed
        *instead of* what the function imports.
    user : str, default "cloudknot"
        The unprivileged user that runs the function.
    platform : str, optional
        Such as ``"linux/arm64"``; the engine's own when not given.

    Raises
    ------
    InputError
        A value will not do, or a file is not there.
    """

    base: str | None = None
    packages: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    requirements: tuple[str, ...] | None = None
    dockerfile: Path | None = None
    environment: Path | None = None
    user: str = "cloudknot"
    platform: str | None = None

    def __post_init__(self) -> None:
        _check_match("base", self.base, _REFERENCE, "use the name of an image, such as 'python:3.11-slim'")
        _check_match("user", self.user, _USER_NAME, "use lower-case letters, digits, '-' and '_'")
        _check_match("platform", self.platform, _PLATFORM, "use 'linux/amd64' or 'linux/arm64'")
        if self.user == "root":
            raise InputError("user must not be 'root': the function runs as an unprivileged user")
        for name in ("packages", "apt", "requirements"):
            lines = getattr(self, name)
            if name != "requirements" or lines is not None:
                object.__setattr__(self, name, _check_lines(name, lines))
        for package in self.apt:
            _check_match("apt", package, _APT_NAME, "use the names of Debian packages")
        for name in ("dockerfile", "environment"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _check_file(name, getattr(self, name)))
        for one, other in (("base", "dockerfile"), ("requirements", "environment")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise InputError(f"{one} and {other} say the same thing twice: give one of them")

    def to_json(self) -> dict[str, Any]:
        """Return what is said, as it stands in a run's record."""
        said = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: str(value) if isinstance(value, Path) else value for name, value in said.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Image:
        """Return what a record says; its files are not looked for."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        image = cls.__new__(cls)
        for name, field in cls.__dataclass_fields__.items():
            value = known.get(name, field.default)
            if isinstance(value, list):
                value = tuple(value)
            if name in ("dockerfile", "environment") and value is not None:
                value = Path(value)
            object.__setattr__(image, name, value)
        return image


def extend_image(
    image: Image | None, *, base_image: str | None = None, github_installs: str | Iterable[str] = ()
) -> Image:
    """Return an image with a base and with git repositories to install.

    Raises
    ------
    InputError
        It is no image, or has a base already, or an address will not do.

    Examples
    --------
    >>> extend_image(None, github_installs="https://github.com/nipy/nibabel").packages
    ('git+https://github.com/nipy/nibabel',)
    """
    image = Image() if image is None else image
    if not isinstance(image, Image):
        raise InputError(f"image must be a cloudknot.Image, not {type(image).__name__} {image!r:.80}")
    if base_image is not None:
        if image.base is not None:
            raise InputError("base_image and image.base say the same thing twice: give one of them")
        image = replace(image, base=base_image)
    addresses = [github_installs] if isinstance(github_installs, str) else github_installs
    lines = [address if str(address).startswith("git+") else f"git+{address}" for address in addresses]
    return replace(image, packages=(*image.packages, *lines))


def check_name(name: object) -> str:
    """Return the name if a run can carry it.

    Raises
    ------
    InputError
        It has characters other than letters, digits, ``-`` and ``_``, or more than 63 of them.

    Examples
    --------
    >>> check_name("pi-calc")
    'pi-calc'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"name {name!r} will not do: use up to 63 letters, digits, '-' and '_', "
            "with a letter or digit first"
        )
    return name


def check_env_vars(env_vars: object) -> dict[str, str]:
    """Return the environment variables as a dict of strings.

    Raises
    ------
    InputError
        It is no mapping, or a name or value is not a string that an environment can hold.
    """
    if env_vars is None:
        return {}
    if not isinstance(env_vars, Mapping):
        raise InputError(f"env_vars must be a dict of strings, not {type(env_vars).__name__}")
    for name, value in env_vars.items():
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
            raise InputError(f"env_vars has a bad name {name!r}: use letters, digits and '_'")
        if not isinstance(value, str):
            raise InputError(
                f"env_vars[{name!r}] must be a string, not {type(value).__name__}: write {str(value)!r}"
            )
        if "\0" in value:
            raise InputError(f"env_vars[{name!r}] holds a null character, which no environment can")
    return dict(env_vars)


def check_volumes(volumes: object) -> tuple[str, ...]:
    """Return folders as absolute paths, with ``:ro`` behind those that must not be written.

    Raises
    ------
    InputError
        It is no list of paths, or one is not there.
    """
    if isinstance(volumes, str | Path) or not isinstance(volumes, Iterable):
        raise InputError(f"volumes must be a list of paths, not {type(volumes).__name__} {volumes!r:.80}")
    checked: dict[Path, str] = {}
    for volume in volumes:
        if not isinstance(volume, str | os.PathLike):
            raise InputError(f"volumes holds {volume!r:.80}, which is no path")
        text = os.fspath(volume)
        path = Path(text.removesuffix(":ro")).expanduser().absolute()
        if not path.exists():
            raise InputError(f"volumes names {str(path)!r}, which is not there")
        if str(path) in _NO_VOLUMES or path.is_relative_to("/opt/cloudknot"):
            raise InputError(
                f"volumes names {str(path)!r}, which would hide what the image has there: "
                "name the folders below it that you need"
            )
        mount = f"{path}:ro" if text.endswith(":ro") else str(path)
        if checked.setdefault(path, mount) != mount:
            raise InputError(f"volumes names {str(path)!r} twice, to be written and not to be written")
    return tuple(checked.values())


def check_on_error(on_error: object) -> OnError:
    """Return the rule if it is one of the three."""
    if on_error not in get_args(OnError):
        raise InputError(f"on_error must be one of {', '.join(get_args(OnError))}, not {on_error!r}")
    return on_error  # type: ignore[return-value]  # get_args has just checked it


def check_chunk_size(chunk_size: object) -> int | None:
    """Return the number of items a chunk, or None for ``"auto"``."""
    if chunk_size == "auto":
        return None
    whole = _as_whole_number(chunk_size)
    if whole is None or whole < 1:
        raise InputError(f"chunk_size must be 'auto' or a whole number from 1 up, not {chunk_size!r}")
    return whole


def _as_number(name: str, value: object) -> int | float:
    # numpy's numbers are registered as Real too.
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, not {type(value).__name__} {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def _as_whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return value.__index__()  # type: ignore[attr-defined, no-any-return]  # numpy's integers too
    except AttributeError:
        return None


def _check_match(name: str, value: object, pattern: re.Pattern[str], advice: str) -> None:
    if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise InputError(f"{name} {value!r} will not do: {advice}")


def _check_lines(name: str, lines: object) -> tuple[str, ...]:
    if isinstance(lines, str) or not isinstance(lines, Iterable):
        raise InputError(f"{name} must be a list of strings, not {type(lines).__name__} {lines!r:.80}")
    checked = tuple(lines)
    for line in checked:
        if not isinstance(line, str) or not line.strip() or not line.isprintable():
            raise InputError(f"{name} holds {line!r}, which names no package")
    return checked


def _check_file(name: str, value: object) -> Path:
    if not isinstance(value, str | Path):
        raise InputError(f"{name} must be the path of a file, not {type(value).__name__} {value!r:.80}")
    path = Path(value).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"{name} {str(value)!r} is no file here")
    return path
