"""Whether the bucket of the runs can be reached, is private, and is where the machines are."""

from __future__ import annotations

from collections.abc import Iterator

from cloudknot.aws.findings import Check, failed, passed, unknown, warned
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError

_ANEW = "'cloudknot down', then 'cloudknot configure' make the stack anew, with a bucket"
_BLOCK = "switch on all of 'Block public access' for it, in the console of S3"
_NEARER = "a stack with a bucket of this region: 'cloudknot configure --stack ... --bucket ...'"
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def check_bucket(aws: Aws, bucket: str) -> Iterator[Check]:
    """Yield whether the bucket is there, in this region, and private."""
    try:
        reply = aws.call("s3", "head_bucket", Bucket=bucket)
    except AwsError as error:
        yield explain_bucket_error(error, bucket)
        return
    region = reply.get("BucketRegion") or aws.region
    if region != aws.region:
        sentence = f"{bucket} is in {region}, and machines in {aws.region}: transfers cost money and time"
        yield warned("bucket", sentence, _NEARER)
    else:
        yield passed("bucket", f"{bucket} can be reached")
    yield from _check_privacy(aws, bucket)


def explain_bucket_error(error: AwsError, bucket: str) -> Check:
    """Return why the bucket cannot be reached: the answer to HEAD has a number and no words."""
    if error.code in ("404", "NoSuchBucket"):
        return failed("bucket", f"there is no bucket {bucket}: runs and results in it are lost", _ANEW)
    if error.code in ("301", "PermanentRedirect"):
        cure = _NEARER
        return failed("bucket", f"{bucket} is in another region", cure)
    if error.code in ("403", "AccessDenied"):
        cure = "'cloudknot policy' prints what a person must be allowed to do"
        return failed(
            "bucket", f"{bucket} may not be used with these credentials, or is somebody else's", cure
        )
    return unknown("bucket", str(error))


def _check_privacy(aws: Aws, bucket: str) -> Iterator[Check]:
    try:
        reply = aws.call("s3", "get_public_access_block", Bucket=bucket)
    except AwsError as error:
        if error.code == "NoSuchPublicAccessBlockConfiguration":
            yield warned("bucket", f"{bucket} does not block public access", _BLOCK)
        else:
            yield unknown("bucket", f"whether {bucket} is private: {error}")
        return
    blocks = reply["PublicAccessBlockConfiguration"]
    missing = [name for name in _BLOCKS if not blocks.get(name)]
    if missing:
        yield warned("bucket", f"{bucket} does not set {', '.join(missing)}", _BLOCK)
    else:
        yield passed("bucket", f"{bucket} is private")
