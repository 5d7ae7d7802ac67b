"""Why the job at the head of a queue cannot be placed (user guide, job_stuck_in_runnable). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.batch.containers import Requirements

__all__ = ["Chance", "code_of", "limit_of", "reason_blocked", "reason_cancelled"]

_INVALID = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."
_MAX_RESOURCE = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet"
    " the CPU requirement of the job."
)
_REQUIREMENT = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher"
    " than that can be met by the CE(s) attached to the job queue."
)
_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance"
    " type [{}]"
)
_OWN_WORDS = ("CAPACITY:", "MISCONFIGURATION:", "ACTION_REQUIRED", "UNDETERMINED")


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What one compute environment can do for a job."""

    is_valid: bool
    is_usable: bool
    max_vcpus: float
    has_type: bool
    """Whether an empty machine of it, or Fargate, would hold the job."""
    failed_launch: tuple[str, str] | None = None
    """The type that cannot be launched for now, and why."""


def reason_blocked(needs: Requirements, chances: Sequence[Chance]) -> str | None:
    """Return AWS's reason why a job is stuck; None when it only waits for room.

    >>> small = Chance(is_valid=True, is_usable=True, max_vcpus=2, has_type=True)
    >>> reason_blocked(Requirements(vcpus=4, memory_mib=1), [small]).partition(" - ")[0]
    'MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE'
    """
    if chances and not any(chance.is_valid for chance in chances):
        return _INVALID
    usable = [chance for chance in chances if chance.is_usable]
    if not usable:
        return None
    if all(needs.vcpus > chance.max_vcpus for chance in usable):
        return _MAX_RESOURCE
    able = [chance for chance in usable if chance.has_type and needs.vcpus <= chance.max_vcpus]
    if not able:
        return _REQUIREMENT
    failures = [chance.failed_launch for chance in able]
    if not all(failures):
        return None
    kind, why = failures[-1] or ("", "")
    return why if why.startswith(_OWN_WORDS) else _CAPACITY.format(kind)


def code_of(reason: str) -> str:
    """Return the part of a reason that `jobStateTimeLimitActions` name.

    >>> code_of("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot")
    'CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY'
    """
    return reason.partition(" - ")[0]


def limit_of(actions: Sequence[Mapping[str, Any]], reason: str) -> float | None:
    """Return after how many seconds a job that is stuck so is cancelled; None when it is left there."""
    limits = [
        one["maxTimeSeconds"]
        for one in actions
        if one["reason"] == code_of(reason) and one["state"] == "RUNNABLE" and one["action"] == "CANCEL"
    ]
    return min(limits, default=None)


def reason_cancelled(reason: str) -> str:
    """Return the status reason of a job that was stuck for too long."""
    return f"Canceled by JobStateTimeLimit action due to reason: {code_of(reason)}"
