"""Faults of requests: what goes wrong between a client and AWS's door."""

from dataclasses import dataclass
from http import HTTPStatus

from cloudknot.testing.faults.checks import (
    check_choice,
    check_count,
    check_number,
    check_pattern,
    check_service,
    check_words,
)
from cloudknot.testing.faults.fault import Fault, is_like

__all__ = [
    "MOMENTS",
    "RequestFault",
    "ResetConnection",
    "ServerError",
    "SlowConnection",
    "Throttle",
    "TruncateAnswer",
    "WireFault",
]

MOMENTS = ("before", "upload", "answer")
_SERVER_ERRORS = range(HTTPStatus.INTERNAL_SERVER_ERROR, 600)


@dataclass(frozen=True, kw_only=True)
class RequestFault(Fault):
    """A fault of the requests that fit.

    Parameters
    ----------
    service : str
        The service as botocore names it, such as ``"batch"``, ``"s3"``, ``"logs"``; a pattern.
    operation : str, default "*"
        Such as ``"Describe*"``.
    principal : str, default "*"
        The ARN of who asks: ``"*:assumed-role/*"`` spares the person and strikes the jobs.
    share, times, after
        How often: see `Fault`.
    """

    service: str
    operation: str = "*"
    principal: str = "*"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_service("service", self.service)
        check_pattern("operation", self.operation)
        check_pattern("principal", self.principal)

    def fits(self, service: str, operation: str, principal: str) -> bool:
        """Return whether such a request is an occasion for it."""
        return (
            is_like(service, self.service)
            and is_like(operation, self.operation)
            and is_like(principal, self.principal)
        )


@dataclass(frozen=True, kw_only=True)
class Throttle(RequestFault):
    """AWS says that requests come too fast; nothing was done.

    Each service says it in its own way, by which clients know to wait: S3 with 503 ``SlowDown``, Batch with
    429 ``TooManyRequestsException``, EC2 with 503 ``RequestLimitExceeded``, IAM, STS and CloudFormation with
    400 ``Throttling``, most others with 400 ``ThrottlingException``. botocore tries again, as often as its
    retry mode says.

    Parameters
    ----------
    service, operation, principal
        Which requests: see `RequestFault`.
    share, times, after
        How often: see `Fault`.

    Examples
    --------
    >>> Throttle(service="batch", operation="Describe*", share=0.3).share
    0.3
    """


@dataclass(frozen=True, kw_only=True)
class ServerError(RequestFault):
    """AWS says that the fault is its own.

    By S3's guide a request which got such an answer may have been carried out or not: try it with both.

    Parameters
    ----------
    service, operation, principal
        Which requests: see `RequestFault`.
    status : int, default 500
        From 500 to 599.
    code : str, optional
        The error's name; by default the one that the service has for the status.
    message : str, optional
        By default the service's.
    is_carried_out : bool, default False
        Whether what was asked is done all the same, and only the answer lost.
    share, times, after
        How often: see `Fault`.
    """

    status: int = 500
    code: str | None = None
    message: str | None = None
    is_carried_out: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.status, bool) or self.status not in _SERVER_ERRORS:
            raise ValueError(f"status must be from 500 to 599, not {self.status!r}")
        check_words("code", self.code)
        check_words("message", self.message)
        if not isinstance(self.is_carried_out, bool):
            raise ValueError(  # noqa: TRY004 - as of every other field
                f"is_carried_out must be true or false, not {self.is_carried_out!r}"
            )


@dataclass(frozen=True, kw_only=True)
class SlowConnection(RequestFault):
    """A connection that is slow to begin, or slow throughout, in real time (not the box's).

    Parameters
    ----------
    service, operation, principal
        Which requests: see `RequestFault`.
    delay_s : float, default 0
        What passes before a request is looked at.
    bytes_per_s : float, optional
        How fast the body of a request is read and that of its answer is sent.
    share, times, after
        How often: see `Fault`.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("delay_s", self.delay_s)
        if self.bytes_per_s is not None:
            check_number("bytes_per_s", self.bytes_per_s, above=0)
        elif not self.delay_s:
            raise ValueError("a slow connection needs delay_s, bytes_per_s or both")


@dataclass(frozen=True, kw_only=True)
class ResetConnection(RequestFault):
    """The connection is reset: the client's socket fails with ECONNRESET.

    botocore sends the request again, except when it was already handing the answer's body to the caller. A
    request whose answer was lost is then carried out twice: `SubmitJob` has nothing that tells AWS it is the
    same one.

    Parameters
    ----------
    service, operation, principal
        Which requests: see `RequestFault`.
    moment : str, default "before"
        ``"before"``: before anything of the request's body was read. ``"upload"``: after `after_bytes` of it.
        Nothing was done in both. ``"answer"``: what was asked is done, and the connection is reset after
        `after_bytes` of the answer's body; with 0 bytes not even its status comes.
    after_bytes : int, default 0
        A body that is shorter than that is passed whole, and then the connection is reset.
    share, times, after
        How often: see `Fault`.
    """

    moment: str = "before"
    after_bytes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("moment", self.moment, MOMENTS)
        check_count("after_bytes", self.after_bytes, at_least=0)
        if self.moment == "before" and self.after_bytes:
            raise ValueError(
                f"no bytes come before: say moment='upload' or 'answer', or no {self.after_bytes=}"
            )


@dataclass(frozen=True, kw_only=True)
class TruncateAnswer(RequestFault):
    """What was asked is done, but the answer's body ends early.

    The connection is closed as if all was well: only a client that compares `Content-Length`, or the checksum
    that S3 sends, finds out.

    Parameters
    ----------
    service, operation, principal
        Which requests: see `RequestFault`.
    after_bytes : int, default 0
        What comes of the body; a shorter one comes whole.
    share, times, after
        How often: see `Fault`.
    """

    after_bytes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("after_bytes", self.after_bytes, at_least=0)


@dataclass(frozen=True, kw_only=True)
class WireFault:
    """What goes wrong with one request.

    Parameters
    ----------
    slow : SlowConnection, optional
        How slowly it goes.
    ending : Throttle, ServerError, ResetConnection or TruncateAnswer, optional
        How it ends, if not well.
    """

    slow: SlowConnection | None = None
    ending: RequestFault | None = None
