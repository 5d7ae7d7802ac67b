"""Security groups of stacks, with the rules in them and beside them."""

from collections.abc import Mapping
from typing import Any

from moto.ec2.models import ec2_backends

from cloudknot.testing.stacks.kind import Kind, Made, Work, pairs, picked

__all__ = ["KINDS", "tag"]

_TAGS = "Tags"


def tag(work: Work, id_: str) -> None:
    """Set the tags; CloudFormation's own begin with `aws:`, which nobody else may set."""
    backend = ec2_backends[work.account][work.region]
    now, before = pairs(work.get(_TAGS)), pairs(work.before.get(_TAGS))
    if gone := {name: "" for name in before if name not in now}:
        backend.delete_tags([id_], gone)
    if now:
        backend.create_tags([id_], now)


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
    tag(work, group)


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


def _remove(work: Work) -> None:
    work.call("ec2", "DeleteSecurityGroup", GroupId=work.id)


_GROUP = ("GroupName", "GroupDescription", "VpcId")
KINDS: dict[str, Kind] = {
    "AWS::EC2::SecurityGroup": Kind(
        properties=frozenset({*_GROUP, "SecurityGroupIngress", "SecurityGroupEgress", _TAGS}),
        required=frozenset({"GroupDescription"}),
        anew=frozenset(_GROUP),
        name="GroupName",
        longest_name=255,
        make=_group,
        change=_changed_group,
        remove=_remove,
    ),
    "AWS::EC2::SecurityGroupIngress": _rule_kind("Ingress"),
    "AWS::EC2::SecurityGroupEgress": _rule_kind("Egress"),
}
