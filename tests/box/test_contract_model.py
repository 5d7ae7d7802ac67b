"""Every request to Batch, and every answer and refusal of the box's, is what botocore's model says."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.box import cloud
from tests.box.lab import Lab, open_lab
from tests.box.model import service_model
from tests.box.recorder import Recorder, check_refusal

RULES = {
    "attempts": 2,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "CannotPull*", "onExitCode": "1*", "action": "EXIT"},
    ],
}
CONTAINER: dict[str, Any] = {
    "image": "busybox",
    "command": ["sh", "-c", "exit $0", "Ref::code"],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}],
    "environment": [{"name": "LAB", "value": "a"}],
    "user": "nobody",
    "readonlyRootFilesystem": True,
    "ulimits": [{"name": "nofile", "hardLimit": 9, "softLimit": 9}],
    "volumes": [{"name": "scratch", "host": {"sourcePath": "/tmp"}}],
    "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": False}],
    "linuxParameters": {"initProcessEnabled": True, "sharedMemorySize": 64},
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-stream-prefix": "lines"}},
}
FARGATE_CONTAINER: dict[str, Any] = {
    "image": "busybox",
    "command": ["true"],
    "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
    "ephemeralStorage": {"sizeInGiB": 40},
    "networkConfiguration": {"assignPublicIp": "ENABLED"},
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def test_all_that_the_box_does_is_asked_and_answered_as_the_model_says(lab: Lab) -> None:
    """All operations but those that the box refuses by name, each in the form that says the most."""
    use_places(lab)
    use_definitions(lab)
    use_jobs(lab)
    use_tags_and_policies(lab)
    remove_places(lab)
    used = lab.recorder.answered.keys()
    for name in service_model().operation_names:
        if name not in used:
            check_it_says_that_it_is_not_done(lab, name)


def use_places(lab: Lab) -> None:
    batch = lab.batch
    for order in (["machines-9"], []):
        batch.describe_compute_environments(computeEnvironments=order)
        batch.describe_job_queues(jobQueues=order)
    batch.describe_compute_environments(maxResults=1)
    spot = lab.make_environment(
        type="SPOT",
        allocationStrategy="SPOT_PRICE_CAPACITY_OPTIMIZED",
        instanceTypes=["m5", "c5.large"],
        tags={"Name": "spot"},
        ec2Configuration=[{"imageType": "ECS_AL2023"}],
    )
    batch.update_compute_environment(
        computeEnvironment=spot, state="ENABLED", computeResources={"maxvCpus": 8, "minvCpus": 2}
    )
    batch.describe_compute_environments(computeEnvironments=[spot])
    action = {"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE"}
    lab.pass_time(2)
    queue = lab.make_queue(
        spot,
        tags={"a": "b"},
        jobStateTimeLimitActions=[{**action, "maxTimeSeconds": 600, "action": "CANCEL"}],
    )
    batch.update_job_queue(jobQueue=queue, priority=7, state="DISABLED")
    lab.pass_time(2)
    batch.describe_job_queues(jobQueues=[queue])


def use_definitions(lab: Lab) -> None:
    batch = lab.batch
    for _ in range(2):
        batch.register_job_definition(
            jobDefinitionName="all-words",
            type="container",
            containerProperties=CONTAINER,
            parameters={"code": "0"},
            retryStrategy=RULES,
            timeout={"attemptDurationSeconds": 60},
            tags={"a": "b"},
            propagateTags=True,
            schedulingPriority=3,
        )
    role = cloud.make_role(lab.box, "execution")
    batch.register_job_definition(
        jobDefinitionName="on-fargate",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={**FARGATE_CONTAINER, "executionRoleArn": role, "jobRoleArn": role},
    )
    batch.describe_job_definitions()
    batch.deregister_job_definition(jobDefinition="all-words:1")
    for asked in ({"jobDefinitions": ["all-words:2"]}, {"jobDefinitionName": "all-words", "maxResults": 1}):
        batch.describe_job_definitions(**asked, status="ACTIVE")


def use_jobs(lab: Lab) -> None:
    jobs = [
        lab.submit(jobDefinition="all-words", parameters={"code": code}, tags={"run": "7"}) for code in "01"
    ]
    jobs.append(lab.submit("sleep 600", arrayProperties={"size": 2}, timeout={"attemptDurationSeconds": 99}))
    jobs.append(lab.submit(dependsOn=[{"jobId": jobs[-1]}], propagateTags=True))
    lab.wait_for(f"{jobs[2]}:0", "RUNNING")
    look_at_all(lab, jobs)
    lab.batch.cancel_job(jobId=jobs[3], reason="enough")
    lab.batch.terminate_job(jobId=jobs[2], reason="enough")
    jobs += [use_fargate(lab), *use_plurals(lab)]
    for job_id in jobs:
        lab.finish(job_id)
    look_at_all(lab, [*jobs, f"{jobs[2]}:1"])
    assert lab.states(jobs[:2]) == ["SUCCEEDED", "FAILED"]


def look_at_all(lab: Lab, jobs: list[str]) -> None:
    lab.batch.describe_jobs(jobs=jobs)
    for status in ("PENDING", "RUNNABLE", "RUNNING", "SUCCEEDED", "FAILED"):
        lab.ids(jobQueue=lab.queue, jobStatus=status)
        lab.ids(arrayJobId=jobs[2], jobStatus=status, maxResults=1)
    for name, value in (("JOB_NAME", "jo*"), ("AFTER_CREATED_AT", "0"), ("JOB_DEFINITION", "all-words")):
        assert lab.ids(jobQueue=lab.queue, filters=[{"name": name, "values": [value]}])


def use_fargate(lab: Lab) -> str:
    network = {name: lab.resources[name] for name in ("subnets", "securityGroupIds")}
    lab.batch.create_compute_environment(
        computeEnvironmentName="fargate",
        type="MANAGED",
        computeResources={"type": "FARGATE", "maxvCpus": 4, **network},
    )
    lab.pass_time(2)
    return lab.submit(jobDefinition="on-fargate", queue=lab.make_queue("fargate"))


def use_plurals(lab: Lab) -> list[str]:
    small = lab.make_queue(lab.make_environment(maxvCpus=2, instanceTypes=["m5.large"]))
    definition = lab.sh("sleep 600", vcpus=2)
    first, second = (lab.submit(jobDefinition=definition, queue=small) for _ in range(2))
    assert lab.batch.get_job_queue_snapshot(jobQueue=small)["frontOfQueue"]["jobs"]
    assert lab.batch.cancel_jobs(jobs=[second, "unknown"], reason="enough")["successful"]
    assert lab.batch.terminate_jobs(jobs=[first], reason="enough")["successful"]
    return [first, second]


def use_tags_and_policies(lab: Lab) -> None:
    batch = lab.batch
    shares = {"shareDecaySeconds": 9, "shareDistribution": [{"shareIdentifier": "a*", "weightFactor": 0.5}]}
    arn = batch.create_scheduling_policy(name="fair", fairsharePolicy=shares, tags={"a": "b"})["arn"]
    batch.update_scheduling_policy(arn=arn, fairsharePolicy={**shares, "computeReservation": 5})
    batch.list_scheduling_policies()
    batch.describe_scheduling_policies(arns=[arn])
    queue = lab.make_queue(lab.make_environment(), schedulingPolicyArn=arn)
    lab.batch.describe_job_queues(jobQueues=[queue])
    job = lab.run(queue=queue, shareIdentifier="a1", schedulingPriorityOverride=4)
    for tagged in (arn, job["jobArn"], job["jobDefinition"], job["jobQueue"]):
        batch.tag_resource(resourceArn=tagged, tags={"c": "d", "e": "f", "é g": "&h=i"})
        assert batch.list_tags_for_resource(resourceArn=tagged)["tags"]["é g"] == "&h=i"
        batch.untag_resource(resourceArn=tagged, tagKeys=["c", "é g"])
        left = batch.list_tags_for_resource(resourceArn=tagged)["tags"]
        assert {"c", "e", "é g"} & left.keys() == {"e"}
    lab.refused("delete_scheduling_policy", arn=arn)
    batch.update_job_queue(jobQueue=queue, state="DISABLED")
    lab.pass_time(2)
    batch.delete_job_queue(jobQueue=queue)
    lab.pass_time(4)
    batch.delete_scheduling_policy(arn=arn)


def remove_places(lab: Lab) -> None:
    environment = lab.make_environment()
    lab.refused("delete_compute_environment", computeEnvironment=environment)
    lab.batch.update_compute_environment(computeEnvironment=environment, state="DISABLED")
    lab.pass_time(2)
    lab.batch.delete_compute_environment(computeEnvironment=environment)
    lab.pass_time(2)
    shown = lab.batch.describe_compute_environments(computeEnvironments=[environment])
    assert shown["computeEnvironments"] == []


def check_it_says_that_it_is_not_done(lab: Lab, name: str) -> None:
    operation = next(ours for ours, theirs in lab.batch.meta.method_to_api_mapping.items() if theirs == name)
    error = lab.error(operation, **least(service_model().operation_model(name).input_shape))
    assert (error["Code"], error["Status"]) == ("UnsupportedOperation", 501)
    assert f"Batch's {name}" in error["Message"]


def least(shape: Any) -> Any:
    """Return the smallest value that a shape of the model takes."""
    if shape.type_name == "structure":
        return {name: least(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [least(shape.member)]
    if shape.type_name == "map":
        return {"a": least(shape.value)}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "a"
    return 1


class TestTheRecorder:
    def test_sees_every_call(self, lab: Lab) -> None:
        recorder = Recorder()
        batch = recorder.watch(lab.box.client("batch"))
        batch.describe_jobs(jobs=["x"])
        with pytest.raises(batch.exceptions.ClientException):
            batch.terminate_job(jobId="x", reason="y")
        assert recorder.answered == {"DescribeJobs": 1}
        assert recorder.refused == {"TerminateJob": 1}

    def test_refuses_a_choice_that_the_model_does_not_have(self, lab: Lab) -> None:
        batch = Recorder().watch(lab.box.client("batch"))
        with pytest.raises(AssertionError, match="'DONE' is none of"):
            batch.list_jobs(jobQueue="queue", jobStatus="DONE")

    @pytest.mark.parametrize(
        ("status", "kind", "said"),
        [
            (400, "ServerException", {"message": "x"}),
            (400, "NotAnError", {"message": "x"}),
            (400, "ClientException", {"Message": "x"}),
            (400, "ClientException", {"message": ""}),
        ],
    )
    def test_refuses_a_refusal_in_another_shape(self, status: int, kind: str, said: Any) -> None:
        headers = {"x-amzn-errortype": kind, "content-type": "application/json"}
        with pytest.raises(AssertionError):
            check_refusal(status, headers, said)
