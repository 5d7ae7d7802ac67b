"""Networks of stacks: what of EC2 a template makes."""

from collections.abc import Mapping
from typing import Any

from moto.ec2.models import ec2_backends

from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, pairs, picked

__all__ = ["KINDS"]

_TAGS = "Tags"


def _tag(work: Work, id_: str) -> None:
    """Set the tags; CloudFormation's own begin with `aws:`, which nobody else may set."""
    backend = ec2_backends[work.account][work.region]
    now, before = pairs(work.get(_TAGS)), pairs(work.before.get(_TAGS))
    if gone := {name: None for name in before if name not in now}:
        backend.delete_tags([id_], gone)
    if now:
        backend.create_tags([id_], now)


def _vpc(work: Work) -> Made:
    found = work.call("ec2", "CreateVpc", **picked(work.properties, "CidrBlock", "InstanceTenancy"))["Vpc"]
    return _changed_vpc(work, found["VpcId"])


def _changed_vpc(work: Work, id_: str = "") -> Made:
    id_ = id_ or work.id
    for name, value in picked(work.properties, "EnableDnsSupport", "EnableDnsHostnames").items():
        work.call("ec2", "ModifyVpcAttribute", VpcId=id_, **{name: {"Value": value}})
    _tag(work, id_)
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
    _tag(work, made.id)
    return made


def _gateway(work: Work) -> Made:
    found = work.call("ec2", "CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    _tag(work, found)
    return Made(id=found, attributes={"InternetGatewayId": found})


def _tagged(work: Work) -> Made:
    _tag(work, work.id)
    return Made(id=work.id, attributes=work.attributes)


def _attachment(work: Work) -> Made:
    work.call("ec2", "AttachInternetGateway", **work.properties)
    return Made(id=f"IGW|{work.properties['VpcId']}", attributes={"AttachmentType": "IGW"})


def _routes(work: Work) -> Made:
    found = work.call("ec2", "CreateRouteTable", VpcId=work.get("VpcId"))["RouteTable"]["RouteTableId"]
    _tag(work, found)
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


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule as the API has it."""
    described = picked(rule, "Description")
    shown = picked(rule, "IpProtocol", "FromPort", "ToPort")
    if "CidrIp" in rule:
        shown["IpRanges"] = [{"CidrIp": rule["CidrIp"], **described}]
    if "CidrIpv6" in rule:
        shown["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **described}]
    for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if name in rule:
            shown["UserIdGroupPairs"] = [{"GroupId": rule[name], **described}]
    for name in ("SourcePrefixListId", "DestinationPrefixListId"):
        if name in rule:
            shown["PrefixListIds"] = [{"PrefixListId": rule[name], **described}]
    return shown


_EVERYWHERE = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def _group(work: Work) -> Made:
    found = work.call(
        "ec2",
        "CreateSecurityGroup",
        GroupName=work.name,
        Description=work.get("GroupDescription"),
        VpcId=work.get("VpcId"),
    )["GroupId"]
    # It comes with one rule: everything may go out.
    _rules(work, found, {"SecurityGroupEgress": [_EVERYWHERE]})
    attributes = {"GroupId": found, "Id": found, "VpcId": work.get("VpcId")}
    return Made(id=found, attributes={name: value for name, value in attributes.items() if value})


def _changed_group(work: Work) -> Made:
    before = {"SecurityGroupEgress": [_EVERYWHERE], **work.before}
    _rules(work, work.id, before)
    return Made(id=work.id, attributes=work.attributes)


def _rules(work: Work, group: str, before: Mapping[str, Any]) -> None:
    for way in ("Ingress", "Egress"):
        there = before.get(f"SecurityGroup{way}") or []
        wanted = work.get(f"SecurityGroup{way}", [_EVERYWHERE] if way == "Egress" else [])
        for verb, rules in (
            ("Revoke", [rule for rule in there if rule not in wanted]),
            ("Authorize", [rule for rule in wanted if rule not in there]),
        ):
            if rules:
                given = [_permission(rule) for rule in rules]
                work.call("ec2", f"{verb}SecurityGroup{way}", GroupId=group, IpPermissions=given)
    _tag(work, group)


def _rule_kind(way: str) -> Kind:
    def make(work: Work) -> Made:
        given = {"GroupId": work.get("GroupId"), "IpPermissions": [_permission(work.properties)]}
        rules = work.call("ec2", f"AuthorizeSecurityGroup{way}", **given).get("SecurityGroupRules") or [{}]
        found = rules[0].get("SecurityGroupRuleId", work.name)
        return Made(id=found, attributes={"Id": found})

    def remove(work: Work) -> None:
        given = {"GroupId": work.get("GroupId"), "IpPermissions": [_permission(work.properties)]}
        work.call("ec2", f"RevokeSecurityGroup{way}", **given)

    ends = "Source" if way == "Ingress" else "Destination"
    named = {f"{ends}SecurityGroupId", f"{ends}PrefixListId"}
    return Kind(
        properties=frozenset(
            {"GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6", "Description"} | named
        ),
        required=frozenset({"GroupId", "IpProtocol"}),
        make=make,
        remove=remove,
        tags="",
    )


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
    given = {name: value for name, value in work.properties.items() if name != _TAGS}
    given["PolicyDocument"] = as_text(given.get("PolicyDocument"))
    found = work.call("ec2", "CreateVpcEndpoint", **given)["VpcEndpoint"]["VpcEndpointId"]
    _tag(work, found)
    return Made(id=found, attributes={"Id": found})


def _address(work: Work) -> Made:
    found = work.call("ec2", "AllocateAddress", Domain=work.get("Domain", "vpc"))
    _tag(work, found["AllocationId"])
    attributes = {"AllocationId": found["AllocationId"], "PublicIp": found["PublicIp"]}
    return Made(id=found["PublicIp"], attributes=attributes)


def _nat(work: Work) -> Made:
    given = picked(work.properties, "AllocationId", "SubnetId", "ConnectivityType")
    found = work.call("ec2", "CreateNatGateway", **given)["NatGateway"]["NatGatewayId"]
    _tag(work, found)
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
    "AWS::EC2::SecurityGroup": Kind(
        properties=_names(
            *("GroupName", "GroupDescription", "VpcId", "SecurityGroupIngress", "SecurityGroupEgress", _TAGS)
        ),
        required=_names("GroupDescription"),
        anew=_names("GroupName", "GroupDescription", "VpcId"),
        name="GroupName",
        longest_name=255,
        make=_group,
        change=_changed_group,
        remove=lambda work: _gone(work, "DeleteSecurityGroup", GroupId=work.id),
    ),
    "AWS::EC2::SecurityGroupIngress": _rule_kind("Ingress"),
    "AWS::EC2::SecurityGroupEgress": _rule_kind("Egress"),
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
