"""What became of an item, as bytes: one envelope an item, written by a worker, read by everybody."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

_ENVELOPE = struct.Struct("<BxHxxxxQdQQQQ")


class Outcome(IntEnum):
    """How an item ended; and the frames in which a worker speaks of a chunk.

    ``BEGIN``: the function is loaded, the first item starts. ``LIMIT``: the chunk will end before this
    position. ``END``: it has ended before this position.
    """

    END = 0
    VALUE = 1
    STORED_VALUE = 2
    RAISED = 3
    NOT_PICKLABLE = 4
    TIMED_OUT = 5
    LOST = 6
    CANCELLED = 7
    BEGIN = 8
    LIMIT = 9


FRAMES = frozenset({Outcome.BEGIN, Outcome.LIMIT, Outcome.END})
SUCCESSES = frozenset({Outcome.VALUE, Outcome.STORED_VALUE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What became of one item.

    Parameters
    ----------
    outcome : Outcome
        How it ended.
    position : int
        Its place in the run.
    tries : int
        How often the function was called.
    seconds : float
        Wall time of the last call.
    peak_memory_bytes : int
        The worker's highest resident memory so far.
    payload : bytes
        The pickled value or exception; for ``STORED_VALUE`` the key of the object that holds it.
    detail : dict
        For failures: ``type``, ``message``, ``traceback``, ``where``, ``reason``, as far as known.
    log : bytes
        What the item wrote to standard output and standard error.
    """

    outcome: Outcome
    position: int
    tries: int = 1
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    payload: bytes = b""
    detail: dict[str, str] = field(default_factory=dict)
    log: bytes = b""

    @property
    def signature(self) -> tuple[str, str]:
        """Return the type of the failure and the line it came from: equal for equal failures."""
        return self.detail.get("type", ""), self.detail.get("where", "")

    def encode(self) -> bytes:
        """Return the envelope as bytes."""
        detail = json.dumps(self.detail).encode() if self.detail else b""
        head = _ENVELOPE.pack(
            self.outcome,
            min(self.tries, 0xFFFF),
            self.position,
            self.seconds,
            self.peak_memory_bytes,
            len(self.payload),
            len(detail),
            len(self.log),
        )
        return b"".join((head, self.payload, detail, self.log))


def encode_value(position: int, tries: int, seconds: float, peak_memory_bytes: int, payload: bytes) -> bytes:
    """Return the envelope of a value, without making an object of it first: most items take this way."""
    head = _ENVELOPE.pack(Outcome.VALUE, tries, position, seconds, peak_memory_bytes, len(payload), 0, 0)
    return head + payload


def end_of(data: bytes | memoryview, offset: int) -> int:
    """Return where the envelope that starts at offset ends."""
    _, _, _, _, _, payload, detail, log = _ENVELOPE.unpack_from(data, offset)
    return int(offset + _ENVELOPE.size + payload + detail + log)


def split_envelopes(data: bytes | bytearray | memoryview) -> tuple[list[tuple[int, int, int]], int]:
    """Find the whole envelopes in data without decoding them.

    Returns
    -------
    found : list of (outcome, position, offset)
        One entry a whole envelope.
    end : int
        Where the last whole envelope ends; a part of one may follow.
    """
    found = []
    offset, size, head = 0, len(data), _ENVELOPE.size
    while offset + head <= size:
        outcome, _, position, _, _, payload, detail, log = _ENVELOPE.unpack_from(data, offset)
        end = offset + head + payload + detail + log
        if end > size:
            break
        found.append((outcome, position, offset))
        offset = end
    return found, offset


def decode_envelope(data: bytes | bytearray | memoryview, offset: int = 0) -> Envelope:
    """Return the envelope that starts at offset."""
    outcome, tries, position, seconds, peak, payload, detail, log = _ENVELOPE.unpack_from(data, offset)
    payload_at = offset + _ENVELOPE.size
    detail_at = payload_at + payload
    log_at = detail_at + detail
    return Envelope(
        outcome=Outcome(outcome),
        position=position,
        tries=tries,
        seconds=seconds,
        peak_memory_bytes=peak,
        payload=bytes(data[payload_at:detail_at]),
        detail=json.loads(bytes(data[detail_at:log_at])) if detail else {},
        log=bytes(data[log_at : log_at + log]),
    )


def log_at(data: bytes, offset: int) -> bytes:
    """Return the log of the envelope that starts at offset; most have none, which is cheap to see."""
    _, _, _, _, _, payload, detail, log = _ENVELOPE.unpack_from(data, offset)
    begin = offset + _ENVELOPE.size + payload + detail
    return data[begin : begin + log] if log else b""


def outcomes_in(data: bytes) -> bytes:
    """Return the outcomes of a pack's envelopes, one byte each."""
    unpack, head = _ENVELOPE.unpack_from, _ENVELOPE.size
    found, offset, size = bytearray(), 0, len(data)
    while offset < size:
        outcome, _, _, _, _, payload, detail, log = unpack(data, offset)
        found.append(outcome)
        offset += head + payload + detail + log
    return bytes(found)


def payloads_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the outcome and the payload of each of a pack's envelopes."""
    unpack, head = _ENVELOPE.unpack_from, _ENVELOPE.size
    offset, size = 0, len(data)
    while offset < size:
        outcome, _, _, _, _, payload, detail, log = unpack(data, offset)
        begin = offset + head
        yield outcome, data[begin : begin + payload]
        offset = begin + payload + detail + log


def seconds_in(data: bytes) -> Iterator[tuple[int, float]]:
    """Yield the position and the seconds of each of a pack's envelopes."""
    unpack, head = _ENVELOPE.unpack_from, _ENVELOPE.size
    offset, size = 0, len(data)
    while offset < size:
        _, _, position, seconds, _, payload, detail, log = unpack(data, offset)
        yield position, seconds
        offset += head + payload + detail + log
