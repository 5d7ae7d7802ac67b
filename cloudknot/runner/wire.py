"""The format that both sides share: keys, pickles, item envelopes. The only user of pickle.

An item's outcome is one *envelope*; a *pack* is envelopes of consecutive positions, one behind the
other. Arguments lie in *shards*: a table of offsets, then the pickles, so that an item is a byte
range and its reader touches nothing else.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import pickle
import random
import struct
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import cloudpickle

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


def payload_of(data: bytes | memoryview, offset: int) -> bytes | memoryview:
    """Return the payload of the envelope that starts at offset, without copying a memoryview."""
    begin = offset + _ENVELOPE.size
    return data[begin : begin + _ENVELOPE.unpack_from(data, offset)[5]]


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


_CACHED = type(functools.cache(len))
# Nothing in these needs cloudpickle.
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A cloudpickle pickler that is used for many objects, each on its own.

    Parameters
    ----------
    note : callable, optional
        Told each module, class and function that goes by, to learn what the far side must import.
    """

    def __init__(self, note: Callable[[Any], None] | None = None) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self._note = note

    def dumps(self, value: Any) -> bytes:
        """Return the value's pickle. Raises whatever the value's own pickling raises."""
        if type(value) in _ATOMS:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._buffer.seek(0)
        self._buffer.truncate()
        self.clear_memo()
        self.globals_ref.clear()
        self.dump(value)
        return self._buffer.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce as cloudpickle does, with two exceptions.

        A library's shared random generator goes by its name: by value, as ``from random import random``
        would have it, every worker would draw the same numbers. A cached function that cannot be
        imported, such as a notebook's, goes by value like the function that it caches.
        """
        if self._note is not None and isinstance(obj, type | types.FunctionType | types.ModuleType):
            self._note(obj)
        shared = _shared_generator_name(obj)
        if shared is not None:
            return _import_attribute, shared
        if isinstance(obj, _CACHED) and not _is_importable(obj):
            return _make_cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def loads(data: bytes | memoryview) -> Any:
    """Rebuild a value. Only for what this run's own client or worker wrote."""
    return pickle.loads(data)


def _shared_generator_name(obj: Any) -> tuple[str, str] | None:
    if obj is random._inst:  # the generator behind random.random
        return "random", "_inst"
    mtrand = sys.modules.get("numpy.random.mtrand")
    if mtrand is not None and obj is getattr(mtrand, "_rand", None):
        return "numpy.random.mtrand", "_rand"
    return None


def _is_importable(obj: Any) -> bool:
    found: Any = sys.modules.get(obj.__module__) if obj.__module__ != "__main__" else None
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


def _make_cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    return functools.lru_cache(**parameters)(function)


def _import_attribute(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def encode_shard(pickles: Sequence[bytes]) -> bytes:
    """Return one shard: the table of offsets, then the pickles."""
    offsets = [0]
    for data in pickles:
        offsets.append(offsets[-1] + len(data))
    return b"".join((struct.pack(f"<{len(offsets)}Q", *offsets), *pickles))


def read_shard(read: Callable[[int, int], bytes], count: int, first: int, last: int) -> Iterator[bytes]:
    """Yield the pickles of the items first to last (exclusive) of one shard.

    Parameters
    ----------
    read : callable
        Returns the shard's bytes from a start to a stop.
    count : int
        Items in the whole shard.
    first, last : int
        Places of the items within the shard.
    """
    offsets = struct.unpack(f"<{last - first + 1}Q", read(8 * first, 8 * (last + 1)))
    base = 8 * (count + 1)
    data, skipped = read(base + offsets[0], base + offsets[-1]), offsets[0]
    for start, stop in itertools.pairwise(offsets):
        yield data[start - skipped : stop - skipped]


def encode_indices(indices: Sequence[int]) -> bytes:
    """Return positions' item indices as bytes, for a run over some of another run's items."""
    return struct.pack(f"<{len(indices)}Q", *indices)


def decode_indices(data: bytes) -> tuple[int, ...]:
    """Return what ``encode_indices`` was given."""
    return struct.unpack(f"<{len(data) // 8}Q", data)


class Keys:
    """The keys of one run's objects in a store."""

    def __init__(self, run_id: str) -> None:
        self.prefix = f"runs/{run_id}/"
        self.run = self.prefix + "run.json"
        self.function = self.prefix + "function"
        self.indices = self.prefix + "indices"
        self.packs = self.prefix + "packs/"
        self.owners = self.prefix + "owners/"
        self.cancels = self.prefix + "cancels/"
        self.stopped = self.prefix + "stopped.json"
        self.settled = self.prefix + "settled.json"

    def shard(self, number: int) -> str:
        """Return the key of an argument shard."""
        return f"{self.prefix}inputs/{number:08d}"

    def pack(self, position: int) -> str:
        """Return the key of the pack that starts at a position."""
        return f"{self.packs}{position:012d}"

    def owner(self, generation: int) -> str:
        """Return the key that says who ran the run for the n-th time."""
        return f"{self.owners}{generation:06d}"

    def cancel(self, position: int | None) -> str:
        """Return the key that asks to cancel one item, or with None the run."""
        return self.cancels + ("all" if position is None else f"{position:012d}")

    def value(self, position: int, token: str) -> str:
        """Return the key of a value that is too large for a pack."""
        return f"{self.prefix}values/{position:012d}-{token}"
