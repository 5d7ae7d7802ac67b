"""A wave: the chunks that were planned together for AWS Batch, as they stand in the run's record.

It is written before any of its jobs is submitted. Its jobs are arrays of at most 10,000 children; a child
runs the chunk whose number is its array's offset plus its own index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store


class Span(NamedTuple):
    """Positions first to last (exclusive), in chunks; the first was lost so often before."""

    first: int
    last: int
    size: int
    lost: int = 0

    @property
    def n_chunks(self) -> int:
        """Return how many chunks it is cut into."""
        return -(-(self.last - self.first) // self.size)


class WaveChunk(NamedTuple):
    """One child's positions, and how often the first of them was lost before."""

    first: int
    last: int
    lost: int


@dataclass(frozen=True, kw_only=True)
class Wave:
    """Chunks that were planned together.

    Parameters
    ----------
    number : int
        Its place among the run's waves, from 0 up.
    spans : tuple of Span
        The positions.
    generation : int
        For the how manieth time the run was run when it was planned.
    memory_mib : int
        What each of its jobs asks for.
    defers_oom : bool
        Whether an item that runs out of memory is left to a later wave with more of it.
    commit_s : float
        Seconds after which ended items are committed at the latest.
    look_s : float
        Seconds between two looks at whether an item is cancelled.
    """

    number: int
    spans: tuple[Span, ...]
    generation: int = 1
    memory_mib: int
    defers_oom: bool = False
    commit_s: float = 3.0
    look_s: float = 5.0

    @property
    def n_chunks(self) -> int:
        """Return how many children it has in all."""
        return sum(span.n_chunks for span in self.spans)

    def chunk(self, number: int) -> WaveChunk:
        """Return the positions of a chunk.

        Raises
        ------
        IndexError
            It has no such chunk.

        Examples
        --------
        >>> Wave(number=0, spans=(Span(0, 5, 2), Span(9, 10, 1, 2)), memory_mib=512).chunk(3)
        WaveChunk(first=9, last=10, lost=2)
        """
        left = number
        for span in self.spans if number >= 0 else ():
            if left < span.n_chunks:
                first = span.first + left * span.size
                return WaveChunk(first, min(span.last, first + span.size), span.lost if left == 0 else 0)
            left -= span.n_chunks
        raise IndexError(f"wave {self.number} has {self.n_chunks} chunks, and no number {number}")

    def encode(self) -> bytes:
        """Return the wave as it stands in the record."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Wave:
        """Return the wave that a record holds; fields of newer versions are passed over."""
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**{**known, "spans": tuple(Span(*span) for span in known["spans"])})


def read_wave(store: Store, run_id: str, number: int) -> Wave:
    """Read a wave from its run's record; KeyError where there is none."""
    return Wave.from_json(json.loads(store.get(Keys(run_id).wave(number))))
