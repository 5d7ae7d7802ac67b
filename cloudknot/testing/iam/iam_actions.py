"""The permissions that calls of IAM and STS need."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.iam.arns import Place, flat_list, pass_role, tags_in
from cloudknot.testing.iam.values import Ask, ContextValue

__all__ = ["iam_asks", "sts_asks"]

# Members that name what a call is about, in the order in which they are looked for.
_NAMED = (
    ("InstanceProfileName", "instance-profile"),
    ("RoleName", "role"),
    ("GroupName", "group"),
    ("UserName", "user"),
)
_TAGGED = {
    "role": "TagRole",
    "instance-profile": "TagInstanceProfile",
    "user": "TagUser",
    "policy": "TagPolicy",
}
_ATTACHED = {f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("Role", "User", "Group")}
# Not confirmed: to whom IAM says that it passes the role of an instance profile.
_MACHINES = "ec2.amazonaws.com"
# "No permissions are required to perform this operation", or nobody has signed (STS API reference).
_FREE = {"GetCallerIdentity", "GetSessionToken", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}


def iam_asks(operation: str, params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what a call of IAM needs."""
    kind, resource = _about(operation, params, place)
    tags = tags_in(flat_list(params, "Tags"))
    context: dict[str, ContextValue] = dict(tags)
    if operation in _ATTACHED and params.get("PolicyArn"):
        context["iam:PolicyARN"] = str(params["PolicyArn"])
    if params.get("PermissionsBoundary"):
        context["iam:PermissionsBoundary"] = str(params["PermissionsBoundary"])
    if params.get("AWSServiceName"):
        context["iam:AWSServiceName"] = str(params["AWSServiceName"])
    if operation.startswith("Untag"):
        keys = [value for name, value in params.items() if name.startswith("TagKeys.")]
        context["aws:TagKeys"] = tuple(map(str, keys))
    needed = [Ask(action=f"iam:{operation}", resource=resource, context=context)]
    if operation == "AddRoleToInstanceProfile":
        needed += pass_role(place, params.get("RoleName"), _MACHINES)
    if tags and operation.startswith("Create") and kind in _TAGGED:
        needed.append(Ask(action=f"iam:{_TAGGED[kind]}", resource=resource, context=tags))
    return needed


def _about(operation: str, params: Mapping[str, Any], place: Place) -> tuple[str, str]:
    """Return the kind and the ARN of what a call is about."""
    path = str(params.get("Path") or "/")[1:]
    if operation == "CreateServiceLinkedRole":
        return "role", place.iam("role", f"aws-service-role/{params.get('AWSServiceName', '')}/*")
    if "PolicyArn" in params and operation not in _ATTACHED:
        return "policy", str(params["PolicyArn"])
    if operation == "CreatePolicy":
        return "policy", place.iam("policy", f"{path}{params.get('PolicyName', '')}")
    for member, kind in _NAMED:
        if name := params.get(member):
            return kind, place.iam(kind, f"{path}{name}" if operation.startswith("Create") else str(name))
    # As AWS words its refusal of ListRoles (AWS security blog, "Enhanced access denied error messages").
    prefix = str(params.get("PathPrefix") or "/")[1:]
    return "", place.iam("role", f"{prefix}*") if operation == "ListRoles" else "*"


def sts_asks(operation: str, params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what a call of STS needs; the role's trust policy is asked besides (`resource_policies`)."""
    if operation in _FREE:
        return []
    if operation == "GetFederationToken":
        resource = f"arn:{place.partition}:sts::{place.account}:federated-user/{params.get('Name', '')}"
        return [Ask(action="sts:GetFederationToken", resource=resource)]
    if operation != "AssumeRole":
        return [Ask(action=f"sts:{operation}")]
    tags = tags_in(flat_list(params, "Tags"))
    transitive = tuple(str(value) for name, value in params.items() if name.startswith("TransitiveTagKeys."))
    if transitive:
        tags["sts:TransitiveTagKeys"] = transitive
    context: dict[str, ContextValue] = {
        f"sts:{member}": str(params[member])
        for member in ("ExternalId", "RoleSessionName", "SourceIdentity")
        if params.get(member)
    }
    resource = str(params.get("RoleArn") or "*")
    actions = ["AssumeRole"]
    if tags:
        actions.append("TagSession")
    if params.get("SourceIdentity"):
        actions.append("SetSourceIdentity")
    return [Ask(action=f"sts:{action}", resource=resource, context=context | tags) for action in actions]
