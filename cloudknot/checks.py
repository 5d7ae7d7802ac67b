"""What a person hands over, checked: each check returns the value as the rest of cloudknot knows it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import get_args

from cloudknot.errors import InputError
from cloudknot.runner.orders import OnError

_SYSTEM = ("bin", "dev", "etc", "lib", "lib64", "opt", "proc", "sbin", "sys", "usr", "usr/local", "var")
_NO_VOLUMES = frozenset({"/", *(f"/{name}" for name in _SYSTEM)})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:|ssm:[a-z0-9-]+:\d{12}:parameter/)\S+"
)


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


def check_secrets(secrets: object) -> tuple[tuple[str, str], ...]:
    """Return secrets as sorted pairs of an environment variable and an ARN.

    Raises
    ------
    InputError
        It is no mapping, or a name or an ARN will not do.

    Examples
    --------
    >>> check_secrets({"KEY": "arn:aws:ssm:us-east-1:123456789012:parameter/lab/key"})
    (('KEY', 'arn:aws:ssm:us-east-1:123456789012:parameter/lab/key'),)
    """
    pairs = secrets.items() if isinstance(secrets, Mapping) else secrets
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise InputError(f"secrets must be a dict of ARNs by name, not {type(secrets).__name__}")
    checked: dict[str, str] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != len(("name", "arn")):
            raise InputError(f"secrets must be a dict of ARNs by name, not {type(secrets).__name__}")
        name, arn = pair
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name) or name.startswith("AWS_BATCH"):
            raise InputError(
                f"secrets has a bad name {name!r}: use letters, digits and '_', not AWS_BATCH in front"
            )
        if not isinstance(arn, str) or not _SECRET.fullmatch(arn):
            raise InputError(
                f"secrets[{name!r}] must be the ARN of a secret in Secrets Manager or of a parameter in SSM: "
                "a secret itself must not stand here"  # nor in the message
            )
        checked[name] = arn
    return tuple(sorted(checked.items()))


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
    whole = as_whole_number(chunk_size)
    if whole is None or whole < 1:
        raise InputError(f"chunk_size must be 'auto' or a whole number from 1 up, not {chunk_size!r}")
    return whole


def check_budget(budget_usd: object) -> float | None:
    """Return the USD that a map may cost, or None."""
    if budget_usd is None:
        return None
    number = float(as_number("budget_usd", budget_usd))
    if not (number > 0 and math.isfinite(number)):
        raise InputError(f"budget_usd must be positive, not {budget_usd!r}")
    return number


def as_number(name: str, value: object) -> int | float:
    """Return a number as Python's own, numpy's too; ``name`` is for the message of `InputError`."""
    # numpy's numbers are registered as Real too.
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, not {type(value).__name__} {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def as_whole_number(value: object) -> int | None:
    """Return a whole number as Python's own, numpy's too, or None where it is none."""
    if isinstance(value, bool):
        return None
    try:
        return value.__index__()  # type: ignore[attr-defined, no-any-return]  # numpy's integers too
    except AttributeError:
        return None


def check_match(name: str, value: object, pattern: re.Pattern[str], advice: str) -> None:
    """Refuse a string, unless it is None, that does not match."""
    if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise InputError(f"{name} {value!r} will not do: {advice}")


def check_lines(name: str, lines: object) -> tuple[str, ...]:
    """Return a list of strings as a tuple; refuse a single string, and lines that are empty."""
    if isinstance(lines, str) or not isinstance(lines, Iterable):
        raise InputError(f"{name} must be a list of strings, not {type(lines).__name__} {lines!r:.80}")
    checked = tuple(lines)
    for line in checked:
        if not isinstance(line, str) or not line.strip() or not line.isprintable():
            raise InputError(f"{name} holds {line!r}, which names no package")
    return checked


def check_file(name: str, value: object) -> Path:
    """Return the absolute path of a file that is there."""
    if not isinstance(value, str | Path):
        raise InputError(f"{name} must be the path of a file, not {type(value).__name__} {value!r:.80}")
    path = Path(value).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"{name} {str(value)!r} is no file here")
    return path
