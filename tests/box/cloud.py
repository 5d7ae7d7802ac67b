"""What a project makes on AWS before its first job, in a few lines, for the tests of the box."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from cloudknot.testing import Box

FINAL = ("SUCCEEDED", "FAILED")


class Cloud(Protocol):
    """A box, or what else answers as AWS."""

    def client(self, service: str, **options: Any) -> Any:
        """Return a client of a service."""


def trust(service: str) -> str:
    """Return the trust policy of a role for a service."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(*statements: tuple[str | list[str], str | list[str]]) -> dict[str, Any]:
    """Return a policy that allows these actions, each on its resources."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in statements],
    }


def make_role(
    box: Cloud, name: str, service: str = "ecs-tasks.amazonaws.com", **policies: Mapping[str, Any]
) -> str:
    """Make a role with inline policies; return its ARN."""
    iam = box.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
    for policy_name, document in policies.items():
        iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document))
    return arn


def make_environment(box: Box, name: str = "machines", *, max_vcpus: int = 64, **resources: Any) -> str:
    """Make a managed compute environment, with its network and its instance profile; return its ARN."""
    batch = box.client("batch")
    made = batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={**machines(box, name), "maxvCpus": max_vcpus, **resources},
    )
    box.advance(1)  # else it is CREATING for a second
    wait_until_valid(box, name)
    return str(made["computeEnvironmentArn"])


def make_queue(box: Box, name: str = "queue", *, environment: str | None = None, **options: Any) -> str:
    """Make a queue, with an environment of its own unless one is given; return its name."""
    batch = box.client("batch")
    order = [{"order": 1, "computeEnvironment": environment or make_environment(box, f"{name}-machines")}]
    batch.create_job_queue(
        **{
            "jobQueueName": name,
            "priority": 1,
            "computeEnvironmentOrder": order,
            "state": "ENABLED",
            **options,
        }
    )
    box.advance(1)
    wait_until(
        lambda: batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]["status"] == "VALID",
        f"queue {name}",
    )
    return name


def make_definition(
    box: Box,
    *command: str,
    name: str = "definition",
    image: str = "python:3.11-slim",
    vcpus: float = 1,
    memory_mib: int = 256,
    container: Mapping[str, Any] | None = None,
    **options: Any,
) -> str:
    """Register a job definition; return its name and revision."""
    reply = box.client("batch").register_job_definition(
        jobDefinitionName=name,
        type="container",
        containerProperties={
            "image": image,
            "command": list(command),
            "resourceRequirements": [
                {"type": "VCPU", "value": f"{vcpus:g}"},
                {"type": "MEMORY", "value": str(memory_mib)},
            ],
            **(container or {}),
        },
        **options,
    )
    return f"{reply['jobDefinitionName']}:{reply['revision']}"


def submit(box: Box, definition: str, *, queue: str = "queue", name: str = "job", **options: Any) -> str:
    """Submit a job; return its id."""
    batch = box.client("batch")
    return str(batch.submit_job(jobName=name, jobQueue=queue, jobDefinition=definition, **options)["jobId"])


def describe(box: Box, job_id: str) -> dict[str, Any]:
    """Return what DescribeJobs says of a job."""
    found: list[dict[str, Any]] = box.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    return found[0]


def finish(box: Box, job_id: str, *, timeout_s: float = 60) -> dict[str, Any]:
    """Wait until a job has ended; return what DescribeJobs says of it."""
    return wait_for(box, job_id, *FINAL, timeout_s=timeout_s)


def wait_for(box: Box, job_id: str, *states: str, timeout_s: float = 60) -> dict[str, Any]:
    """Wait until a job is in one of these states; return what DescribeJobs says of it."""
    for job in _looks(box, job_id, timeout_s):
        if job["status"] in states:
            return job
    raise AssertionError(f"{job_id} is not {' or '.join(states)} but {describe(box, job_id)}")


def log_of(box: Box, job: Mapping[str, Any]) -> list[str]:
    """Return the lines that a job's last attempt has written to CloudWatch."""
    events = box.client("logs").get_log_events(
        logGroupName="/aws/batch/job", logStreamName=job["container"]["logStreamName"], startFromHead=True
    )["events"]
    return [event["message"] for event in events]


def wait_until_valid(box: Box, name: str) -> None:
    """Wait until a compute environment can be used."""
    batch = box.client("batch")

    def is_valid() -> bool:
        found = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
        return bool(found[0]["status"] == "VALID")

    wait_until(is_valid, f"environment {name}")


def machines(box: Cloud, name: str) -> dict[str, Any]:
    """Make what machines need, an instance profile of this name among it; return `computeResources`."""
    ec2, iam = box.client("ec2"), box.client("iam")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    groups = [group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]]
    role = f"{name}-instance"
    make_role(
        box,
        role,
        "ec2.amazonaws.com",
        work=policy(("ecr:*", "*"), ("logs:*", "*"), ("ecs:*", "*")),
    )
    profile = iam.create_instance_profile(InstanceProfileName=role)["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    return {
        "type": "EC2",
        "minvCpus": 0,
        "instanceTypes": ["optimal"],
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
        "subnets": subnets[:2],
        "securityGroupIds": groups[:1],
        "instanceRole": profile,
    }


def _looks(box: Box, job_id: str, timeout_s: float) -> Iterator[dict[str, Any]]:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        yield describe(box, job_id)
        time.sleep(0.05)


def wait_until(is_so: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, f"{what} is not ready"
        time.sleep(0.05)
