"""What is known of one run, gathered from its ledger without running any of the person's code."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from cloudknot.display import status_of
from cloudknot.futures import MapFuture
from cloudknot.ledger import Counts
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runs import Run, State


class Seconds(NamedTuple):
    """The wall time of the items that have ended."""

    total: float
    median: float
    longest: float
    longest_index: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run, as it stands.

    Parameters
    ----------
    run : Run
        What was asked.
    state, counts
        How far it is.
    seconds : Seconds, optional
        None while no item has ended.
    peak_memory_bytes : int
        The highest resident memory of a worker; 0 where it is not known.
    causes : dict
        Cause to the indices of the items that failed by it, most frequent first.
    unfinished : sequence of int
        The items that have not ended.
    why_unfinished : str
        Why they never will, unless someone resumes the run; empty while it goes on.
    traceback : str
        Of the first failed item, as its worker saw it.
    is_abandoned : bool
        Whether it goes on elsewhere, and no living process follows it.
    """

    run: Run
    state: State
    counts: Counts
    seconds: Seconds | None = None
    peak_memory_bytes: int = 0
    causes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    unfinished: Sequence[int] = ()
    why_unfinished: str = ""
    traceback: str = ""
    is_abandoned: bool = False

    @property
    def first_failed(self) -> int | None:
        """Return the first failed item."""
        return min((indices[0] for indices in self.causes.values()), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the record for another program; of environment variables the names alone."""
        run = self.run
        return {
            "run_id": run.run_id,
            "name": run.name,
            "function": run.function,
            "backend": run.backend,
            "status": status_of(self.state, self.counts),
            "why_unfinished": self.why_unfinished,
            **self.counts._asdict(),
            "total": run.length,
            "created": run.created,
            "is_single": run.is_single,
            "parent": run.parent or None,
            "seconds": None if self.seconds is None else self.seconds._asdict(),
            "peak_memory_bytes": self.peak_memory_bytes or None,
            "resources": asdict(run.resources),
            "retries": {"raised": run.orders.raised_retries, "lost": run.orders.lost_retries},
            "on_error": run.orders.on_error,
            "env_vars": sorted(run.orders.env_vars),
            "causes": [{"cause": cause, "indices": list(items)} for cause, items in self.causes.items()],
            "unfinished": list(self.unfinished),
            "first_failed": self.first_failed,
            "traceback": self.traceback or None,
        }


def read_record(future: MapFuture[Any]) -> Record:
    """Return what the ledger tells of a run."""
    items, state = future.items, future.state
    unfinished = [index for index in range(len(future)) if items.outcome(index) is None]
    is_left = bool(unfinished) and state is not State.RUNNING
    seconds, peak_memory_bytes = _measure(_ended(future))
    causes = {
        cause: indices
        for cause, indices in future.failed.causes().items()
        if items.outcome(indices[0]) is not None
    }
    first = min((indices[0] for indices in causes.values()), default=None)
    return Record(
        run=future.run,
        state=state,
        counts=items.counts,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes,
        causes=causes,
        unfinished=unfinished,
        why_unfinished=_why_unfinished(future, unfinished[0]) if is_left else "",
        traceback="" if first is None else _traceback(future, first),
    )


def _ended(future: MapFuture[Any]) -> Iterator[tuple[int, Envelope]]:
    for index in range(len(future)):
        if future.items.outcome(index) not in (None, Outcome.CANCELLED):
            yield index, future.items.envelope(index)


def _measure(ended: Iterator[tuple[int, Envelope]]) -> tuple[Seconds | None, int]:
    times, peak_memory_bytes = [], 0
    for index, envelope in ended:
        times.append((envelope.seconds, index))
        peak_memory_bytes = max(peak_memory_bytes, envelope.peak_memory_bytes)
    if not times:
        return None, 0
    seconds = [time for time, _ in times]
    return Seconds(sum(seconds), statistics.median(seconds), *max(times)), peak_memory_bytes


def _why_unfinished(future: MapFuture[Any], index: int) -> str:
    """Return the reason alone: an item's exception begins with which item it is."""
    if future.state is State.CANCELLED:
        return "the run was cancelled"
    return str(future[index].exception()).partition(": ")[2]


def _traceback(future: MapFuture[Any], index: int) -> str:
    """Return an item's traceback, or what else is known where its process left none."""
    traceback = future.items.envelope(index).detail.get("traceback")
    if traceback:
        return traceback
    error = future[index].exception()
    return f"{type(error).__name__}: {error}"
