"""The permissions that calls of S3 need: its actions have other names than its operations."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from cloudknot.testing.iam.arns import Place
from cloudknot.testing.iam.values import Ask, ContextValue
from cloudknot.testing.wire.values import WireRequest

__all__ = ["asks", "bucket_arn", "source_of"]

# Where the action is not named as the operation is (Service Authorization Reference, Amazon S3).
_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadObject": "GetObject",
    "SelectObjectContent": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "PostObject": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
# With a version's id these are actions of their own.
_OF_VERSION = {
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectTagging": "GetObjectVersionTagging",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
_HEADERS_IN_CONDITIONS = (
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-metadata-directive",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "if-match",
    "if-none-match",
)
_QUERY_IN_CONDITIONS = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
_HAS_ACL = {"PutObject", "CopyObject", "CreateMultipartUpload"}
_LISTS = {"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "HeadBucket"}


def asks(operation: str, params: Mapping[str, Any], place: Place, request: WireRequest) -> list[Ask]:
    """Return what a call of S3 needs; a batch of deletions needs its permission for every key."""
    context = _context(operation, params, request)
    bucket = params.get("Bucket")
    if not bucket:
        return [Ask(action=_action(operation), context=context)]
    if operation == "DeleteObjects":
        return [
            Ask(
                action=_action(operation, found.get("VersionId")),
                resource=bucket_arn(place, bucket, found.get("Key", "")),
                context=context,
            )
            # A list that cannot be read might name anything.
            for found in params["Delete"]["Objects"] or [{"Key": "*"}]
        ]
    resource = bucket_arn(place, bucket, params.get("Key"))
    needed = [Ask(action=_action(operation, params.get("VersionId")), resource=resource, context=context)]
    if operation in ("CopyObject", "UploadPartCopy"):
        needed.append(_source(place, str(params["CopySource"])))
    if params.get("Tagging") and operation in _HAS_ACL:
        needed.append(Ask(action="s3:PutObjectTagging", resource=resource, context=context))
    if operation in _HAS_ACL and _sets_acl(request):
        needed.append(Ask(action="s3:PutObjectAcl", resource=resource, context=context))
    return needed


def bucket_arn(place: Place, bucket: str, key: str | None = None) -> str:
    """Return the ARN of a bucket or of an object in it."""
    return f"arn:{place.partition}:s3:::{bucket}" + ("" if key is None else f"/{key}")


def _action(operation: str, version: str | None = None) -> str:
    name = _ACTIONS.get(operation, operation)
    return f"s3:{_OF_VERSION.get(name, name) if version else name}"


def source_of(copy_source: str) -> tuple[str, str, str | None]:
    """Return the bucket, the key and the version that a copy is made of."""
    path, _, query = copy_source.partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    return bucket, key, dict(parse_qsl(query)).get("versionId")


def _source(place: Place, copy_source: str) -> Ask:
    bucket, key, version = source_of(copy_source)
    return Ask(action=_action("GetObject", version), resource=bucket_arn(place, bucket, key))


def _sets_acl(request: WireRequest) -> bool:
    # S3 needs no further permission for what every object has anyway.
    if request.headers.get("x-amz-acl", "private") != "private":
        return True
    return any(name.startswith("x-amz-grant-") for name in request.headers)


def _context(operation: str, params: Mapping[str, Any], request: WireRequest) -> dict[str, ContextValue]:
    context: dict[str, ContextValue] = {
        f"s3:{name}": request.headers[name] for name in _HEADERS_IN_CONDITIONS if name in request.headers
    }
    if operation in _LISTS:
        context |= {key: str(params[name]) for name, key in _QUERY_IN_CONDITIONS.items() if name in params}
    if params.get("VersionId"):
        context["s3:VersionId"] = str(params["VersionId"])
    if params.get("Tagging"):
        tags = dict(parse_qsl(str(params["Tagging"]), keep_blank_values=True))
        context |= {f"s3:RequestObjectTag/{key}": value for key, value in tags.items()}
        context["s3:RequestObjectTagKeys"] = tuple(tags)
    return context
