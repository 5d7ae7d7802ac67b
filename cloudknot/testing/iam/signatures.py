"""Verifying signatures with the secret, by botocore's own signers: version 4, and 2 in S3's URLs."""

import calendar
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from botocore.auth import HmacV1Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from cloudknot.testing.iam import refusals
from cloudknot.testing.iam.form_signatures import check_form
from cloudknot.testing.iam.keys import holder_of
from cloudknot.testing.iam.refusals import Refused
from cloudknot.testing.wire.values import WireRequest

__all__ = ["Refused", "Secret", "check", "secret_of"]

_SKEW_S = 15 * 60
"""How old a signed request may be (Signature Version 4 reference)."""
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_SIGNATURE_2 = "AWS"
_HEX_DIGITS = 64
_UNSIGNED = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}


@dataclass(frozen=True, kw_only=True)
class Secret:
    """What a signature is checked with."""

    key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Signed:
    """The parts of a signature, from the header or from a presigned URL."""

    access_key: str
    signing_name: str
    region: str
    headers: tuple[str, ...]
    signature: str
    timestamp: str
    token: str | None
    expires_s: int | None = None
    """None when it stands in the header."""


def secret_of(access_key: str) -> Secret | None:
    """Return the secret of an access key that moto's IAM or STS has made, or None."""
    holder = holder_of(access_key)
    if holder is None:
        return None
    return Secret(key=holder.secret, token=holder.token, expires_at=holder.expires_at)


def check(
    environ: WSGIEnvironment,
    request: WireRequest,
    secret_of: Callable[[str], Secret | None],
    *,
    now: Callable[[], float] = time.time,
) -> None:
    """Verify a request's signature, its time, its session token, and the body where that was read.

    Parameters
    ----------
    environ : dict
        The request as WSGI has it.
    request : WireRequest
        The same, as `read_request` gives it.
    secret_of : callable
        Finds the secret of an access key.
    now : callable
        Real time: clients sign with it, however far the box's own clock is ahead.

    Raises
    ------
    Refused
        With the code, message and status of the service that is asked.
    """
    if request.access_key is None:
        if request.operation in _UNSIGNED or _is_open(request):
            return
        raise refusals.not_signed(request)
    secret = secret_of(request.access_key)
    if secret is None:
        raise refusals.unknown_key(request)
    if request.operation == "PostObject":
        _check_token(request, secret, request.params["Form"].fields.get("x-amz-security-token"), now())
        check_form(request, secret.key, now())
        return
    if request.service == "s3" and _is_version_2(request):
        _check_version_2(environ, request, secret, now())
        return
    signed = _read(request)
    _check_token(request, secret, signed.token, now())
    if not hmac.compare_digest(_expected(environ, request, signed, secret), signed.signature):
        raise refusals.wrong_signature(request)
    _check_time(request, signed, now())
    _check_body(request)


def _is_open(request: WireRequest) -> bool:
    """Whether a request is to S3 and nobody claims to have signed it: a bucket may be open to all."""
    claims = {"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm", "Signature"}
    is_signed = "authorization" in request.headers or claims & set(request.query)
    return request.service == "s3" and bool(request.params.get("Bucket")) and not is_signed


def _read(request: WireRequest) -> _Signed:
    header, query = request.headers.get("authorization", ""), request.query
    if header.startswith("AWS4-HMAC-SHA256"):
        parts = dict(
            part.strip().partition("=")[::2] for part in header.removeprefix("AWS4-HMAC-SHA256").split(",")
        )
        credential, names, signature = (
            parts.get(name, "") for name in ("Credential", "SignedHeaders", "Signature")
        )
        timestamp, token, expires = request.headers.get("x-amz-date", ""), None, None
        token = request.headers.get("x-amz-security-token")
    else:
        credential, names, signature, timestamp = (
            query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature", "Date")
        )
        token, expires = query.get("X-Amz-Security-Token"), query.get("X-Amz-Expires", "")
    scope = credential.split("/")
    whole = len(scope) == 5 and names and signature and (expires is None or expires.isdigit())  # noqa: PLR2004 - AWS4's
    if not whole or _seconds(timestamp) is None or scope[1] != timestamp[:8]:
        raise refusals.incomplete(request)
    return _Signed(
        access_key=scope[0],
        region=scope[2],
        signing_name=scope[3],
        headers=tuple(names.split(";")),
        signature=signature,
        timestamp=timestamp,
        token=token,
        expires_s=None if expires is None else int(expires),
    )


