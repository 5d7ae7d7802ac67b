"""moto's answers, put right where they are none of AWS's: pages of HTML, tracebacks, and S3's 404s."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from moto.backends import list_of_moto_modules
from moto.s3.models import s3_backends

from cloudknot.testing.iam.arns import ACCOUNT
from cloudknot.testing.iam.s3_actions import source_of
from cloudknot.testing.iam.values import Ask
from cloudknot.testing.wire.requests import WireRequest

__all__ = ["MotoAnswers"]

_LOG = logging.getLogger(__name__)
_Environ = dict[str, Any]
_Start = Callable[..., Any]
_App = Callable[[_Environ, _Start], Iterable[bytes]]
Refuse = Callable[[str, str, int], Iterable[bytes]]
"""(code, message, status) -> the answer in AWS's shape."""
Denied = Callable[[Ask], Iterable[bytes] | None]
"""The refusal of one more permission, or None where it is granted."""
_PAGE = (b"<!doctype html", b"<html")
_READS = {
    "GetObject",
    "HeadObject",
    "GetObjectTagging",
    "GetObjectAttributes",
    "CopyObject",
    "UploadPartCopy",
}


class MotoAnswers:
    """Hands a request to moto, and answers as AWS where moto does not.

    Parameters
    ----------
    app : WSGI application
        moto's.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    def answer(
        self, request: WireRequest, environ: _Environ, start: _Start, refuse: Refuse, denied: Denied
    ) -> Iterable[bytes]:
        """Answer one request.

        Parameters
        ----------
        request : WireRequest
            As it was read.
        environ, start : dict, callable
            As WSGI has them.
        refuse : callable
            Answers with an error.
        denied : callable
            Decides on a permission that only some answers need.
        """
        said: list[Any] = []
        try:
            body = self._app(environ, lambda *given: said.extend(given))
        except NotImplementedError:
            return refuse(*_not_implemented(request))
        except Exception:
            if _is_unknown(request.service):
                return refuse(*_not_implemented(request))
            _LOG.exception("%s of %s failed in moto", request.operation, request.service)
            return refuse(
                "InternalFailure",
                f"moto failed at {request.operation} of {request.service}: the box's log says how",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        status, headers = int(said[0].split(maxsplit=1)[0]), said[1]
        if status >= HTTPStatus.BAD_REQUEST and _is_html(headers):
            page = b"".join(body)
            _close(body)
            # flask's own page, where moto has no such path; moto itself gives that type to empty answers.
            if page.lstrip().lower().startswith(_PAGE):
                return refuse(*_not_implemented(request))
            body = [page]
        if status == HTTPStatus.NOT_FOUND and (ask := _needed_to_know(request)) is not None:
            refused = denied(ask)
            if refused is not None:
                _close(body)
                return refused
        start(*said)
        return body


def _is_unknown(service: str) -> bool:
    """Whether moto has nothing of a service."""
    return service.replace("-", "") not in {str(name).replace("-", "") for name in list_of_moto_modules()}


def _is_html(headers: Iterable[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-type" and value.startswith("text/html") for name, value in headers)


def _not_implemented(request: WireRequest) -> tuple[str, str, int]:
    _LOG.warning("%s of %s is not in the box", request.operation, request.service)
    return (
        "NotImplemented",
        f"The box does not have the operation {request.operation} of the service {request.service}",
        HTTPStatus.NOT_IMPLEMENTED,
    )


def _needed_to_know(request: WireRequest) -> Ask | None:
    """Return the permission without which S3 does not tell that there is no such object."""
    if request.service != "s3" or request.operation not in _READS:
        return None
    bucket = str(request.params.get("Bucket"))
    if "CopySource" in request.params:
        bucket = source_of(str(request.params["CopySource"]))[0]
    if bucket not in s3_backends[ACCOUNT]["aws"].buckets:
        return None  # everyone may know which buckets there are
    return Ask(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}")


def _close(body: Iterable[bytes]) -> None:
    if close := getattr(body, "close", None):
        close()
