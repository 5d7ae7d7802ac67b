"""One machine: what it has, what it offers, what is left of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cloudknot.testing.batch.account import InstanceType
from cloudknot.testing.batch.containers import Requirements
from cloudknot.testing.batch.jobs import Job
from cloudknot.testing.clock import Timer

__all__ = ["Host", "Later", "Machine", "Pace"]

Later = Callable[[float, Callable[[], None]], Timer]
"""Does something so many seconds from now, with the lock of Batch held."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine, as it is seen from outside."""

    instance_id: str
    instance_type: str
    environment: str
    is_spot: bool
    vcpus: int
    memory_mib: int
    """What it offers to jobs."""
    job_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long machines take, in seconds of the box's time."""

    launch_s: float = 0.0
    """From the decision to launch until the machine takes jobs."""
    idle_s: float = 60.0
    """For how long one without jobs is kept."""
    retry_s: float = 10.0
    """From a failed launch to the next."""


@dataclass(slots=True, eq=False, kw_only=True)
class Machine:
    """An instance of EC2."""

    id: str
    arn: str
    """As ECS knows it: a container instance."""
    kind: InstanceType
    vcpus: float
    memory_mib: int
    gpus: int
    """What is left of each."""
    is_ready: bool = False
    has_worked: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    idle: Timer | None = None

    def holds(self, needs: Requirements) -> bool:
        """Say whether there is room for such a job."""
        return needs.vcpus <= self.vcpus and needs.memory_mib <= self.memory_mib and needs.gpus <= self.gpus
