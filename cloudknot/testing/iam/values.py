"""What IAM decides about: who asks, what is asked, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cloudknot.testing.iam.policies import Policy

__all__ = ["Ask", "ContextValue", "Decision", "Grant", "Kind", "Layer", "Principal", "Whom"]

ContextValue = str | tuple[str, ...]
"""One value, or those of a key that has several (`aws:TagKeys`)."""
Kind = Literal["root", "user", "assumed-role", "federated-user", "service", "anonymous"]
Layer = Literal[
    "identity-based policy",
    "permissions boundary",
    "session policy",
    "resource-based policy",
    "role trust policy",
]
Whom = Literal["", "account", "role", "principal"]
"""Whom a resource's policy allows something: nobody who is meant here, his account, his role, or himself."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One permission that a request needs."""

    action: str
    """As the Service Authorization Reference writes it: `batch:SubmitJob`."""
    resource: str = "*"
    """An ARN, or `*` for an action that knows no resources."""
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    """Condition keys, without those of the principal."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks, with all that says what he may do."""

    arn: str
    account: str
    kind: Kind
    policies: tuple[Policy, ...] = ()
    """The identity-based ones: inline, attached, and those of groups."""
    boundary: Policy | None = None
    session_policies: tuple[Policy, ...] | None = None
    """Those that a session was lent with; any of them may allow. None where there were none."""
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    """Condition keys of his own: `aws:PrincipalArn`, `aws:username`, `aws:userid`, `aws:PrincipalTag/...`."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What the policy of a resource says to an ask."""

    whom: Whom = ""
    is_denied: bool = False
    is_required: bool = False
    """Whether nothing is allowed without it: so it is with roles and keys."""
    layer: Layer = "resource-based policy"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What IAM says to an ask; for a refusal also where it comes from."""

    is_allowed: bool
    is_explicit: bool = False
    """Whether a statement denies it; otherwise none allows it."""
    layer: Layer = "identity-based policy"

    def words_for(self, principal: Principal, ask: Ask) -> str:
        """Return a refusal in AWS's words (IAM user guide, "Troubleshoot access denied error messages")."""
        start = (
            f"User: {principal.arn} is not authorized to perform: {ask.action} on resource: {ask.resource}"
        )
        if self.is_explicit:
            article = {"identity-based policy": "an", "role trust policy": "the"}.get(self.layer, "a")
            return f"{start} with an explicit deny in {article} {self.layer}"
        if self.layer == "role trust policy":
            return start
        return f"{start} because no {self.layer} allows the {ask.action} action"
