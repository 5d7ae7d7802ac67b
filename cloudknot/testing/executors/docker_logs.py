"""What a container writes, while it does."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

from cloudknot.testing.executors.lines import Line, Lines

__all__ = ["Demultiplexer", "Output"]

# The engine puts this before each piece of output: which stream it is of, and its length.
_HEADER = struct.Struct(">BxxxI")
_READ_BYTES = 1 << 16


class Output:
    """The output of a container, from before it starts until it has ended.

    It is attached to, as `docker run` does it: logs that are followed may lack a last line without an end, as
    was seen with docker 20.10, and long lines come in pieces of which the SDK does not tell the stream.

    Parameters
    ----------
    api : docker.APIClient
        The connection to its engine.
    container : str
        Its id.
    """

    def __init__(self, api: Any, container: str) -> None:
        self._stream = api.attach_socket(container, {"stdout": 1, "stderr": 1, "stream": 1})
        self._socket: socket.socket = getattr(self._stream, "_sock", self._stream)
        self._socket.settimeout(None)

    def lines(self) -> Iterator[list[Line]]:
        """Yield lines as they come, with the time at which they came."""
        output = Demultiplexer()
        with contextlib.suppress(OSError):  # the engine is gone
            while data := self._socket.recv(_READ_BYTES):
                yield output.feed(data, int(time.time() * 1000))
        yield output.finish()

    def close(self) -> None:
        """Hear no more of it."""
        with contextlib.suppress(OSError):
            self._stream.close()
            self._socket.close()


class Demultiplexer:
    """The two streams of a container as lines, from bytes that have both."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._streams: dict[int, Lines] = {}

    def feed(self, data: bytes, at: int) -> list[Line]:
        """Take bytes that came at a time, and return the lines that are complete now."""
        self._data += data
        lines: list[Line] = []
        begin = 0
        while len(self._data) >= begin + _HEADER.size:
            number, size = _HEADER.unpack_from(self._data, begin)
            end = begin + _HEADER.size + size
            if len(self._data) < end:
                break
            piece = bytes(self._data[begin + _HEADER.size : end])
            lines += self._streams.setdefault(number, Lines()).feed(piece, at)
            begin = end
        del self._data[:begin]
        return lines

    def finish(self) -> list[Line]:
        """Return last lines that have no end."""
        return [line for stream in self._streams.values() for line in stream.finish()]
