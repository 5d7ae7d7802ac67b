"""Reading what a request asks of AWS: service, operation, and as much of the parameters as IAM needs."""

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote
from wsgiref.types import WSGIEnvironment

from botocore.parsers import ResponseParserError, RpcV2CBORParser

from cloudknot.testing.wire.errors import error_response
from cloudknot.testing.wire.forms import bucket_of_form, read_form, with_file_name
from cloudknot.testing.wire.models import find_route, protocol_of
from cloudknot.testing.wire.values import WireRequest

__all__ = ["WireRequest", "error_response", "read_request"]

READ_AT_MOST = 32 * 1024 * 1024
"""Bytes of a body that are read: more than any call takes that is not an upload to S3."""
READ_AT_MOST_OF_S3 = 2 * 1024 * 1024
"""DeleteObjects names up to 1,000 keys of up to 1,024 bytes."""
_DEFAULT_REGION = "us-east-1"
_UPLOADS = {"PutObject", "UploadPart"}
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/(\w+)")
_VIRTUAL_HOST = re.compile(
    r"(?P<bucket>.+)\.(?:localhost|s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?)(?::\d+)?"
)
# Where the name that is signed for is not botocore's name of the service.
_SERVICE_OF_SIGNING_NAME = {
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "elasticfilesystem": "efs",
    "email": "ses",
    "states": "stepfunctions",
    "aps": "amp",
}
# The portal of IAM Identity Center takes tokens of its own instead of signatures.
_SERVICE_OF_UNSIGNED = {
    ("GET", "/federation/credentials"): "sso",
    ("GET", "/assignment/roles"): "sso",
    ("GET", "/assignment/accounts"): "sso",
    ("POST", "/logout"): "sso",
    ("POST", "/client/register"): "sso-oidc",
    ("POST", "/device_authorization"): "sso-oidc",
    ("POST", "/token"): "sso-oidc",
}
# STS lets anyone call AssumeRoleWithWebIdentity unsigned; the version of its interface gives it away.
_SERVICE_OF_VERSION = {
    "2011-06-15": "sts",
    "2010-05-08": "iam",
    "2016-11-15": "ec2",
    "2010-05-15": "cloudformation",
}


def read_request(environ: WSGIEnvironment) -> WireRequest:
    """Return what a request asks for.

    A body that is read is put back as `wsgi.input`. The bodies of uploads to S3 are never touched.

    Parameters
    ----------
    environ : dict
        The request as WSGI has it. `RAW_URI` or `REQUEST_URI`, where the server gives one, keeps slashes
        inside of a path's labels apart from those between them.
    """
    headers = _headers(environ)
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    access_key, region, signing_name = _signer(headers, query)
    service = _SERVICE_OF_SIGNING_NAME.get(signing_name, signing_name) if signing_name else None
    path = raw_path(environ)
    if service is None and _is_form(headers):
        body = _read_body(environ, READ_AT_MOST)
        service = _SERVICE_OF_VERSION.get(_form(body).get("Version", ""))
    if signing_name is None:
        service = service or _SERVICE_OF_UNSIGNED.get((environ["REQUEST_METHOD"], path))
    service = service or "s3"
    protocol = _protocol(service, headers, query)
    read = _read_s3 if service == "s3" else _read_call
    return read(
        environ,
        WireRequest(
            service=service,
            operation=None,
            region=region,
            access_key=access_key,
            params={},
            method=environ["REQUEST_METHOD"],
            path=path,
            query=query,
            protocol=protocol,
            headers=headers,
        ),
    )


def raw_path(environ: WSGIEnvironment) -> str:
    """Return the path as it was sent, percent-encoded and without the query."""
    uri = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
    if uri.startswith("/"):
        return uri.partition("?")[0]
    if "://" in uri:
        return "/" + uri.partition("://")[2].partition("/")[2].partition("?")[0]
    decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return quote(decoded.encode("latin-1"), safe="/-_.~") or "/"


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _signer(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str | None, str, str | None]:
    """Return the access key, the region and the signing name; None where nothing tells."""
    signed = headers.get("authorization", "")
    if not signed.startswith("AWS4-") and "X-Amz-Credential" in query:
        signed = f"Credential={query['X-Amz-Credential']}"
    if found := _CREDENTIAL.search(signed):
        return found[1], found[2], found[3]
    if signed.startswith("AWS ") and ":" in signed:
        return signed[4:].partition(":")[0], _DEFAULT_REGION, "s3"
    if "AWSAccessKeyId" in query:
        return query["AWSAccessKeyId"], _DEFAULT_REGION, "s3"
    return None, _DEFAULT_REGION, None


