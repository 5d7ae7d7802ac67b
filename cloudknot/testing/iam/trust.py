"""Policies that belong to a resource: whom a role trusts, and who may send to a queue."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.iam.patterns import Context
from cloudknot.testing.iam.policies import MalformedPolicy, Policy, Statement, context_of
from cloudknot.testing.iam.values import ContextValue

__all__ = ["admits", "may_assume", "may_send"]

Document = str | Mapping[str, Any]


def may_assume(
    document: Document,
    principal: str,
    context: Mapping[str, ContextValue] | None = None,
    *,
    action: str = "sts:AssumeRole",
) -> bool:
    """Whether a role's trust policy lets somebody assume it.

    Parameters
    ----------
    document : str or mapping
        The role's trust policy.
    principal : str
        A service (`ecs-tasks.amazonaws.com`) or an ARN: of a user, a role, or a role's session.
    context : mapping, optional
        Condition keys, such as `sts:ExternalId` or `aws:SourceAccount`.
    action : str
        `sts:AssumeRoleWithWebIdentity` for such a call.
    """
    return admits(document, action, principal, None, context)


def may_send(document: Document, service: str, queue_arn: str, source_arn: str) -> bool:
    """Whether a queue's policy lets a service put messages in for the sake of a resource, such as a rule.

    Parameters
    ----------
    document : str or mapping
        The queue's policy.
    service : str
        `events.amazonaws.com`.
    queue_arn, source_arn : str
        The queue, and what sends.
    """
    account = source_arn.split(":")[4]
    return admits(
        document,
        "sqs:SendMessage",
        service,
        queue_arn,
        {"aws:SourceArn": source_arn, "aws:SourceAccount": account},
    )


def admits(
    document: Document,
    action: str,
    principal: str,
    resource: str | None,
    context: Mapping[str, ContextValue] | None = None,
) -> bool:
    """Whether a resource's policy allows something and does not deny it; a malformed one admits nobody."""
    try:
        policy = Policy.parse(document)
    except MalformedPolicy:
        return False
    keys = context_of(_keys_of(principal), context or {})
    said = {
        "Deny" if statement.is_deny else "Allow"
        for statement in policy.statements
        if _names(statement, principal)
        and statement.applies(action, resource, keys, keys if policy.has_variables else None)
    }
    return said == {"Allow"}


def _keys_of(principal: str) -> Context:
    if not principal.startswith("arn:"):
        return {"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": principal}
    return {
        "aws:PrincipalArn": _role_of(principal) or principal,
        "aws:PrincipalAccount": principal.split(":")[4],
    }


def _names(statement: Statement, principal: str) -> bool:
    if statement.principals is None:
        return False
    is_named = any(
        _is(kind, name, principal) for kind, names in statement.principals.items() for name in names
    )
    return is_named != statement.is_not_principal


def _is(kind: str, name: str, principal: str) -> bool:
    if kind == "*" or (kind == "AWS" and name == "*"):
        return True  # {"AWS": "*"} is everyone, too
    if kind == "Service":
        return name == principal
    if kind == "Federated":
        return name == principal
    if kind != "AWS" or not principal.startswith("arn:"):
        return False
    account = principal.split(":")[4]
    return name in (principal, _role_of(principal), account, f"arn:aws:iam::{account}:root")


def _role_of(principal: str) -> str | None:
    """Return the role of a session; its path is not in the session's ARN."""
    parts = principal.split(":", 5)
    if not parts[5].startswith("assumed-role/"):
        return None
    return f"arn:{parts[1]}:iam::{parts[4]}:role/{parts[5].split('/')[1]}"
