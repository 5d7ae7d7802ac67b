"""What was asked of the box: who asked, what it needed, how it was answered, and how large it was."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Call", "Journal"]

_KEPT = 200_000


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as CloudTrail would have it."""

    number: int
    at: float
    """Seconds since the epoch, box time."""
    principal: str
    """The ARN of who asked; empty for one who is not known."""
    service: str
    operation: str
    actions: tuple[tuple[str, str], ...]
    """The IAM actions that it needs, each with its resource."""
    status: int
    error: str
    """AWS's error code; empty when it succeeded."""
    sent_bytes: int
    """The size of the request's body."""
    received_bytes: int
    """The size of the answer's body."""


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