def _protocol(service: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    if service == "s3":
        return "rest-xml"
    if "x-amz-target" in headers:
        return "json"
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    if _is_form(headers) or "Action" in query:
        return "ec2" if service == "ec2" else "query"
    return protocol_of(service)


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _read_body(environ: WSGIEnvironment, at_most: int) -> bytes | None:
    length = str(environ.get("CONTENT_LENGTH") or "")
    if not length.isdigit():
        if not environ.get("wsgi.input_terminated") or "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        body = environ["wsgi.input"].read()
    elif int(length) > at_most:
        return None
    else:
        body = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return bytes(body)


def _form(body: bytes | None) -> dict[str, str]:
    return dict(parse_qsl((body or b"").decode("utf-8", "replace"), keep_blank_values=True))


def _read_call(environ: WSGIEnvironment, request: WireRequest) -> WireRequest:
    body = _read_body(environ, READ_AT_MOST)
    operation: str | None
    params: dict[str, Any]
    if request.protocol == "json":
        operation, params = request.headers["x-amz-target"].rpartition(".")[2], _json(body)
    elif request.protocol == "smithy-rpc-v2-cbor":
        found = _CBOR_PATH.search(request.path)
        operation, params = found and found[1], _cbor(body)
    elif request.protocol in ("query", "ec2"):
        params = {**request.query, **_form(body)} if _is_form(request.headers) else dict(request.query)
        operation = params.pop("Action", None)
    else:
        operation, params = _read_rest(environ, request)
        params |= _json(body)
    return _replace(request, operation or None, params, body)


def _read_rest(environ: WSGIEnvironment, request: WireRequest) -> tuple[str | None, dict[str, Any]]:
    found = find_route(request.service, request.method, request.path, request.query, request.headers)
    if not found:
        return None, {}
    route, match = found
    params = route.params(match, request.query, request.headers)
    return route.operation, params | route.lists(environ.get("QUERY_STRING", ""))


def _read_s3(environ: WSGIEnvironment, request: WireRequest) -> WireRequest:
    path = request.path
    if hosted := _VIRTUAL_HOST.fullmatch(request.headers.get("host", "")):
        path = f"/{hosted['bucket']}{path}"
    if request.access_key is None and (bucket := bucket_of_form(request.method, path, request.headers)):
        return _read_upload(environ, request, bucket)
    found = find_route("s3", request.method, path, request.query, request.headers)
    if not found:
        return request
    route, match = found
    params = route.params(match, request.query, request.headers)
    body = None if route.operation in _UPLOADS else _read_body(environ, READ_AT_MOST_OF_S3)
    if route.operation == "DeleteObjects":
        params["Delete"] = {"Objects": _keys_to_delete(body)}
    return _replace(request, route.operation, params, body)


def _read_upload(environ: WSGIEnvironment, request: WireRequest, bucket: str) -> WireRequest:
    """Read a form that uploads to S3: whoever signed stands in it."""
    body = _read_body(environ, READ_AT_MOST)
    form = read_form(request.headers["content-type"], body or b"")
    if body:
        body = with_file_name(body, form)  # moto leaves `${filename}` as it is
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    access_key, region = form.signer
    params = {"Bucket": bucket, "Key": form.fields.get("key", ""), "Form": form}
    read = _replace(request, "PostObject", params, body)
    return replace(read, access_key=access_key, region=region)


def _keys_to_delete(body: bytes | None) -> list[dict[str, str]]:
    try:
        root = ET.fromstring(body or b"<Delete/>")
    except ET.ParseError:
        return []
    return [
        {child.tag.rpartition("}")[2]: child.text or "" for child in found}
        for found in root
        if found.tag.rpartition("}")[2] == "Object"
    ]


def _json(body: bytes | None) -> dict[str, Any]:
    try:
        read = json.loads(body or b"{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _cbor(body: bytes | None) -> dict[str, Any]:
    if not body:
        return {}
    try:
        read = RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
    except ResponseParserError:
        return {}
    return read if isinstance(read, dict) else {}


def _replace(
    request: WireRequest, operation: str | None, params: Mapping[str, Any], body: bytes | None
) -> WireRequest:
    return WireRequest(**{**vars(request), "operation": operation, "params": params, "body": body})
