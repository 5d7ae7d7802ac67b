"""Which items of a run go to a worker next. Decides only; the pool acts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

from cloudknot.runs import Chunk, FailureRule, State, Status
from cloudknot.specs import Resources

# A chunk should last this long: its cost is then small, and its results come soon.
TARGET_S = 0.2
# Towards the end of a run chunks become smaller, but none shorter than this, which is what a chunk costs.
SHORTEST_S = 0.01
# What an item costs a worker beside the function's own time.
ITEM_COST_S = 1e-5
# A chunk that lasts longer than this is asked to give back what it has not begun.
YIELD_S = 1.0


class Dispatch:
    """What remains of one run.

    Parameters
    ----------
    remaining : iterable of Chunk
        The positions that have no outcome yet, in order.
    chunk_size : int, optional
        Items a chunk; None sizes chunks by the time that items take.
    rule : FailureRule
        Told of each item that ends; says when to stop.
    """

    def __init__(self, remaining: Iterable[Chunk], *, chunk_size: int | None, rule: FailureRule) -> None:
        self._remaining = deque(remaining)
        self.left = sum(chunk.last - chunk.first for chunk in self._remaining)
        self._chunk_size = chunk_size
        self._item_s: float | None = None
        self.rule = rule
        self.in_flight: set[Chunk] = set()
        self.broken = ""
        self.is_cancelled = False

    @property
    def has_more(self) -> bool:
        """Return whether a worker could be given something."""
        if not self._remaining or self.is_cancelled or self.rule.reason or self.broken:
            return False
        return not self.rule.holds(self._remaining[0].first)

    def status(self) -> Status:
        """Return where the run stands."""
        if self.in_flight or self.has_more:
            return Status(state=State.RUNNING)
        if self.is_cancelled:
            return Status(state=State.CANCELLED)
        if self.rule.reason:
            return Status(state=State.STOPPED, reason=self.rule.reason)
        if self.broken:
            return Status(state=State.INTERRUPTED, reason=self.broken)
        return Status(state=State.DONE)

    @property
    def yield_s(self) -> float | None:
        """Return the seconds after which a chunk should give back what it has not begun."""
        return YIELD_S if self._chunk_size is None else None

    def take(self, workers: int) -> Chunk:
        """Return the next chunk for one of so many workers."""
        chunk = self._remaining.popleft()
        last = min(chunk.last, chunk.first + self._size(workers))
        if last < chunk.last:
            self._remaining.appendleft(Chunk(last, chunk.last))
        taken = Chunk(chunk.first, last)
        self.left -= last - chunk.first
        self.in_flight.add(taken)
        return taken

    def finish(self, chunk: Chunk) -> None:
        """Take note that a chunk has ended."""
        self.in_flight.discard(chunk)

    def give_back(self, chunk: Chunk) -> None:
        """Take back positions that a chunk has not begun and will not."""
        self._remaining.appendleft(chunk)
        self.left += chunk.last - chunk.first

    def give_up(self, chunk: Chunk, reason: str) -> None:
        """Take note that the run cannot go on, through no item's fault."""
        self.in_flight.discard(chunk)
        self.broken = self.broken or reason

    def measure(self, item_s: float) -> None:
        """Take note of the seconds that an item took: the mean follows the latest ones."""
        item_s += ITEM_COST_S
        self._item_s = item_s if self._item_s is None else (self._item_s + item_s) / 2

    def _size(self, workers: int) -> int:
        if self._chunk_size is not None:
            return self._chunk_size
        if self._item_s is None or self.rule.is_open:
            return 1
        fair_share = math.ceil(self.left / (2 * workers))
        return max(1, min(int(TARGET_S / self._item_s), max(fair_share, int(SHORTEST_S / self._item_s))))


def missing_chunks(spans: Iterable[tuple[int, int]], chunk_size: int | None) -> Iterator[Chunk]:
    """Yield spans of positions as chunks, cut where planned chunks begin.

    Examples
    --------
    >>> list(missing_chunks([(0, 3), (7, 9)], 2))
    [Chunk(first=0, last=2), Chunk(first=2, last=3), Chunk(first=7, last=8), Chunk(first=8, last=9)]
    """
    for first, last in spans:
        begin = first
        while begin < last:
            end = last if chunk_size is None else min(last, (begin // chunk_size + 1) * chunk_size)
            yield Chunk(begin, end)
            begin = end


def has_room(wanted: Resources, running: Iterable[Resources], *, vcpus: float, memory_mib: float) -> bool:
    """Return whether one more item fits beside those that run; one alone always does.

    Parameters
    ----------
    wanted : Resources
        What the item may use.
    running : iterable of Resources
        What the items that run now may use.
    vcpus, memory_mib : float
        What there is.

    Examples
    --------
    >>> has_room(Resources(vcpus=2), [Resources()], vcpus=2, memory_mib=100)
    False
    """
    beside = list(running)
    items = [*beside, wanted]
    fits = (
        sum(item.vcpus for item in items) <= vcpus
        and sum(item.memory_mib or 0 for item in items) <= memory_mib
    )
    return fits or not beside
