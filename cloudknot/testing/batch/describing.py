"""How DescribeJobs, ListJobs and events show a job. Pure, and cheap: every move of every job is told."""

from collections.abc import Sequence
from typing import Any

from cloudknot.testing.batch.arrays import count_none
from cloudknot.testing.batch.jobs import Attempt, Job, to_ms

__all__ = ["detail", "summary"]

# The API reference: "a short (255 max characters) human-readable string".
_REASON_CHARACTERS = 255


def detail(job: Job) -> dict[str, Any]:
    """Return a job as DescribeJobs shows it, a `JobDetail`; what is nested in it is not to be changed."""
    order = job.order
    shown: dict[str, Any] = {
        "jobArn": job.arn,
        "jobName": order.name,
        "jobId": job.id,
        "jobQueue": order.queue,
        "status": job.state.value,
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "createdAt": to_ms(job.created_at),
        "retryStrategy": order.retry,
        "dependsOn": order.depends_on,
        "jobDefinition": order.definition,
        "parameters": order.parameters,
        "container": {
            **order.container,
            **_container(job.attempt),
            "networkInterfaces": _network(job.attempt),
        },
        "tags": job.tags,
        "propagateTags": order.propagate_tags,
        "platformCapabilities": order.platforms,
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
        **_moments(job),
    }
    if order.timeout_s is not None:
        shown["timeout"] = {"attemptDurationSeconds": order.timeout_s}
    if order.share_identifier is not None:
        shown["shareIdentifier"] = order.share_identifier
    if order.scheduling_priority is not None:
        shown["schedulingPriority"] = order.scheduling_priority
    return shown


def summary(job: Job) -> dict[str, Any]:
    """Return a job as ListJobs shows it: a `JobSummary`."""
    shown: dict[str, Any] = {
        "jobArn": job.arn,
        "jobId": job.id,
        "jobName": job.order.name,
        "createdAt": to_ms(job.created_at),
        "status": job.state.value,
        "jobDefinition": job.order.definition,
        **_moments(job),
    }
    if job.attempt is not None:
        shown["container"] = {
            name: value for name, value in _container(job.attempt).items() if name in ("exitCode", "reason")
        }
    # "This field is only present when the value is true" (API reference, JobSummary).
    if job.is_cancelled:
        shown["isCancelled"] = True
    if job.is_terminated:
        shown["isTerminated"] = True
    return shown


def _moments(job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if job.reason is not None:
        shown["statusReason"] = job.reason
    # The service model calls `startedAt` required; the user guide's events of RUNNABLE jobs are without it.
    if job.started_at is not None:
        shown["startedAt"] = to_ms(job.started_at)
    if job.stopped_at is not None:
        shown["stoppedAt"] = to_ms(job.stopped_at)
    if job.size is not None:
        shown["arrayProperties"] = {
            "size": job.size,
            "statusSummary": {state.value: count for state, count in (job.counts or count_none()).items()},
            "statusSummaryLastUpdatedAt": to_ms(job.counted_at or job.created_at),
        }
    elif job.index is not None:
        shown["arrayProperties"] = {"index": job.index}
    return shown


def _attempt(attempt: Attempt) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "container": {**_container(attempt), "networkInterfaces": attempt.network},
        "statusReason": attempt.status_reason,
    }
    if attempt.started_at is not None:
        shown["startedAt"] = to_ms(attempt.started_at)
    if attempt.stopped_at is not None:
        shown["stoppedAt"] = to_ms(attempt.stopped_at)
    return shown


def _container(attempt: Attempt | None) -> dict[str, Any]:
    if attempt is None:
        return {}
    shown: dict[str, Any] = {"taskArn": attempt.task_arn}
    if attempt.instance_arn is not None:
        shown["containerInstanceArn"] = attempt.instance_arn
    # "Each container attempt receives a log stream name when they reach the RUNNING status" (API reference).
    if attempt.started_at is not None and attempt.log_stream is not None:
        shown["logStreamName"] = attempt.log_stream
    if attempt.exit_code is not None:
        shown["exitCode"] = attempt.exit_code
    if attempt.reason is not None:
        shown["reason"] = attempt.reason[:_REASON_CHARACTERS]
    return shown


def _network(attempt: Attempt | None) -> Sequence[Any]:
    return attempt.network if attempt else []
