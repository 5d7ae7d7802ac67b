import hashlib
import io
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode
from wsgiref.types import WSGIEnvironment

import botocore.exceptions
import pytest
import requests

from cloudknot.testing.iam.signatures import Refused, Secret, check
from cloudknot.testing.wire.requests import WireRequest, error_response, read_request
from tests.box.answering import Answering, answering

GOOD = {"key": "AKIAGOOD", "secret": "the/secret+of=good"}
SESSION = {"key": "ASIASESSION", "secret": "s3cr3t"}
SECRETS = {
    "AKIAGOOD": Secret(key="the/secret+of=good"),
    "ASIASESSION": Secret(key="s3cr3t", token="token/+==", expires_at=time.time() + 3600),
    "ASIAEXPIRED": Secret(key="s3cr3t", token="token/+==", expires_at=time.time() - 1),
}


class Checking:
    """Answers 200 to what is signed well, and AWS's error to the rest."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(
        self, request: WireRequest, environ: WSGIEnvironment
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        try:
            check(environ, request, SECRETS.get, now=lambda: time.time() + self.ahead_s)
        except Refused as refused:
            return error_response(request, refused.code, refused.message, refused.status)
        return (
            200,
            [("Content-Type", "text/xml" if request.protocol in ("query", "ec2") else "application/json")],
            b"",
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as app:
        yield app


@pytest.fixture(autouse=True)
def checking(server: Answering) -> Checking:
    server.answer = checking = Checking()
    return checking


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "list_buckets", {}),
    ("s3", "list_objects_v2", {"Bucket": "bucket", "Prefix": "a b/ü+~&=", "Delimiter": "/"}),
    ("s3", "get_object", {"Bucket": "bucket", "Key": "a/../b//c d/é+~*'()&=%?"}),
    ("s3", "head_object", {"Bucket": "bucket", "Key": "k", "Range": "bytes=0-1"}),
    ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": b"x" * 100_000, "Metadata": {"a": "b  c"}}),
    ("s3", "upload_part", {"Bucket": "bucket", "Key": "k", "UploadId": "u", "PartNumber": 1, "Body": b"x"}),
    ("s3", "delete_objects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "k"}]}}),
    (
        "s3",
        "create_bucket",
        {"Bucket": "bucket", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
    ),
    ("batch", "submit_job", {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"}),
    ("batch", "list_tags_for_resource", {"resourceArn": "arn:aws:batch:eu-west-1:123456789012:job-queue/q"}),
    ("ecr", "describe_repositories", {}),
    ("sqs", "list_queues", {}),
    ("iam", "list_roles", {}),
    ("sts", "get_caller_identity", {}),
    ("ec2", "describe_vpcs", {}),
    ("logs", "describe_log_groups", {"logGroupNamePrefix": "é"}),
    ("cloudformation", "list_stacks", {}),
]


def code_of(client: Any, method: str, arguments: dict[str, Any]) -> tuple[str, int]:
    try:
        getattr(client, method)(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.parsers.ResponseParserError:
        return "", 200  # the answer of 200 is empty, which some parsers mind
    return "", 200


@pytest.mark.parametrize(("service", "method", "arguments"), CALLS, ids=[f"{c[0]}-{c[1]}" for c in CALLS])
def test_what_boto3_signs_is_believed(
    server: Answering, service: str, method: str, arguments: dict[str, Any]
) -> None:
    assert code_of(server.client(service, **GOOD), method, arguments) == ("", 200)
    session = server.client(service, **SESSION, aws_session_token="token/+==")
    assert code_of(session, method, arguments) == ("", 200)


@pytest.mark.parametrize(("service", "method", "arguments"), CALLS, ids=[f"{c[0]}-{c[1]}" for c in CALLS])
def test_another_secret_is_not(
    server: Answering, service: str, method: str, arguments: dict[str, Any]
) -> None:
    code, status = code_of(server.client(service, key="AKIAGOOD", secret="another"), method, arguments)
    assert status in (400, 401, 403)
    assert code in ("403", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure")


TOLD: list[tuple[str, str, tuple[str, int], tuple[str, int], tuple[str, int]]] = [
    (
        "s3",
        "list_buckets",
        ("InvalidAccessKeyId", 403),
        ("SignatureDoesNotMatch", 403),
        ("ExpiredToken", 400),
    ),
    (
        "iam",
        "list_roles",
        ("InvalidClientTokenId", 403),
        ("SignatureDoesNotMatch", 403),
        ("ExpiredToken", 403),
    ),
    (
        "ecr",
        "describe_repositories",
        ("UnrecognizedClientException", 400),
        ("InvalidSignatureException", 400),
        ("ExpiredTokenException", 400),
    ),
    (
        "batch",
        "describe_job_queues",
        ("UnrecognizedClientException", 403),
        ("InvalidSignatureException", 403),
        ("ExpiredTokenException", 403),
    ),
    ("ec2", "describe_vpcs", ("AuthFailure", 401), ("AuthFailure", 401), ("RequestExpired", 400)),
    (
        "sqs",
        "list_queues",
        ("InvalidClientTokenId", 403),
        ("SignatureDoesNotMatch", 403),
        ("ExpiredToken", 403),
    ),
]


@pytest.mark.parametrize(
    ("service", "method", "unknown", "mismatch", "expired"), TOLD, ids=[t[0] for t in TOLD]
)
def test_each_service_has_its_own_words(
    server: Answering,
    service: str,
    method: str,
    unknown: tuple[str, int],
    mismatch: tuple[str, int],
    expired: tuple[str, int],
) -> None:
    assert code_of(server.client(service, key="AKIANOBODY"), method, {}) == unknown
    assert code_of(server.client(service, key="AKIAGOOD", secret="another"), method, {}) == mismatch
    late = server.client(service, key="ASIAEXPIRED", secret="s3cr3t", aws_session_token="token/+==")
    assert code_of(late, method, {}) == expired


@pytest.mark.parametrize(
    ("access_key", "token"), [("ASIASESSION", None), ("ASIASESSION", "another"), ("AKIAGOOD", "token/+==")]
)
def test_a_session_token_belongs_to_its_key(server: Answering, access_key: str, token: str | None) -> None:
    client = server.client("sts", key=access_key, secret=SECRETS[access_key].key, aws_session_token=token)
    assert code_of(client, "get_caller_identity", {}) == ("InvalidClientTokenId", 403)


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_request_that_is_too_old_or_too_new_is_refused(
    server: Answering, checking: Checking, ahead_s: float
) -> None:
    checking.ahead_s = ahead_s
    assert code_of(server.client("s3", **GOOD), "list_buckets", {}) == ("RequestTimeTooSkewed", 403)
    assert (
        code_of(server.client("batch", **GOOD), "describe_jobs", {"jobs": []})[0]
        == "InvalidSignatureException"
    )


@pytest.mark.parametrize("version", [None, "s3v4"])
@pytest.mark.parametrize(
    "who", [GOOD, {**SESSION, "aws_session_token": "token/+=="}], ids=["user", "session"]
)
def test_a_presigned_url_is_believed_until_it_expires(
    server: Answering, checking: Checking, version: str | None, who: dict[str, str]
) -> None:
    client = server.client("s3", **who, config={"signature_version": version} if version else {})
    arguments = {"Bucket": "bucket", "Key": "a b/é", "VersionId": "v 1"}
    url = client.generate_presigned_url("get_object", arguments, ExpiresIn=60)
    assert requests.get(url).status_code == 200
    assert "SignatureDoesNotMatch" in requests.get(url.replace("/a", "/b")).text
    put = client.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    assert requests.put(put, data=b"anything").status_code == 200
    assert "SignatureDoesNotMatch" in requests.get(put).text
    checking.ahead_s = 61
    late = requests.get(url)
    assert (late.status_code, "Request has expired" in late.text) == (403, True)


def test_a_presigned_url_of_another_service_is_believed(server: Answering) -> None:
    url = server.client("sts", **GOOD).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    assert requests.get(url).status_code == 200
    assert "SignatureDoesNotMatch" in requests.get(url.replace("GetCallerIdentity", "GetSessionToken")).text


class Sent:
    """A request of boto3, caught, to be changed and checked again."""

    def __init__(self, server: Answering, service: str, method: str, arguments: dict[str, Any]) -> None:
        self.environ: dict[str, Any] = {}

        def catch(request: WireRequest, environ: WSGIEnvironment) -> tuple[int, list[tuple[str, str]], bytes]:
            self.environ = dict(environ)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            self.body = body
            environ["wsgi.input"] = io.BytesIO(body)
            return 200, [], b""

        server.answer = catch
        code_of(server.client(service, **GOOD), method, arguments)

    def check(self, *, body: bytes | None = None, **changed: str) -> str:
        body = self.body if body is None else body
        environ = self.environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))} | changed
        try:
            check(environ, read_request(environ), SECRETS.get)
        except Refused as refused:
            return refused.code
        return ""


def test_what_is_signed_cannot_be_changed(server: Answering) -> None:
    sent = Sent(server, "batch", "submit_job", {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"})
    assert sent.check() == ""
    assert sent.check(body=sent.body.replace(b'"q"', b'"r"')) == "InvalidSignatureException"
    assert sent.check(REQUEST_METHOD="PUT") == "InvalidSignatureException"
    assert sent.check(RAW_URI="/v1/terminatejob") == "InvalidSignatureException"
    assert sent.check(QUERY_STRING="a=b") == "InvalidSignatureException"
    assert sent.check(HTTP_HOST="other") == "InvalidSignatureException"
    assert sent.check(HTTP_USER_AGENT="other") == ""


def test_a_body_of_s3_that_is_read_must_have_the_hash_that_was_signed(server: Answering) -> None:
    sent = Sent(server, "s3", "delete_objects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "k"}]}})
    assert sent.check() == ""
    assert sent.check(body=sent.body.replace(b">k<", b">l<")) == "XAmzContentSHA256Mismatch"
    hashed = hashlib.sha256(b"other").hexdigest()
    assert sent.check(body=b"other", HTTP_X_AMZ_CONTENT_SHA256=hashed) == "SignatureDoesNotMatch"


SCOPE = "Credential=AKIAGOOD/20260101/eu-west-1/batch/aws4_request"


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=, Signature=",
        f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKIAGOOD/x, SignedHeaders=host, Signature=0",
        "Bearer x",
        "",
    ],
)
def test_half_a_signature_is_refused(server: Answering, authorization: str) -> None:
    sent = Sent(server, "batch", "describe_jobs", {"jobs": []})
    assert sent.check(HTTP_AUTHORIZATION=authorization) in (
        "IncompleteSignatureException",
        "AccessDenied",
    )


def test_an_upload_may_leave_its_payload_unsigned(server: Answering) -> None:
    client = server.client("s3", **GOOD, config={"s3": {"payload_signing_enabled": False}})
    assert code_of(client, "put_object", {"Bucket": "bucket", "Key": "k", "Body": b"x"}) == ("", 200)
    assert server.requests[-1].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_the_query_of_a_presigned_url_cannot_be_extended(server: Answering) -> None:
    client = server.client("s3", **GOOD, config={"signature_version": "s3v4"})
    url = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    path, _, query = url.partition("?")
    longer = urlencode({**dict(parse_qsl(query)), "X-Amz-Expires": "86400"})
    assert "SignatureDoesNotMatch" in requests.get(f"{path}?{longer}").text


def test_checking_is_fast(server: Answering) -> None:
    sent = Sent(server, "batch", "submit_job", {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"})
    sent.check()
    start = time.perf_counter()
    for _ in range(200):
        sent.check()
    assert (time.perf_counter() - start) / 200 < 0.002
