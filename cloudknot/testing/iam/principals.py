"""Who asks, with all policies that count for him, read from moto's IAM and STS."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moto.iam.models import iam_backends

from cloudknot.testing.iam.keys import holder_of
from cloudknot.testing.iam.policies import Policy, parse_or_deny
from cloudknot.testing.iam.values import ContextValue, Principal

__all__ = ["Principal", "find", "role_session", "root"]

_NOTHING = Policy(statements=())


def find(access_key: str, region: str = "us-east-1") -> Principal | None:
    """Return who has an access key, or None for a key that nobody has.

    A user has the inline and managed policies of his own and of his groups. A session has those of its role,
    and the session policy that AssumeRole was given.

    Parameters
    ----------
    access_key : str
        The key's id.
    region : str
        Where the request goes; keys are the same in all regions of the partition.
    """
    holder = holder_of(access_key)
    if holder is None:
        return None
    if holder.user is not None:
        return _user(holder.account, holder.user)
    session = holder.session
    return role_session(holder.account, session.role_arn, session.session_name, session.policy or None)


def root(account: str) -> Principal:
    """Return the account's root, who may do all."""
    return Principal(arn=f"arn:aws:iam::{account}:root", account=account, kind="root")


def role_session(account: str, role_arn: str, session: str, policy: str | None = None) -> Principal:
    """Return a role as somebody has assumed it; a role that is gone may do nothing.

    Parameters
    ----------
    account : str
        The role's account.
    role_arn : str
        The role.
    session : str
        The session's name: the last part of its ARN.
    policy : str, optional
        The session policy, as JSON.
    """
    role = _role(account, role_arn)
    name = role_arn.rpartition("/")[2]
    return Principal(
        arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        account=account,
        kind="assumed-role",
        policies=_policies(account, role) if role is not None else (),
        boundary=_boundary(account, role),
        session_policy=parse_or_deny(policy) if policy else None,
        context={
            "aws:PrincipalArn": role_arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "AssumedRole",
            "aws:userid": f"{role.id if role is not None else 'AROAGONE'}:{session}",
            **_tags(role.tags if role is not None else ()),
        },
    )


def _user(account: str, user: Any) -> Principal:
    groups = [group for group in list(_backend(account).groups.values()) if user in group.users]
    return Principal(
        arn=user.arn,
        account=account,
        kind="user",
        policies=tuple(policy for owner in (user, *groups) for policy in _policies(account, owner)),
        boundary=_boundary(account, user),
        context={
            "aws:PrincipalArn": user.arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "User",
            "aws:userid": user.id,
            "aws:username": user.name,
            **_tags(user.tags or ()),
        },
    )


def _policies(account: str, owner: Any) -> tuple[Policy, ...]:
    """Return the inline policies of a user, group or role, and the managed ones that are attached."""
    inline = [parse_or_deny(_as_text(document)) for document in list(owner.policies.values())]
    return (*inline, *(_default_version(policy) for policy in list(owner.managed_policies.values())))


def _as_text(document: str | Mapping[str, Any]) -> str:
    """Return a policy as text: moto keeps that of a stack's role as it stands in the template."""
    return document if isinstance(document, str) else json.dumps(document)


def _default_version(policy: Any) -> Policy:
    for version in list(policy.versions):
        if version.version_id == policy.default_version_id:
            return parse_or_deny(version.document)
    return _NOTHING


def _boundary(account: str, owner: Any) -> Policy | None:
    arn = getattr(owner, "permissions_boundary_arn", None)  # moto's users have none
    if not arn:
        return None
    policy = _backend(account).managed_policies.get(arn)
    return _NOTHING if policy is None else _default_version(policy)


def _tags(tags: Iterable[Mapping[str, str]]) -> dict[str, ContextValue]:
    return {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in tags}


def _role(account: str, role_arn: str) -> Any:
    roles = list(_backend(account).roles.values())
    return next((role for role in roles if role.arn == role_arn), None)


def _backend(account: str) -> Any:
    return iam_backends[account]["aws"]
