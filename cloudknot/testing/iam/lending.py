"""What STS lends: sessions of roles and of users, with their policies, tags and limits.

The words of the refusals are those that people report, but where it is said.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.exceptions import STSClientError, STSValidationError
from moto.sts.models import STSBackend, sts_backends
from moto.sts.utils import random_session_token

from cloudknot.testing.iam import current
from cloudknot.testing.iam.keys import holder_of
from cloudknot.testing.iam.policies import MalformedPolicy, Policy
from cloudknot.testing.iam.sessions import Terms, UserSession, give, terms_of
from cloudknot.testing.iam.values import Principal

__all__ = ["federate", "lend_role", "lend_session"]

HOUR_S = 3600
_LEAST_S, _MOST_S = 900, 12 * HOUR_S
_MOST_OF_USER_S = 36 * HOUR_S
_POLICY_CHARACTERS = 2048
_POLICY_ARNS = 10
_NAME = r"[\w+=,.@-]*"
_CONSTRAINT = (
    "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: Member must"
)
Params = Mapping[str, Any]


def lend_role(params: Params, region: str) -> Any:
    """Assume a role (AssumeRole); return moto's session, which has its terms noted.

    Parameters
    ----------
    params : mapping
        The members of the request.
    region : str
        Where it goes.

    Raises
    ------
    STSClientError
        In STS's words: when a member makes no sense, or the session would be too long.
    """
    arn, name = str(params["RoleArn"]), str(params["RoleSessionName"])
    if not re.fullmatch(_NAME, name, re.ASCII):
        start = _CONSTRAINT.format(value=name, at="roleSessionName")
        raise STSValidationError(f"{start} satisfy regular expression pattern: {_NAME}")
    holder = holder_of(current.access_key.get() or "")
    lender = holder.session if holder is not None else None
    duration_s = _role_duration(params, arn, is_chained=lender is not None)
    terms = _terms(params)
    if lender is not None:
        terms = _inherit(terms, terms_of(lender))
    account = arn.split(":")[4]
    session = _backend(account).assume_role(
        region_name=region,
        role_session_name=name,
        role_arn=arn,
        policy=terms.policy or "",
        duration=duration_s,
        external_id=str(params.get("ExternalId") or ""),
    )
    give(session, terms)
    return session


def lend_session(params: Params) -> UserSession:
    """Lend a user a temporary key of his own (GetSessionToken)."""
    user = _user("GetSessionToken")
    return _lend(user, params, "session-token", user.arn, user.id, Terms())


def federate(params: Params) -> UserSession:
    """Lend a user's permissions on, as far as the policies that he gives go (GetFederationToken)."""
    user, name = _user("GetFederationToken"), str(params["Name"])
    arn = f"arn:aws:sts::{user.account_id}:federated-user/{name}"
    return _lend(user, params, "federation", arn, f"{user.account_id}:{name}", _terms(params))


def _user(operation: str) -> Any:
    who = current.principal.get()
    holder = holder_of(current.access_key.get() or "")
    if not isinstance(who, Principal) or holder is None or holder.user is None:
        raise STSClientError("AccessDenied", f"Cannot call {operation} with session credentials")
    return holder.user


def _lend(user: Any, params: Params, kind: Any, arn: str, user_id: str, terms: Terms) -> UserSession:
    seconds = _in_limits(params, 12 * HOUR_S, _MOST_OF_USER_S)
    key = iam_backends[user.account_id]["aws"].create_temp_access_key()
    session = UserSession(
        kind=kind,
        account_id=user.account_id,
        user_name=user.name,
        user_id=user_id,
        arn=arn,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        session_token=random_session_token(),
        expiration=utcnow() + timedelta(seconds=seconds),
        terms=terms,
    )
    sessions: list[Any] = _backend(user.account_id).assumed_roles
    sessions.append(session)
    return session


def _backend(account: str) -> STSBackend:
    return sts_backends[account]["aws"]


def _role_duration(params: Params, role_arn: str, *, is_chained: bool) -> int:
    seconds = _in_limits(params, HOUR_S, _MOST_S)
    roles = list(iam_backends[role_arn.split(":")[4]]["aws"].roles.values())
    role = next((role for role in roles if role.arn == role_arn), None)
    if is_chained and seconds > HOUR_S:
        # As in prowler-cloud/prowler#7721; so it is of a user's session too (mmmorris1975/aws-runas#11).
        raise STSValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
    if role is not None and seconds > int(role.max_session_duration or HOUR_S):
        raise STSValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return seconds


def _in_limits(params: Params, usual_s: int, most_s: int) -> int:
    asked = params.get("DurationSeconds")
    seconds = int(asked) if asked else usual_s
    start = _CONSTRAINT.format(value=seconds, at="durationSeconds")
    if seconds < _LEAST_S:
        raise STSValidationError(f"{start} have value greater than or equal to {_LEAST_S}")
    if seconds > most_s:
        raise STSValidationError(f"{start} have value less than or equal to {most_s}")
    return seconds


def _terms(params: Params) -> Terms:
    policy = params.get("Policy") or None
    arns = tuple(str(entry.get("arn", "")) for entry in _list(params, "PolicyArns"))
    if policy is not None:
        _check_policy(str(policy))
    if len(arns) > _POLICY_ARNS:
        start = _CONSTRAINT.format(value=json.dumps(arns), at="policyArns")
        raise STSValidationError(f"{start} have length less than or equal to {_POLICY_ARNS}")
    return Terms(
        policy=policy,
        policy_arns=arns,
        tags={str(tag["Key"]): str(tag.get("Value") or "") for tag in _list(params, "Tags")},
        transitive=frozenset(map(str, _list(params, "TransitiveTagKeys"))),
        source_identity=params.get("SourceIdentity") or None,
    )


def _check_policy(text: str) -> None:
    if len(text) > _POLICY_CHARACTERS:
        start = _CONSTRAINT.format(value=text, at="policy")
        raise STSValidationError(f"{start} have length less than or equal to {_POLICY_CHARACTERS}")
    try:
        policy = Policy.parse(text)
    except MalformedPolicy as problem:
        raise STSClientError("MalformedPolicyDocument", f"Syntax errors in policy: {problem}") from problem
    if any(statement.principals is not None for statement in policy.statements):
        # Not confirmed in this call; IAM says so of identity-based policies.
        raise STSClientError("MalformedPolicyDocument", "Policy document should not specify a principal.")


def _inherit(terms: Terms, lender: Terms) -> Terms:
    """Return terms with what the session that asks hands on: transitive tags, and the source identity."""
    handed_on = {key: value for key, value in lender.tags.items() if key in lender.transitive}
    if again := sorted(set(handed_on) & set(terms.tags)):
        # The words are not confirmed; that it is refused is (IAM user guide, "Chaining roles with tags").
        raise STSClientError(
            "InvalidParameterValue", f"the tags {', '.join(again)} are transitive: they cannot be set again"
        )
    return Terms(
        policy=terms.policy,
        policy_arns=terms.policy_arns,
        tags={**handed_on, **terms.tags},
        transitive=terms.transitive | lender.transitive,
        source_identity=lender.source_identity or terms.source_identity,
    )


def _list(params: Params, name: str) -> Sequence[Any]:
    return params.get(name) or ()
