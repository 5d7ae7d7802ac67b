"""The passwords that GetAuthorizationToken gives out."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cloudknot.testing.registry.errors import expired_token

__all__ = ["VALID_S", "Caller", "Grant", "Tokens"]

VALID_S = 12 * 3600
"""For so long a token is good, in seconds."""

# An expired token is remembered as such for this long; later it is like one that never was.
_REMEMBERED_S = 7 * 24 * 3600
# ECR's are about 2,000 characters; such a length finds out who cuts them.
_TOKEN_BYTES = 1400


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asked for a token."""

    access_key: str | None = None
    principal: object | None = None
    is_box: bool = False
    """Whether it is the box itself, which pulls the images of jobs after it has asked IAM in their names."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token opens: one account's registry in one region, to one caller."""

    caller: Caller
    account_id: str
    region: str
    expires_at: float
    """Seconds since the epoch."""


class Tokens:
    """All tokens given out and not yet forgotten.

    Parameters
    ----------
    read_time : callable
        Real time, in seconds since the epoch: a docker client lives in that, whatever the box's clock says.
    """

    def __init__(self, read_time: Callable[[], float]) -> None:
        self._read_time = read_time
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}

    def issue(self, caller: Caller, account_id: str, region: str) -> tuple[str, Grant]:
        """Return a new token and what it opens."""
        now = self._read_time()
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        grant = Grant(caller=caller, account_id=account_id, region=region, expires_at=now + VALID_S)
        with self._lock:
            for old, each in list(self._grants.items()):
                if each.expires_at + _REMEMBERED_S < now:
                    del self._grants[old]
            self._grants[token] = grant
        return token, grant

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._grants.clear()

    def find(self, token: str) -> Grant | None:
        """Return what a token opens, or None when it was never given out.

        Raises
        ------
        RegistryError
            When its time is over.
        """
        with self._lock:
            grant = self._grants.get(token)
        if grant and grant.expires_at <= self._read_time():
            raise expired_token()
        return grant
