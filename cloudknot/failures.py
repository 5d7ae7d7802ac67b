"""The failed items of a map, and why they failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, overload

from cloudknot.calls import CallFuture, R
from cloudknot.items import Items
from cloudknot.runner.envelopes import Outcome

_SHOWN_CAUSES = 5
# A display looks at no more failures than this.
LOOKED_AT = 1000
_ERRORS = {
    Outcome.NOT_PICKLABLE: "NotPicklableError",
    Outcome.TIMED_OUT: "CallTimeoutError",
    Outcome.LOST: "CallLostError",
}


class Failed(Sequence[CallFuture[R]], Generic[R]):
    """The failed items' futures, in order.

    Parameters
    ----------
    indices : sequence of int
        The failed items.
    item : callable
        Returns an item's future.
    items : Items
        What became of the map's items.
    explain : callable
        Returns why an item has no outcome.
    """

    def __init__(
        self,
        indices: Sequence[int],
        item: Callable[[int], CallFuture[R]],
        items: Items,
        explain: Callable[[int], BaseException],
    ) -> None:
        self.indices = indices
        self._item = item
        self._items = items
        self._explain = explain

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> CallFuture[R]: ...
    @overload
    def __getitem__(self, place: slice) -> list[CallFuture[R]]: ...
    def __getitem__(self, place: int | slice) -> CallFuture[R] | list[CallFuture[R]]:
        if isinstance(place, slice):
            return [self._item(index) for index in self.indices[place]]
        return self._item(self.indices[place])

    def causes(self, *, limit: int | None = None) -> dict[str, list[int]]:
        """Return the failed items grouped by cause, most frequent first, and last those that never ran.

        Parameters
        ----------
        limit : int, optional
            Look at this many of them only.

        Returns
        -------
        dict of str to list of int
            What failed, with the first item's message and the line, to the items' indices. Failures of
            the same type at the same line are one cause, also where their messages name the item.
        """
        groups: dict[tuple[str, str], list[int]] = {}
        for index in self.indices[:limit]:
            groups.setdefault(self._key(index), []).append(index)
        # What never ran tells nothing of the cause, however many they are.
        by_weight = sorted(
            groups.values(), key=lambda indices: (self._items.outcome(indices[0]) is None, -len(indices))
        )
        return {self._describe(indices[0]): indices for indices in by_weight}

    def __repr__(self) -> str:
        groups = self.causes(limit=LOOKED_AT).items()
        causes = [f"{len(indices)} x {cause}" for cause, indices in groups]
        if len(self) > LOOKED_AT:
            causes[0] = f"of the first {LOOKED_AT}: {causes[0]}"
        more = [f"{len(causes) - _SHOWN_CAUSES} more causes"] if len(causes) > _SHOWN_CAUSES else []
        said = "; ".join(causes[:_SHOWN_CAUSES] + more)
        return f"<{len(self)} failed of {len(self._items)}{f': {said}' if said else ''}>"

    def _key(self, index: int) -> tuple[str, str]:
        if self._items.outcome(index) is None:
            return type(self._explain(index)).__name__, ""
        envelope = self._items.envelope(index)
        kind, where = envelope.signature
        return kind, where or envelope.detail.get("reason", "")

    def _describe(self, index: int) -> str:
        if self._items.outcome(index) is None:
            error = self._explain(index)
            return f"{type(error).__name__}: {str(error).removeprefix(f'item {index} ')}"
        envelope = self._items.envelope(index)  # its exception is not rebuilt: that would run its own code
        detail = envelope.detail
        name = _ERRORS.get(envelope.outcome, detail.get("type", ""))
        said = detail.get("reason" if envelope.outcome in _ERRORS else "message", "")
        where = f" ({detail['where']})" if detail.get("where") else ""
        return f"{name}: {said.partition(chr(10))[0]}{where}"
