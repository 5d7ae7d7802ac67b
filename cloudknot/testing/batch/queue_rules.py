"""What AWS Batch demands of a job queue: the rules of its API's reference, in words not confirmed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import ENVIRONMENTS_OF_QUEUE
from cloudknot.testing.batch.refusals import refusal
from cloudknot.testing.batch.values import ComputeEnvironment

__all__ = ["check_actions", "check_family", "check_order"]

# Ten minutes to a day.
_LIMIT_S = range(600, 86_401)


def check_order(asked: Sequence[Mapping[str, Any]]) -> None:
    """Refuse none, too many, and two of the same number."""
    if not asked:
        raise refusal("At least one compute environment is required.")
    if len(asked) > ENVIRONMENTS_OF_QUEUE:
        raise refusal(
            f"A job queue can have at most {ENVIRONMENTS_OF_QUEUE} compute environments, got {len(asked)}"
        )
    for member in ("order", "computeEnvironment"):
        if len({one[member] for one in asked}) < len(asked):
            raise refusal(f"Each {member} of computeEnvironmentOrder must be there once")


def check_family(
    environments: Sequence[ComputeEnvironment], architectures: Sequence[str | None], kind: str | None
) -> None:
    """Refuse environments that are not VALID, or that cannot share a queue.

    Parameters
    ----------
    environments : sequence of ComputeEnvironment
        Those of the queue.
    architectures : sequence of str or None
        What the machines of each are.
    kind : str or None
        The request's `jobQueueType`.
    """
    for one in environments:
        if one.status not in ("VALID", "UPDATING"):
            raise ClientException(f"ComputeEnvironment {one.arn} is not in VALID status")
    if len({one.is_fargate for one in environments}) > 1:
        raise ClientException("EC2 and Fargate compute environments can't be mixed in a job queue")
    if len(set(architectures) - {None}) > 1:
        raise ClientException("All compute environments of a job queue must share the same architecture")
    expected = "ECS_FARGATE" if environments[0].is_fargate else "ECS"
    if kind not in (None, expected):
        raise ClientException(f"A job queue with these compute environments is {expected}, not {kind}")


def check_actions(actions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse time limits outside of ten minutes to a day, and what is not done to a container's job."""
    for one in actions:
        if one["maxTimeSeconds"] not in _LIMIT_S:
            bounds = f"{_LIMIT_S[0]} and {_LIMIT_S[-1]}"
            raise refusal(f"maxTimeSeconds must be between {bounds}, got {one['maxTimeSeconds']}")
        if one["action"] != "CANCEL":
            raise refusal(f"The action {one['action']} is not supported for this job queue: CANCEL is")
