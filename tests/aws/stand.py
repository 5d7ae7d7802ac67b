"""Stacks in the box for the tests of what is on AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.aws.bootstrap import Wishes, make
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate
from cloudknot.testing import Box

REGION = "us-east-1"
ACCOUNT = "123456789012"
FINAL = ("SUCCEEDED", "FAILED")


def here() -> Aws:
    """Return access to the box's region."""
    return Aws(region=REGION)


def settle(seconds: float) -> None:
    """Wait, but not as long as for AWS."""
    time.sleep(min(seconds, 0.1))


def make_stack(**wishes: Any) -> Substrate:
    """Make a stack as wished."""
    return make(here(), Wishes(**wishes), sleep=settle)


def register(box: Box, substrate: Substrate, *command: str, name: str = "work", **container: Any) -> str:
    """Register a job definition as a Knot does; return its ARN."""
    is_fargate = "networkConfiguration" in container
    reply = box.client("batch").register_job_definition(
        jobDefinitionName=f"{substrate.stack}-{name}",
        type="container",
        platformCapabilities=["FARGATE" if is_fargate else "EC2"],
        containerProperties={
            "image": "python:3.11-slim",
            "command": list(command),
            "jobRoleArn": substrate.job_role_arn,
            "executionRoleArn": substrate.execution_role_arn,
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "2048"},
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": substrate.log_group, "awslogs-stream-prefix": "job"},
            },
            **container,
        },
        tags=dict(substrate.tags),
    )
    return str(reply["jobDefinitionArn"])


def submit(box: Box, queue: str, definition: str, **options: Any) -> str:
    """Submit a job; return its id."""
    reply = box.client("batch").submit_job(jobName="job", jobQueue=queue, jobDefinition=definition, **options)
    return str(reply["jobId"])


def describe(box: Box, job: str) -> dict[str, Any]:
    """Return what Batch says of a job."""
    found: dict[str, Any] = box.client("batch").describe_jobs(jobs=[job])["jobs"][0]
    return found


def finish(box: Box, job: str) -> dict[str, Any]:
    """Wait until a job has ended; return what Batch says of it."""
    wait_until(lambda: describe(box, job)["status"] in FINAL)
    return describe(box, job)


def log_of(box: Box, substrate: Substrate, job: Mapping[str, Any]) -> list[str]:
    """Return the lines of a job's last attempt."""
    events = box.client("logs").get_log_events(
        logGroupName=substrate.log_group, logStreamName=job["container"]["logStreamName"], startFromHead=True
    )
    return [str(event["message"]) for event in events["events"]]


def wait_until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it does not come to be so"
        time.sleep(0.05)


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    """Return a policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def become(box: Box, monkeypatch: Any, name: str, *policies: Mapping[str, Any]) -> None:
    """Let all that reads AWS's variables be a person who may do what the policies allow."""
    keys = box.user(name, *policies).get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)


def make_role(box: Box, name: str, service: str, *, trusts: str = "sts:AssumeRole") -> str:
    """Make a role that a service may assume; return its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": trusts}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    reply = box.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
    return str(reply["Role"]["Arn"])
