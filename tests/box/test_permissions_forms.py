"""Files that people upload to S3 with a form that somebody has signed for them."""

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.config import Config

from cloudknot.testing import Box
from tests.box.permitting import allow, document, session_of, user

pytestmark = pytest.mark.aws_box(executor="process")


def parts_of(fields: Mapping[str, str], file: bytes, boundary: str) -> Iterator[bytes]:
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    start = 'Content-Disposition: form-data; name="file"; filename="sub-01.nii"'
    yield f"--{boundary}\r\n{start}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
    yield file
    yield f"\r\n--{boundary}--\r\n".encode()


def post(form: Mapping[str, Any], file: bytes = b"a brain", **changed: str) -> tuple[int, str]:
    """Send a form; return the status and the words."""
    boundary = uuid.uuid4().hex
    body = b"".join(parts_of({**form["fields"], **changed}, file, boundary))
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(form["url"], body, headers)) as answer:
            return int(answer.status), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def s3(aws_box: Box) -> Any:
    s3 = aws_box.client("s3")
    s3.create_bucket(Bucket="brains")
    return s3


def signing(box: Box, session: Any, version: str = "s3v4") -> Any:
    return session.client("s3", endpoint_url=box.endpoint, config=Config(signature_version=version))


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_form_uploads_what_its_policy_allows(aws_box: Box, s3: Any, version: str) -> None:
    ada = signing(aws_box, user(aws_box, "ada", allow("s3:PutObject", "arn:aws:s3:::brains/up/*")), version)
    ranged = [["content-length-range", 1, 20]]
    form = ada.generate_presigned_post("brains", "up/${filename}", Conditions=ranged)
    assert post(form, b"a whole brain") == (204, "")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="brains")["Contents"]]
    assert keys == ["up/sub-01.nii"]
    assert s3.get_object(Bucket="brains", Key=keys[0])["Body"].read() == b"a whole brain"
    for change, file, status, words in (
        ({"key": "else"}, b"x", 403, "Invalid according to Policy: Policy Condition failed"),
        ({"acl": "public-read"}, b"x", 403, "Extra input fields: acl"),
        ({"x-ignore-me": "x"}, b"x", 204, ""),
        ({"policy": form["fields"]["policy"][:-4] + "AAAA"}, b"x", 403, "SignatureDoesNotMatch"),
        ({}, b"", 400, "EntityTooSmall"),
        ({}, b"x" * 21, 400, "EntityTooLarge"),
    ):
        found = post(form, file, **change)
        assert found[0] == status, found
        assert words in found[1]


def test_a_form_uploads_no_more_than_its_signer_may(aws_box: Box, s3: Any) -> None:
    session = user(aws_box, "ada", allow("s3:PutObject", "arn:aws:s3:::brains/up/*"), allow("sts:*"))
    ada = signing(aws_box, session)
    status, words = post(ada.generate_presigned_post("brains", "other/x"))
    assert status == 403
    assert "is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::brains/other/x" in words
    late = ada.generate_presigned_post("brains", "up/x", ExpiresIn=-1)
    assert post(late)[1].count("Policy expired.") == 1
    lent = session.client("sts", endpoint_url=aws_box.endpoint).get_session_token()["Credentials"]
    form = signing(aws_box, session_of(lent)).generate_presigned_post("brains", "up/y")
    assert post(form)[0] == 204
    assert post(form, b"x", **{"x-amz-security-token": "other"})[0] in (400, 403)


def test_a_form_that_nobody_signed_is_for_open_buckets(aws_box: Box, s3: Any) -> None:
    form = {"url": f"{aws_box.endpoint}/brains", "fields": {"key": "x"}}
    assert post(form)[0] == 403
    open_to_all = document(allow("s3:PutObject", "arn:aws:s3:::brains/*", Principal="*"))
    s3.put_bucket_policy(Bucket="brains", Policy=str(open_to_all).replace("'", '"'))
    assert post(form)[0] == 204
