"""What a job's container is: its definition's properties with its overrides and parameters in them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.values import JobDefinition

__all__ = ["Requirements", "effective_container", "requirements", "with_defaults"]

# The lists that Batch shows even when they are empty.
_SHOWN_LISTS = (
    "command",
    "volumes",
    "environment",
    "mountPoints",
    "ulimits",
    "resourceRequirements",
    "secrets",
)
# A placeholder is a whole argument in all that AWS documents. One inside of a longer argument is left as it
# is here; what AWS makes of that is not confirmed.
_PLACEHOLDER = re.compile(r"Ref::(\S+)")
_LEGACY = (("VCPU", "vcpus"), ("MEMORY", "memory"))


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a job's container takes of a machine."""

    vcpus: float
    memory_mib: int
    gpus: int = 0


def with_defaults(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return container properties as Batch shows them."""
    return {**{name: [] for name in _SHOWN_LISTS}, **container}


def effective_container(
    definition: JobDefinition, parameters: Mapping[str, str], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the container properties of a job.

    Parameters
    ----------
    definition : JobDefinition
        What the job is made from.
    parameters : mapping of str to str
        SubmitJob's own; they go before the definition's.
    overrides : mapping
        SubmitJob's `containerOverrides`.

    Returns
    -------
    dict
        `containerProperties`, with what the container needs in `resourceRequirements` alone.

    Raises
    ------
    ClientException
        When the command has a placeholder that no parameter is for.
    """
    container = with_defaults(definition.container)
    resources = _resources(container, overrides)
    for _, name in _LEGACY:
        container.pop(name, None)
    values = {**definition.parameters, **parameters}
    command = overrides.get("command") or container["command"]
    return {
        **container,
        **{name: overrides[name] for name in ("instanceType",) if name in overrides},
        "command": [_substitute(argument, values) for argument in command],
        "environment": _environment(container, overrides),
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in resources.items()],
    }


def requirements(container: Mapping[str, Any]) -> Requirements:
    """Return what a container takes of a machine.

    Examples
    --------
    >>> requirements({"vcpus": 2, "memory": 512})
    Requirements(vcpus=2.0, memory_mib=512, gpus=0)
    """
    asked = _resources(container, {})
    return Requirements(
        vcpus=float(asked.get("VCPU", 0)),
        memory_mib=int(asked.get("MEMORY", 0)),
        gpus=int(asked.get("GPU", 0)),
    )


def _resources(container: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, str]:
    """Return the amounts by type.

    A deprecated override reaches only what was asked for the deprecated way: "it doesn't override any vCPU
    requirement specified in the resourceRequirements structure in the job definition".
    """
    deprecated = {**container, **{name: overrides[name] for _, name in _LEGACY if name in overrides}}
    return {
        **{kind: str(deprecated[name]) for kind, name in _LEGACY if name in deprecated},
        **_by_type(container),
        **_by_type(overrides),
    }


def _by_type(properties: Mapping[str, Any]) -> dict[str, str]:
    return {one["type"]: one["value"] for one in properties.get("resourceRequirements", ())}


def _environment(container: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[dict[str, str]]:
    pairs = [*container["environment"], *overrides.get("environment", ())]
    values = {pair["name"]: pair.get("value", "") for pair in pairs if "name" in pair}
    return [{"name": name, "value": value} for name, value in values.items()]


def _substitute(argument: str, values: Mapping[str, str]) -> str:
    placeholder = _PLACEHOLDER.fullmatch(argument)
    if not placeholder:
        return argument
    name = placeholder[1]
    if name not in values:
        raise ClientException(f"Unable to substitute value. No parameter found for reference {name}")
    return values[name]
