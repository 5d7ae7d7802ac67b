"""The permissions that CloudFormation needs for a network: what of EC2 a template makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from cloudknot.testing.iam.arns import Place, tags_in
from cloudknot.testing.iam.values import Ask

__all__ = ["NETWORKS", "network_asks"]

# What each type needs to be made and to be removed: the action, and the kinds that it is asked for.
_Steps = tuple[tuple[str, tuple[str, ...]], ...]
NETWORKS: dict[str, tuple[_Steps, _Steps]] = {
    "AWS::EC2::VPC": ((("CreateVpc", ("vpc",)),), (("DeleteVpc", ("vpc",)),)),
    "AWS::EC2::Subnet": ((("CreateSubnet", ("subnet", "vpc")),), (("DeleteSubnet", ("subnet",)),)),
    "AWS::EC2::InternetGateway": (
        (("CreateInternetGateway", ("internet-gateway",)),),
        (("DeleteInternetGateway", ("internet-gateway",)),),
    ),
    "AWS::EC2::VPCGatewayAttachment": (
        (("AttachInternetGateway", ("internet-gateway", "vpc")),),
        (("DetachInternetGateway", ("internet-gateway", "vpc")),),
    ),
    "AWS::EC2::RouteTable": (
        (("CreateRouteTable", ("route-table", "vpc")),),
        (("DeleteRouteTable", ("route-table",)),),
    ),
    "AWS::EC2::Route": ((("CreateRoute", ("route-table",)),), (("DeleteRoute", ("route-table",)),)),
    "AWS::EC2::SubnetRouteTableAssociation": (
        (("AssociateRouteTable", ("route-table", "subnet")),),
        (("DisassociateRouteTable", ("route-table",)),),
    ),
    "AWS::EC2::SecurityGroup": (
        (("CreateSecurityGroup", ("security-group", "vpc")),),
        (("DeleteSecurityGroup", ("security-group",)),),
    ),
    "AWS::EC2::LaunchTemplate": (
        (("CreateLaunchTemplate", ("launch-template",)),),
        (("DeleteLaunchTemplate", ("launch-template",)),),
    ),
    "AWS::EC2::SecurityGroupIngress": (
        (("AuthorizeSecurityGroupIngress", ("security-group",)),),
        (("RevokeSecurityGroupIngress", ("security-group",)),),
    ),
    "AWS::EC2::SecurityGroupEgress": (
        (("AuthorizeSecurityGroupEgress", ("security-group",)),),
        (("RevokeSecurityGroupEgress", ("security-group",)),),
    ),
    "AWS::EC2::EIP": (
        (("AllocateAddress", ("elastic-ip",)),),
        (("ReleaseAddress", ("elastic-ip",)),),
    ),
    "AWS::EC2::NatGateway": (
        (("CreateNatGateway", ("natgateway", "subnet", "elastic-ip")),),
        (("DeleteNatGateway", ("natgateway",)),),
    ),
    "AWS::EC2::VPCEndpoint": (
        (("CreateVpcEndpoint", ("vpc-endpoint", "vpc")),),
        (("DeleteVpcEndpoints", ("vpc-endpoint",)),),
    ),
}
# Properties that are set by a further call once the thing is there.
_THEN = {
    "EnableDnsHostnames": "ModifyVpcAttribute",
    "EnableDnsSupport": "ModifyVpcAttribute",
    "MapPublicIpOnLaunch": "ModifySubnetAttribute",
    "SecurityGroupIngress": "AuthorizeSecurityGroupIngress",
    "SecurityGroupEgress": "AuthorizeSecurityGroupEgress",
}
_IDS = {
    "vpc": "VpcId",
    "subnet": "SubnetId",
    "internet-gateway": "InternetGatewayId",
    "route-table": "RouteTableId",
    "security-group": "GroupId",
}


def network_asks(
    kind: str, properties: Mapping[str, Any], verb: str, name: str, place: Place
) -> Iterator[Ask]:
    """Yield what making or removing a part of a network needs.

    Parameters
    ----------
    kind : str
        One of `NETWORKS`.
    properties : mapping
        Of the template.
    verb : str
        `create` or `delete`.
    name : str
        Its id, or `*`: one that is yet to be made has none.
    place : Place
        Where.
    """
    is_new = verb == "create"
    tags = tags_in(properties.get("Tags")) if is_new else {}
    own = NETWORKS[kind][0][0][1][0]
    itself = place.arn("ec2", f"{own}/{'*' if is_new else name}")
    for action, kinds in NETWORKS[kind][not is_new]:
        for each in kinds:
            given = properties.get(_IDS.get(each, ""))
            resource = place.arn("ec2", f"{each}/{given}") if isinstance(given, str) else None
            resource = resource or (itself if each == own else place.arn("ec2", f"{each}/*"))
            yield Ask(action=f"ec2:{action}", resource=resource, context=tags)
    if is_new:
        for action in dict.fromkeys(action for key, action in _THEN.items() if properties.get(key)):
            yield Ask(action=f"ec2:{action}", resource=itself)
    if tags:
        context = {**tags, "ec2:CreateAction": NETWORKS[kind][0][0][0]}
        yield Ask(action="ec2:CreateTags", resource=itself, context=context)
