"""What jobs need of the catalogue of what people made."""

from collections.abc import Callable
from typing import Protocol

from cloudknot.testing.batch.values import ComputeEnvironment, JobDefinition, JobQueue

__all__ = ["Shelves", "Sources"]


class Sources(Protocol):
    """What the scheduler asks of the catalogue."""

    def queues(self) -> list[JobQueue]:
        """Return all queues."""

    def environments(self) -> list[ComputeEnvironment]:
        """Return all compute environments."""

    def environments_of(self, queue: JobQueue) -> list[ComputeEnvironment]:
        """Return those of a queue, in their order."""


class Shelves(Sources, Protocol):
    """What the engine asks of the catalogue."""

    on_change: Callable[[], None]
    has_jobs: Callable[[str], bool]
    terminate_all: Callable[[str, str], None]

    def queue(self, name_or_arn: str) -> JobQueue:
        """Return a queue."""

    def definition(self, name_or_arn: str) -> JobDefinition:
        """Return a revision of a definition."""
