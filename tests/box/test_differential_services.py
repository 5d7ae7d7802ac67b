"""What moto answers comes through the box's door as it is: bodies, headers, status, however it was sent."""

import hashlib
import http.client
import io
import json
import urllib.error
import urllib.parse
import urllib.request
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from cloudknot.testing.launch import running
from tests.box import cloud, differing
from tests.box.differing import Side

MIB = 1 << 20
# Not a multiple of any block, and no byte like its neighbour.
LARGE = bytes(range(256)) * (20 * MIB // 256) + b"end"
KEYS = ["plain", "a/b//c", "./here", "a/../b", "/lead", "trail/", "ü/日本 語+&=%25?#", "a b", "~(x)*'!"]

# Both refuse these, and nothing else.
REFUSED = {
    *(
        "range bytes=900-",
        "if none match",
        "if match",
        "not there",
        "head of nothing",
        "no bucket",
        "lifecycle",
    ),
    *("sqs: no queue", "iam: make again", "iam: not there", "iam: a bad policy", "logs: group again"),
    *("logs: none", "ecr: make again", "ecr: not there"),
}
KNOWN: dict[str, str] = {
    "ecr: */repositoryUri": "the box's own registry answers there",
    "ecr: *, headers/content-length": "its address has another length",
    "sts: who am I/Arn": "the box knows who asks, to moto all are one",
    "sts: who am I/UserId": "the box knows who asks, to moto all are one",
    "sts: who am I, headers/content-length": "the names have other lengths",
}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Plain moto and a box, which the tests share."""
    folder = tmp_path_factory.mktemp("box")
    with differing.moto() as plain_moto, running(folder, name="differential") as box:
        yield plain_moto, differing.of_box(box)


def keep_objects(side: Side) -> None:
    """Keys of all sorts, ranges, conditions, errors, listings."""
    s3 = side.client("s3")
    ask(side, "bucket", s3, "create_bucket", Bucket="keys")
    for key in KEYS:
        options = {"Metadata": {"lab": "a"}, "ContentType": "text/plain", "CacheControl": "no-cache"}
        ask(side, f"put {key}", s3, "put_object", Bucket="keys", Key=key, Body=key.encode(), **options)
        ask(side, f"head {key}", s3, "head_object", Bucket="keys", Key=key)
        ask(side, f"get {key}", s3, "get_object", Bucket="keys", Key=key)
    ask(
        side,
        "copy",
        s3,
        "copy_object",
        Bucket="keys",
        Key="copy",
        CopySource={"Bucket": "keys", "Key": KEYS[6]},
    )
    for asked in ("bytes=0-1", "bytes=2-", "bytes=-3", "bytes=900-"):
        ask(side, f"range {asked}", s3, "get_object", Bucket="keys", Key="plain", Range=asked)
    ask(side, "if none match", s3, "put_object", Bucket="keys", Key="plain", Body=b"", IfNoneMatch="*")
    ask(side, "if match", s3, "get_object", Bucket="keys", Key="plain", IfMatch='"other"')
    ask(side, "not there", s3, "get_object", Bucket="keys", Key="none")
    ask(side, "head of nothing", s3, "head_object", Bucket="keys", Key="none")
    ask(side, "no bucket", s3, "list_objects_v2", Bucket="none")
    ask(side, "list", s3, "list_objects_v2", Bucket="keys", MaxKeys=100)
    ask(side, "list a folder", s3, "list_objects_v2", Bucket="keys", Prefix="a/", Delimiter="/")
    ask(
        side,
        "tags",
        s3,
        "put_object_tagging",
        Bucket="keys",
        Key="plain",
        Tagging={"TagSet": [{"Key": "a", "Value": "b"}]},
    )
    ask(side, "tags again", s3, "get_object_tagging", Bucket="keys", Key="plain")
    ask(side, "lifecycle", s3, "get_bucket_lifecycle_configuration", Bucket="keys")
    names = [{"Key": key} for key in KEYS[:4]]
    ask(side, "remove many", s3, "delete_objects", Bucket="keys", Delete={"Objects": names})
    ask(side, "remove", s3, "delete_object", Bucket="keys", Key=KEYS[6])
    ask(side, "list what is left", s3, "list_objects_v2", Bucket="keys")


def move_much(side: Side) -> None:
    """20 MiB at once and in parts, with checksums of each kind, read in pieces."""
    s3 = side.client("s3", config=Config(s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="much")
    ask(side, "put", s3, "put_object", Bucket="much", Key="large", Body=LARGE)
    for kind in ("CRC32", "SHA256"):
        ask(
            side,
            f"put with {kind}",
            s3,
            "put_object",
            Bucket="much",
            Key=kind,
            Body=LARGE,
            ChecksumAlgorithm=kind,
        )
    s3.upload_fileobj(io.BytesIO(LARGE), "much", "parts")
    ask(side, "head of parts", s3, "head_object", Bucket="much", Key="parts")
    for key in ("large", "parts"):
        into = io.BytesIO()
        s3.download_fileobj("much", key, into)
        side.note(f"download {key}", seal(into.getvalue()))
    body = s3.get_object(Bucket="much", Key="large")["Body"]
    side.note("in pieces", seal(b"".join(body.iter_chunks(100_001))))
    body = s3.get_object(Bucket="much", Key="large", Range=f"bytes={10 * MIB}-{11 * MIB}")["Body"]
    side.note("a range", seal(body.read()))


def send_in_chunks(side: Side) -> None:
    """What SDKs send over TLS: chunks with a trailer; and a body of which no length is told."""
    s3 = side.client("s3")
    s3.create_bucket(Bucket="chunks")
    for name, data in (("small", b"a brain"), ("large", LARGE), ("empty", b"")):
        side.note(f"trailer, {name}", put_with_trailer(side, s3, name, data))
        ask(side, f"get {name}", s3, "get_object", Bucket="chunks", Key=name, ChecksumMode="ENABLED")


def use_presigned(side: Side) -> None:
    """URLs that are signed beforehand, used without a client of AWS."""
    s3 = side.client("s3", config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="signed")
    for key in ("plain", "ü/日本 語+&=", "a//b"):
        place = {"Bucket": "signed", "Key": key}
        for step, operation, method, data in (
            ("put", "put_object", "PUT", b"a brain"),
            ("get", "get_object", "GET", None),
            ("head", "head_object", "HEAD", None),
        ):
            url = s3.generate_presigned_url(operation, Params=place, HttpMethod=method)
            # urllib calls a body a form where nothing is said, and moto then takes it for one.
            side.note(f"{step} {key}", fetch(url, method, data, **{"Content-Type": "text/plain"}))
        url = s3.generate_presigned_url(
            "get_object",
            Params={**place, "ResponseContentType": "text/x", "ResponseContentDisposition": "inline"},
        )
        side.note(f"get {key} as another type", fetch(url, "GET", None, Range="bytes=2-4"))


def use_others(side: Side) -> None:
    """A handful of calls to each of the other services."""
    use_sqs(side, side.client("sqs"))
    use_iam(side, side.client("iam"), side.client("sts"))
    use_logs(side, side.client("logs"))
    use_ecr(side, side.client("ecr"))


def use_sqs(side: Side, sqs: Any) -> None:
    url = ask(side, "sqs: make", sqs, "create_queue", QueueName="q", Attributes={"VisibilityTimeout": "7"})[
        "QueueUrl"
    ]
    ask(side, "sqs: find", sqs, "get_queue_url", QueueName="q")
    ask(side, "sqs: no queue", sqs, "get_queue_url", QueueName="none")
    ask(side, "sqs: send", sqs, "send_message", QueueUrl=url, MessageBody="ü <&> 日本")
    received = ask(side, "sqs: take", sqs, "receive_message", QueueUrl=url, MaxNumberOfMessages=10)
    (message,) = received["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    ask(side, "sqs: nothing left", sqs, "receive_message", QueueUrl=url)


def use_iam(side: Side, iam: Any, sts: Any) -> None:
    role = {"RoleName": "r", "AssumeRolePolicyDocument": cloud.trust("ecs-tasks.amazonaws.com")}
    ask(side, "iam: make", iam, "create_role", **role, Tags=[{"Key": "a", "Value": "b"}])
    ask(side, "iam: make again", iam, "create_role", **role)
    document = json.dumps(cloud.policy(("s3:*", "*")))
    ask(side, "iam: policy", iam, "put_role_policy", RoleName="r", PolicyName="p", PolicyDocument=document)
    ask(side, "iam: show", iam, "get_role", RoleName="r")
    ask(side, "iam: show policy", iam, "get_role_policy", RoleName="r", PolicyName="p")
    ask(side, "iam: not there", iam, "get_role", RoleName="none")
    ask(side, "iam: a bad policy", iam, "put_role_policy", RoleName="r", PolicyName="p", PolicyDocument="{")
    ask(side, "sts: who am I", sts, "get_caller_identity")


def use_logs(side: Side, logs: Any) -> None:
    place = {"logGroupName": "/lab/a", "logStreamName": "one/1"}
    ask(side, "logs: group", logs, "create_log_group", logGroupName="/lab/a")
    ask(side, "logs: group again", logs, "create_log_group", logGroupName="/lab/a")
    ask(side, "logs: stream", logs, "create_log_stream", **place)
    now = 1_790_000_000_000
    for number in range(3):
        event = {"timestamp": now + number, "message": f"line {number} ü"}
        logs.put_log_events(**place, logEvents=[event])
    ask(side, "logs: lines", logs, "get_log_events", **place, startFromHead=True, limit=2)
    ask(side, "logs: none", logs, "get_log_events", logGroupName="/none", logStreamName="x")


def use_ecr(side: Side, ecr: Any) -> None:
    ask(
        side,
        "ecr: make",
        ecr,
        "create_repository",
        repositoryName="lab/brain",
        tags=[{"Key": "a", "Value": "b"}],
    )
    ask(side, "ecr: make again", ecr, "create_repository", repositoryName="lab/brain")
    ask(side, "ecr: show", ecr, "describe_repositories")
    ask(side, "ecr: not there", ecr, "describe_repositories", repositoryNames=["none"])
    ask(side, "ecr: images", ecr, "list_images", repositoryName="lab/brain")
    ask(side, "ecr: remove", ecr, "delete_repository", repositoryName="lab/brain")


def ask(side: Side, step: str, client: Any, operation: str, **params: Any) -> Any:
    """Ask, and compare headers and body too."""
    reply = side.ask(step, client, operation, **params)
    side.note(f"{step}, headers", differing.headers(reply))
    if "Body" in reply:
        side.answers[step]["Body"] = seal(reply["Body"].read())
    return reply


def seal(data: bytes) -> str:
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


def fetch(url: str, method: str, data: bytes | None, **headers: str) -> dict[str, Any]:
    """Ask as any program does that knows nothing of AWS."""
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return shown(answer.status, answer.headers.items(), answer.read())
    except urllib.error.HTTPError as error:
        return shown(error.code, error.headers.items(), error.read())


def shown(status: int, headers: Any, body: bytes) -> dict[str, Any]:
    kept = {name.lower(): value for name, value in headers}
    reply = {"ResponseMetadata": {"HTTPHeaders": kept}}
    return {"status": status, "headers": differing.headers(reply), "body": seal(body)}


def put_with_trailer(side: Side, s3: Any, key: str, data: bytes) -> dict[str, Any]:
    """Send chunks of 64 KiB and then their checksum, as botocore does over TLS."""
    crc = b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    pieces = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b"") if piece]
    body = b"".join(chunks) + f"0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n".encode()
    url = f"{side.endpoint}/chunks/{key}"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": str(len(data)),
        "X-Amz-Sdk-Checksum-Algorithm": "CRC32",
        "Content-Length": str(len(body)),
    }
    request = AWSRequest("PUT", url, headers=headers, data=body)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    keys = s3._request_signer._credentials
    S3SigV4Auth(Credentials(keys.access_key, keys.secret_key), "s3", "us-east-1").add_auth(request)
    assert request.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(side.endpoint).netloc)
    connection.request("PUT", f"/chunks/{key}", body=body, headers=dict(request.headers.items()))
    answer = connection.getresponse()
    found = shown(answer.status, answer.headers.items(), answer.read())
    connection.close()
    return found


@pytest.mark.parametrize("use", [keep_objects, move_much, send_in_chunks, use_presigned, use_others])
def test_the_door_changes_nothing(use: Callable[[Side], None], sides: tuple[Side, Side]) -> None:
    for side in sides:
        side.answers.clear()
        use(side)
        refused = {step for step, answer in side.answers.items() if "refused" in answer}
        assert refused == REFUSED & side.answers.keys()
    differing.check(differing.differences(*sides), KNOWN if use is use_others else {})
