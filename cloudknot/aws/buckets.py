"""Buckets: which one holds a stack's runs, and how it is emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from cloudknot.aws.blueprint import check_bucket_name
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError, InputError

# S3 removes no more objects by one request.
_BATCH = 1000
_TOLD_EVERY = 100_000


def choose_bucket(aws: Aws, stack: str, wanted: str | None) -> tuple[str, bool]:
    """Return the name of a stack's bucket, and whether it has to be made.

    Raises
    ------
    InputError
        It is somebody else's, or in another region, or no bucket can have its name.
    AwsError
        AWS refused.
    """
    name = check_bucket_name(wanted or f"{stack}-{aws.identity['Account']}-{aws.region}")
    try:
        reply = aws.call("s3", "head_bucket", Bucket=name)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return name, True
        if error.code in ("403", "AccessDenied"):
            raise InputError(
                f"the bucket {name} is somebody else's, or you may not use it: name another with --bucket"
            ) from error
        raise
    region = reply.get("BucketRegion") or aws.region
    if region != aws.region:
        raise InputError(f"the bucket {name} is in {region}, and jobs run in {aws.region}: name another one")
    return name, False


def empty_bucket(aws: Aws, bucket: str, tell: Callable[[str], None]) -> int:
    """Remove all objects, all versions of them, and unfinished uploads; return how many there were.

    Raises
    ------
    AwsError
        AWS refused, or something could not be removed.
    """
    try:
        removed = _remove_objects(aws, bucket, tell)
        for upload in aws.pages("s3", "list_multipart_uploads", "Uploads", Bucket=bucket):
            aws.call(
                "s3",
                "abort_multipart_upload",
                Bucket=bucket,
                Key=upload["Key"],
                UploadId=upload["UploadId"],
            )
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return 0
        raise
    return removed


def _remove_objects(aws: Aws, bucket: str, tell: Callable[[str], None]) -> int:
    removed, found = 0, _versions(aws, bucket)
    while group := list(islice(found, _BATCH)):
        reply = aws.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": group, "Quiet": True})
        if failed := reply.get("Errors"):
            first = failed[0]
            raise AwsError(
                f"{first.get('Key')} in the bucket {bucket} cannot be removed: {first.get('Message')}",
                code=str(first.get("Code", "")),
            )
        removed += len(group)
        if removed % _TOLD_EVERY == 0:
            tell(f"{removed:,} objects removed from {bucket}")
    return removed


def _versions(aws: Aws, bucket: str) -> Iterator[dict[str, Any]]:
    # One listing has both: what is there, and what marks as gone.
    markers = aws.pages("s3", "list_object_versions", "DeleteMarkers", Bucket=bucket)
    versions = aws.pages("s3", "list_object_versions", "Versions", Bucket=bucket)
    for one in chain(versions, markers):
        yield {"Key": one["Key"], "VersionId": one["VersionId"]}
