"""What others may ask of a chunk while it runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Set as AbstractSet


class Control:
    """Asks a supervisor to stop or cancel; safe from any thread.

    Parameters
    ----------
    cancelled_positions : set of int
        Items that must not run, or are killed; it may grow, ``wake`` tells of it.
    """

    def __init__(self, cancelled_positions: AbstractSet[int] = frozenset()) -> None:
        self.is_stopping = False
        self.is_cancelled = False
        self.cancelled_positions = cancelled_positions
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def stop(self) -> None:
        """End after the present item."""
        self.is_stopping = True
        self.wake()

    def cancel(self) -> None:
        """End at once; what runs is killed."""
        self.is_cancelled = True
        self.wake()

    def wake(self) -> None:
        """Let the supervisor look."""
        with contextlib.suppress(BlockingIOError):  # full: it is readable already
            os.write(self._write, b"!")

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something was asked."""
        return self._read

    def clear(self) -> None:
        """Take note that the asking was seen."""
        os.read(self._read, 4096)

    def close(self) -> None:
        """Give the descriptors back. Nothing may be asked afterwards."""
        os.close(self._read)
        os.close(self._write)
