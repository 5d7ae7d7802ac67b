"""What AWS Batch demands of a job definition, and of a job's overrides of it. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudknot.testing.batch import fargate
from cloudknot.testing.batch.containers import requirements
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.refusals import UnsupportedError, refusal

__all__ = [
    "check_command",
    "check_definition",
    "check_environment",
    "check_fargate_size",
    "check_resources",
    "check_retry",
    "check_timeout",
]

_TIMEOUT_S = 60
_ATTEMPTS = range(1, 11)
_RULES = 5
_PATTERN_CHARACTERS = 512
_MEMORY_MIB = 4
_EPHEMERAL_GIB = range(21, 201)
# The docs of `EvaluateOnExit` allow letters, numbers, periods, colons, white space, and digits alone for an
# exit code. That other signs are refused is not confirmed, so they are not; an asterisk may only be the end.
_PATTERN = re.compile(r"[^*]*\*?")
_EXIT_CODE_PATTERN = re.compile(r"[0-9]*\*?")
_RESERVED = "AWS_BATCH"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
# What the box cannot run; each needs more than one container, or Kubernetes.
_UNSUPPORTED = ("nodeProperties", "eksProperties", "ecsProperties", "consumableResourceProperties")
# "Jobs that are running on Amazon EC2 resources must not specify this parameter."
_NOT_ON_EC2 = ("networkConfiguration", "fargatePlatformConfiguration")


def check_definition(params: Mapping[str, Any]) -> None:
    """Refuse a RegisterJobDefinition that AWS would refuse.

    Raises
    ------
    ClientException
        In AWS's words where they are known.
    UnsupportedError
        When it is one that the box cannot run.
    """
    for name in _UNSUPPORTED:
        if name in params:
            raise UnsupportedError(f"job definitions with {name}")
    if params["type"] != "container":
        raise UnsupportedError(f"job definitions of type {params['type']}")
    container = params.get("containerProperties")
    if container is None:
        # The words are not confirmed.
        raise refusal("Container properties are required for a job definition of type container.")
    if not container.get("image"):
        # The words are not confirmed.
        raise refusal("Container image is required.")
    check_command(container)
    check_environment(container)
    if "FARGATE" in params.get("platformCapabilities", ()):
        _check_fargate(container)
    else:
        _check_ec2(container)
    check_retry(params.get("retryStrategy"))
    check_timeout(params.get("timeout"))


def check_command(properties: Mapping[str, Any]) -> None:
    """Refuse a command with an empty argument."""
    if "" in properties.get("command", ()):
        raise refusal("Command field cannot have empty strings")


def check_environment(properties: Mapping[str, Any]) -> None:
    """Refuse variables that are Batch's own; the words are not confirmed."""
    for pair in properties.get("environment", ()):
        if pair.get("name", "").startswith(_RESERVED):
            raise refusal(f"Environment variables cannot start with {_RESERVED}, got {pair['name']}")


def check_resources(asked: Sequence[Mapping[str, str]], *, is_fargate: bool) -> None:
    """Refuse amounts that are not numbers, or not whole where a machine is shared out."""
    for one in asked:
        kind, value = one["type"], one["value"]
        may_be_part = is_fargate and kind == "VCPU"
        if not _NUMBER.fullmatch(value) or ("." in value and not may_be_part) or float(value) == 0:
            raise refusal(
                f"Value {value} for type {kind} in resourceRequirement is not valid. "
                "Please provide a numeric value."
            )
        if kind == "MEMORY" and int(value) < _MEMORY_MIB:
            raise refusal(f"Memory must be at least {_MEMORY_MIB} Mib, got {value} Mib.")
    kinds = [one["type"] for one in asked]
    if len(kinds) != len(set(kinds)):
        # The words are not confirmed.
        raise refusal("Duplicate types in resourceRequirements are not allowed.")
    if is_fargate and "GPU" in kinds:
        # As for other words that are not Fargate's; for GPU not confirmed.
        raise refusal("GPU is not applicable for Fargate.")


