"""The permissions that calls of EC2 need: descriptions, and what a network is made of."""

import re
from collections.abc import Mapping
from typing import Any

from cloudknot.testing.iam.arns import Place, flat_list, pass_role, tags_in
from cloudknot.testing.iam.values import Ask

__all__ = ["asks"]

_KINDS = {
    "vpc": "vpc",
    "subnet": "subnet",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "igw": "internet-gateway",
    "rtb": "route-table",
    "lt": "launch-template",
    "vpce": "vpc-endpoint",
    "i": "instance",
    "ami": "image",
    "vol": "volume",
    "eni": "network-interface",
    "eipalloc": "elastic-ip",
    "nat": "natgateway",
}
# What a call makes, whose id nobody knows yet.
_MAKES = {
    "CreateVpc": ("vpc",),
    "CreateDefaultVpc": ("vpc",),
    "CreateSubnet": ("subnet",),
    "CreateSecurityGroup": ("security-group",),
    "CreateInternetGateway": ("internet-gateway",),
    "CreateRouteTable": ("route-table",),
    "CreateLaunchTemplate": ("launch-template",),
    "CreateVpcEndpoint": ("vpc-endpoint",),
    "RunInstances": ("instance", "network-interface", "volume"),
    "DisassociateRouteTable": ("route-table",),
}
# These need no permission for the other things that they name.
_ONLY = {
    "CreateRoute": {"route-table"},
    "DeleteRoute": {"route-table"},
    "ReplaceRoute": {"route-table"},
    "AuthorizeSecurityGroupIngress": {"security-group"},
    "AuthorizeSecurityGroupEgress": {"security-group"},
    "CreateLaunchTemplateVersion": {"launch-template"},
}
_WITH_RESOURCE = {"DescribeVpcAttribute", "GetConsoleOutput", "GetLaunchTemplateData"}
_ID = re.compile(r"([a-z]+)-[0-9a-z]+")
_TOP = re.compile(r"[A-Za-z]+(\.\d+)?")
_NO_ACCOUNT = {"image"}


def asks(operation: str, params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what a call of EC2 needs."""
    if operation.startswith(("Describe", "Get", "Search")) and operation not in _WITH_RESOURCE:
        return [Ask(action=f"ec2:{operation}")]
    tags = tags_in(flat_list(params, "Tag"))
    made = tuple(_arn(place, kind, "*") for kind in _MAKES.get(operation, ()))
    resources = (*made, *_named(operation, params, place)) or ("*",)
    specified = _specified(params)
    context = tags | {key: value for keys in specified.values() for key, value in keys.items()}
    needed = [Ask(action=f"ec2:{operation}", resource=resource, context=context) for resource in resources]
    for kind, keys in specified.items():
        needed.append(
            Ask(
                action="ec2:CreateTags",
                resource=_arn(place, kind, "*"),
                context=keys | {"ec2:CreateAction": operation},
            )
        )
    profile = params.get("IamInstanceProfile.Arn") or params.get("IamInstanceProfile.Name")
    if profile:
        name = str(profile).rpartition("/")[2]
        role = place.known("role-of-instance-profile", name) or name
        needed += pass_role(place, role, "ec2.amazonaws.com")
    return needed


def _named(operation: str, params: Mapping[str, Any], place: Place) -> list[str]:
    allowed = _ONLY.get(operation)
    found: dict[str, None] = {}
    for name, value in params.items():
        match = _ID.fullmatch(str(value)) if _TOP.fullmatch(name) else None
        kind = _KINDS.get(match[1]) if match else None
        if kind and (allowed is None or kind in allowed) and not name.startswith("DhcpOptions"):
            found[_arn(place, kind, str(value))] = None
    if "LaunchTemplateName" in params and operation != "CreateLaunchTemplate":
        name = str(params["LaunchTemplateName"])
        found[place.known("launch-template", name) or _arn(place, "launch-template", "*")] = None
    return list(found)


def _specified(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the condition keys of the tags that shall be put on what is made, by its kind."""
    found: dict[str, dict[str, Any]] = {}
    for specification in flat_list(params, "TagSpecification"):
        kind = specification.get("ResourceType", "")
        found[kind] = dict(tags_in(flat_list(specification, "Tag")))
    return {kind: keys for kind, keys in found.items() if keys}


def _arn(place: Place, kind: str, name: str) -> str:
    if kind in _NO_ACCOUNT:
        return f"arn:{place.partition}:ec2:{place.region}::{kind}/{name}"
    return place.arn("ec2", f"{kind}/{name}")
