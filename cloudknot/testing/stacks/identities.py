"""IAM of stacks: roles and their policies, and instance profiles."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, pairs, picked

__all__ = ["KINDS"]

_HOLDERS = ("Role", "User", "Group")


def _iam(work: Work, operation: str, **params: Any) -> dict[str, Any]:
    return work.call("iam", operation, **params)


def _role(work: Work) -> Made:
    found = _iam(
        work,
        "CreateRole",
        RoleName=work.name,
        AssumeRolePolicyDocument=as_text(work.get("AssumeRolePolicyDocument")),
        **picked(work.properties, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags"),
    )["Role"]
    _policies_of_role(work, work.name)
    return Made(id=work.name, attributes={"Arn": found["Arn"], "RoleId": found["RoleId"]})


def _changed_role(work: Work) -> Made:
    name = work.id
    if work.is_changed("AssumeRolePolicyDocument"):
        document = as_text(work.get("AssumeRolePolicyDocument"))
        _iam(work, "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=document)
    if work.is_changed("Description", "MaxSessionDuration"):
        told = work.get("Description", "")
        _iam(
            work,
            "UpdateRole",
            RoleName=name,
            Description=told,
            MaxSessionDuration=work.get("MaxSessionDuration", 3600),
        )
    if work.is_changed("PermissionsBoundary"):
        if boundary := work.get("PermissionsBoundary"):
            _iam(work, "PutRolePermissionsBoundary", RoleName=name, PermissionsBoundary=boundary)
        else:
            _iam(work, "DeleteRolePermissionsBoundary", RoleName=name)
    if work.is_changed("Tags"):
        now, before = pairs(work.get("Tags")), pairs(work.before.get("Tags"))
        if gone := [key for key in before if key not in now]:
            _iam(work, "UntagRole", RoleName=name, TagKeys=gone)
        if now:
            _iam(work, "TagRole", RoleName=name, Tags=work.get("Tags"))
    _policies_of_role(work, name)
    return Made(id=name, attributes=work.attributes)


def _policies_of_role(work: Work, name: str) -> None:
    now, before = _inline(work.properties), _inline(work.before)
    for policy in before.keys() - now.keys():
        _iam(work, "DeleteRolePolicy", RoleName=name, PolicyName=policy)
    for policy, document in now.items():
        if document != before.get(policy):
            _iam(work, "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=document)
    attached, were = work.get("ManagedPolicyArns") or [], work.before.get("ManagedPolicyArns") or []
    for arn in were:
        if arn not in attached:
            _iam(work, "DetachRolePolicy", RoleName=name, PolicyArn=arn)
    for arn in attached:
        if arn not in were:
            _iam(work, "AttachRolePolicy", RoleName=name, PolicyArn=arn)


def _inline(properties: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(policy["PolicyName"]): str(as_text(policy["PolicyDocument"]))
        for policy in properties.get("Policies") or ()
    }


def _remove_role(work: Work) -> None:
    for policy in _inline(work.properties):
        _iam(work, "DeleteRolePolicy", RoleName=work.id, PolicyName=policy)
    for arn in work.get("ManagedPolicyArns") or ():
        _iam(work, "DetachRolePolicy", RoleName=work.id, PolicyArn=arn)
    _iam(work, "DeleteRole", RoleName=work.id)


def _holders(properties: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(kind, name) for kind in _HOLDERS for name in properties.get(f"{kind}s") or ()}


def _policy(work: Work) -> Made:
    """Give an inline policy to all that shall have it, and take it from those that had it."""
    name, document = str(work.properties["PolicyName"]), as_text(work.get("PolicyDocument"))
    now = _holders(work.properties)
    for kind, holder in sorted(_holders(work.before) - now):
        _iam(work, f"Delete{kind}Policy", PolicyName=name, **{f"{kind}Name": holder})
    for kind, holder in sorted(now):
        _iam(work, f"Put{kind}Policy", PolicyName=name, PolicyDocument=document, **{f"{kind}Name": holder})
    return Made(id=work.id or work.name, attributes={"Id": work.id or work.name})


def _remove_policy(work: Work) -> None:
    for kind, holder in sorted(_holders(work.properties)):
        given = {"PolicyName": work.properties["PolicyName"], f"{kind}Name": holder}
        _iam(work, f"Delete{kind}Policy", **given)


def _managed(work: Work) -> Made:
    given = picked(work.properties, "Path", "Description", "Tags")
    document = as_text(work.get("PolicyDocument"))
    arn = _iam(work, "CreatePolicy", PolicyName=work.name, PolicyDocument=document, **given)["Policy"]["Arn"]
    _attach(work, arn)
    return Made(id=arn, attributes={"PolicyArn": arn})


def _changed_managed(work: Work) -> Made:
    if work.is_changed("PolicyDocument"):
        _drop_versions(work)
        document = as_text(work.get("PolicyDocument"))
        _iam(work, "CreatePolicyVersion", PolicyArn=work.id, PolicyDocument=document, SetAsDefault=True)
        _drop_versions(work)
    _attach(work, work.id)
    return Made(id=work.id, attributes=work.attributes)


def _drop_versions(work: Work) -> None:
    """Keep the version that counts only: a policy has five at most."""
    for version in _iam(work, "ListPolicyVersions", PolicyArn=work.id)["Versions"]:
        if not version["IsDefaultVersion"]:
            _iam(work, "DeletePolicyVersion", PolicyArn=work.id, VersionId=version["VersionId"])


def _attach(work: Work, arn: str) -> None:
    now, before = _holders(work.properties), _holders(work.before)
    for kind, holder in sorted(before - now):
        _iam(work, f"Detach{kind}Policy", PolicyArn=arn, **{f"{kind}Name": holder})
    for kind, holder in sorted(now - before):
        _iam(work, f"Attach{kind}Policy", PolicyArn=arn, **{f"{kind}Name": holder})


def _remove_managed(work: Work) -> None:
    for kind, holder in sorted(_holders(work.properties)):
        _iam(work, f"Detach{kind}Policy", PolicyArn=work.id, **{f"{kind}Name": holder})
    _drop_versions(work)
    _iam(work, "DeletePolicy", PolicyArn=work.id)


def _profile(work: Work) -> Made:
    given = picked(work.properties, "Path")
    found = _iam(work, "CreateInstanceProfile", InstanceProfileName=work.name, **given)["InstanceProfile"]
    return _roles_of_profile(work, Made(id=work.name, attributes={"Arn": found["Arn"]}))


def _changed_profile(work: Work) -> Made:
    return _roles_of_profile(work, Made(id=work.id, attributes=work.attributes))


def _roles_of_profile(work: Work, made: Made) -> Made:
    now, before = work.get("Roles") or [], work.before.get("Roles") or []
    for verb, roles in (
        ("RemoveRoleFrom", [role for role in before if role not in now]),
        ("AddRoleTo", [role for role in now if role not in before]),
    ):
        for role in roles:
            _iam(work, f"{verb}InstanceProfile", InstanceProfileName=made.id, RoleName=role)
    return made


def _remove_profile(work: Work) -> None:
    for role in work.get("Roles") or ():
        _iam(work, "RemoveRoleFromInstanceProfile", InstanceProfileName=work.id, RoleName=role)
    _iam(work, "DeleteInstanceProfile", InstanceProfileName=work.id)


def _linked(work: Work) -> Made:
    given = picked(work.properties, "AWSServiceName", "Description", "CustomSuffix")
    name = _iam(work, "CreateServiceLinkedRole", **given)["Role"]["RoleName"]
    return Made(id=name, attributes={"RoleName": name})


def _remove_linked(work: Work) -> None:
    _iam(work, "DeleteServiceLinkedRole", RoleName=work.id)


_ASSUMED = "AssumeRolePolicyDocument"
KINDS: dict[str, Kind] = {
    "AWS::IAM::Role": Kind(
        properties=frozenset(
            {
                *("RoleName", "Path", _ASSUMED, "Description", "MaxSessionDuration"),
                *("PermissionsBoundary", "Policies", "ManagedPolicyArns", "Tags"),
            }
        ),
        required=frozenset({_ASSUMED}),
        anew=frozenset({"RoleName", "Path"}),
        name="RoleName",
        make=_role,
        change=_changed_role,
        remove=_remove_role,
    ),
    "AWS::IAM::Policy": Kind(
        properties=frozenset({"PolicyName", "PolicyDocument", "Roles", "Users", "Groups"}),
        required=frozenset({"PolicyName", "PolicyDocument"}),
        anew=frozenset({"PolicyName"}),
        tags="",
        make=_policy,
        change=_policy,
        remove=_remove_policy,
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        properties=frozenset(
            {
                *("ManagedPolicyName", "Path", "Description", "PolicyDocument"),
                *("Roles", "Users", "Groups", "Tags"),
            }
        ),
        required=frozenset({"PolicyDocument"}),
        anew=frozenset({"ManagedPolicyName", "Path", "Description", "Tags"}),
        name="ManagedPolicyName",
        longest_name=128,
        make=_managed,
        change=_changed_managed,
        remove=_remove_managed,
    ),
    "AWS::IAM::InstanceProfile": Kind(
        properties=frozenset({"InstanceProfileName", "Path", "Roles"}),
        required=frozenset({"Roles"}),
        anew=frozenset({"InstanceProfileName", "Path"}),
        name="InstanceProfileName",
        longest_name=128,
        tags="",
        make=_profile,
        change=_changed_profile,
        remove=_remove_profile,
    ),
    "AWS::IAM::ServiceLinkedRole": Kind(
        properties=frozenset({"AWSServiceName", "Description", "CustomSuffix"}),
        required=frozenset({"AWSServiceName"}),
        tags="",
        make=_linked,
        remove=_remove_linked,
    ),
}
