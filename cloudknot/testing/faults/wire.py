"""Doing to a request what its fault says, in a WSGI application behind werkzeug's server."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import IO, Any

from cloudknot.testing.faults import words
from cloudknot.testing.faults.pacing import Pace, SlowUpload
from cloudknot.testing.faults.resets import hang_up, reset
from cloudknot.testing.faults.wire_faults import (
    RequestFault,
    ResetConnection,
    ServerError,
    Throttle,
    TruncateAnswer,
    WireFault,
)
from cloudknot.testing.wire.requests import WireRequest, error_response

__all__ = ["apply"]

_Environ = dict[str, Any]
_Start = Callable[..., Any]
_App = Callable[[_Environ, _Start], Iterable[bytes]]


def apply(
    fault: WireFault,
    request: WireRequest,
    environ: _Environ,
    start_response: _Start,
    app: _App,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """Answer a request with its fault.

    Parameters
    ----------
    fault : WireFault
        What goes wrong.
    request : WireRequest
        What is asked: errors have the shape of its protocol.
    environ, start_response
        As WSGI has them.
    app : WSGI application
        Answers the request, where the fault lets it.
    sleep : callable, default time.sleep
        How a slow connection waits.

    Yields
    ------
    bytes
        Parts of the answer's body.

    Raises
    ------
    ConnectionResetError
        After the connection was reset: werkzeug's server takes it for a client that is gone.
    RuntimeError
        When the connection is to be reset, and the server is not werkzeug's.
    """
    slow = fault.slow
    pace = Pace(slow.bytes_per_s if slow else None, sleep)
    if slow:
        sleep(slow.delay_s)
        environ["wsgi.input"] = SlowUpload(environ["wsgi.input"], pace)
    yield from pace.send(_answer(fault.ending, request, environ, start_response, app))


def _answer(
    ending: RequestFault | None, request: WireRequest, environ: _Environ, start: _Start, app: _App
) -> Iterator[bytes]:
    match ending:
        case Throttle():
            yield from _refuse(words.throttling(request.service), request, start)
        case ServerError():
            if ending.is_carried_out:
                _carry_out(app, environ)
            refusal = words.server_error(request.service, ending.status, ending.code, ending.message)
            yield from _refuse(refusal, request, start)
        case ResetConnection(moment="answer", after_bytes=size):
            # An empty part would have the server send the answer's head.
            yield from filter(None, _first(size, app(environ, start)))
            raise _reset(environ)
        case ResetConnection(moment=moment, after_bytes=size):
            if moment == "upload":
                _read(environ, size)
            raise _reset(environ)
        case TruncateAnswer(after_bytes=size):
            yield from _first(size, app(environ, start))
            yield b""  # so that the answer's head goes out even where nothing of its body does
            hang_up(_connection(environ))
        case _:
            yield from _all(app(environ, start))


def _refuse(refusal: words.Refusal, request: WireRequest, start: _Start) -> Iterator[bytes]:
    status, headers, body = error_response(request, *refusal)
    start(f"{status} {_phrase(status)}", headers)
    yield body


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Error"


def _carry_out(app: _App, environ: _Environ) -> None:
    """Have the request answered, and throw the answer away."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], None]:
        del status, headers, rest
        return lambda part: None

    for _ in _all(app(environ, start)):
        pass


def _all(parts: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    finally:
        if close := getattr(parts, "close", None):
            close()


def _first(size: int, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Pass so many bytes on; the rest is made, but goes nowhere."""
    left = size
    for part in _all(parts):
        yield part[:left]
        left -= min(left, len(part))


def _read(environ: _Environ, size: int) -> None:
    """Read so many bytes of the request's body, or all of a shorter one."""
    body: IO[bytes] = environ["wsgi.input"]
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length.isdigit():
        size = min(size, int(length))
    elif not environ.get("wsgi.input_terminated"):
        return  # there is no body, and reading on would wait for the client's next request
    while size and (part := body.read(min(size, 64 * 1024))):
        size -= len(part)


def _connection(environ: _Environ) -> socket.socket:
    connection = environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        raise RuntimeError(  # noqa: TRY004 - the fault is the server's, not a caller's
            "a connection can be cut only under werkzeug's server: this environ has no 'werkzeug.socket'"
        )
    return connection


def _reset(environ: _Environ) -> ConnectionResetError:
    reset(_connection(environ))
    return ConnectionResetError("reset by a fault of the box")
