"""What was asked of the box: who asked, what it needed, how it was answered, and how large it was."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cloudknot.testing.calls import Call

__all__ = ["Journal"]

_KEPT = 200_000


class Journal:
    """The last calls, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=_KEPT)
        self._count = 0

    def write(self, **facts: Any) -> None:
        """Add a call."""
        with self._lock:
            self._count += 1
            self._calls.append(Call(number=self._count, **facts))

    def read(self, after: int = 0) -> Sequence[dict[str, Any]]:
        """Return the calls whose number is larger than `after`, as plain values."""
        with self._lock:
            calls = list(self._calls)
        return [asdict(call) for call in calls if call.number > after]
