"""Items that somebody wants to cancel, as a job on another machine hears of it: it looks now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from cloudknot.runner.control import Control
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store


class CancelLook:
    """Looks for marks of cancelled items, and tells a supervisor.

    Parameters
    ----------
    store : Store
        Where the run is.
    run_id : str
        The run.
    first, last : int
        The positions of the chunk, last exclusive.
    control : Control
        The supervisor's.
    """

    def __init__(self, store: Store, run_id: str, first: int, last: int, control: Control) -> None:
        self._store = store
        self._keys = Keys(run_id)
        self._first, self._last = first, last
        self._control = control
        self._is_over = threading.Event()

    def look(self) -> None:
        """Look once; a look that fails is passed over."""
        try:
            found = frozenset(self._positions())
        except Exception:  # a store may raise anything; the next look may do better
            return
        if found - self._control.cancelled_positions:
            self._control.cancelled_positions = found
            self._control.wake()

    def begin(self, every_s: float) -> None:
        """Look again and again, in a thread of its own."""
        threading.Thread(target=self._look_on, args=(every_s,), daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()

    def _look_on(self, every_s: float) -> None:
        while not self._is_over.wait(every_s):
            self.look()

    def _positions(self) -> Iterator[int]:
        after = self._keys.cancel_item(self._first - 1) if self._first else ""
        prefix = f"{self._keys.cancels}item-"
        for key in self._store.list(prefix, after):
            position = int(key[len(prefix) :])
            if position >= self._last:
                return
            yield position
