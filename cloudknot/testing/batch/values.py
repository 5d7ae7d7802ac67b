"""The records that Batch keeps of what people made: environments, queues, definitions."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ComputeEnvironment", "JobDefinition", "JobQueue"]


@dataclass(kw_only=True)
class ComputeEnvironment:
    """Where machines come from. `resources` is `computeResources` as it was given, defaults filled in."""

    name: str
    arn: str
    uuid: str
    created_at: float
    kind: str = "MANAGED"
    """The request's `type`: MANAGED or UNMANAGED."""
    state: str = "ENABLED"
    status: str = "CREATING"
    status_reason: str = ""
    resources: dict[str, Any] = field(default_factory=dict)
    service_role: str = ""
    ecs_cluster_arn: str = ""
    update_policy: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """EC2, SPOT, FARGATE or FARGATE_SPOT."""
        return str(self.resources.get("type", "EC2"))

    @property
    def is_fargate(self) -> bool:
        """Whether it has no machines of its own."""
        return self.model.startswith("FARGATE")

    @property
    def is_usable(self) -> bool:
        """Whether jobs can be placed on it now."""
        return self.state == "ENABLED" and self.status in ("VALID", "UPDATING")


@dataclass(kw_only=True)
class JobQueue:
    """Where jobs wait."""

    name: str
    arn: str
    created_at: float
    priority: int
    environments: list[str]
    """The ARNs of its compute environments, in their order."""
    state: str = "ENABLED"
    status: str = "CREATING"
    status_reason: str = ""
    scheduling_policy_arn: str | None = None
    time_limit_actions: list[dict[str, Any]] = field(default_factory=list)
    """`jobStateTimeLimitActions` as given: reason, state, maxTimeSeconds, action."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class JobDefinition:
    """One revision of a job definition."""

    name: str
    revision: int
    arn: str
    created_at: float
    kind: str = "container"
    status: str = "ACTIVE"
    container: dict[str, Any] = field(default_factory=dict)
    """`containerProperties` as given."""
    parameters: dict[str, str] = field(default_factory=dict)
    retry: dict[str, Any] = field(default_factory=dict)
    """`retryStrategy` as given: attempts, evaluateOnExit."""
    timeout_s: int | None = None
    platforms: list[str] = field(default_factory=list)
    scheduling_priority: int | None = None
    propagate_tags: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    """The request as it came, for members that are only kept and shown again."""
