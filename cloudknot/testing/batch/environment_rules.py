"""What AWS Batch demands of a compute environment, and what it fills in. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudknot.testing.batch.account import InstanceType
from cloudknot.testing.batch.refusals import UnsupportedError, refusal

__all__ = ["architecture", "check_create", "check_update", "updated", "with_defaults"]

_FARGATE = ("FARGATE", "FARGATE_SPOT")
# "This parameter isn't applicable to jobs that are running on Fargate resources. Don't specify it."
_NOT_ON_FARGATE = (
    "allocationStrategy",
    "minvCpus",
    "desiredvCpus",
    "instanceTypes",
    "imageId",
    "ec2KeyPair",
    "instanceRole",
    "tags",
    "placementGroup",
    "bidPercentage",
    "spotIamFleetRole",
    "launchTemplate",
    "ec2Configuration",
    "scalingPolicy",
)
# In the order in which AWS names them (aws-cdk#27054).
_NOT_UPDATED_ON_FARGATE = (
    "allocationStrategy",
    "bidPercentage",
    "ec2Configuration",
    "ec2KeyPair",
    "imageId",
    "instanceRole",
    "instanceTypes",
    "launchTemplate",
    "placementGroup",
    "tags",
    "type",
    "updatePolicy",
    "updateToLatestImageVersion",
)
_SPOT_STRATEGIES = (
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
)
_WORDS_FOR_TYPES: Mapping[str, str] = {
    "optimal": "x86_64",
    "default_x86_64": "x86_64",
    "default_arm64": "arm64",
}
_FARGATE_SUBNETS = 16


def with_defaults(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return `computeResources` as Batch keeps them."""
    if resources["type"] in _FARGATE:
        return dict(resources)
    return {
        "allocationStrategy": "BEST_FIT",
        "desiredvCpus": resources.get("minvCpus", 0),
        "ec2Configuration": [{"imageType": "ECS_AL2023"}],
        **resources,
    }


def check_create(params: Mapping[str, Any], types: Sequence[InstanceType]) -> None:
    """Refuse a CreateComputeEnvironment that AWS would refuse.

    Parameters
    ----------
    params : mapping
        The request.
    types : sequence of InstanceType
        The kinds of machine that the region has; nothing is checked against them where there are none.

    Raises
    ------
    ClientException
        In AWS's words where they are known.
    UnsupportedError
        When it is one that the box does not have.
    """
    if "eksConfiguration" in params:
        raise UnsupportedError("compute environments on EKS")
    if params["type"] == "UNMANAGED":
        if not params.get("serviceRole"):
            raise refusal("ServiceRole is required.")
        return
    resources = params.get("computeResources")
    if resources is None:
        # The words are not confirmed.
        raise refusal("computeResources must be provided for a MANAGED compute environment")
    if "managedInstancesProvider" in resources or resources["type"] == "ECS_MANAGED_INSTANCES":
        raise UnsupportedError("compute environments of type ECS_MANAGED_INSTANCES")
    if resources["type"] in _FARGATE:
        _check_fargate(resources)
    else:
        _check_ec2(resources, types)
    _check_network(resources)
    _check_vcpus(resources)


def check_update(kept: Mapping[str, Any], params: Mapping[str, Any], types: Sequence[InstanceType]) -> None:
    """Refuse an UpdateComputeEnvironment that AWS would refuse.

    Parameters
    ----------
    kept : mapping
        Its `computeResources` as they are.
    params : mapping
        The request.
    types : sequence of InstanceType
        The kinds of machine that the region has.
    """
    changes = params.get("computeResources", {})
    if kept.get("type") in _FARGATE:
        for name in ("minvCpus", "desiredvCpus"):
            if name in changes:
                raise refusal(f"{name} is not applicable for Fargate.")
        if any(name in changes or name in params for name in _NOT_UPDATED_ON_FARGATE):
            raise refusal(
                "The following parameters can't be updated for Fargate compute environment: "
                + ", ".join(_NOT_UPDATED_ON_FARGATE)
            )
    new = updated(kept, changes)
    if changes and kept:
        _check_vcpus(new)
        if "instanceTypes" in changes:
            _check_types(new["instanceTypes"], types)
        _check_strategy(new)


