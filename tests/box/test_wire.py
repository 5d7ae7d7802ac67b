import io
import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import botocore.parsers
import botocore.serialize
import botocore.session
import pytest

from cloudknot.testing.wire.requests import error_response, read_request
from tests.box.answering import REGION, Answering, answering
from tests.box.wire_calls import CALLS, Call


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as app:
        yield app


@pytest.fixture(scope="module")
def clients(server: Answering) -> dict[str, Any]:
    return {service: server.client(service) for service in {call.service for call in CALLS}}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.service}-{call.method}")
def test_a_call_of_boto3_is_read_as_the_operation_it_is(
    server: Answering, clients: dict[str, Any], call: Call
) -> None:
    server.answer = lambda request, _: error_response(request, "Refused", 'say "<no>" & é', 403)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(clients[call.service], call.method)(**call.arguments)
    request = server.requests[-1]
    assert (request.service, request.operation, request.protocol) == (
        call.service,
        call.operation,
        call.protocol,
    )
    assert (request.region, request.access_key) == (REGION, "AKIAEXAMPLE")
    assert request.params.items() >= call.params.items()
    assert "Action" not in request.params
    said = caught.value.response
    is_head = request.method == "HEAD"
    assert said["Error"]["Code"] == ("403" if is_head else "Refused")
    assert said["Error"]["Message"] == ("Forbidden" if is_head else 'say "<no>" & é')
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.operation_name == call.operation


def test_a_refusal_of_sqs_carries_the_code_that_old_clients_know(
    server: Answering, clients: dict[str, Any]
) -> None:
    server.answer = lambda request, _: error_response(request, "AccessDenied", "no", 403)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        clients["sqs"].list_queues()
    said = caught.value.response["Error"]
    assert (said["Code"], said["QueryErrorCode"], said["Type"]) == ("AccessDenied", "AccessDenied", "Sender")


def test_a_refusal_of_head_has_no_body() -> None:
    request = read_request(environ("/bucket/key", method="HEAD", HTTP_AUTHORIZATION=signed_for("s3")))
    status, headers, body = error_response(request, "AccessDenied", "no", 403)
    assert (status, body) == (403, b"")
    assert ("Content-Length", "0") in headers


def test_a_target_in_the_headers_does_not_change_what_is_asked_of_s3() -> None:
    found = environ("/bucket/key", HTTP_AUTHORIZATION=signed_for("s3"), HTTP_X_AMZ_TARGET="x.ListQueues")
    assert read_request(found).operation == "GetObject"


def test_an_exception_of_the_model_is_raised_as_its_own_class(
    server: Answering, clients: dict[str, Any]
) -> None:
    server.answer = lambda request, _: error_response(request, "ClientException", "no", 400)
    with pytest.raises(clients["batch"].exceptions.ClientException):
        clients["batch"].describe_jobs(jobs=[])


@pytest.mark.parametrize("size", [1, 5 * 1024 * 1024])
def test_an_upload_to_s3_is_left_unread(server: Answering, clients: dict[str, Any], size: int) -> None:
    server.answer = lambda request, _: (200, [], b"")
    clients["s3"].put_object(Bucket="bucket", Key="k", Body=b"x" * size)
    assert server.requests[-1].body is None
    assert len(server.bodies[-1]) == size


def test_a_body_that_is_read_is_put_back(server: Answering, clients: dict[str, Any]) -> None:
    server.answer = lambda request, _: (200, [("Content-Type", "application/json")], b"{}")
    clients["batch"].submit_job(jobName="a", jobQueue="q", jobDefinition="d")
    assert json.loads(server.bodies[-1])["jobName"] == "a"
    assert server.requests[-1].body == server.bodies[-1]


