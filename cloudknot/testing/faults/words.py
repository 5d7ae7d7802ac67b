"""What each service of AWS says when it is asked too often, or when it fails."""

from http import HTTPStatus
from typing import NamedTuple

__all__ = ["Refusal", "server_error", "throttling"]


class Refusal(NamedTuple):
    """An error as a service gives it."""

    code: str
    message: str
    status: int


_RATE = "Rate exceeded"
_EXCEPTION = Refusal("ThrottlingException", _RATE, 400)
# The Query protocol's services name the same error without "Exception".
_QUERY = Refusal("Throttling", _RATE, 400)
_THROTTLING = {
    "s3": Refusal("SlowDown", "Please reduce your request rate.", 503),
    # Not in Batch's model; seen with these words by its users (hyp3#1676, nextflow#709, metaflow#138).
    "batch": Refusal("TooManyRequestsException", "Too Many Requests", 429),
    "ec2": Refusal("RequestLimitExceeded", "Request limit exceeded.", 503),
    "iam": _QUERY,
    "sts": _QUERY,
    "cloudformation": _QUERY,
    # The model has the name; that the status is 403, SQS's guide says of ThrottlingException; the words are
    # not confirmed.
    "sqs": Refusal("RequestThrottled", "The request was denied due to request throttling.", 403),
}

_UNKNOWN = "The request processing has failed because of an unknown error, exception or failure."
_TEMPORARY = "The request has failed due to a temporary failure of the server."
# AWS's common errors: what a service says that has no words of its own.
_FAILURE = {500: ("InternalFailure", _UNKNOWN), 503: ("ServiceUnavailable", _TEMPORARY)}
# The names are those of the services' models and error lists; the words, where a service has its own.
_FAILURES: dict[str, dict[int, tuple[str, str]]] = {
    "s3": {
        500: ("InternalError", "We encountered an internal error. Please try again."),
        503: ("ServiceUnavailable", "Service is unable to handle request."),
    },
    "ec2": {
        500: ("InternalError", "An internal error has occurred"),
        503: ("Unavailable", "The service is unavailable. Please try again shortly."),
    },
    "batch": {500: ("ServerException", _UNKNOWN)},
    "ecr": {500: ("ServerException", _UNKNOWN)},
    "iam": {500: ("ServiceFailure", _UNKNOWN)},
    "logs": {503: ("ServiceUnavailableException", _TEMPORARY)},
    "events": {500: ("InternalException", _UNKNOWN)},
    "secretsmanager": {500: ("InternalServiceError", _UNKNOWN)},
    "ssm": {500: ("InternalServerError", _UNKNOWN)},
    "kms": {500: ("KMSInternalException", _UNKNOWN)},
    "pricing": {500: ("InternalErrorException", _UNKNOWN)},
}


def throttling(service: str) -> Refusal:
    """Return how a service says that requests come too fast.

    Examples
    --------
    >>> throttling("s3")
    Refusal(code='SlowDown', message='Please reduce your request rate.', status=503)
    """
    return _THROTTLING.get(service, _EXCEPTION)


def server_error(service: str, status: int, code: str | None = None, message: str | None = None) -> Refusal:
    """Return how a service says that it failed, a code and a message that are given in place of its own.

    Examples
    --------
    >>> server_error("batch", 500).code
    'ServerException'
    """
    kind = 503 if status == HTTPStatus.SERVICE_UNAVAILABLE else 500
    own_code, own_message = _FAILURES.get(service, {}).get(kind, _FAILURE[kind])
    return Refusal(code or own_code, message or own_message, status)
