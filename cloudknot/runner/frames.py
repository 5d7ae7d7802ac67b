"""What travels over one stream in both directions: frames, each a kind, a length and a payload."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO

# A longer stream of bytes is cut into frames of this size, so that others get their turn between them.
PIECE_BYTES = 1 << 20

_HEADER = struct.Struct(">BQ")
_MOST_BYTES = 1 << 40


class Kind(IntEnum):
    """What a frame is."""

    # To the relay.
    START = 1  # start a worker: a JSON line, then the archive with the person's modules
    ORDER = 2  # a line for the worker's control pipe
    KILL = 3  # end the worker
    LOG = 4  # say what the present item has written; the answer repeats the request's line before it
    REPLY = 5  # a piece of the store's reply to the worker
    # From the relay.
    ENVELOPES = 6  # a piece of what the worker says
    REQUEST = 7  # a piece of what the worker asks of the store
    EXIT = 8  # the worker has ended: a JSON line, then what its item had written


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    """Return a frame.

    Examples
    --------
    >>> list(Frames().feed(frame(Kind.LOG, b"hello")))
    [(<Kind.LOG: 4>, b'hello')]
    """
    return header(kind, len(payload)) + payload


def header(kind: Kind, size: int) -> bytes:
    """Return what stands before a payload of that size."""
    return _HEADER.pack(kind, size)


def parse_header(stream: BinaryIO) -> int:
    """Read what stands before a payload; return its size.

    Raises
    ------
    ConnectionError
        The stream has ended.
    """
    data = stream.read(_HEADER.size)
    if len(data) < _HEADER.size:
        raise ConnectionError("the store is out of reach: the connection to it has ended")
    size: int = _HEADER.unpack(data)[1]
    return size


def pieces(kind: Kind, data: bytes) -> Iterator[bytes]:
    """Yield the frames that a longer stream of bytes is cut into."""
    view = memoryview(data)
    for first in range(0, len(data), PIECE_BYTES):
        yield frame(kind, bytes(view[first : first + PIECE_BYTES]))


class Frames:
    """Puts frames together from what arrives.

    Parameters
    ----------
    most_bytes : int
        A larger payload is taken for rubbish.
    """

    def __init__(self, *, most_bytes: int = _MOST_BYTES) -> None:
        self._buffer = bytearray()
        self._most_bytes = most_bytes

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Take in what has arrived; yield the frames that are whole now.

        Raises
        ------
        ValueError
            It is no frame.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            number, size = _HEADER.unpack_from(self._buffer)
            kind, end = Kind(number), _HEADER.size + size
            if size > self._most_bytes:
                raise ValueError(f"a frame of {size} bytes is too large")
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload


def join_line(fields: bytes, body: bytes) -> bytes:
    """Return a payload of one line and a body."""
    return fields + b"\n" + body


def split_line(payload: bytes) -> tuple[bytes, bytes]:
    """Return the line and the body of a payload."""
    line, _, body = payload.partition(b"\n")
    return line, body
