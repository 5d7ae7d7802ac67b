"""The records that Batch keeps of jobs and of their attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudknot.testing.batch.containers import Requirements
    from cloudknot.testing.batch.dependencies import Dependencies
    from cloudknot.testing.batch.hosts import Fleet
    from cloudknot.testing.batch.machines import Machine
    from cloudknot.testing.clock import Timer

__all__ = ["ENDED", "PLACED", "Attempt", "Job", "Order", "State", "to_ms"]


class State(StrEnum):
    """Where a job stands."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


ENDED = frozenset({State.SUCCEEDED, State.FAILED})
PLACED = frozenset({State.STARTING, State.RUNNING})


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one SubmitJob asked for, definition and overrides taken together; an array's children share it."""

    number: int
    """Its place in the order of submissions."""
    name: str
    queue: str
    """The queue's ARN."""
    queue_name: str
    definition: str
    """The definition's ARN."""
    definition_name: str
    container: Mapping[str, Any]
    needs: Requirements
    retry: Mapping[str, Any]
    timeout_s: int | None
    parameters: Mapping[str, str]
    depends_on: Sequence[Mapping[str, Any]]
    platforms: Sequence[str]
    propagate_tags: bool
    share_identifier: str | None
    scheduling_priority: int | None
    log_group: str | None
    """The group of CloudWatch that its output goes to; None when its log driver writes elsewhere."""
    log_prefix: str
    flaw: str | None = None
    """Why ECS will not take it, so that it fails when its turn has come."""


@dataclass(slots=True, eq=False, kw_only=True)
class Attempt:
    """One attempt of a job: one task of ECS."""

    number: int
    task_id: str
    task_arn: str
    fleet: Fleet
    machine: Machine | None
    """None on Fargate."""
    instance_arn: str | None
    network: Sequence[Mapping[str, str]]
    log_stream: str
    started_at: float | None = None
    stopped_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str | None = None
    forced_reason: str | None = None
    """Why Batch is ending it."""
    is_timed_out: bool = False
    timer: Timer | None = None
    """What Batch will do to it next: ask it to end, then kill it."""


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """A job: one of its own, the parent of an array, or a child of one."""

    id: str
    arn: str
    order: Order
    tags: dict[str, str]
    created_at: float
    seen_from: float = 0.0
    """When those that read begin to see it."""
    state: State = State.SUBMITTED
    reason: str | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    runnable_at: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    """Those that have ended."""
    attempt: Attempt | None = None
    """The one that runs now, else the last one."""
    is_cancelled: bool = False
    is_terminated: bool = False
    stop_reason: str | None = None
    """What the person gave as the reason to cancel or to terminate it."""

    waits: int = 0
    """On how many jobs it still waits."""
    has_failed_dependency: bool = False
    dependencies: Dependencies | None = None
    """Of an array: what its children will wait for."""
    dependents: list[Job] = field(default_factory=list)

    parent: Job | None = None
    index: int | None = None
    size: int | None = None
    """Of an array's parent: how many children it has."""
    children: list[Job] = field(default_factory=list)
    counts: dict[State, int] = field(default_factory=dict)
    """How many children are in each state, kept as they move."""
    counted_at: float = 0.0
    index_dependents: dict[int, list[Job]] = field(default_factory=dict)
    """Who waits for the child of an index, which may not have been made yet."""

    @property
    def is_array(self) -> bool:
        """Whether it only stands for its children."""
        return self.size is not None

    @property
    def has_ended(self) -> bool:
        """Whether it will not move any more."""
        return self.state in ENDED

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in its queue: first in, first out."""
        return self.order.number, self.index or 0


def to_ms(seconds: float) -> int:
    """Return a moment as AWS writes it: in milliseconds.

    >>> to_ms(1.5)
    1500
    """
    return int(seconds * 1000)
