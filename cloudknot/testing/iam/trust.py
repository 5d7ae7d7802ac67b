"""Policies that belong to a resource: whom they name, and what they allow to those. Pure."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.iam.patterns import Context
from cloudknot.testing.iam.policies import MalformedPolicy, Policy, Statement, context_of
from cloudknot.testing.iam.values import Ask, ContextValue, Grant, Layer, Principal, Whom

__all__ = ["admits", "grant", "may_assume", "may_send"]

Document = str | Mapping[str, Any]
_STRENGTH: tuple[Whom, ...] = ("", "account", "role", "principal")


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


def grant(
    document: Document,
    principal: Principal,
    ask: Ask,
    *,
    is_required: bool = False,
    layer: Layer = "resource-based policy",
) -> Grant:
    """Return what the policy of a resource says to an ask of somebody in the same account.

    Parameters
    ----------
    document : str or mapping
        The policy; a malformed one says nothing.
    principal : Principal
        Who asks.
    ask : Ask
        What he asks for.
    is_required : bool
        Whether nothing is allowed that this policy does not allow.
    layer : str
        What the policy is called in a refusal.
    """
    said = Grant(is_required=is_required, layer=layer)
    try:
        policy = Policy.parse(document)
    except MalformedPolicy:
        return said
    keys = context_of(principal.context, ask.context)
    variables = keys if policy.has_variables else None
    whom: Whom = ""
    for statement in policy.statements:
        found = _whom(statement, principal)
        if found and statement.applies(ask.action, ask.resource, keys, variables):
            if statement.is_deny:
                return Grant(is_denied=True, is_required=is_required, layer=layer)
            whom = max(whom, found, key=_STRENGTH.index)
    return Grant(whom=whom, is_required=is_required, layer=layer)


def _whom(statement: Statement, principal: Principal) -> Whom:
    """Return how a statement names somebody."""
    if statement.principals is None:
        return ""
    found = (_how(kind, name, principal) for kind, names in statement.principals.items() for name in names)
    strongest: Whom = max(found, key=_STRENGTH.index, default="")
    if statement.is_not_principal:
        return "" if strongest else "principal"
    return strongest


def _how(kind: str, name: str, principal: Principal) -> Whom:
    if kind == "*" or (kind == "AWS" and name == "*"):
        return "principal"  # {"AWS": "*"} is everyone, too
    if kind != "AWS" or principal.kind == "anonymous":
        return ""
    if name == principal.arn:
        return "principal"
    if principal.kind == "assumed-role" and name == principal.context.get("aws:PrincipalArn"):
        return "role"
    is_account = name in (principal.account, f"arn:aws:iam::{principal.account}:root")
    return "account" if is_account else ""


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
