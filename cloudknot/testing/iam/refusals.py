"""How each family of services says that it does not believe a request."""

from dataclasses import dataclass

from cloudknot.testing.wire.values import WireRequest

__all__ = [
    "Refused",
    "expired_token",
    "expired_url",
    "incomplete",
    "no_content_hash",
    "not_signed",
    "not_to_session",
    "too_large",
    "too_old",
    "unknown_key",
    "unverified",
    "wrong_body",
    "wrong_signature",
    "wrong_token",
]

_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
_NO_IDENTITY_CENTER = (
    "The box has no IAM Identity Center: use an access key of the box, or assume one of its roles"
)
_NOT_VALIDATED = "AWS was not able to validate the provided access credentials"
# These speak JSON now, and kept the codes of their time with `query`.
_LIKE_QUERY = {"sqs", "cloudwatch"}


@dataclass(frozen=True, kw_only=True)
class _Words:
    """Code, message and status by family."""

    s3: tuple[str, str, int]
    ec2: tuple[str, str, int]
    query: tuple[str, str, int]
    json: tuple[str, str, int]


class Refused(Exception):  # noqa: N818 - an answer, not a fault of the box
    """A request that is not believed, in the words of the service that was asked."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def _say(request: WireRequest, words: _Words) -> Refused:
    if request.service == "s3":
        return Refused(*words.s3)
    if request.protocol == "ec2":
        return Refused(*words.ec2)
    if request.protocol == "query" or request.service in _LIKE_QUERY:
        return Refused(*words.query)
    code, message, status = words.json
    return Refused(code, message, 403 if request.protocol == "rest-json" else status)


def not_signed(request: WireRequest) -> Refused:
    """Refuse what nobody signed; the box has nothing that is open to all."""
    if request.service == "sso":
        return Refused("UnauthorizedException", _NO_IDENTITY_CENTER, 401)
    if request.service == "sso-oidc":
        return Refused("UnauthorizedClientException", _NO_IDENTITY_CENTER, 400)
    missing = ("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    return _say(
        request,
        _Words(
            s3=("AccessDenied", "Access Denied", 403),
            ec2=missing,
            query=missing,
            json=("MissingAuthenticationTokenException", "Missing Authentication Token", 400),
        ),
    )


def not_to_session(request: WireRequest, kind: str | None) -> Refused | None:
    """Refuse what a session of a user may not do, whatever his policies say; None for all else.

    IAM takes no such keys (without a device), and STS no more than is said here (STS API reference,
    GetSessionToken and GetFederationToken).
    """
    if kind is None or request.service not in ("iam", "sts"):
        return None
    if request.service == "iam":
        return unknown_key(request)
    if request.operation == "GetCallerIdentity" or (kind, request.operation) == (
        "session-token",
        "AssumeRole",
    ):
        return None
    return Refused("AccessDenied", f"Cannot call {request.operation} with session credentials", 403)


def unverified(request: WireRequest) -> Refused:
    """Refuse a role to whom an identity provider vouches for: there is none in the box that could."""
    return Refused("AccessDenied", f"Not authorized to perform sts:{request.operation}", 403)


def incomplete(request: WireRequest) -> Refused:
    """Refuse a signature that lacks a part, or has one that makes no sense."""
    message = "The request signature does not conform to AWS standards"
    return _say(
        request,
        _Words(
            s3=("AuthorizationHeaderMalformed", "The authorization header is malformed", 400),
            ec2=("AuthFailure", _NOT_VALIDATED, 401),
            query=("IncompleteSignature", message, 400),
            json=("IncompleteSignatureException", message, 400),
        ),
    )


def unknown_key(request: WireRequest) -> Refused:
    """Refuse an access key that nobody has."""
    return _say(
        request,
        _Words(
            s3=(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                403,
            ),
            ec2=("AuthFailure", _NOT_VALIDATED, 401),
            query=("InvalidClientTokenId", _INVALID, 403),
            json=("UnrecognizedClientException", _INVALID, 400),
        ),
    )


def wrong_token(request: WireRequest) -> Refused:
    """Refuse a session token that is not the one of this access key."""
    return _say(
        request,
        _Words(
            s3=("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
            ec2=("AuthFailure", _NOT_VALIDATED, 401),
            query=("InvalidClientTokenId", _INVALID, 403),
            json=("UnrecognizedClientException", _INVALID, 400),
        ),
    )


def expired_token(request: WireRequest) -> Refused:
    """Refuse a session that is over."""
    return _say(
        request,
        _Words(
            s3=("ExpiredToken", "The provided token has expired.", 400),
            ec2=("RequestExpired", "Request has expired.", 400),
            query=("ExpiredToken", _EXPIRED, 403),
            json=("ExpiredTokenException", _EXPIRED, 400),
        ),
    )


def wrong_signature(request: WireRequest) -> Refused:
    """Refuse what was signed with another secret, or changed on the way."""
    return _say(
        request,
        _Words(
            s3=(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                403,
            ),
            ec2=("AuthFailure", _NOT_VALIDATED, 401),
            query=("SignatureDoesNotMatch", _MISMATCH, 403),
            json=("InvalidSignatureException", _MISMATCH, 400),
        ),
    )


def wrong_body(request: WireRequest) -> Refused:
    """Refuse a body that is not the one whose hash was signed."""
    if request.service != "s3":
        return wrong_signature(request)
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."
    return Refused("XAmzContentSHA256Mismatch", message, 400)


def too_old(request: WireRequest, signed: str, now: str) -> Refused:
    """Refuse what was signed too long ago, or in the future."""
    message = f"Signature expired: {signed} is now earlier than {now} - 15 min."
    if signed > now:
        message = f"Signature not yet current: {signed} is still later than {now} + 15 min."
    return _say(
        request,
        _Words(
            s3=(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                403,
            ),
            ec2=("RequestExpired", "Request has expired.", 400),
            query=("SignatureDoesNotMatch", message, 403),
            json=("InvalidSignatureException", message, 400),
        ),
    )


def expired_url(request: WireRequest) -> Refused:
    """Refuse a presigned URL that is used too late."""
    late = ("AccessDenied", "Request has expired", 403)
    return _say(
        request, _Words(s3=late, ec2=("RequestExpired", "Request has expired.", 400), query=late, json=late)
    )


def no_content_hash(request: WireRequest) -> Refused:
    """Refuse a request to S3 that says neither the body's hash nor that there is none."""
    return Refused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", 400)


def too_large(request: WireRequest) -> Refused:
    """Refuse a body that is larger than any that the box reads."""
    return Refused("RequestEntityTooLargeException", "The request body is too large.", 413)
