"""Buckets of stacks, and their policies."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from cloudknot.testing.stacks.calls import Unfit
from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, picked

__all__ = ["KINDS", "lifecycle_rule"]


def lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of a template as S3's own API has it.

    Examples
    --------
    >>> lifecycle_rule({"Id": "old", "Status": "Enabled", "Prefix": "runs/", "ExpirationInDays": 30})
    {'ID': 'old', 'Status': 'Enabled', 'Filter': {'Prefix': 'runs/'}, 'Expiration': {'Days': 30}}
    """
    if unknown := set(rule) - _RULE:
        raise Unfit(f"#/LifecycleConfiguration/Rules: extraneous key [{min(unknown)}] is not permitted")
    shown = {
        **_renamed(rule, Id="ID", Status="Status"),
        "Filter": _filter(rule),
        "Expiration": _renamed(
            rule,
            ExpirationInDays="Days",
            ExpirationDate="Date",
            ExpiredObjectDeleteMarker="ExpiredObjectDeleteMarker",
        ),
        "Transitions": [
            _renamed(step, TransitionInDays="Days", TransitionDate="Date", StorageClass="StorageClass")
            for step in _all_of(rule, "Transition")
        ],
        "NoncurrentVersionTransitions": [
            _renamed(step, TransitionInDays="NoncurrentDays", StorageClass="StorageClass")
            for step in _all_of(rule, "NoncurrentVersionTransition")
        ],
        "NoncurrentVersionExpiration": rule.get(
            "NoncurrentVersionExpiration", _renamed(rule, NoncurrentVersionExpirationInDays="NoncurrentDays")
        ),
        **picked(rule, "AbortIncompleteMultipartUpload"),
    }
    return {name: part for name, part in shown.items() if part not in ({}, [])}


_RULE = {
    *("Id", "Status", "Prefix", "TagFilters", "ExpirationInDays", "ExpirationDate"),
    *("ExpiredObjectDeleteMarker", "Transition", "Transitions", "AbortIncompleteMultipartUpload"),
    *("NoncurrentVersionTransition", "NoncurrentVersionTransitions"),
    *("NoncurrentVersionExpiration", "NoncurrentVersionExpirationInDays"),
}


def _all_of(rule: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [*rule.get(f"{name}s", ()), *([rule[name]] if name in rule else ())]


def _filter(rule: Mapping[str, Any]) -> dict[str, Any]:
    prefix, tags = rule.get("Prefix", ""), rule.get("TagFilters") or []
    if not tags:
        return {"Prefix": prefix}
    if len(tags) == 1 and not prefix:
        return {"Tag": tags[0]}
    return {"And": {"Prefix": prefix, "Tags": tags}}


def _renamed(part: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {new: part[old] for old, new in names.items() if old in part}


def _encryption(given: Any) -> dict[str, Any]:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault" if name == "ServerSideEncryptionByDefault" else name: part
            for name, part in rule.items()
        }
        for rule in given["ServerSideEncryptionConfiguration"]
    ]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


_CORS = {"Id": "ID", "ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}


def _cors(given: Any) -> dict[str, Any]:
    rules = [
        {_CORS.get(name, name): part for name, part in rule.items()} for rule in given.get("CorsRules", ())
    ]
    return {"CORSConfiguration": {"CORSRules": rules}}


# Each part of a bucket: the operation that sets it, what it is called with, and what takes it away.
_PARTS: dict[str, tuple[str, Callable[[Any], dict[str, Any]], str]] = {
    "BucketEncryption": ("PutBucketEncryption", _encryption, "DeleteBucketEncryption"),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        lambda given: {
            "LifecycleConfiguration": {"Rules": [lifecycle_rule(rule) for rule in given["Rules"]]}
        },
        "DeleteBucketLifecycle",
    ),
    "PublicAccessBlockConfiguration": (
        "PutPublicAccessBlock",
        lambda given: {"PublicAccessBlockConfiguration": given},
        "DeletePublicAccessBlock",
    ),
    "OwnershipControls": (
        "PutBucketOwnershipControls",
        lambda given: {"OwnershipControls": given},
        "DeleteBucketOwnershipControls",
    ),
    "VersioningConfiguration": (
        "PutBucketVersioning",
        lambda given: {"VersioningConfiguration": given or {"Status": "Suspended"}},
        "PutBucketVersioning",
    ),
    "CorsConfiguration": ("PutBucketCors", _cors, "DeleteBucketCors"),
    "Tags": ("PutBucketTagging", lambda given: {"Tagging": {"TagSet": given}}, "DeleteBucketTagging"),
}


def _bucket(work: Work) -> Made:
    try:
        work.call("s3", "HeadBucket", Bucket=work.name)
    except ClientError:
        pass
    else:
        raise FileExistsError(f"{work.name} already exists")
    elsewhere = {"LocationConstraint": work.region} if work.region != "us-east-1" else None
    work.call("s3", "CreateBucket", Bucket=work.name, CreateBucketConfiguration=elsewhere)
    return _changed_bucket(work)


def _changed_bucket(work: Work) -> Made:
    name = work.id or work.name
    for part, (operation, shown, undo) in _PARTS.items():
        if not work.is_changed(part):
            continue
        if part in work.properties:
            work.call("s3", operation, Bucket=name, **shown(work.properties[part]))
        else:
            rest = shown(None) if undo == operation else {}
            work.call("s3", undo, Bucket=name, **rest)
    host = f"{name}.s3.{work.region}.amazonaws.com"
    attributes = {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": host,
        "DualStackDomainName": f"{name}.s3.dualstack.{work.region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{work.region}.amazonaws.com",
    }
    return Made(id=name, attributes=attributes)


def _policy(work: Work) -> Made:
    given = {"Bucket": work.get("Bucket"), "Policy": as_text(work.get("PolicyDocument"))}
    work.call("s3", "PutBucketPolicy", **given)
    return Made(id=str(work.get("Bucket")))


def _remove_policy(work: Work) -> None:
    work.call("s3", "DeleteBucketPolicy", Bucket=work.id)


def _remove_bucket(work: Work) -> None:
    work.call("s3", "DeleteBucket", Bucket=work.id)


KINDS: dict[str, Kind] = {
    "AWS::S3::Bucket": Kind(
        properties=frozenset({"BucketName", *_PARTS}),
        anew=frozenset({"BucketName"}),
        name="BucketName",
        longest_name=63,
        is_lower=True,
        make=_bucket,
        change=_changed_bucket,
        remove=_remove_bucket,
    ),
    "AWS::S3::BucketPolicy": Kind(
        properties=frozenset({"Bucket", "PolicyDocument"}),
        required=frozenset({"Bucket", "PolicyDocument"}),
        anew=frozenset({"Bucket"}),
        tags="",
        make=_policy,
        change=_policy,
        remove=_remove_policy,
    ),
}