def updated(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `computeResources` with an update in them: what it does not name stays."""
    is_fargate = kept.get("type") in _FARGATE
    new = {name: value for name, value in changes.items() if value or not is_fargate}
    new.pop("updateToLatestImageVersion", None)
    resources = {**kept, **new}
    if "desiredvCpus" in resources:
        least, most = resources.get("minvCpus", 0), resources.get("maxvCpus", 0)
        resources["desiredvCpus"] = min(max(resources["desiredvCpus"], least), most)
    return resources


def architecture(resources: Mapping[str, Any], types: Iterable[InstanceType]) -> str | None:
    """Return what its machines are (`x86_64`, `arm64`), or None where that is open."""
    for word in resources.get("instanceTypes", ()):
        if word in _WORDS_FOR_TYPES:
            return _WORDS_FOR_TYPES[word]
        for one in types:
            if word in (one.name, one.name.partition(".")[0]):
                return one.architecture
    return None


def _check_fargate(resources: Mapping[str, Any]) -> None:
    for name in _NOT_ON_FARGATE:
        if name in resources:
            raise refusal(f"{name} is not applicable for Fargate.")
    if len(resources.get("subnets", ())) > _FARGATE_SUBNETS:
        # The words are not confirmed.
        raise refusal(f"Fargate compute environments can have at most {_FARGATE_SUBNETS} subnets")


def _check_ec2(resources: Mapping[str, Any], types: Sequence[InstanceType]) -> None:
    if not resources.get("instanceRole"):
        raise refusal("Instance role is required.")
    if "minvCpus" not in resources:
        raise refusal("Resource minvCpus is required.")
    if not resources.get("instanceTypes"):
        # The words are not confirmed.
        raise refusal("Instance types are required.")
    _check_types(resources["instanceTypes"], types)
    _check_strategy(resources)


def _check_types(asked: Sequence[str], types: Sequence[InstanceType]) -> None:
    # Batch takes no burstable machines: no t2, t3 or t4g is in the list that AWS says.
    names = {one.name for one in types if not one.name.startswith("t")}
    known = names | {name.partition(".")[0] for name in names} | set(_WORDS_FOR_TYPES)
    if types and not known.issuperset(asked):
        raise refusal(f"Instance type can only be one of [{', '.join(sorted(known))}]")
    kinds = {architecture({"instanceTypes": [word]}, types) for word in asked}
    if "arm64" in kinds and len(kinds) > 1:
        raise refusal("arm-based instance type cannot be used with other instance types.")


def _check_strategy(resources: Mapping[str, Any]) -> None:
    # The words of these are not confirmed; the rules are the model's.
    kind, strategy = resources["type"], resources.get("allocationStrategy", "BEST_FIT")
    if kind == "SPOT" and strategy == "BEST_FIT" and not resources.get("spotIamFleetRole"):
        raise refusal("spotIamFleetRole is required for the allocation strategy BEST_FIT.")
    if kind == "EC2" and strategy in _SPOT_STRATEGIES:
        raise refusal(f"Allocation strategy {strategy} is not applicable for EC2.")
    bid = resources.get("bidPercentage", 1)
    if bid < 1:
        raise refusal(f"bidPercentage must be positive, got {bid}")


def _check_network(resources: Mapping[str, Any]) -> None:
    # The words are not confirmed.
    if not resources.get("subnets"):
        raise refusal("Subnets are required.")
    if not resources.get("securityGroupIds") and "launchTemplate" not in resources:
        raise refusal("Security groups are required.")


def _check_vcpus(resources: Mapping[str, Any]) -> None:
    # The words are not confirmed.
    least, most = resources.get("minvCpus", 0), resources["maxvCpus"]
    if least < 0:
        raise refusal(f"minvCpus must not be negative, got {least}")
    if most < 1:
        raise refusal(f"maxvCpus must be at least 1, got {most}")
    if least > most:
        raise refusal(f"minvCpus {least} must not be greater than maxvCpus {most}")
    if not least <= resources.get("desiredvCpus", least) <= most:
        raise refusal(f"desiredvCpus must be between minvCpus {least} and maxvCpus {most}")
