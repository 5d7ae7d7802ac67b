"""A refusal, written as AWS writes it in each of its protocols."""

import json
import uuid
from collections.abc import Callable
from xml.sax.saxutils import escape

from cloudknot.testing.wire.values import WireRequest

__all__ = ["error_response"]

Headers = list[tuple[str, str]]

_NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/",
    "sqs": "http://queue.amazonaws.com/doc/2012-11-05/",
    "autoscaling": "http://autoscaling.amazonaws.com/doc/2011-01-01/",
}
# These moved from `query` to `json`; the code that old clients know travels in a header of its own.
_QUERY_COMPATIBLE = {"sqs", "cloudwatch"}
_SERVER_FAULT = 500


def error_response(request: WireRequest, code: str, message: str, status: int) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of a refusal, in the protocol of the request.

    Parameters
    ----------
    request : WireRequest
        What is refused.
    code, message : str
        AWS's code (`AccessDeniedException`) and words.
    status : int
        The HTTP status.
    """
    request_id = str(uuid.uuid4())
    headers, body = _WRITERS.get(request.protocol, _rest_json)(request, code, message, status, request_id)
    if request.method == "HEAD":
        body = b""  # HTTP has it so: the status is all that a client learns
    return status, [*headers, ("Content-Length", str(len(body)))], body


def _fault(status: int) -> str:
    return "Receiver" if status >= _SERVER_FAULT else "Sender"


def _json(
    request: WireRequest, code: str, message: str, status: int, request_id: str
) -> tuple[Headers, bytes]:
    version = request.headers.get("content-type") or "application/x-amz-json-1.1"
    headers = [("Content-Type", version), ("x-amzn-RequestId", request_id)]
    if request.service in _QUERY_COMPATIBLE:
        headers.append(("x-amzn-query-error", f"{code};{_fault(status)}"))
    return headers, json.dumps({"__type": code, "message": message}).encode()


def _rest_json(
    request: WireRequest, code: str, message: str, status: int, request_id: str
) -> tuple[Headers, bytes]:
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", code),
        ("x-amzn-RequestId", request_id),
    ]
    return headers, json.dumps({"message": message}).encode()


def _cbor(
    request: WireRequest, code: str, message: str, status: int, request_id: str
) -> tuple[Headers, bytes]:
    headers = [
        ("Content-Type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
        ("x-amzn-RequestId", request_id),
    ]
    if request.service in _QUERY_COMPATIBLE:
        headers.append(("x-amzn-query-error", f"{code};{_fault(status)}"))
    pair = b"".join(map(_cbor_text, ("__type", code, "message", message)))
    return headers, b"\xa2" + pair  # a map of two


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    return b"\x7a" + len(data).to_bytes(4) + data  # text with a length of four bytes


def _query(
    request: WireRequest, code: str, message: str, status: int, request_id: str
) -> tuple[Headers, bytes]:
    namespace = _NAMESPACES.get(request.service, f"http://{request.service}.amazonaws.com/")
    return _xml(
        request_id,
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{_fault(status)}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
    )


def _ec2(
    request: WireRequest, code: str, message: str, status: int, request_id: str
) -> tuple[Headers, bytes]:
    return _xml(
        request_id,
        f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error></Errors>"
        f"<RequestID>{request_id}</RequestID></Response>",
    )


def _s3(request: WireRequest, code: str, message: str, status: int, request_id: str) -> tuple[Headers, bytes]:
    headers, body = _xml(
        request_id,
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"<Resource>{escape(request.path)}</Resource><RequestId>{request_id}</RequestId>"
        f"<HostId>{request_id}</HostId></Error>",
    )
    return [*headers, ("x-amz-request-id", request_id), ("x-amz-id-2", request_id)], body


def _xml(request_id: str, text: str) -> tuple[Headers, bytes]:
    headers = [("Content-Type", "application/xml"), ("x-amzn-RequestId", request_id)]
    return headers, b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()


_WRITERS: dict[str, Callable[[WireRequest, str, str, int, str], tuple[Headers, bytes]]] = {
    "json": _json,
    "rest-json": _rest_json,
    "smithy-rpc-v2-cbor": _cbor,
    "query": _query,
    "ec2": _ec2,
    "rest-xml": _s3,
}
