"""What a request needs of IAM: actions, resources, condition keys (AWS's Service Authorization Reference)."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cloudknot.testing.iam import batch_actions, ec2_actions, iam_actions, s3_actions
from cloudknot.testing.iam.arns import ACCOUNT, Known, Place, nobody_knows
from cloudknot.testing.iam.service_actions import SERVICES
from cloudknot.testing.iam.values import Ask, ContextValue
from cloudknot.testing.wire.values import WireRequest

__all__ = ["asks_of"]

# Where actions are not prefixed with botocore's name of the service.
_PREFIXES = {
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
    "elbv2": "elasticloadbalancing",
    "efs": "elasticfilesystem",
    "stepfunctions": "states",
}
_WITH_OWN_TAG_KEYS = {"ec2", "iam", "ecr", "secretsmanager", "ssm"}
_SERVICES = {
    **SERVICES,
    "batch": batch_actions.asks,
    "ec2": ec2_actions.asks,
    "iam": iam_actions.iam_asks,
    "sts": iam_actions.sts_asks,
}
TagsOf = Callable[[str], Mapping[str, str]]
"""The tags of a thing by its ARN."""


def _no_tags(arn: str) -> Mapping[str, str]:
    return {}


def asks_of(
    request: WireRequest,
    *,
    account: str = ACCOUNT,
    known: Known = nobody_knows,
    tags_of: TagsOf = _no_tags,
    now: Callable[[], float] = time.time,
) -> tuple[Ask, ...]:
    """Return all permissions that a request needs; every one must be granted.

    Parameters
    ----------
    request : WireRequest
        What is asked. An operation that nothing is known of needs an action of its name on `*`.
    account : str
        Whose resources they are.
    known : callable
        Finds the full ARN of what has a path or a suffix in it: `names.known_in_moto`.
    tags_of : callable
        Finds the tags of a resource, for `aws:ResourceTag`.
    now : callable
        The time for `aws:CurrentTime`.
    """
    place = Place(region=request.region, account=account, known=known)
    operation = request.operation or "UnknownOperation"
    if request.service == "s3":
        needed = s3_actions.asks(operation, request.params, place, request)
    elif request.service in _SERVICES:
        needed = _SERVICES[request.service](operation, request.params, place)
    else:
        needed = [Ask(action=f"{_PREFIXES.get(request.service, request.service)}:{operation}")]
    context = _context(request, account, now())
    return tuple(
        Ask(
            action=ask.action,
            resource=ask.resource,
            context={**context, **_resource_tags(tags_of, ask.resource), **ask.context},
        )
        for ask in needed
    )


def _context(request: WireRequest, account: str, now: float) -> dict[str, ContextValue]:
    """Return the keys that every request has.

    The box speaks plain HTTP on the loopback interface; policies that insist on TLS must not lock
    people out of it, so `aws:SecureTransport` is true.
    """
    context: dict[str, ContextValue] = {
        "aws:RequestedRegion": request.region,
        "aws:SecureTransport": "true",
        "aws:CurrentTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now)),
        "aws:SourceIp": "127.0.0.1",
        "aws:ResourceAccount": account,
        "aws:ViaAWSService": "false",
    }
    if agent := request.headers.get("user-agent"):
        context["aws:UserAgent"] = agent
    return context


def _resource_tags(tags_of: TagsOf, resource: str) -> dict[str, ContextValue]:
    tags = tags_of(resource)
    if not tags:
        return {}
    service = resource.split(":", 3)[2]
    prefixes = ["aws:ResourceTag"]
    if service in _WITH_OWN_TAG_KEYS:
        prefixes.append(f"{service}:ResourceTag")
    if service == "s3":
        prefixes = ["s3:ExistingObjectTag"]  # objects have no aws:ResourceTag
    return {f"{prefix}/{key}": value for prefix in prefixes for key, value in tags.items()}
