"""What travels over one stream in both directions: frames, each a kind, a length and a payload."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

# A longer stream of bytes is cut into frames of this size, so that others get their turn between them.
PIECE_BYTES = 1 << 20

_HEADER = struct.Struct(">BQ")


class Kind(IntEnum):
    """What a frame is."""

    # To the relay.
    START = 1  # start a worker: a JSON line, then the archive with the person's modules
    ORDER = 2  # a line for the worker's control pipe
    KILL = 3  # end the worker
    LOG = 4  # say what the present item has written; the answer is of the same kind
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
    return _HEADER.pack(kind, len(payload)) + payload


def pieces(kind: Kind, data: bytes) -> Iterator[bytes]:
    """Yield the frames that a longer stream of bytes is cut into."""
    view = memoryview(data)
    for first in range(0, len(data), PIECE_BYTES):
        yield frame(kind, bytes(view[first : first + PIECE_BYTES]))


class Frames:
    """Puts frames together from what arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Take in what has arrived; yield the frames that are whole now."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]
            yield Kind(kind), payload


def join_line(fields: bytes, body: bytes) -> bytes:
    """Return a payload of one line and a body."""
    return fields + b"\n" + body


def split_line(payload: bytes) -> tuple[bytes, bytes]:
    """Return the line and the body of a payload."""
    line, _, body = payload.partition(b"\n")
    return line, body
