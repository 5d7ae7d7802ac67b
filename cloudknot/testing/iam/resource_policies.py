"""The policies of resources, found in moto: buckets, roles, repositories, queues, topics, secrets, keys."""

from collections.abc import Callable
from typing import Any

from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from cloudknot.testing.iam.arns import ACCOUNT
from cloudknot.testing.iam.policies import decide
from cloudknot.testing.iam.trust import Document, grant
from cloudknot.testing.iam.values import Ask, Decision, Grant, Principal

__all__ = ["decide_with_resource", "grant_of"]

_OF_ROLES = {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
_NOBODY: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}


def decide_with_resource(principal: Principal, ask: Ask) -> Decision:
    """Return whether a principal may do what he asks, by his policies and by the resource's own.

    Parameters
    ----------
    principal : Principal
        Who asks; of the account that the resource belongs to.
    ask : Ask
        What he asks for.
    """
    return decide(principal, ask, grant_of(principal, ask))


def grant_of(principal: Principal, ask: Ask) -> Grant | None:
    """Return what the policy of the resource says to an ask, or None for a resource that has no policy."""
    service = ask.action.partition(":")[0]
    if ask.action in _OF_ROLES:
        trust = _of_role(principal.account, ask.resource) or _NOBODY
        return grant(trust, principal, ask, is_required=True, layer="role trust policy")
    find = _FINDERS.get(service)
    if find is None or not ask.resource.startswith("arn:"):
        return None
    document = find(ask.resource)
    return None if not document else grant(document, principal, ask, is_required=service == "kms")


def _of_role(account: str, arn: str) -> Document | None:
    roles = list(iam_backends[account]["aws"].roles.values())
    return next((role.assume_role_policy_document for role in roles if role.arn == arn), None)


def _of_bucket(arn: str) -> Document | None:
    name = arn.split(":", 5)[5].partition("/")[0]
    bucket = s3_backends[ACCOUNT]["aws"].buckets.get(name)
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if isinstance(policy, bytes) else policy


def _of_repository(arn: str) -> Document | None:
    _, _, _, region, account, name = arn.split(":", 5)
    found = ecr_backends[account][region].repositories.get(name.removeprefix("repository/"))
    return found.policy if found is not None else None


def _of_queue(arn: str) -> Document | None:
    _, _, _, region, account, name = arn.split(":", 5)
    found = sqs_backends[account][region].queues.get(name)
    return found.policy if found is not None else None


def _of_topic(arn: str) -> Document | None:
    _, _, _, region, account, _ = arn.split(":", 5)
    found = sns_backends[account][region].topics.get(arn)
    return found.policy if found is not None else None


def _of_secret(arn: str) -> Document | None:
    _, _, _, region, account, _ = arn.split(":", 5)
    secrets = list(secretsmanager_backends[account][region].secrets.values())
    return next((getattr(secret, "policy", None) for secret in secrets if secret.arn == arn), None)


def _of_key(arn: str) -> Document | None:
    _, _, _, region, account, name = arn.split(":", 5)
    keys = kms_backends[account][region].keys
    if name.startswith("alias/"):
        return next((key.policy for key in list(keys.values()) if name in key.aliases), None)
    found = keys.get(name.removeprefix("key/"))
    return found.policy if found is not None else None


_FINDERS: dict[str, Callable[[str], Document | None]] = {
    "s3": _of_bucket,
    "ecr": _of_repository,
    "sqs": _of_queue,
    "sns": _of_topic,
    "secretsmanager": _of_secret,
    "kms": _of_key,
}
