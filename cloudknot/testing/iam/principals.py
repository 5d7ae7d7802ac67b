"""Who asks, with all policies that count for him, read from moto's IAM and STS."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from moto.iam.models import iam_backends

from cloudknot.testing.iam.keys import holder_of
from cloudknot.testing.iam.policies import Policy, parse_or_deny
from cloudknot.testing.iam.sessions import Terms, UserSession, terms_of
from cloudknot.testing.iam.values import ContextValue, Principal

__all__ = ["Principal", "find", "role_session", "session_kind"]

_NOTHING = Policy(statements=())


def find(access_key: str, region: str = "us-east-1") -> Principal | None:
    """Return who has an access key, or None for a key that nobody has.

    A user has the inline and managed policies of his own and of his groups. A session has those of its role,
    and the session policies that AssumeRole was given. That of a user has the user's.

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
    if isinstance(session, UserSession):
        return _user_session(holder.account, session)
    return role_session(holder.account, session.role_arn, session.session_name, terms_of(session))


def session_kind(access_key: str) -> str | None:
    """Return the kind of a user's session: `session-token`, `federation`; None for any other key."""
    holder = holder_of(access_key)
    session = holder.session if holder is not None else None
    return session.kind if isinstance(session, UserSession) else None


def role_session(account: str, role_arn: str, session: str, terms: Terms | None = None) -> Principal:
    """Return a role as somebody has assumed it; a role that is gone may do nothing.

    Parameters
    ----------
    account : str
        The role's account.
    role_arn : str
        The role.
    session : str
        The session's name: the last part of its ARN.
    terms : Terms, optional
        What it was lent with.
    """
    terms = terms or Terms()
    role = _role(account, role_arn)
    name = role_arn.rpartition("/")[2]
    return Principal(
        arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        account=account,
        kind="assumed-role",
        policies=_policies(account, role) if role is not None else (),
        boundary=_boundary(account, role),
        session_policies=_session_policies(account, terms),
        context={
            "aws:PrincipalArn": role_arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "AssumedRole",
            "aws:userid": f"{role.id if role is not None else 'AROAGONE'}:{session}",
            **_tags(role.tags if role is not None else ()),
            **_session_keys(terms),
        },
    )


def _user_session(account: str, session: UserSession) -> Principal | None:
    user = _backend(account).users.get(session.user_name)
    if user is None:
        return None
    whole = _user(account, user)
    # STS says so of a key without a device (IAM user guide, "aws:MultiFactorAuthPresent").
    keys: dict[str, ContextValue] = {"aws:MultiFactorAuthPresent": "false"}
    if session.kind == "session-token":
        return replace(whole, context={**whole.context, **keys})
    return Principal(
        arn=session.arn,
        account=account,
        kind="federated-user",
        policies=whole.policies,
        boundary=whole.boundary,
        # Without a policy a federated user may do nothing that his lender may.
        session_policies=_session_policies(account, session.terms) or (),
        context={
            "aws:PrincipalArn": session.arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "FederatedUser",
            "aws:userid": session.user_id,
            **_session_keys(session.terms),
            **keys,
        },
    )


def _session_policies(account: str, terms: Terms) -> tuple[Policy, ...] | None:
    if not terms.policy and not terms.policy_arns:
        return None
    own = (parse_or_deny(terms.policy),) if terms.policy else ()
    return (*own, *(_managed(account, arn) for arn in terms.policy_arns))


def _session_keys(terms: Terms) -> dict[str, ContextValue]:
    keys: dict[str, ContextValue] = {f"aws:PrincipalTag/{key}": value for key, value in terms.tags.items()}
    if terms.source_identity:
        keys["aws:SourceIdentity"] = terms.source_identity
    return keys


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
    arn = getattr(owner, "permissions_boundary_arn", None)  # moto's own users have none
    return _managed(account, arn) if arn else None


def _managed(account: str, arn: str) -> Policy:
    policy = _backend(account).managed_policies.get(arn)
    return _NOTHING if policy is None else _default_version(policy)


def _tags(tags: Iterable[Mapping[str, str]]) -> dict[str, ContextValue]:
    return {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in tags}


def _role(account: str, role_arn: str) -> Any:
    roles = list(_backend(account).roles.values())
    return next((role for role in roles if role.arn == role_arn), None)


def _backend(account: str) -> Any:
    return iam_backends[account]["aws"]
