"""Whether the account's limits leave room: compute environments, queues, and processors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudknot.aws.findings import Check, failed, passed, unknown, warned
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError

# User guide, service_limits: an account's, in each region, and not to be raised.
_MOST = 50
_NEAR = 45
_KINDS = (
    ("describe_compute_environments", "computeEnvironments", "compute environments"),
    ("describe_job_queues", "jobQueues", "queues"),
)
# EC2 and Fargate user guides, "service quotas": vCPUs of running machines, by how they are paid for.
_QUOTAS: Mapping[str, tuple[str, str, str]] = {
    "EC2": ("ec2", "L-1216C47A", "on-demand machines of the standard families"),
    "SPOT": ("ec2", "L-34B43A08", "Spot machines of the standard families"),
    "FARGATE": ("fargate", "L-3032A538", "Fargate"),
    "FARGATE_SPOT": ("fargate", "L-36FBB829", "Fargate Spot"),
}
_GPU_QUOTAS: Mapping[str, tuple[str, str, str]] = {
    "EC2": ("ec2", "L-DB2E81BA", "on-demand machines of the families G and VT"),
    "SPOT": ("ec2", "L-3819A6DF", "Spot machines of the families G and VT"),
}
_GPU_FAMILIES = ("g", "vt")
# The standard families have one limit together; others have their own, which are not looked at.
_STANDARD_FAMILIES = ("a", "c", "d", "h", "i", "m", "r", "t", "z", "optimal", "default_")


def check_counts(aws: Aws) -> Iterator[Check]:
    """Yield how many compute environments and queues the account has of the 50 that it may have."""
    for operation, key, what in _KINDS:
        number = sum(1 for _ in aws.pages("batch", operation, key))
        said = f"{number} of {_MOST} {what} of this region are in use"
        cure = "remove what nobody uses, such as pools: 'cloudknot configure --remove-pool ...'"
        if number >= _MOST:
            yield failed("quotas", said, cure)
        elif number >= _NEAR:
            yield warned("quotas", said, cure)
        else:
            yield passed("quotas", said)


def check_vcpus(aws: Aws, environments: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Yield whether the account may run as many processors as the stack's environments would."""
    wanted: dict[tuple[str, str, str], int] = {}
    for one in environments:
        quota = quota_of(one["computeResources"])
        if quota is not None:
            wanted[quota] = max(wanted.get(quota, 0), int(one["computeResources"]["maxvCpus"]))
    for (service, code, what), most in sorted(wanted.items()):
        try:
            reply = aws.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
        except AwsError as error:
            yield unknown("quotas", f"the limit of vCPUs for {what} could not be looked at: {error}")
            continue
        yield _judge(what, code, float(reply["Quota"]["Value"]), most)


def quota_of(resources: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return which limit holds for a compute environment: service, code, and what it is for.

    Examples
    --------
    >>> quota_of({"type": "SPOT", "instanceTypes": ["c5.large", "m5"]})[1]
    'L-34B43A08'
    >>> quota_of({"type": "EC2", "instanceTypes": ["p4d.24xlarge"]}) is None
    True
    """
    kind, types = str(resources["type"]), [str(name) for name in resources.get("instanceTypes", ())]
    if types and all(_family(name) in _GPU_FAMILIES for name in types):
        return _GPU_QUOTAS.get(kind)
    if all(name.startswith(("optimal", "default_")) or _family(name) in _STANDARD_FAMILIES for name in types):
        return _QUOTAS.get(kind)
    return None


def _judge(what: str, code: str, limit: float, most: int) -> Check:
    ask = f"ask for more in the console of Service Quotas ({code}); AWS answers within days"
    if limit < 1:
        return failed("quotas", f"this account may run no {what}", ask)
    said = f"{limit:.0f} vCPUs of {what} may run side by side"
    if limit < most:
        return warned("quotas", f"{said}, fewer than the stack's {most}", ask)
    return passed("quotas", said)


def _family(name: str) -> str:
    """Return the letters that a type's name begins with.

    Examples
    --------
    >>> _family("g4dn.xlarge"), _family("c7gn")
    ('g', 'c')
    """
    end = next((place for place, letter in enumerate(name) if not letter.isalpha()), len(name))
    return name[:end]
