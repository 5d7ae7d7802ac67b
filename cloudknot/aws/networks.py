"""Which network a stack uses: the one that is named, the account's default one, or one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudknot.aws.blueprint import Network
from cloudknot.aws.session import Aws
from cloudknot.errors import InputError

# Families with GPUs that Batch's own image has drivers for; the first is nearly everywhere.
_GPU_FAMILIES = ("g4dn", "g5", "g6")


def choose_network(
    aws: Aws,
    *,
    vpc_id: str | None = None,
    subnet_ids: Sequence[str] = (),
    security_group_ids: Sequence[str] = (),
    is_new: bool = False,
) -> Network:
    """Return where machines are started.

    Parameters
    ----------
    aws : Aws
        The account and region.
    vpc_id : str, optional
        None takes that of the subnets, else the default one, and where there is none a new one.
    subnet_ids, security_group_ids : sequence of str
        Without subnets all of the VPC; without security groups one is made.
    is_new : bool
        Whether to make a network even where there is a default one.

    Raises
    ------
    InputError
        What is named is not there, or does not belong together.
    AwsError
        AWS refused.
    """
    if is_new:
        if vpc_id or subnet_ids or security_group_ids:
            raise InputError("a new VPC has no subnets and security groups yet: leave out one of the two")
        return _new_network(aws)
    if vpc_id is None and not subnet_ids:
        vpc_id = _default_vpc(aws)
        if vpc_id is None:
            if security_group_ids:
                raise InputError("there is no default VPC for these security groups: name their VPC too")
            return _new_network(aws)
    subnets = _find_subnets(aws, vpc_id, subnet_ids)
    vpc_id = str(subnets[0]["VpcId"])
    _check_groups(aws, vpc_id, security_group_ids)
    return Network(
        vpc_id=vpc_id,
        subnet_ids=tuple(sorted(str(subnet["SubnetId"]) for subnet in subnets)),
        security_group_ids=tuple(sorted(security_group_ids)),
        assigns_public_ip=any(subnet["MapPublicIpOnLaunch"] for subnet in subnets),
    )


def find_gpu_types(aws: Aws) -> tuple[str, ...]:
    """Return the families with GPUs that the region has."""
    filters = [{"Name": "instance-type", "Values": [f"{family}.*" for family in _GPU_FAMILIES]}]
    offered = aws.pages("ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", Filters=filters)
    there = {str(one["InstanceType"]).partition(".")[0] for one in offered}
    return tuple(family for family in _GPU_FAMILIES if family in there) or _GPU_FAMILIES[:1]


def _new_network(aws: Aws) -> Network:
    filters = [
        {"Name": "state", "Values": ["available"]},
        {"Name": "zone-type", "Values": ["availability-zone"]},
        {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
    ]
    zones = aws.call("ec2", "describe_availability_zones", Filters=filters)["AvailabilityZones"]
    return Network(zones=tuple(sorted(str(zone["ZoneName"]) for zone in zones)))


def _default_vpc(aws: Aws) -> str | None:
    filters = [{"Name": "is-default", "Values": ["true"]}]
    found = aws.call("ec2", "describe_vpcs", Filters=filters)["Vpcs"]
    return str(found[0]["VpcId"]) if found else None


def _find_subnets(aws: Aws, vpc_id: str | None, subnet_ids: Sequence[str]) -> list[dict[str, Any]]:
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}] if vpc_id else []
    if subnet_ids:
        filters.append({"Name": "subnet-id", "Values": list(subnet_ids)})
    found = list(aws.pages("ec2", "describe_subnets", "Subnets", Filters=filters))
    missing = set(subnet_ids) - {subnet["SubnetId"] for subnet in found}
    if missing or not found:
        what = f"is no subnet {', '.join(sorted(missing))}" if missing else "are no subnets"
        raise InputError(f"there {what} in {vpc_id or aws.region}: name others, or use --new-vpc")
    if len({subnet["VpcId"] for subnet in found}) > 1:
        raise InputError("the subnets are of several VPCs: name those of one")
    return found


def _check_groups(aws: Aws, vpc_id: str, group_ids: Sequence[str]) -> None:
    if not group_ids:
        return
    filters = [{"Name": "group-id", "Values": list(group_ids)}, {"Name": "vpc-id", "Values": [vpc_id]}]
    found = aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
    if missing := sorted(set(group_ids) - {group["GroupId"] for group in found}):
        raise InputError(f"there is no security group {', '.join(missing)} in {vpc_id}")
