"""What is made in Batch (environments, queues, definitions, tags) is as moto has it, where moto is right."""

from collections.abc import Iterator
from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box import cloud, differing
from tests.box.differing import Side

ROOT = "arn:aws:batch:us-east-1:123456789012"

# Where they differ, and why. Where moto does what AWS refuses (names with spaces, what is in use being
# removed, jobs of definitions that were), it is not asked: all that follows would differ too.
KNOWN: dict[str, str] = {
    "environment: make again/refused": "moto's InvalidParameterValue is not in Batch's model",
    "environment: a name with a space/refused": "moto's InvalidParameterValue is not in Batch's model",
    "environment: no such role/*": "AWS takes it and finds out later; not confirmed",
    "environment: no instance role/*": "AWS takes it and finds out later; not confirmed",
    "environments: */ec2Configuration/0/imageType": "moto leaves out what AWS chooses where nothing is said",
    "environments: */containerOrchestrationType": "moto does not know it",
    "environments: */uuid": "moto does not know it",
    "environments: */ecsClusterArn": "moto's clusters have names of its own",
    "environments: */statusReason": "AWS says ComputeEnvironment Healthy",
    "environments: changed/*/maxvCpus": "moto does not change resources",
    "queues: */computeEnvironmentOrder/0/computeEnvironment": "AWS shows ARNs, moto what was given",
    "queues: */jobQueueType": "moto does not know it",
    "queues: */jobStateTimeLimitActions": "moto does not know it",
    "queues: */statusReason": "moto does not know it",
    "definitions: */containerOrchestrationType": "moto does not know it",
    "definitions: */platformCapabilities/0": "moto leaves out what AWS chooses where nothing is said",
    "definitions: */propagateTags": "moto forgets it",
    "definitions: */evaluateOnExit/0/action": "moto writes it in lower case; the model has upper case alone",
    "policies: by ARN/*/computeReservation": "moto shows a 0 that was not given",
}


def use_batch(side: Side) -> None:
    batch = side.client("batch")
    use_environments(side, batch, cloud.machines(side, "machines"))
    use_queues(side, batch)
    use_definitions(side, batch)
    use_tags(side, batch)
    use_jobs(side, batch)
    remove_all(side, batch)


def use_environments(side: Side, batch: Any, machines: dict[str, Any]) -> None:
    environment = {
        "computeEnvironmentName": "lab-machines",
        "type": "MANAGED",
        "serviceRole": cloud.make_role(side, "service", "batch.amazonaws.com"),  # moto asks for one
        "state": "ENABLED",
        "computeResources": {**machines, "maxvCpus": 8, "desiredvCpus": 0, "instanceTypes": ["m5.large"]},
    }
    side.ask("environments: none", batch, "describe_compute_environments")
    side.ask("environment: make", batch, "create_compute_environment", **environment, tags={"a": "b"})
    side.settle()
    side.ask("environment: make again", batch, "create_compute_environment", **environment)
    side.ask("environments: all", batch, "describe_compute_environments")
    for step, names in (("by name", ["lab-machines"]), ("unknown", ["other"])):
        side.ask(f"environments: {step}", batch, "describe_compute_environments", computeEnvironments=names)
    side.ask(
        "environment: change",
        batch,
        "update_compute_environment",
        computeEnvironment="lab-machines",
        state="DISABLED",
        computeResources={"maxvCpus": 16},
    )
    side.settle()
    side.ask(
        "environments: changed", batch, "describe_compute_environments", computeEnvironments=["lab-machines"]
    )
    side.ask(
        "environment: change back",
        batch,
        "update_compute_environment",
        computeEnvironment="lab-machines",
        state="ENABLED",
    )
    side.settle()
    for step, changed in (
        ("a name with a space", {"computeEnvironmentName": "lab 4"}),
        (
            "no such role",
            {"computeEnvironmentName": "lab-2", "serviceRole": "arn:aws:iam::123456789012:role/none"},
        ),
        (
            "no instance role",
            {
                "computeEnvironmentName": "lab-3",
                "computeResources": {**machines, "maxvCpus": 8, "instanceRole": "none"},
            },
        ),
    ):
        side.ask(f"environment: {step}", batch, "create_compute_environment", **{**environment, **changed})


