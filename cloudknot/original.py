"""The names of cloudknot 0.6, read as today's: pure but for one warning a call."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from cloudknot.checks import as_whole_number
from cloudknot.errors import InputError


class OriginalNames(TypedDict, total=False):
    """What cloudknot 0.6 took for a Knot under names that it does not have today."""

    job_def_vcpus: int | None
    memory: int | None
    n_gpus: int | None
    volume_size: int | None
    username: str | None
    pars_policies: tuple[str, ...]
    docker_image: Any
    image_script_path: str | None
    image_work_dir: str | None
    repo_name: str | None
    image_tags: str | Iterable[str] | None
    no_image_cache: bool
    job_definition_name: str | None
    compute_environment_name: str | None
    min_vcpus: int | None
    max_vcpus: int | None
    desired_vcpus: int | None
    image_id: str | None
    ec2_key_pair: str | None
    job_queue_name: str | None
    priority: int | None
    aws_resource_tags: Any


class OriginalMapNames(TypedDict, total=False):
    """What cloudknot 0.6 took for a map under names that it does not have today."""

    max_threads: int
    job_type: Literal["array", "independent"] | None


_RENAMED = {
    "job_def_vcpus": "vcpus",
    "memory": "memory_mib",
    "n_gpus": "gpus",
    "volume_size": "volume_gib",
    "username": "username",
}
_STACK = "the stack has it for all Knots: see 'cloudknot configure --help'"
# What happens of itself today, or changes nothing.
_NEEDLESS = {
    "image_work_dir": "nothing is written beside your code",
    "repo_name": _STACK,
    "image_tags": "an image is named by what is in it",
    "no_image_cache": "an image is made anew when what is in it changes",
    "job_definition_name": "it is named by what is in it",
    "compute_environment_name": _STACK,
    "job_queue_name": _STACK,
    "min_vcpus": "nothing runs while nothing is asked for",
    "max_vcpus": _STACK,
    "desired_vcpus": "AWS starts as many machines as there is work for",
    "priority": "jobs start in the order of their submission",
    "ec2_key_pair": "nobody can log in to the machines",
    "aws_resource_tags": _STACK,
}
# Without these the function would not run as it did.
_GONE = {
    "docker_image": "give its function as func, and what it is made from as image=cloudknot.Image(...)",
    "image_script_path": "import the script, and give its function as func",
    "pars_policies": "attach the policies to the job role of the stack: see 'cloudknot configure --help'",
    "image_id": "choose machines by instance_types, gpus and arch",
}
_MAP_NEEDLESS = {
    "max_threads": "results are fetched side by side anyhow",
    "job_type": "a map is one future and the sequence of its items' own futures",
}


def read_knot_options(
    original: Mapping[str, Any], given: Mapping[str, Any], *, stacklevel: int = 3
) -> dict[str, Any]:
    """Return a Knot's options under today's names, and warn once of those of cloudknot 0.6.

    Parameters
    ----------
    original : mapping
        Options under names that a Knot does not have today.
    given : mapping
        What is given under those that it has, and ``retries``; None and 0 where nothing is.
    stacklevel : int, default 3
        Whose line the warning names; 3: the caller's caller.

    Returns
    -------
    dict
        What replaces or joins ``given``. Beside an option of the original, ``retries`` are the attempts
        that they were there: one fewer further tries.

    Raises
    ------
    InputError
        What an option did cannot be had so today, or it is given twice.
    TypeError
        There is and was no such option.
    """
    _refuse_unknown("Knot.__init__", original, OriginalNames.__annotations__)
    said = {name: value for name, value in original.items() if _is_said(value)}
    for name in said:
        if name in _GONE:
            raise InputError(f"{name} is cloudknot 0.6's, and there is none today: {_GONE[name]}")
    options: dict[str, Any] = {}
    words = []
    for name, value in said.items():
        if name not in _RENAMED:
            words.append(f"{name} is passed over ({_NEEDLESS[name]})")
            continue
        today = _RENAMED[name]
        if _is_said(given.get(today)):
            raise InputError(f"{name} and {today} say the same thing twice: give {today}")
        options[today] = value
        words.append(f"{name} is {'image=cloudknot.Image(user=...)' if name == today else today} today")
    attempts = as_whole_number(given.get("retries"))
    if said and attempts:
        options["retries"] = attempts - 1
        words.append(
            f"retries={attempts} is read as cloudknot 0.6's attempts, of which the first is no retry: "
            f"retries={attempts - 1} today"
        )
    _warn(words, stacklevel)
    return options


def read_map_options(original: Mapping[str, Any], env_vars: Any, *, stacklevel: int = 3) -> Any:
    """Return the environment variables of a map as a dict, and warn once of cloudknot 0.6's options.

    Parameters
    ----------
    original : mapping
        Options under names that `Knot.map` does not have today.
    env_vars : dict, or sequence of dict
        As today, or as ``[{"name": "A", "value": "1"}]``.
    stacklevel : int, default 3
        As for `read_knot_options`.

    Raises
    ------
    TypeError
        There is and was no such option.
    """
    _refuse_unknown("Knot.map", original, OriginalMapNames.__annotations__)
    words = [
        f"{name} is passed over ({_MAP_NEEDLESS[name]})"
        for name, value in original.items()
        if _is_said(value)
    ]
    if isinstance(env_vars, list | tuple) and all(_is_pair(entry) for entry in env_vars):
        env_vars = {entry["name"]: entry["value"] for entry in env_vars}
        words.append("env_vars is a dict today")
    _warn(words, stacklevel)
    return env_vars


def _refuse_unknown(callee: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise TypeError(f"{callee}() got an unexpected keyword argument {name!r}")


def _is_said(value: Any) -> bool:
    # The original's own defaults: None, (), False; n_gpus=0 and min_vcpus=0 ask for nothing.
    return value is not None and not (isinstance(value, tuple | list | bool | int) and not value)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, Mapping) and set(entry) == {"name", "value"}


def _warn(words: list[str], stacklevel: int) -> None:
    if words:
        warnings.warn(
            f"this call is cloudknot 0.6's: {'; '.join(words)}", FutureWarning, stacklevel=stacklevel + 1
        )
