"""The tags of what moto holds, by ARN."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.ec2.models import ec2_backends
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends

from cloudknot.testing.iam.arns import ACCOUNT

__all__ = ["tags_in_moto"]

Tags = Mapping[str, str]
_NONE: Tags = {}
_PARTS = 6


def tags_in_moto(arn: str) -> Tags:
    """Return the tags of a resource; none for one that is not there, or of a kind that is not known here.

    A bucket's tags are left out: S3 shows them to IAM only where a bucket was switched to that
    (PutBucketAbac), which moto cannot do.
    """
    parts = arn.split(":", 5)
    if len(parts) < _PARTS:
        return _NONE
    _, _, service, region, account, name = parts
    find = _FINDERS.get(service)
    return find(arn, account or ACCOUNT, region, name) or _NONE if find else _NONE


def _of_object(arn: str, account: str, region: str, name: str) -> Tags | None:
    bucket, _, key = name.partition("/")
    backend = s3_backends[account]["aws"]
    found = backend.buckets.get(bucket)
    kept = found.keys.get(key) if found is not None and key else None
    if not isinstance(kept, FakeKey):  # but the mark of a deletion, or nothing
        return None
    return backend.tagger.get_tag_dict_for_resource(kept.arn)


def _of_identity(arn: str, account: str, region: str, name: str) -> Tags | None:
    backend = iam_backends[account]["aws"]
    kind = name.partition("/")[0]
    kept: Mapping[str, Mapping[str, Any]] = {
        "role": backend.roles,
        "user": backend.users,
        "policy": backend.managed_policies,
        "instance-profile": backend.instance_profiles,
    }
    found = next((one for one in list(kept.get(kind, {}).values()) if one.arn == arn), None)
    return None if found is None else _of_pairs(found.tags)


def _of_repository(arn: str, account: str, region: str, name: str) -> Tags | None:
    return ecr_backends[account][region].tagger.get_tag_dict_for_resource(arn)


def _of_log_group(arn: str, account: str, region: str, name: str) -> Tags | None:
    group = name.removeprefix("log-group:").partition(":")[0]
    found = logs_backends[account][region].groups.get(group)
    return None if found is None else _of_group(logs_backends[account][region], found.arn)


def _of_group(backend: Any, arn: str) -> Tags:
    # moto notes the tags of a group with and without the `:*` behind its ARN.
    bare = arn.removesuffix(":*")
    return {**_tagged(backend, bare), **_tagged(backend, f"{bare}:*")}


def _tagged(backend: Any, arn: str) -> dict[str, str]:
    found: dict[str, str] = backend.tagger.get_tag_dict_for_resource(arn)
    return found


def _of_queue(arn: str, account: str, region: str, name: str) -> Tags | None:
    found = sqs_backends[account][region].queues.get(name)
    return None if found is None else found.tags


def _of_topic(arn: str, account: str, region: str, name: str) -> Tags | None:
    found = sns_backends[account][region].topics.get(arn)
    return None if found is None else found._tags


def _of_secret(arn: str, account: str, region: str, name: str) -> Tags | None:
    secrets = list(secretsmanager_backends[account][region].secrets.values())
    found = next((secret for secret in secrets if secret.arn == arn), None)
    return None if found is None else _of_pairs(found.tags)


def _of_parameter(arn: str, account: str, region: str, name: str) -> Tags | None:
    kept: Mapping[str, Tags] = ssm_backends[account][region]._resource_tags.get("Parameter", {})
    bare = name.removeprefix("parameter/")
    return kept.get(bare) or kept.get(f"/{bare}")


def _of_key(arn: str, account: str, region: str, name: str) -> Tags | None:
    return kms_backends[account][region].tagger.get_tag_dict_for_resource(name.removeprefix("key/"))


def _of_rule(arn: str, account: str, region: str, name: str) -> Tags | None:
    return events_backends[account][region].tagger.get_tag_dict_for_resource(arn)


def _of_ec2(arn: str, account: str, region: str, name: str) -> Tags | None:
    return ec2_backends[account][region].tags.get(name.rpartition("/")[2])


def _of_stack(arn: str, account: str, region: str, name: str) -> Tags | None:
    stacks = cloudformation_backends[account][region].stacks
    found = stacks.get(arn)
    if found is None and name.endswith("/*"):  # it was called by its name
        wanted = name.split("/")[1]
        found = next((stack for stack in list(stacks.values()) if stack.name == wanted), None)
    return None if found is None else found.tags


def _of_pairs(pairs: Iterable[Mapping[str, str]] | Mapping[str, str] | None) -> Tags:
    if isinstance(pairs, Mapping):
        return pairs
    return {pair["Key"]: pair["Value"] for pair in pairs or ()}


_FINDERS: dict[str, Callable[[str, str, str, str], Tags | None]] = {
    "s3": _of_object,
    "iam": _of_identity,
    "ecr": _of_repository,
    "logs": _of_log_group,
    "sqs": _of_queue,
    "sns": _of_topic,
    "secretsmanager": _of_secret,
    "ssm": _of_parameter,
    "kms": _of_key,
    "events": _of_rule,
    "ec2": _of_ec2,
    "cloudformation": _of_stack,
}
