"""What a user may ask for: frozen values, checked when they are made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import get_args

from cloudknot.errors import InputError
from cloudknot.runner.orders import OnError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
