"""Batches of deletions in S3, by people who may delete some of the objects, or none."""

from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box.permitting import allow, client, deny, error, user

pytestmark = pytest.mark.aws_box(executor="process")

KEYS = ("own/a & <b>", "own/é", "other/c")


@pytest.fixture
def s3(aws_box: Box) -> Any:
    s3 = aws_box.client("s3")
    s3.create_bucket(Bucket="brains")
    for key in KEYS:
        s3.put_object(Bucket="brains", Key=key, Body=b"a brain")
    return s3


def delete(box: Box, *statements: dict[str, Any], bucket: str = "brains", **more: Any) -> dict[str, Any]:
    """Delete all keys as somebody with these permissions."""
    wanted = {"Objects": [{"Key": key} for key in KEYS], **more}
    found: dict[str, Any] = client(box, user(box, "eve", *statements), "s3").delete_objects(
        Bucket=bucket, Delete=wanted
    )
    return found


def left(s3: Any) -> set[str]:
    return {found["Key"] for found in s3.list_objects_v2(Bucket="brains").get("Contents", ())}


def test_who_may_delete_all_of_them_is_told_of_no_error(aws_box: Box, s3: Any) -> None:
    said = delete(aws_box, allow("s3:DeleteObject"))
    assert "Errors" not in said
    assert left(s3) == set()


def test_who_may_delete_none_of_them_is_told_so_of_each(aws_box: Box, s3: Any) -> None:
    said = delete(aws_box, allow("s3:ListBucket"))
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "Deleted" not in said
    assert [(one["Key"], one["Code"]) for one in said["Errors"]] == [(key, "AccessDenied") for key in KEYS]
    assert "no identity-based policy allows the s3:DeleteObject action" in said["Errors"][0]["Message"]
    assert left(s3) == set(KEYS)


@pytest.mark.parametrize("is_quiet", [False, True])
def test_who_may_delete_some_of_them_does_and_is_told_of_the_others(
    aws_box: Box, s3: Any, *, is_quiet: bool
) -> None:
    said = delete(aws_box, allow("s3:DeleteObject", "arn:aws:s3:::brains/own/*"), Quiet=is_quiet)
    assert [one["Key"] for one in said["Errors"]] == ["other/c"]
    assert {one["Key"] for one in said.get("Deleted", ())} == (set() if is_quiet else set(KEYS[:2]))
    assert left(s3) == {"other/c"}


def test_a_deny_counts_for_the_keys_that_it_names(aws_box: Box, s3: Any) -> None:
    said = delete(aws_box, allow("s3:*"), deny("s3:DeleteObject", "arn:aws:s3:::brains/own/*"))
    assert [one["Key"] for one in said["Errors"]] == list(KEYS[:2])
    assert "with an explicit deny" in said["Errors"][0]["Message"]
    assert left(s3) == set(KEYS[:2])


def test_a_version_takes_a_permission_of_its_own(aws_box: Box, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="brains", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="brains", Key="new", Body=b"x")["VersionId"]
    eve = client(aws_box, user(aws_box, "eve", allow("s3:DeleteObject")), "s3")
    wanted = {"Objects": [{"Key": "new", "VersionId": version}, {"Key": "own/é"}]}
    said = eve.delete_objects(Bucket="brains", Delete=wanted)
    [refused] = said["Errors"]
    assert (refused["Key"], refused["VersionId"]) == ("new", version)
    assert "s3:DeleteObjectVersion" in refused["Message"]
    assert [one["Key"] for one in said["Deleted"]] == ["own/é"]


def test_a_bucket_that_is_not_there_is_said_to_who_may_delete(aws_box: Box) -> None:
    eve = client(aws_box, user(aws_box, "eve", allow("s3:*")), "s3")
    found = error(eve.delete_objects, Bucket="none", Delete={"Objects": [{"Key": "a"}]})
    assert found.response["Error"]["Code"] == "NoSuchBucket"