def test_cbor_is_read_and_answered() -> None:
    model = botocore.session.get_session().get_service_model("resourcegroupstaggingapi")
    operation = model.operation_model("GetResources")
    sent = botocore.serialize.create_serializer("smithy-rpc-v2-cbor").serialize_to_request(
        {"TagFilters": [{"Key": "k"}]}, operation
    )
    smithy = {"HTTP_SMITHY_PROTOCOL": sent["headers"]["smithy-protocol"]}
    found = environ(
        sent["url_path"], method="POST", body=sent["body"], HTTP_AUTHORIZATION=signed_for("tagging"), **smithy
    )
    request = read_request(found)
    assert (request.operation, request.protocol) == ("GetResources", "smithy-rpc-v2-cbor")
    assert request.params == {"TagFilters": [{"Key": "k"}]}
    status, headers, body = error_response(request, "Refused", "no é", 403)
    parsed = botocore.parsers.create_parser("smithy-rpc-v2-cbor").parse(
        {"status_code": status, "headers": dict(headers), "body": body}, operation.output_shape
    )
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == ("Refused", "no é")


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_a_presigned_request_is_read(server: Answering, version: str | None) -> None:
    client = server.client("s3", config={"signature_version": version} if version else {})
    url = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a b"})
    path, _, query = url.removeprefix(server.url).partition("?")
    request = read_request(environ(path, query=query))
    assert (request.service, request.operation, request.access_key) == ("s3", "GetObject", "AKIAEXAMPLE")
    assert request.params["Key"] == "a b"


def environ(
    path: str, *, query: str = "", method: str = "GET", body: bytes = b"", **more: str
) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "RAW_URI": f"{path}?{query}" if query else path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.input": io.BytesIO(body),
        **more,
    }


def signed_for(service: str) -> str:
    scope = f"20260101/{REGION}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential=AKIA/{scope}, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("bucket.localhost:5000", "/a/b"),
        ("bucket.s3.amazonaws.com", "/a/b"),
        ("bucket.s3.eu-west-1.amazonaws.com", "/a/b"),
        ("127.0.0.1:5000", "/bucket/a/b"),
        ("localhost:5000", "/bucket/a/b"),
    ],
)
def test_a_bucket_may_stand_in_the_host(host: str, path: str) -> None:
    request = read_request(environ(path, HTTP_HOST=host, HTTP_AUTHORIZATION=signed_for("s3")))
    assert request.operation == "GetObject"
    assert request.params == {"Bucket": "bucket", "Key": "a/b"}


def test_an_unsigned_request_has_no_access_key() -> None:
    request = read_request(environ("/bucket/key"))
    assert (request.service, request.operation, request.access_key) == ("s3", "GetObject", None)


def test_an_unsigned_call_of_sts_is_known_by_its_version() -> None:
    body = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=r"
    request = read_request(
        environ("/", method="POST", body=body, CONTENT_TYPE="application/x-www-form-urlencoded")
    )
    assert (request.service, request.operation) == ("sts", "AssumeRoleWithWebIdentity")
    assert request.params["RoleArn"] == "r"


@pytest.mark.parametrize(
    ("service", "method", "path", "body"),
    [
        ("batch", "POST", "/v1/nothing", b"{}"),
        ("batch", "POST", "/v1/submitjob", b"not json"),
        ("batch", "POST", "/v1/submitjob", b"[1]"),
        ("s3", "PATCH", "/bucket", b""),
        ("s3", "POST", "/bucket?delete", b"<Delete><Object>"),
        ("nosuchservice", "GET", "/x", b""),
        ("tagging", "POST", "/service/x/operation/GetResources", b"\xff"),
    ],
)
def test_what_makes_no_sense_is_read_without_an_error(
    service: str, method: str, path: str, body: bytes
) -> None:
    bare, _, query = path.partition("?")
    smithy = {"HTTP_SMITHY_PROTOCOL": "rpc-v2-cbor"} if service == "tagging" else {}
    found = environ(
        bare, query=query, method=method, body=body, HTTP_AUTHORIZATION=signed_for(service), **smithy
    )
    request = read_request(found)
    assert found["wsgi.input"].read() == body
    status, _, said = error_response(request, "X", "y", 400)
    assert status == 400
    assert said


def test_a_path_that_the_server_gives_decoded_only_is_encoded_again() -> None:
    found = environ("/bucket/a b/\u00c3\u00a9", HTTP_AUTHORIZATION=signed_for("s3"))
    del found["RAW_URI"]
    assert read_request(found).path == "/bucket/a%20b/%C3%A9"


def test_a_body_that_is_too_large_is_left_unread() -> None:
    found = environ("/", method="POST", body=b"{}", HTTP_AUTHORIZATION=signed_for("logs"))
    found |= {"CONTENT_LENGTH": str(10**9), "HTTP_X_AMZ_TARGET": "Logs_20140328.PutLogEvents"}
    request = read_request(found)
    assert (request.operation, request.params, request.body) == ("PutLogEvents", {}, None)
