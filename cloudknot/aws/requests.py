"""What is asked of Batch for a run, as its requests have it: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cloudknot.aws.planning import JobSlice
from cloudknot.aws.substrate import STACK_TAG, Substrate
from cloudknot.runner.waves import Wave
from cloudknot.runs import Run
from cloudknot.sizes import size_on_batch
from cloudknot.specs import Resources

RUNNER = ("/opt/cloudknot/bin/python", "-P", "-m", "cloudknot.runner")
# The reason of jobs that were ended because the run was cancelled.
CANCELLED = "cancelled with cloudknot"
RUN_TAG, KNOT_TAG = "cloudknot:run", "cloudknot:knot"

# Each job says what it asks for; a definition must all the same, and Fargate takes this too.
_ANY_SIZE = Resources(vcpus=1, memory_mib=2048)
# What is said of a job whose machine was taken away.
_RECLAIMED = {True: "Your Spot Task was interrupted*", False: "Host EC2*"}


def _retries(resources: Resources) -> dict[str, Any]:
    """Return the most tries that Batch allows, for losses of the platform only; no match would be a retry."""
    rules = [
        {"onStatusReason": _RECLAIMED[resources.fargate], "action": "RETRY"},
        {"onStatusReason": "Task failed to start*", "action": "RETRY"},
        {"onReason": "CannotPullContainer*", "action": "RETRY"},
        {"onExitCode": "75", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ]
    return {"attempts": 10, "evaluateOnExit": rules}


# Batch's own timeout is a backstop behind the runner's: it ends the whole job, and is not retried.
_LEAST_TIMEOUT_S = 60
_MOST_TIMEOUT_S = 2**31 - 1
_START_S = 600
_DEFAULT_EPHEMERAL_GIB = 20


def definition_request(run: Run, substrate: Substrate) -> dict[str, Any]:
    """Return what registers the job definition of a Knot's runs; its name is the digest of its content.

    Parameters
    ----------
    run : Run
        Of which it has the Knot's name, the image, the secrets, and whether it is Fargate's. What a job uses
        comes with the job.
    substrate : Substrate
        Whose roles and log group it has.
    """
    resources = run.resources
    container: dict[str, Any] = {
        "image": run.image,
        "command": list(RUNNER),
        "jobRoleArn": substrate.job_role_arn,
        "executionRoleArn": substrate.execution_role_arn,
        "environment": [{"name": "AWS_DEFAULT_REGION", "value": substrate.region}],
        "resourceRequirements": _requirements(_ANY_SIZE, _ANY_SIZE.memory_mib or 0),
        "secrets": [
            {"name": name, "valueFrom": arn} for name, arn in sorted(dict(resources.secrets).items())
        ],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": substrate.log_group,
                "awslogs-region": substrate.region,
                "mode": "non-blocking",  # a slow CloudWatch must not hold up the items
                "max-buffer-size": "4m",
            },
        },
    }
    if resources.fargate:
        architecture = "ARM64" if resources.arch == "arm64" else "X86_64"
        container["networkConfiguration"] = {
            "assignPublicIp": "ENABLED" if substrate.assigns_public_ip else "DISABLED"
        }
        container["runtimePlatform"] = {"operatingSystemFamily": "LINUX", "cpuArchitecture": architecture}
        if (resources.volume_gib or 0) > _DEFAULT_EPHEMERAL_GIB:
            container["ephemeralStorage"] = {"sizeInGiB": resources.volume_gib}
    content = {
        "type": "container",
        "platformCapabilities": ["FARGATE" if resources.fargate else "EC2"],
        "containerProperties": container,
        "propagateTags": True,
        "tags": {**substrate.tags, STACK_TAG: substrate.stack, KNOT_TAG: run.name},
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
    return {"jobDefinitionName": f"{substrate.stack}-{digest}", **content}


def job_name(run_id: str, wave: int, offset: int) -> str:
    """Return a job's name, by which it is found again: no two have the same."""
    return f"{run_id}-{wave}-{offset}"


def run_of(job: str) -> str:
    """Return the run of a job, by its name.

    Examples
    --------
    >>> run_of(job_name("fit-20261121t200113-x7", 0, 10_000))
    'fit-20261121t200113-x7'
    """
    return job.rsplit("-", 2)[0]


def submit_request(
    run: Run,
    wave: Wave,
    part: JobSlice,
    *,
    queue: str,
    definition: str,
    store_uri: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Return what submits one job of a wave."""
    request: dict[str, Any] = {
        "jobName": job_name(run.run_id, wave.number, part.offset),
        "jobQueue": queue,
        "jobDefinition": definition,
        "containerOverrides": {
            "command": [*RUNNER, store_uri, run.run_id, str(wave.number), str(part.offset)],
            "resourceRequirements": _requirements(run.resources, wave.memory_mib),
        },
        "retryStrategy": _retries(run.resources),
        "tags": {**tags, RUN_TAG: run.run_id, KNOT_TAG: run.name},
        "propagateTags": True,
    }
    if part.size > 1:
        request["arrayProperties"] = {"size": part.size}
    longest_s = longest_seconds(run, wave)
    if longest_s is not None:
        request["timeout"] = {"attemptDurationSeconds": longest_s}
    return request


def longest_seconds(run: Run, wave: Wave) -> int | None:
    """Return the seconds after which a job of a wave must have ended its items; None: there is no limit."""
    timeout_s = run.resources.timeout_s
    if timeout_s is None:
        return None
    items = max(span.size for span in wave.spans)
    tries = 1 + run.retry.raised + run.retry.lost
    return min(max(_LEAST_TIMEOUT_S, int(_START_S + items * tries * (timeout_s + 1))), _MOST_TIMEOUT_S)


def memory_of(resources: Resources) -> int:
    """Return the memory that a run's first jobs ask for, in MiB."""
    return size_on_batch(resources.vcpus, resources.memory_mib, is_fargate=resources.fargate).memory_mib


def _requirements(resources: Resources, memory_mib: int) -> list[dict[str, str]]:
    wanted = [
        {"type": "VCPU", "value": f"{resources.vcpus:g}"},
        {"type": "MEMORY", "value": str(memory_mib)},
    ]
    if resources.gpus:
        wanted.append({"type": "GPU", "value": str(resources.gpus)})
    return wanted
