"""Batches of deletions in S3: each key is allowed or refused by itself, and the answer says which."""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from moto.s3.models import s3_backends

from cloudknot.testing.iam.arns import ACCOUNT
from cloudknot.testing.wire.requests import WireRequest

__all__ = ["answers_by_key", "deleting"]

_Environ = dict[str, Any]
_Start = Callable[..., Any]
_App = Callable[[_Environ, _Start], Iterable[bytes]]
_XML = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_QUIET = re.compile(rb"<Quiet>\s*true\s*</Quiet>", re.IGNORECASE)
_DELETED = re.compile(rb"<Deleted>.*?</Deleted>", re.DOTALL)
_END = b"</DeleteResult>"


def answers_by_key(request: WireRequest) -> bool:
    """Whether S3 answers a request with 200 and says for each key whether it was refused."""
    return (
        request.service == "s3"
        and request.operation == "DeleteObjects"
        and bool(request.params["Delete"]["Objects"])
        and request.params.get("Bucket") in s3_backends[ACCOUNT]["aws"].buckets
    )


def deleting(app: _App, request: WireRequest, refusals: Sequence[str]) -> _App:
    """Return an application that deletes what may be deleted, and tells of the rest.

    Parameters
    ----------
    app : WSGI application
        Deletes what it is asked to.
    request : WireRequest
        A batch of deletions.
    refusals : sequence of str
        For each of its keys why it is refused; empty for one that is not.
    """
    objects: list[Mapping[str, str]] = request.params["Delete"]["Objects"]
    pairs = list(zip(objects, refusals, strict=True))
    errors = b"".join(_error(found, words) for found, words in pairs if words)
    wanted = [found for found, words in pairs if not words]
    is_quiet = bool(_QUIET.search(request.body or b""))

    def answer(environ: _Environ, start: _Start) -> Iterable[bytes]:
        if not wanted:
            body = f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult {_XML}>'.encode()
            return _send(start, [("Content-Type", "application/xml")], body + errors + _END)
        said: list[Any] = []
        smaller = _batch(wanted)
        fewer = {**environ, "wsgi.input": io.BytesIO(smaller), "CONTENT_LENGTH": str(len(smaller))}
        parts = app(fewer, lambda *given: said.extend(given))
        body = b"".join(parts)
        if close := getattr(parts, "close", None):
            close()
        if not body.rstrip().endswith(_END):
            start(*said)
            return [body]
        if is_quiet:  # which moto does not read
            body = _DELETED.sub(b"", body)
        return _send(start, said[1], body.rstrip().removesuffix(_END) + errors + _END)

    return answer if errors or is_quiet else app


def _batch(objects: Iterable[Mapping[str, str]]) -> bytes:
    keys = "".join(f"<Object>{_members(found)}</Object>" for found in objects)
    return f"<Delete {_XML}>{keys}</Delete>".encode()


def _error(found: Mapping[str, str], words: str) -> bytes:
    said = {"Code": "AccessDenied", "Message": words}
    return f"<Error>{_members({**found, **said})}</Error>".encode()


def _members(members: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())


def _send(start: _Start, headers: Iterable[tuple[str, str]], body: bytes) -> Iterable[bytes]:
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start(f"{HTTPStatus.OK} {HTTPStatus.OK.phrase}", [*kept, ("Content-Length", str(len(body)))])
    return [body]