class _Verifier(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer, over the headers that the client chose."""

    def __init__(self, secret: Secret, signed: _Signed, *, is_presigned: bool) -> None:
        super().__init__(Credentials(signed.access_key, secret.key), signed.signing_name, signed.region)
        self._names = signed.headers
        self._is_s3 = signed.signing_name == "s3"
        self._is_unsigned = self._is_s3 and is_presigned

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name in self._names:
            chosen[name] = request.headers.get(name, "")
        return chosen

    def payload(self, request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD" if self._is_unsigned else hashlib.sha256(request.data or b"").hexdigest()

    def _normalize_url_path(self, path: str) -> str:
        # S3 takes a path as it is: "a/../b" is a key.
        return path if self._is_s3 else str(super()._normalize_url_path(path))


def _expected(environ: WSGIEnvironment, request: WireRequest, signed: _Signed, secret: Secret) -> str:
    is_presigned = signed.expires_s is not None
    verifier = _Verifier(secret, signed, is_presigned=is_presigned)
    query = "&".join(
        part
        for part in str(environ.get("QUERY_STRING", "")).split("&")
        if not part.startswith("X-Amz-Signature=")
    )
    aws_request = AWSRequest(
        method=request.method,
        url=f"http://host{request.path}" + (f"?{query}" if query else ""),
        data=request.body,
        headers=dict(request.headers),
    )
    aws_request.context["timestamp"] = signed.timestamp
    if signed.signing_name == "s3" and not is_presigned and "x-amz-content-sha256" not in request.headers:
        raise refusals.no_content_hash(request)
    text = verifier.string_to_sign(aws_request, verifier.canonical_request(aws_request))
    return str(verifier.signature(text, aws_request))


def _check_token(request: WireRequest, secret: Secret, token: str | None, now: float) -> None:
    if secret.token is None and token is None:
        return
    if not hmac.compare_digest((secret.token or "").encode(), (token or "").encode()):
        raise refusals.wrong_token(request)
    if secret.expires_at is not None and now >= secret.expires_at:
        raise refusals.expired_token(request)


def _check_time(request: WireRequest, signed: _Signed, now: float) -> None:
    made = _seconds(signed.timestamp) or 0
    if signed.expires_s is None:
        if abs(now - made) > _SKEW_S:
            raise refusals.too_old(
                request, signed.timestamp, datetime.fromtimestamp(now, UTC).strftime(_TIMESTAMP)
            )
    elif now > made + signed.expires_s or made > now + _SKEW_S:
        raise refusals.expired_url(request)


def _check_body(request: WireRequest) -> None:
    claimed = request.headers.get("x-amz-content-sha256", "")
    is_hash = len(claimed) == _HEX_DIGITS and claimed.isalnum()
    if request.body is not None and is_hash:
        if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest(), claimed):
            raise refusals.wrong_body(request)
    elif request.body is None and request.service != "s3":
        raise refusals.too_large(request)


def _seconds(timestamp: str) -> float | None:
    try:
        return calendar.timegm(time.strptime(timestamp, _TIMESTAMP))
    except ValueError:
        return None


def _is_version_2(request: WireRequest) -> bool:
    header = request.headers.get("authorization", "")
    return header.startswith(f"{_SIGNATURE_2} ") or ("AWSAccessKeyId" in request.query and not header)


class _VerifierOf2(HmacV1Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's old signer, for the moment that the client named."""

    def __init__(self, credentials: Credentials, date: str) -> None:
        super().__init__(credentials)
        self._date = date

    def _get_date(self) -> str:
        return self._date


def _check_version_2(environ: WSGIEnvironment, request: WireRequest, secret: Secret, now: float) -> None:
    query = request.query
    header = request.headers.get("authorization", "")
    signature = header.rpartition(":")[2] if header else query.get("Signature", "")
    expires = query.get("Expires", "")
    if not header and not expires.isdigit():
        raise refusals.incomplete(request)
    headers = HTTPHeaders()
    # In a presigned URL the x-amz- headers that were signed stand in the query.
    for name, value in {**request.headers, **query}.items():
        if name.lower().startswith("x-amz-") or name.lower() in ("content-type", "content-md5"):
            headers[name.lower()] = value
    _check_token(request, secret, headers.get("x-amz-security-token"), now)
    date = expires or ("" if "x-amz-date" in headers else request.headers.get("date", ""))
    verifier = _VerifierOf2(Credentials(request.access_key, secret.key), date)
    url = urlsplit(f"{request.path}?{environ.get('QUERY_STRING', '')}")
    expected = verifier.sign_string(verifier.canonical_string(request.method, url, headers))
    if not hmac.compare_digest(expected, signature):
        raise refusals.wrong_signature(request)
    if expires and now > int(expires):
        raise refusals.expired_url(request)
