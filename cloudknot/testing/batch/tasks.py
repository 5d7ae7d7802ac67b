"""What an attempt is as a task of ECS. Pure."""

import secrets
from collections.abc import Mapping

from cloudknot.testing.batch.arrays import child_environment
from cloudknot.testing.batch.jobs import Attempt, Job, Order
from cloudknot.testing.batch.machines import Machine
from cloudknot.testing.executors import Task

__all__ = ["batch_environment", "log_place", "log_stream", "make_task", "network_of"]

_LOG_GROUP = "/aws/batch/job"


def make_task(job: Job, attempt: Attempt, platform: Mapping[str, str]) -> Task:
    """Return the task of an attempt; what the platform sets goes before the job's own, as on ECS."""
    container = job.order.container
    needs = job.order.needs
    return Task(
        id=attempt.task_id,
        job_id=job.id,
        image=container["image"],
        command=tuple(container.get("command", ())),
        environment={
            **{pair["name"]: pair.get("value", "") for pair in container.get("environment", ())},
            **platform,
            **batch_environment(job, attempt),
        },
        vcpus=needs.vcpus,
        memory_mib=needs.memory_mib,
        gpus=needs.gpus,
        container=container,
    )


def batch_environment(job: Job, attempt: Attempt) -> dict[str, str]:
    """Return the variables that Batch sets (user guide, job_env_vars)."""
    return {
        "AWS_BATCH_CE_NAME": attempt.fleet.environment.name,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt.number),
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JQ_NAME": job.order.queue_name,
        **child_environment(job),
    }


def log_place(container: Mapping[str, object], definition_name: str) -> tuple[str | None, str]:
    """Return the log group and the prefix of the streams that a container's output goes to.

    >>> log_place({}, "simulate")
    ('/aws/batch/job', 'simulate')
    """
    configuration = container.get("logConfiguration")
    if not isinstance(configuration, Mapping):
        return _LOG_GROUP, definition_name
    if configuration.get("logDriver", "awslogs") != "awslogs":
        return None, definition_name
    options = configuration.get("options") or {}
    return options.get("awslogs-group", _LOG_GROUP), options.get("awslogs-stream-prefix", definition_name)


def log_stream(order: Order, task_id: str) -> str:
    """Return an attempt's log stream: `jobDefinitionName/default/ecs_task_id` (user guide, job_states)."""
    return f"{order.log_prefix}/default/{task_id}"


def network_of(machine: Machine | None) -> list[Mapping[str, str]]:
    """Return the network interfaces of a task: one of its own on Fargate, none on a machine."""
    if machine is not None:
        return []
    low, high = secrets.randbelow(256), secrets.randbelow(254) + 1
    return [{"attachmentId": secrets.token_hex(16), "privateIpv4Address": f"10.0.{low}.{high}"}]
