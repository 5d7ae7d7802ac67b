"""What a session was lent with, beyond what moto keeps of it; and sessions of users, which moto has not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = ["Terms", "UserSession", "give", "terms_of"]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a session may at most, and what it is tagged with."""

    policy: str | None = None
    """The session policy, as JSON."""
    policy_arns: tuple[str, ...] = ()
    """Managed policies that count as session policies."""
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()
    """The keys of the tags that the next session of the chain inherits."""
    source_identity: str | None = None


@dataclass(frozen=True, kw_only=True)
class UserSession:
    """A temporary key of a user, with the names that moto's assumed roles have: STS lists it among those."""

    kind: Literal["session-token", "federation"]
    account_id: str
    user_name: str
    user_id: str
    arn: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: datetime
    terms: Terms


def give(session: Any, terms: Terms) -> None:
    """Note the terms of one of moto's assumed roles."""
    session.terms = terms


def terms_of(session: Any) -> Terms:
    """Return the terms of a session; one that moto itself has lent has at most a policy."""
    found: Terms | None = getattr(session, "terms", None)
    return found or Terms(policy=getattr(session, "policy", None) or None)
