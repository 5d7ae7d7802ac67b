"""Access to AWS whose keys end and are renewed while a session goes on."""

from __future__ import annotations

import pytest

from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError
from cloudknot.runner.stores import S3Store
from cloudknot.testing import Box
from tests.aws.stand import REGION, allow, become

pytestmark = pytest.mark.aws_box(executor="process")


def remove_keys(box: Box, user: str) -> None:
    iam = box.client("iam")
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])


def test_keys_that_were_renewed_are_taken_by_a_session_that_goes_on(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_box.client("s3").create_bucket(Bucket="runs")
    become(aws_box, monkeypatch, "ada", allow("*"))
    aws = Aws(region=REGION)
    store = S3Store("runs", client=aws.client("s3"))
    assert store.put("key", b"value")
    remove_keys(aws_box, "ada")
    with pytest.raises(AwsError, match="aws sso login"):
        aws.call("batch", "describe_job_queues", retries=False)
    become(aws_box, monkeypatch, "ada-again", allow("*"))
    assert store.get("key") == b"value"
    assert aws.call("batch", "describe_job_queues", retries=False)["jobQueues"] == []