def check_fargate_size(container: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the size of a Fargate task, if anything is."""
    size = requirements(container)
    if fargate.is_size(size.vcpus, size.memory_mib):
        return None
    return f"Fargate resource requirements ({size.vcpus:.2f} vCPU, {size.memory_mib} MiB) not valid."


def check_retry(retry: Mapping[str, Any] | None) -> None:
    """Refuse a retry strategy that is not one."""
    if retry is None:
        return
    attempts = retry.get("attempts")
    if attempts is None:
        raise refusal("RetryAttempts must be provided with retry strategy")
    # The words from here on are not confirmed.
    if attempts not in _ATTEMPTS:
        raise refusal(f"RetryAttempts must be between {_ATTEMPTS[0]} and {_ATTEMPTS[-1]}, got {attempts}")
    rules = retry.get("evaluateOnExit", ())
    if len(rules) > _RULES:
        raise refusal(f"EvaluateOnExit can have at most {_RULES} conditions, got {len(rules)}")
    for rule in rules:
        conditions = {name: value for name, value in rule.items() if name != "action"}
        if not conditions:
            raise refusal("EvaluateOnExit needs one of onStatusReason, onReason and onExitCode")
        for name, pattern in conditions.items():
            _check_pattern(name, pattern)


def check_timeout(timeout: Mapping[str, Any] | None) -> None:
    """Refuse a timeout that is too short; the words are not confirmed."""
    seconds = (timeout or {}).get("attemptDurationSeconds", _TIMEOUT_S)
    if seconds < _TIMEOUT_S:
        raise refusal(f"Timeout attemptDurationSeconds must be at least {_TIMEOUT_S} seconds, got {seconds}")


def _check_pattern(name: str, pattern: str) -> None:
    if len(pattern) > _PATTERN_CHARACTERS:
        raise refusal(f"{name} must have at most {_PATTERN_CHARACTERS} characters, got {len(pattern)}")
    form = _EXIT_CODE_PATTERN if name == "onExitCode" else _PATTERN
    if not pattern or not form.fullmatch(pattern):
        raise refusal(f"{name} {pattern!r} is not a valid pattern: an asterisk may only be its end")


def _check_ec2(container: Mapping[str, Any]) -> None:
    for name in _NOT_ON_EC2:
        if name in container:
            raise refusal(f"{name} not applicable for EC2.")
    _check_amounts(container, is_fargate=False)


def _check_fargate(container: Mapping[str, Any]) -> None:
    for name in ("vcpus", "memory"):
        if name in container:
            raise ClientException(f"{name} is not applicable for Fargate. Use resource requirements instead.")
    for name in fargate.machine_words(container):
        raise refusal(f"{name} is not applicable for Fargate.")
    if not container.get("executionRoleArn"):
        # The words are not confirmed.
        raise refusal("EXECUTION ROLE is required for Fargate.")
    storage = container.get("ephemeralStorage", {}).get("sizeInGiB", _EPHEMERAL_GIB[0])
    if storage not in _EPHEMERAL_GIB:
        # The words are not confirmed.
        bounds = f"{_EPHEMERAL_GIB[0]} and {_EPHEMERAL_GIB[-1]} GiB"
        raise refusal(f"Ephemeral storage must be between {bounds}, got {storage}")
    _check_amounts(container, is_fargate=True)
    wrong = check_fargate_size(container)
    if wrong:
        raise refusal(wrong)


def _check_amounts(container: Mapping[str, Any], *, is_fargate: bool) -> None:
    asked = [
        *container.get("resourceRequirements", ()),
        *({"type": "VCPU", "value": str(container["vcpus"])} for _ in (0,) if "vcpus" in container),
        *({"type": "MEMORY", "value": str(container["memory"])} for _ in (0,) if "memory" in container),
    ]
    check_resources(container.get("resourceRequirements", ()), is_fargate=is_fargate)
    kinds = {one["type"] for one in asked}
    if "VCPU" not in kinds:
        raise refusal("vCPU is not provided.")
    if "MEMORY" not in kinds:
        # Seen for vCPU; for memory not confirmed.
        raise refusal("Memory is not provided.")
    if container.get("memory", _MEMORY_MIB) < _MEMORY_MIB:
        raise refusal(f"Memory must be at least {_MEMORY_MIB} Mib, got {container['memory']} Mib.")
    if container.get("vcpus", 1) < 1:
        # The words are not confirmed.
        raise refusal(f"vCPU must be at least 1, got {container['vcpus']}")
