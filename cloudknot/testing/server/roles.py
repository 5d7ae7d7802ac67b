"""The roles of tasks: who may have them, and the credentials that a task fetches for its own."""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from cloudknot.testing.iam.principals import role_session
from cloudknot.testing.iam.trust import may_assume
from cloudknot.testing.iam.values import Principal
from cloudknot.testing.server.start_words import no_role

__all__ = ["TaskRoles"]

_DURATION_S = 6 * 3600
_TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class _Lease:
    role_arn: str
    session: str
    region: str


class TaskRoles:
    """Which task has which role, and the secret address at which it finds that role's credentials.

    Parameters
    ----------
    account_id : str
        The account of the roles.
    endpoint : str
        The box's own address, `http://127.0.0.1:PORT`.
    is_seen : callable
        Whether what was made at this moment (real time, in seconds) is known everywhere by now.
    """

    def __init__(self, account_id: str, endpoint: str, is_seen: Callable[[float], bool]) -> None:
        self._account_id = account_id
        self._endpoint = endpoint
        self._is_seen = is_seen
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._tokens: dict[str, str] = {}

    def principal(self, role_arn: str, task_id: str, region: str) -> Principal:
        """Return the role as a task's service assumes it.

        Parameters
        ----------
        role_arn : str
            The role.
        task_id, region : str
            The task that it is for.

        Raises
        ------
        NotStarted
            When there is no such role yet, or it does not trust tasks.
        """
        role = _find(self._account_id, role_arn)
        if role is not None and not self._is_seen(role.create_date.replace(tzinfo=UTC).timestamp()):
            role = None
        document = role.assume_role_policy_document if role else None
        if document is None or not may_assume(_parsed(document), _TASKS, self._source(task_id, region)):
            raise no_role(role_arn)
        return role_session(self._account_id, role_arn, task_id)

    def of_machine(self, profile: str) -> Principal | None:
        """Return the role in an instance profile (its name or ARN), or None when there is none."""
        name = profile.rpartition("/")[2]
        found = iam_backends[self._account_id]["aws"].instance_profiles.values()
        roles = next((part.roles for part in found if part.name == name), [])
        return role_session(self._account_id, roles[0].arn, "i-0123456789abcdef0") if roles else None

    def lend(self, task_id: str, role_arn: str, region: str) -> str:
        """Return the address of the credentials of this task's role.

        Raises
        ------
        NotStarted
            When the role cannot be assumed.
        """
        self.principal(role_arn, task_id, region)
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._leases[token] = _Lease(role_arn=role_arn, session=task_id, region=region)
            self._tokens[task_id] = token
        return f"{self._endpoint}/_box/credentials/{token}"

    def take_back(self, task_id: str) -> None:
        """Hand out no more credentials to this task."""
        with self._lock:
            token = self._tokens.pop(task_id, None)
            if token:
                del self._leases[token]

    def _source(self, task_id: str, region: str) -> Mapping[str, str]:
        """Return for whose sake ECS asks for a role.

        ECS names the account, and an ARN of its own that policies are told to match as
        `arn:aws:ecs:REGION:ACCOUNT:*` (ECS developer guide, "Task IAM role"); what stands behind the last
        colon is not confirmed.
        """
        return {
            "aws:SourceAccount": self._account_id,
            "aws:SourceArn": f"arn:aws:ecs:{region}:{self._account_id}:task/{task_id}",
        }

    def credentials(self, token: str) -> dict[str, str] | None:
        """Return credentials as ECS's endpoint for containers does; None where none are held."""
        with self._lock:
            lease = self._leases.get(token)
        if lease is None:
            return None
        session = sts_backends[self._account_id]["aws"].assume_role(
            region_name=lease.region,
            role_session_name=lease.session,
            role_arn=lease.role_arn,
            policy="",
            duration=_DURATION_S,
            external_id="",
        )
        return {
            "RoleArn": lease.role_arn,
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _find(account_id: str, role_arn: str) -> Any:
    roles = list(iam_backends[account_id]["aws"].roles.values())
    return next((role for role in roles if role.arn == role_arn), None)


def _parsed(document: str | Mapping[str, Any]) -> Mapping[str, Any]:
    parsed: Mapping[str, Any] = json.loads(document) if isinstance(document, str) else document
    return parsed
