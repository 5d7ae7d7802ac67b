"""Roles of stacks: moto leaves their managed policies out, and most of an update."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.iam.models import Role, iam_backends
from moto.utilities.utils import get_partition

__all__ = ["install"]


def install() -> None:
    """Make CloudFormation in moto give a role its managed policies, and update and delete it whole."""
    make = Role.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]
    remove = Role.delete_from_cloudformation_json.__func__  # type: ignore[attr-defined]
    for name, method in (
        ("create_from_cloudformation_json", _create(make)),
        ("update_from_cloudformation_json", _update),
        ("delete_from_cloudformation_json", _delete(remove)),
    ):
        setattr(Role, name, classmethod(method))


def _create(make: Callable[..., Role]) -> Callable[..., Role]:
    def create(
        cls: type[Role],
        resource_name: str,
        template: Mapping[str, Any],
        account: str,
        region: str,
        **more: Any,
    ) -> Role:
        role = make(cls, resource_name, template, account, region, **more)
        _attach(role, template["Properties"], account, region)
        return role

    return create


def _update(
    cls: type[Role],
    original_resource: Role,
    new_resource_name: str,
    cloudformation_json: Mapping[str, Any],
    account_id: str,
    region_name: str,
) -> Role:
    role, properties = original_resource, cloudformation_json["Properties"]
    role.description = properties.get("Description", "")
    role.max_session_duration = properties.get("MaxSessionDuration", 3600)
    role.assume_role_policy_document = json.dumps(properties["AssumeRolePolicyDocument"])
    role.permissions_boundary_arn = properties.get("PermissionsBoundary", "")
    role.policies.clear()
    for policy in properties.get("Policies", []):
        role.put_policy(policy["PolicyName"], policy["PolicyDocument"])
    _detach(role, account_id, region_name)
    _attach(role, properties, account_id, region_name)
    return role


def _delete(remove: Callable[..., None]) -> Callable[..., None]:
    def delete(
        cls: type[Role], resource_name: str, template: Mapping[str, Any], account: str, region: str
    ) -> None:
        _detach(iam_backends[account][get_partition(region)].get_role(resource_name), account, region)
        remove(cls, resource_name, template, account, region)

    return delete


def _attach(role: Role, properties: Mapping[str, Any], account: str, region: str) -> None:
    iam = iam_backends[account][get_partition(region)]
    for arn in properties.get("ManagedPolicyArns", []):
        iam.attach_role_policy(arn, role.name)


def _detach(role: Role, account: str, region: str) -> None:
    iam = iam_backends[account][get_partition(region)]
    for arn in list(role.managed_policies):
        iam.detach_role_policy(arn, role.name)
