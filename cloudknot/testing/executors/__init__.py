"""What runs the containers of the box's jobs: docker, or processes of this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Executor", "Observer", "Outcome", "Task"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One attempt of one job, as it is to be run.

    `container` has Batch's own container properties in effect (overrides and parameters are in them already),
    for what only an executor knows how to do: `user`, `privileged`, `readonlyRootFilesystem`, `ulimits`,
    `linuxParameters`, `mountPoints`, `volumes`.
    """

    id: str
    """The task's id, as ECS has it: 32 hexadecimal digits."""
    job_id: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """All of it: the job's own, Batch's, secrets, the box's endpoint and credentials."""
    vcpus: float
    memory_mib: int
    gpus: int = 0
    container: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended, in the words of AWS."""

    exit_code: int | None
    """None when no container of it ever ran, or when its host is gone."""
    reason: str | None = None
    """The container's reason: `OutOfMemoryError: Container killed due to memory usage`, `CannotPull...`."""
    status_reason: str = "Essential container in task exited"


class Observer(Protocol):
    """Who is told what becomes of a task; called from the executor's threads, never with its locks held."""

    def started(self, task_id: str) -> None:
        """Hear that the container runs."""

    def wrote(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        """Take lines that it wrote, each with its time in milliseconds since the epoch (real time)."""

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """Hear that it is over and all that it wrote was told; said once for each task that was started."""


class Executor(Protocol):
    """Runs tasks. Every method returns at once."""

    def start(self, task: Task, observer: Observer) -> None:
        """Begin to run a task, which may have to wait for a place on this machine."""

    def stop(self, task_id: str) -> None:
        """Ask a task to end: SIGTERM. One that waits will not start; unknown and ended ones are left."""

    def kill(self, task_id: str) -> None:
        """End a task: SIGKILL."""

    def close(self) -> None:
        """Kill all that runs and remove every trace; returns when nothing is left (the one that waits)."""