def use_queues(side: Side, batch: Any) -> None:
    order = [{"order": 1, "computeEnvironment": "lab-machines"}]
    queue = {"jobQueueName": "q", "priority": 3, "state": "ENABLED", "computeEnvironmentOrder": order}
    side.ask("queues: none", batch, "describe_job_queues")
    side.ask("queue: make", batch, "create_job_queue", **queue, tags={"a": "b"})
    side.settle()
    side.ask("queue: make again", batch, "create_job_queue", **queue)
    side.ask("queues: all", batch, "describe_job_queues")
    for step, names in (("by name", ["q"]), ("unknown", ["other"])):
        side.ask(f"queues: {step}", batch, "describe_job_queues", jobQueues=names)
    for step, changed in (
        ("no such environment", {"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "none"}]}),
        ("no environment", {"computeEnvironmentOrder": []}),
    ):
        side.ask(f"queue: {step}", batch, "create_job_queue", **{**queue, "jobQueueName": "q2", **changed})
    side.ask("queue: change", batch, "update_job_queue", jobQueue="q", priority=9)
    side.ask("queue: change an unknown one", batch, "update_job_queue", jobQueue="none", priority=9)
    side.settle()
    side.ask("queues: changed", batch, "describe_job_queues", jobQueues=["q"])


def use_definitions(side: Side, batch: Any) -> None:
    container = {
        "image": "busybox",
        "command": ["echo", "Ref::word"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
        "environment": [{"name": "LAB", "value": "a"}],
    }
    definition = {"jobDefinitionName": "d", "type": "container", "containerProperties": container}
    more = {
        "parameters": {"word": "hello"},
        "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"onReason": "*", "action": "EXIT"}]},
        "timeout": {"attemptDurationSeconds": 90},
        "tags": {"a": "b"},
        "propagateTags": True,
        "platformCapabilities": ["EC2"],
    }
    side.ask("definitions: none", batch, "describe_job_definitions")
    side.ask("definition: make", batch, "register_job_definition", **definition)
    side.ask("definition: the next revision", batch, "register_job_definition", **definition, **more)
    side.ask(
        "definition: old words",
        batch,
        "register_job_definition",
        jobDefinitionName="old",
        type="container",
        containerProperties={"image": "busybox", "vcpus": 2, "memory": 64},
    )
    side.ask("definitions: all", batch, "describe_job_definitions")
    for step, asked in (
        ("by name", {"jobDefinitionName": "d"}),
        ("by ARN", {"jobDefinitions": [f"{ROOT}:job-definition/d:2"]}),
        ("unknown", {"jobDefinitions": [f"{ROOT}:job-definition/d:9"]}),
        ("active", {"jobDefinitionName": "d", "status": "ACTIVE"}),
        ("inactive", {"status": "INACTIVE"}),
    ):
        side.ask(f"definitions: {step}", batch, "describe_job_definitions", **asked)
    side.ask("definition: remove", batch, "deregister_job_definition", jobDefinition="d:1")
    side.ask(
        "definitions: removed",
        batch,
        "describe_job_definitions",
        jobDefinitions=[f"{ROOT}:job-definition/d:1"],
    )
    side.ask("definition: remove an unknown one", batch, "deregister_job_definition", jobDefinition="x:1")
    for step, changed in (
        (
            "too little memory",
            {
                "containerProperties": {
                    **container,
                    "resourceRequirements": [
                        {"type": "VCPU", "value": "1"},
                        {"type": "MEMORY", "value": "1"},
                    ],
                }
            },
        ),
        (
            "no memory",
            {
                "containerProperties": {
                    "image": "busybox",
                    "resourceRequirements": [{"type": "VCPU", "value": "1"}],
                }
            },
        ),
    ):
        side.ask(f"definition: {step}", batch, "register_job_definition", **{**definition, **changed})


def use_tags(side: Side, batch: Any) -> None:
    for kind, arn in (("queue", f"{ROOT}:job-queue/q"), ("definition", f"{ROOT}:job-definition/d:2")):
        side.ask(f"tags of a {kind}: add", batch, "tag_resource", resourceArn=arn, tags={"c": "d", "e": "f"})
        side.ask(f"tags of a {kind}: remove", batch, "untag_resource", resourceArn=arn, tagKeys=["a", "e"])
        side.ask(f"tags of a {kind}: left", batch, "list_tags_for_resource", resourceArn=arn)
    policy = {"shareDecaySeconds": 60, "shareDistribution": [{"shareIdentifier": "a", "weightFactor": 1.0}]}
    side.ask(
        "policy: make", batch, "create_scheduling_policy", name="p", fairsharePolicy=policy, tags={"a": "b"}
    )
    arn = f"{ROOT}:scheduling-policy/p"
    side.ask("policies: by ARN", batch, "describe_scheduling_policies", arns=[arn])
    side.ask("policies: all", batch, "list_scheduling_policies")
    side.ask(
        "policy: change",
        batch,
        "update_scheduling_policy",
        arn=arn,
        fairsharePolicy={"computeReservation": 5},
    )
    side.ask("policies: changed", batch, "describe_scheduling_policies", arns=[arn])
    side.ask("policy: remove", batch, "delete_scheduling_policy", arn=arn)
    side.ask("policies: removed", batch, "list_scheduling_policies")


def use_jobs(side: Side, batch: Any) -> None:
    job = {"jobName": "job", "jobQueue": "q", "jobDefinition": "d"}
    for step, changed in (
        ("no such queue", {"jobQueue": "none"}),
        ("no such definition", {"jobDefinition": "none"}),
    ):
        side.ask(f"job: {step}", batch, "submit_job", **{**job, **changed})
    side.ask("jobs: unknown", batch, "describe_jobs", jobs=["none"])
    side.ask("jobs: none", batch, "list_jobs", jobQueue="q", jobStatus="SUCCEEDED")
    side.ask("jobs: of no queue", batch, "list_jobs", jobQueue="none")


def remove_all(side: Side, batch: Any) -> None:
    side.ask("queue: disable", batch, "update_job_queue", jobQueue="q", state="DISABLED")
    side.settle()
    side.ask("queue: remove", batch, "delete_job_queue", jobQueue="q")
    side.settle()
    side.ask("queues: removed", batch, "describe_job_queues", jobQueues=["q"])
    side.ask(
        "environment: disable",
        batch,
        "update_compute_environment",
        computeEnvironment="lab-machines",
        state="DISABLED",
    )
    side.settle()
    side.ask("environment: remove", batch, "delete_compute_environment", computeEnvironment="lab-machines")
    side.settle()
    side.ask(
        "environments: removed", batch, "describe_compute_environments", computeEnvironments=["lab-machines"]
    )


@pytest.fixture
def plain_moto() -> Iterator[Side]:
    with differing.moto() as side:
        yield side


@pytest.mark.aws_box(executor="process", ticking=False)
def test_the_same_is_made_shown_and_refused(aws_box: Box, plain_moto: Side) -> None:
    box = differing.of_box(aws_box)
    for side in (plain_moto, box):
        use_batch(side)
    differing.check(differing.differences(plain_moto, box), KNOWN)
