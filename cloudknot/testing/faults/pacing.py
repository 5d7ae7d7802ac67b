"""Slow connections: bodies that are read and sent no faster than so many bytes a second."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

__all__ = ["Pace", "SlowUpload"]

_PIECE = 64 * 1024
# A slow body moves in pieces of so many seconds, so that a client sees it trickle.
_PIECE_S = 0.05


class Pace:
    """How fast bytes go.

    Parameters
    ----------
    bytes_per_s : float or None
        None for as fast as they can.
    sleep : callable, default time.sleep
        Waits for so many seconds.
    """

    def __init__(self, bytes_per_s: float | None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._bytes_per_s = bytes_per_s
        self._sleep = sleep
        self.piece = _PIECE if bytes_per_s is None else max(1, min(_PIECE, int(bytes_per_s * _PIECE_S)))

    def keep(self, size: int) -> None:
        """Wait for as long as so many bytes take."""
        if self._bytes_per_s is not None and size:
            self._sleep(size / self._bytes_per_s)

    def send(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Pass parts of a body on, in pieces where it is slow."""
        for part in parts:
            if self._bytes_per_s is None or not part:
                yield part
                continue
            for start in range(0, len(part), self.piece):
                piece = part[start : start + self.piece]
                self.keep(len(piece))
                yield piece


class SlowUpload(io.RawIOBase):
    """The body of a request, which comes slowly.

    Parameters
    ----------
    body : file
        `wsgi.input`.
    pace : Pace
        How slowly.
    """

    def __init__(self, body: IO[bytes], pace: Pace) -> None:
        super().__init__()
        self._body = body
        self._pace = pace

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a piece."""
        view = memoryview(buffer)
        data = self._body.read(min(len(view), self._pace.piece))
        view[: len(data)] = data
        self._pace.keep(len(data))
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, fewer only at the end: as servers' own streams do, and raw streams do not."""
        if size is None or size < 0:
            return self.readall()
        parts = bytearray()
        while len(parts) < size and (part := super().read(size - len(parts))):
            parts += part
        return bytes(parts)
