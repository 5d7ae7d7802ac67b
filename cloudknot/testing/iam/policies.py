"""Policies and the decision: an explicit deny first, then every layer must allow."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.iam.conditions import Condition, MalformedPolicy, parse_conditions
from cloudknot.testing.iam.patterns import Context, Variables, fits, fits_arn
from cloudknot.testing.iam.values import Ask, ContextValue, Decision, Grant, Layer, Principal

__all__ = [
    "Ask",
    "Decision",
    "MalformedPolicy",
    "Policy",
    "Statement",
    "context_of",
    "decide",
    "parse_or_deny",
]

_LOG = logging.getLogger(__name__)
_VERSIONS = ("2008-10-17", "2012-10-17")
_WITH_VARIABLES = "2012-10-17"
_ELEMENTS = {
    *("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"),
    *("Principal", "NotPrincipal"),
}


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement: whom, what and when it allows or denies."""

    is_deny: bool
    actions: tuple[str, ...]
    is_not_action: bool = False
    resources: tuple[str, ...] = ("*",)
    is_not_resource: bool = False
    principals: Mapping[str, tuple[str, ...]] | None = None
    """By kind (`AWS`, `Service`, `*`); only policies of resources have them."""
    is_not_principal: bool = False
    conditions: tuple[Condition, ...] = ()

    def applies(self, action: str, resource: str | None, context: Context, variables: Variables) -> bool:
        """Whether it speaks about this; `resource` is None in a policy of the resource itself."""
        names = any(fits(pattern, action, ignoring_case=True) for pattern in self.actions)
        if names == self.is_not_action:
            return False
        if resource is not None:
            about = any(fits_arn(pattern, resource, variables) for pattern in self.resources)
            if about == self.is_not_resource:
                return False
        return all(condition.holds(context, variables) for condition in self.conditions)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy document."""

    statements: tuple[Statement, ...]
    has_variables: bool = True

    @classmethod
    def parse(cls, document: str | Mapping[str, Any]) -> Policy:
        """Read a document.

        Raises
        ------
        MalformedPolicy
            When IAM would not take it: no JSON, or an element or operator that it does not know.
        """
        return _parse_text(document) if isinstance(document, str) else _parse(document)

    def effects(self, action: str, resource: str | None, context: Context) -> Iterable[str]:
        """Return the effects of the statements that apply: `Allow`, `Deny`."""
        variables = context if self.has_variables else None
        return (
            "Deny" if statement.is_deny else "Allow"
            for statement in self.statements
            if statement.applies(action, resource, context, variables)
        )


def decide(principal: Principal, ask: Ask, grant: Grant | None = None) -> Decision:
    """Return whether a principal may do what he asks.

    A deny in any policy wins. Then his own policies must allow it, and so must the permissions boundary
    and the session's policies where there are some. Root may do all.

    In one account the policy of the resource may allow it, too. Where it names the caller himself (a user, a
    session, everyone), that suffices. Where it names his role, boundary and session policies still count.
    Where it names the account, it leaves the decision to the caller's policies (IAM user guide, "Policy
    evaluation for requests within a single account").

    Parameters
    ----------
    principal : Principal
        Who asks.
    ask : Ask
        What he asks for.
    grant : Grant, optional
        What the policy of the resource says, where it has one.
    """
    if principal.kind == "root":
        return Decision(is_allowed=True)
    context = context_of(principal.context, ask.context)
    layers: list[tuple[Layer, tuple[Policy, ...]]] = [("identity-based policy", principal.policies)]
    if principal.boundary:
        layers.append(("permissions boundary", (principal.boundary,)))
    if principal.session_policies is not None:
        layers.append(("session policy", principal.session_policies))
    effects = {
        layer: {effect for policy in policies for effect in policy.effects(ask.action, ask.resource, context)}
        for layer, policies in layers
    }
    for layer, said in effects.items():
        if "Deny" in said:
            return Decision(is_allowed=False, is_explicit=True, layer=layer)
    if grant is not None and (decision := _decide_by(grant)) is not None:
        return decision
    if grant is not None and grant.whom == "role":
        effects["identity-based policy"].add("Allow")
    for layer, said in effects.items():
        if "Allow" not in said:
            return Decision(is_allowed=False, layer=layer)
    return Decision(is_allowed=True)


def _decide_by(grant: Grant) -> Decision | None:
    if grant.is_denied or (grant.is_required and not grant.whom):
        return Decision(is_allowed=False, is_explicit=grant.is_denied, layer=grant.layer)
    return Decision(is_allowed=True) if grant.whom == "principal" else None


def context_of(*parts: Mapping[str, ContextValue]) -> dict[str, ContextValue]:
    """Return condition keys in lower case, as they are compared."""
    return {key.lower(): value for part in parts for key, value in part.items()}


@functools.lru_cache(maxsize=4096)
def parse_or_deny(document: str) -> Policy:
    """Read a document; one that cannot be read denies all, since nobody knows what it would have denied."""
    try:
        return Policy.parse(document)
    except MalformedPolicy as problem:
        _LOG.warning("a malformed policy denies everything to whom it is attached: %s", problem)
        return Policy(statements=(Statement(is_deny=True, actions=("*",)),))


@functools.lru_cache(maxsize=4096)
def _parse_text(document: str) -> Policy:
    try:
        read = json.loads(document)
    except ValueError as problem:
        raise MalformedPolicy(f"a policy is JSON: {problem}") from problem
    return _parse(read)


def _parse(document: Any) -> Policy:
    if not isinstance(document, Mapping):
        raise MalformedPolicy(f"a policy is a map with Version and Statement, not {document!r}")
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise MalformedPolicy(f"the Version of a policy is one of {', '.join(_VERSIONS)}, not {version!r}")
    if unknown := set(document) - {"Version", "Id", "Statement"}:
        raise MalformedPolicy(f"a policy has no element {', '.join(map(repr, sorted(unknown)))}")
    found = document.get("Statement")
    statements = [found] if isinstance(found, Mapping) else found
    if not isinstance(statements, list):
        raise MalformedPolicy(f"Statement is a map or a list of them, not {found!r}")
    return Policy(
        statements=tuple(map(_parse_statement, statements)),
        has_variables=version == _WITH_VARIABLES,
    )


def _parse_statement(found: Any) -> Statement:
    if not isinstance(found, Mapping) or (set(found) - _ELEMENTS):
        raise MalformedPolicy(f"this is no statement: {found!r}")
    if found.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Effect is Allow or Deny, not {found.get('Effect')!r}")
    is_not_action, actions = _one_of(found, "Action", "NotAction")
    is_not_principal, principals = _principals(found)
    is_not_resource = False
    resources: tuple[str, ...] = ("*",)
    if principals is None or {"Resource", "NotResource"} & set(found):
        is_not_resource, resources = _one_of(found, "Resource", "NotResource")
    if wrong := [action for action in actions if action != "*" and ":" not in action]:
        raise MalformedPolicy(f"an action is SERVICE:NAME, not {wrong[0]!r}")
    return Statement(
        is_deny=found["Effect"] == "Deny",
        actions=actions,
        is_not_action=is_not_action,
        resources=resources,
        is_not_resource=is_not_resource,
        principals=principals,
        is_not_principal=is_not_principal,
        conditions=parse_conditions(found.get("Condition", {})),
    )


def _one_of(statement: Mapping[str, Any], plain: str, negated: str) -> tuple[bool, tuple[str, ...]]:
    if (plain in statement) == (negated in statement):
        raise MalformedPolicy(f"a statement has either {plain} or {negated}: {statement!r}")
    is_negated = negated in statement
    return is_negated, _texts(statement[negated if is_negated else plain])


def _texts(found: Any) -> tuple[str, ...]:
    values = [found] if isinstance(found, str) else found
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise MalformedPolicy(f"expected text or a list of texts, found {found!r}")
    return tuple(values)


def _principals(statement: Mapping[str, Any]) -> tuple[bool, Mapping[str, tuple[str, ...]] | None]:
    if "Principal" not in statement and "NotPrincipal" not in statement:
        return False, None
    is_negated = "NotPrincipal" in statement
    found = statement["NotPrincipal" if is_negated else "Principal"]
    if found == "*":
        return is_negated, {"*": ("*",)}
    if not isinstance(found, Mapping) or not found:
        raise MalformedPolicy(f"Principal is '*' or a map such as {{'Service': ...}}, not {found!r}")
    return is_negated, {kind: _texts(values) for kind, values in found.items()}
