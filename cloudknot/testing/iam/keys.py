"""Whose an access key is: looked up in moto's IAM and STS."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

__all__ = ["Holder", "holder_of"]

_PARTITION = "aws"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """An access key that is good, and who has it."""

    account: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """The session token that must come with a temporary key."""
    expires_at: float | None = None
    user: Any = None
    """moto's user, for a key that lasts."""
    session: Any = None
    """moto's assumed role, or a `UserSession`, for a temporary one."""


def holder_of(access_key: str) -> Holder | None:
    """Return who has an access key; None for one that is unknown, deleted or inactive."""
    for account in list(sts_backends):
        sessions = sts_backends[account][_PARTITION].assumed_roles
        if (session := _SESSIONS.find(account, sessions, access_key)) is not None:
            return Holder(
                account=account,
                secret=session.secret_access_key,
                token=session.session_token,
                expires_at=session.expiration.timestamp(),
                session=session,
            )
    for account in list(iam_backends):
        backend = iam_backends[account][_PARTITION]
        key = backend.access_keys.get(access_key)
        if key is None or key.status != "Active" or key.user_name not in backend.users:
            continue
        return Holder(account=account, secret=key.secret_access_key, user=backend.users[key.user_name])
    return None


class _Sessions:
    """An index of moto's assumed roles, which moto keeps as a list that only grows until it is reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: dict[str, Sequence[Any]] = {}
        self._found: dict[str, dict[str, Any]] = {}
        self._read: dict[str, int] = {}

    def find(self, account: str, sessions: Sequence[Any], access_key: str) -> Any:
        with self._lock:
            if self._lists.get(account) is not sessions or len(sessions) < self._read[account]:
                self._lists[account], self._found[account], self._read[account] = sessions, {}, 0
            for session in sessions[self._read[account] :]:
                self._found[account][session.access_key_id] = session
                self._read[account] += 1
            return self._found[account].get(access_key)


_SESSIONS = _Sessions()
