"""One call at the door: how it is answered, and that it is written down before the whole answer has gone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from cloudknot.testing.iam.values import Ask
from cloudknot.testing.server.journal import Journal
from cloudknot.testing.wire.requests import WireRequest, error_response

__all__ = ["Record", "send"]

_Environ = dict[str, Any]
_Start = Callable[..., Any]


class Record:
    """One call on its way into the journal.

    Parameters
    ----------
    journal : Journal
        Where it is written down, when it is answered.
    now : callable
        The time, in the box.
    request : WireRequest
        What is asked.
    environ, start
        As WSGI has them.
    """

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], float],
        request: WireRequest,
        environ: _Environ,
        start: _Start,
    ) -> None:
        self.request = request
        self.principal = ""
        self.asks: Sequence[Ask] = ()
        self.needed: list[Ask] = []
        self._journal = journal
        self._now = now
        self._sent = int(environ.get("CONTENT_LENGTH") or 0)
        self._start = start
        self._has_body = environ.get("REQUEST_METHOD") != "HEAD"
        self._status = 0
        self._error = ""
        self._length: int | None = None
        self._is_written = False

    def start(self, status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        """Take note of the status and of how long the answer is, and pass both on."""
        self._status = int(status.split(maxsplit=1)[0])
        length = {name.lower(): value for name, value in headers}.get("content-length")
        self._length = (int(length) if length else None) if self._has_body else 0
        return self._start(status, headers, *rest)

    def refuse(self, code: str, message: str, status: int) -> Iterable[bytes]:
        """Answer with an error in AWS's shape."""
        self._error = code
        return send(self.start, *error_response(self.request, code, message, status))

    def counted(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the answer on; who has the whole of it finds the call written down."""
        size = 0
        try:
            for part in body:
                size += len(part)
                if size == self._length:
                    self._write(size)
                yield part
        finally:
            if close := getattr(body, "close", None):
                close()
            self._write(size)

    def _write(self, size: int) -> None:
        if self._is_written:
            return
        self._is_written = True
        self._journal.write(
            at=self._now(),
            principal=self.principal,
            service=self.request.service,
            operation=self.request.operation or "",
            actions=tuple((ask.action, ask.resource) for ask in (*self.asks, *self.needed)),
            status=self._status,
            error=self._error,
            sent_bytes=self._sent,
            received_bytes=size,
        )


def send(start: _Start, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Iterable[bytes]:
    """Answer with a body that is whole."""
    start(f"{status} {HTTPStatus(status).phrase}", list(headers))
    return [body]
