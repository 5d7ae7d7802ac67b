"""The items of a map, wherever their outcomes lie: in its own run, or in the one it runs again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from cloudknot.ledger import Counts, Outcomes
from cloudknot.runner.envelopes import Envelope, Outcome


class Items:
    """Items by their index in the user's map.

    Parameters
    ----------
    outcomes : Outcomes
        Of the run's own positions.
    length : int
        Items in the map.
    indices : tuple of int, optional
        The item of each position, rising, where the run covers only some items.
    before : Items, optional
        Where the other items' outcomes are.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        length: int,
        *,
        indices: tuple[int, ...] | None = None,
        before: Items | None = None,
    ) -> None:
        self.outcomes = outcomes
        self._length = length
        self._indices = indices
        self._before = before

    def __len__(self) -> int:
        return self._length

    @property
    def counts(self) -> Counts:
        """Return how many items have ended, those of the run before too."""
        own = self.outcomes.counts
        if self._before is None or self._indices is None:
            return own
        kept = self._length - len(self._indices)
        return Counts(own.done + kept, own.failed, own.cancelled)

    def position(self, index: int) -> int | None:
        """Return an item's position in this run; None where it is not run again."""
        if self._indices is None:
            return index
        place = bisect_left(self._indices, index)
        return place if place < len(self._indices) and self._indices[place] == index else None

    def of_positions(self, positions: Iterable[int]) -> Iterable[int]:
        """Return the indices of the items at these positions."""
        return positions if self._indices is None else (self._indices[place] for place in positions)

    def outcome(self, index: int) -> Outcome | None:
        """Return how an item ended; None while it has not."""
        position = self.position(index)
        if position is not None:
            return self.outcomes.outcome(position)
        return self._before.outcome(index) if self._before is not None else None

    def envelope(self, index: int) -> Envelope:
        """Return the envelope of an item that has ended."""
        position = self.position(index)
        if position is None and self._before is not None:
            return self._before.envelope(index)
        return self.outcomes.envelope(index if position is None else position)

    def read_stored(self, index: int) -> Callable[[Envelope], bytes]:
        """Return what reads the pickle of an item's envelope."""
        if self.position(index) is None and self._before is not None:
            return self._before.read_stored(index)
        return self.outcomes.read_stored

    def pickles(self) -> Iterator[bytes]:
        """Yield the pickle of each item's value, in order; all must have one."""
        if self._indices is None:
            yield from self.outcomes.pickles()
            return
        for index in range(self._length):
            yield self.read_stored(index)(self.envelope(index))

    def not_fine(self) -> Iterator[int]:
        """Yield the items that have no value: failed, cancelled or not ended."""
        return iter(self.of_positions(self.outcomes.positions(failed=False)))

    def failed(self) -> Iterator[int]:
        """Yield the items that have failed."""
        return iter(self.of_positions(self.outcomes.positions(failed=True)))
