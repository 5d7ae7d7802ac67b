"""Networks of stacks: what of EC2 a template makes."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, picked
from cloudknot.testing.stacks.security_groups import tag

__all__ = ["KINDS"]

_TAGS = "Tags"


def _vpc(work: Work) -> Made:
    found = work.call("ec2", "CreateVpc", **picked(work.properties, "CidrBlock", "InstanceTenancy"))["Vpc"]
    return _changed_vpc(work, found["VpcId"])


def _changed_vpc(work: Work, id_: str = "") -> Made:
    id_ = id_ or work.id
    for name, value in picked(work.properties, "EnableDnsSupport", "EnableDnsHostnames").items():
        work.call("ec2", "ModifyVpcAttribute", VpcId=id_, **{name: {"Value": value}})
    tag(work, id_)
    groups = work.call(
        "ec2",
        "DescribeSecurityGroups",
        Filters=[{"Name": "vpc-id", "Values": [id_]}, {"Name": "group-name", "Values": ["default"]}],
    )["SecurityGroups"]
    attributes = {
        "VpcId": id_,
        "CidrBlock": work.properties["CidrBlock"],
        "DefaultSecurityGroup": groups[0]["GroupId"] if groups else "",
    }
    return Made(id=id_, attributes=attributes)


def _subnet(work: Work) -> Made:
    wanted = picked(work.properties, "VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId")
    found = work.call("ec2", "CreateSubnet", **wanted)["Subnet"]
    attributes = {name: found[name] for name in ("SubnetId", "AvailabilityZone", "VpcId", "CidrBlock")}
    return _changed_subnet(work, Made(id=found["SubnetId"], attributes=attributes))


def _changed_subnet(work: Work, made: Made | None = None) -> Made:
    made = made or Made(id=work.id, attributes=work.attributes)
    if work.is_changed("MapPublicIpOnLaunch"):
        given = {"Value": work.get("MapPublicIpOnLaunch", False)}
        work.call("ec2", "ModifySubnetAttribute", SubnetId=made.id, MapPublicIpOnLaunch=given)
    tag(work, made.id)
    return made


def _gateway(work: Work) -> Made:
    found = work.call("ec2", "CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    tag(work, found)
    return Made(id=found, attributes={"InternetGatewayId": found})


def _tagged(work: Work) -> Made:
    tag(work, work.id)
    return Made(id=work.id, attributes=work.attributes)


def _attachment(work: Work) -> Made:
    work.call("ec2", "AttachInternetGateway", **work.properties)
    return Made(id=f"IGW|{work.properties['VpcId']}", attributes={"AttachmentType": "IGW"})


def _routes(work: Work) -> Made:
    found = work.call("ec2", "CreateRouteTable", VpcId=work.get("VpcId"))["RouteTable"]["RouteTableId"]
    tag(work, found)
    return Made(id=found, attributes={"RouteTableId": found})


def _destination(properties: Mapping[str, Any]) -> dict[str, Any]:
    return picked(properties, "RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock")


def _route(work: Work) -> Made:
    work.call("ec2", "CreateRoute", **work.properties)
    return Made(id="|".join(map(str, _destination(work.properties).values())))


def _changed_route(work: Work) -> Made:
    work.call("ec2", "ReplaceRoute", **work.properties)
    return Made(id=work.id)


def _association(work: Work) -> Made:
    found = work.call("ec2", "AssociateRouteTable", **work.properties)["AssociationId"]
    return Made(id=found, attributes={"Id": found})


def _template(work: Work) -> Made:
    found = work.call(
        "ec2",
        "CreateLaunchTemplate",
        LaunchTemplateName=work.name,
        LaunchTemplateData=work.get("LaunchTemplateData"),
        VersionDescription=work.get("VersionDescription"),
        TagSpecifications=work.get("TagSpecifications"),
    )["LaunchTemplate"]
    return _described_template(found["LaunchTemplateId"], 1, 1)


def _described_template(id_: str, default: int, latest: int) -> Made:
    numbers = {"DefaultVersionNumber": str(default), "LatestVersionNumber": str(latest)}
    return Made(id=id_, attributes={"LaunchTemplateId": id_, **numbers})


def _changed_template(work: Work) -> Made:
    if work.is_changed("LaunchTemplateData", "VersionDescription"):
        work.call(
            "ec2",
            "CreateLaunchTemplateVersion",
            LaunchTemplateId=work.id,
            LaunchTemplateData=work.get("LaunchTemplateData"),
            VersionDescription=work.get("VersionDescription"),
        )
    [found] = work.call("ec2", "DescribeLaunchTemplates", LaunchTemplateIds=[work.id])["LaunchTemplates"]
    return _described_template(work.id, found["DefaultVersionNumber"], found["LatestVersionNumber"])


def _endpoint(work: Work) -> Made:
    given: dict[str, Any] = {
        "VpcEndpointType": "Gateway"
    }  # AWS's default, without which moto cannot delete it
    given |= {name: value for name, value in work.properties.items() if name != _TAGS}
    given["PolicyDocument"] = as_text(given.get("PolicyDocument"))
    found = work.call("ec2", "CreateVpcEndpoint", **given)["VpcEndpoint"]["VpcEndpointId"]
    tag(work, found)
    return Made(id=found, attributes={"Id": found})


def _address(work: Work) -> Made:
    found = work.call("ec2", "AllocateAddress", Domain=work.get("Domain", "vpc"))
    tag(work, found["AllocationId"])
    attributes = {"AllocationId": found["AllocationId"], "PublicIp": found["PublicIp"]}
    return Made(id=found["PublicIp"], attributes=attributes)


def _nat(work: Work) -> Made:
    given = picked(work.properties, "AllocationId", "SubnetId", "ConnectivityType")
    found = work.call("ec2", "CreateNatGateway", **given)["NatGateway"]["NatGatewayId"]
    tag(work, found)
    return Made(id=found, attributes={"NatGatewayId": found})


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


KINDS: dict[str, Kind] = {
    "AWS::EC2::VPC": Kind(
        properties=_names("CidrBlock", "InstanceTenancy", "EnableDnsSupport", "EnableDnsHostnames", _TAGS),
        required=_names("CidrBlock"),
        anew=_names("CidrBlock", "InstanceTenancy"),
        make=_vpc,
        change=_changed_vpc,
        remove=lambda work: _gone(work, "DeleteVpc", VpcId=work.id),
    ),
    "AWS::EC2::Subnet": Kind(
        properties=_names(
            *("VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId", "MapPublicIpOnLaunch", _TAGS)
        ),
        required=_names("VpcId", "CidrBlock"),
        anew=_names("VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId"),
        make=_subnet,
        change=_changed_subnet,
        remove=lambda work: _gone(work, "DeleteSubnet", SubnetId=work.id),
    ),
    "AWS::EC2::InternetGateway": Kind(
        properties=_names(_TAGS),
        make=_gateway,
        change=_tagged,
        remove=lambda work: _gone(work, "DeleteInternetGateway", InternetGatewayId=work.id),
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(
        properties=_names("VpcId", "InternetGatewayId"),
        required=_names("VpcId", "InternetGatewayId"),
        tags="",
        make=_attachment,
        remove=lambda work: _gone(work, "DetachInternetGateway", **work.properties),
    ),
    "AWS::EC2::RouteTable": Kind(
        properties=_names("VpcId", _TAGS),
        required=_names("VpcId"),
        anew=_names("VpcId"),
        make=_routes,
        change=_tagged,
        remove=lambda work: _gone(work, "DeleteRouteTable", RouteTableId=work.id),
    ),
    "AWS::EC2::Route": Kind(
        properties=_names(
            *("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"),
            *("GatewayId", "NatGatewayId", "InstanceId", "NetworkInterfaceId", "VpcPeeringConnectionId"),
        ),
        required=_names("RouteTableId"),
        anew=_names("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"),
        tags="",
        make=_route,
        change=_changed_route,
        remove=lambda work: _gone(work, "DeleteRoute", **_destination(work.properties)),
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        properties=_names("RouteTableId", "SubnetId"),
        required=_names("RouteTableId", "SubnetId"),
        tags="",
        make=_association,
        remove=lambda work: _gone(work, "DisassociateRouteTable", AssociationId=work.id),
    ),
    "AWS::EC2::LaunchTemplate": Kind(
        properties=_names(
            "LaunchTemplateName", "LaunchTemplateData", "VersionDescription", "TagSpecifications"
        ),
        required=_names("LaunchTemplateData"),
        anew=_names("LaunchTemplateName", "TagSpecifications"),
        name="LaunchTemplateName",
        longest_name=128,
        tags="",
        make=_template,
        change=_changed_template,
        remove=lambda work: _gone(work, "DeleteLaunchTemplate", LaunchTemplateId=work.id),
    ),
    "AWS::EC2::VPCEndpoint": Kind(
        properties=_names(
            *("VpcId", "ServiceName", "VpcEndpointType", "RouteTableIds", "SubnetIds", "SecurityGroupIds"),
            *("PolicyDocument", "PrivateDnsEnabled", _TAGS),
        ),
        required=_names("VpcId", "ServiceName"),
        make=_endpoint,
        remove=lambda work: _gone(work, "DeleteVpcEndpoints", VpcEndpointIds=[work.id]),
    ),
    "AWS::EC2::EIP": Kind(
        properties=_names("Domain", _TAGS),
        make=_address,
        remove=lambda work: _gone(work, "ReleaseAddress", AllocationId=work.attributes["AllocationId"]),
    ),
    "AWS::EC2::NatGateway": Kind(
        properties=_names("AllocationId", "SubnetId", "ConnectivityType", _TAGS),
        required=_names("SubnetId"),
        make=_nat,
        remove=lambda work: _gone(work, "DeleteNatGateway", NatGatewayId=work.id),
    ),
}


def _gone(work: Work, operation: str, **params: Any) -> None:
    work.call("ec2", operation, **params)
