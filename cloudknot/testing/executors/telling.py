"""Tells observers what becomes of their tasks: in order, once, from a thread that holds nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

from cloudknot.testing.executors import Observer, Outcome
from cloudknot.testing.executors.lines import Line

__all__ = ["Channel", "Teller"]

_LOG = logging.getLogger(__name__)

# Lines that an observer has not taken yet; those who write more wait.
_KEPT_CHARACTERS = 8 << 20
# Lines told at once, so that an observer that writes each batch somewhere has batches of a bounded size.
_BATCH = 1000
# Between two rounds, so that lines that come singly are told together.
_PAUSE_S = 0.01


class Teller:
    """One thread that calls the observers of all tasks.

    An observer that raises is written down in the log, and the telling goes on.

    Parameters
    ----------
    end_s : float, default 30
        How long `close` waits for an observer that does not return.
    """

    def __init__(self, *, end_s: float = 30.0) -> None:
        self._end_s = end_s
        self._changed = threading.Condition()
        self._waiting: list[tuple[Channel, Outcome | Sequence[Line] | None]] = []
        self._characters = 0
        self._is_closing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="box teller", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell all that is left, and end."""
        with self._changed:
            self._is_closing = True
            self._closing.set()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:  # an observer may close what tells it
            self._thread.join(self._end_s)
            if self._thread.is_alive():
                _LOG.warning("an observer of the box's tasks does not return: it is left behind")

    def post(self, channel: Channel, what: Outcome | Sequence[Line] | None) -> None:
        """Have something told; after the end of a task nothing more is."""
        with self._changed:
            if isinstance(what, Sequence):
                self._changed.wait_for(lambda: self._characters < _KEPT_CHARACTERS or self._is_closing)
            if channel.is_over:
                return
            self._characters += _size(what) if isinstance(what, Sequence) else 0
            channel.is_over = isinstance(what, Outcome)
            self._waiting.append((channel, what))
            self._changed.notify_all()

    def _tell(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting, []
                self._characters = 0
                self._changed.notify_all()
            for channel, what in _together(batch):
                channel.tell(what)
            self._closing.wait(_PAUSE_S)


class Channel:
    """The way to the observer of one task."""

    def __init__(self, teller: Teller, task_id: str, observer: Observer) -> None:
        self.is_over = False
        self._teller = teller
        self._task_id = task_id
        self._observer = observer

    def started(self) -> None:
        """Have it told that the task runs."""
        self._teller.post(self, None)

    def wrote(self, lines: Sequence[Line]) -> None:
        """Have lines told; waits while very much is untold."""
        if lines:
            self._teller.post(self, lines)

    def ended(self, outcome: Outcome) -> None:
        """Have the end told; a second end is left out."""
        self._teller.post(self, outcome)

    def tell(self, what: Outcome | Sequence[Line] | None) -> None:
        """Call the observer."""
        try:
            if what is None:
                self._observer.started(self._task_id)
            elif isinstance(what, Outcome):
                self._observer.ended(self._task_id, what)
            else:
                self._observer.wrote(self._task_id, what)
        except Exception:
            _LOG.exception("the observer of task %s failed", self._task_id)


def _together(
    batch: Sequence[tuple[Channel, Outcome | Sequence[Line] | None]],
) -> Iterator[tuple[Channel, Outcome | Sequence[Line] | None]]:
    """Join the lines of each task; the order within a task stays."""
    lines: dict[Channel, list[Line]] = {}
    for channel, what in batch:
        if isinstance(what, Sequence):
            lines.setdefault(channel, []).extend(what)
        else:
            yield from _portions(channel, lines.pop(channel, []))
            yield channel, what
    for channel, left in lines.items():
        yield from _portions(channel, left)


def _portions(channel: Channel, lines: list[Line]) -> Iterator[tuple[Channel, Sequence[Line]]]:
    for first in range(0, len(lines), _BATCH):
        yield channel, lines[first : first + _BATCH]


def _size(lines: Sequence[Line]) -> int:
    return sum(len(text) + 64 for _, text in lines)
