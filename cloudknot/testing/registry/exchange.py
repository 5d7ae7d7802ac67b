"""One request and its reply, on WSGI."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_input_stream

from cloudknot.testing.registry.errors import RegistryError
from cloudknot.testing.registry.port import Access
from cloudknot.testing.registry.routes import Route
from cloudknot.testing.registry.uploads import Stream

__all__ = ["Reply", "Request", "parse_range"]

_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that may be answered: its sender is known and may ask for this."""

    environ: WSGIEnvironment
    route: Route
    access: Access

    @property
    def repository(self) -> str:
        """The repository that it is about."""
        return self.route.repository

    def argument(self, name: str) -> str | None:
        """Return an argument of the query."""
        values = parse_qs(self.environ.get("QUERY_STRING", ""), keep_blank_values=True).get(name)
        return values[0] if values else None

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        key = name.upper().replace("-", "_")
        value = self.environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}")
        return str(value) if value else None

    def url(self, path: str) -> str:
        """Return the address of a path here, as the sender knows this place."""
        scheme = self.environ.get("wsgi.url_scheme", "http")
        host = self.environ.get("HTTP_HOST") or "localhost:{SERVER_PORT}".format_map(self.environ)
        return f"{scheme}://{host}{path}"

    @property
    def body(self) -> Stream:
        """What it brings."""
        return _Body(self.environ)


class _Body:
    """A request's body, whose breaking off is a refusal like any other."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        # Without a length or chunks there is no body: reading would wait for a sender that waits for us.
        self._stream = get_input_stream(environ)

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        # A broken chunk is an OSError or, cut in its middle, a ValueError of werkzeug's.
        except (OSError, ValueError, ClientDisconnected) as error:
            message = "the request's body broke off before its end"
            raise RegistryError("BLOB_UPLOAD_INVALID", message, 400) from error


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Iterable[bytes] = field(default=())
    length: int = 0
    content_type: str = _JSON

    def send(self, start_response: StartResponse, *, is_head: bool) -> Iterable[bytes]:
        """Begin the response and return its body."""
        headers = [
            ("Docker-Distribution-Api-Version", "registry/2.0"),
            ("Content-Type", self.content_type),
            ("Content-Length", str(self.length)),
            *self.headers,
        ]
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", headers)
        return () if is_head else self.body


def parse_range(header: str | None, length: int) -> tuple[int, int] | None:
    """Return the first byte and the number of bytes that a `Range` header asks for, or None for all.

    Parameters
    ----------
    header : str or None
        One range of bytes; what is no such thing is as good as none (RFC 9110, 14.2).
    length : int
        Of the whole, in bytes.

    Raises
    ------
    RegistryError
        When nothing of it is there.

    Examples
    --------
    >>> parse_range("bytes=2-3", 10), parse_range("bytes=8-", 10), parse_range("bytes=-4", 10)
    ((2, 2), (8, 2), (6, 4))
    """
    unit, _, ranges = (header or "").partition("=")
    first, dash, last = ranges.partition("-")
    is_one = unit.strip() == "bytes" and dash and all(not part or part.isdecimal() for part in (first, last))
    if not is_one or not (first or last):
        return None
    if first:
        start, end = int(first), min(int(last) if last else length - 1, length - 1)
    else:
        start, end = max(0, length - int(last)), length - 1
    if start > end:
        raise RegistryError("RANGE_INVALID", f"of {length} bytes, {header} asks for none", 416)
    return start, end - start + 1
