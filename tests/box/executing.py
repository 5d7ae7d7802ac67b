"""What the tests of the executors share: an observer that writes down what it is told."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from cloudknot.testing.executors import Outcome, Task

IMAGE = "python:3.11-slim"
TIMEOUT_S = 60.0
SLEEP = ("sleep", "1000")
# The first process of a container has no default action for SIGTERM: without a handler it is ignored.
UNTIL_TOLD = ("sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")


def make_task(*command: str, **changes: Any) -> Task:
    given = {"image": IMAGE, "environment": {}, "vcpus": 1.0, "memory_mib": 256, "job_id": "a-job", **changes}
    return Task(id=uuid.uuid4().hex, command=command, **given)


def script(code: str) -> tuple[str, ...]:
    return ("python3", "-S", "-c", code)


class Told:
    """An observer that keeps what it was told, and lets tests wait for it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: dict[str, list[str]] = {}
        self.lines: dict[str, list[tuple[int, str]]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.threads: set[int] = set()
        self.at_once = self.most_at_once = 0

    def started(self, task_id: str) -> None:
        self._note(task_id, "started", +1)

    def wrote(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        with self.changed:
            self.lines.setdefault(task_id, []).extend(lines)
        self._note(task_id, "wrote", 0)

    def ended(self, task_id: str, outcome: Outcome) -> None:
        with self.changed:
            self.outcomes[task_id] = outcome
        self._note(task_id, "ended", -1 if "started" in self.calls.get(task_id, ()) else 0)

    def text(self, task: Task) -> list[str]:
        return [text for _, text in self.lines.get(task.id, ())]

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), "it did not come about in time"

    def wait_started(self, task: Task) -> None:
        self.wait(lambda: "started" in self.calls.get(task.id, ()))

    def wait_line(self, task: Task, text: str) -> None:
        self.wait(lambda: text in self.text(task))

    def outcome(self, task: Task) -> Outcome:
        self.wait(lambda: "ended" in self.calls.get(task.id, ()))
        return self.outcomes[task.id]

    def _note(self, task_id: str, call: str, change: int) -> None:
        with self.changed:
            self.threads.add(threading.get_ident())
            self.calls.setdefault(task_id, []).append(call)
            self.at_once += change
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.changed.notify_all()
