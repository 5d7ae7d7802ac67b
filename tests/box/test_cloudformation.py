"""Stacks: Batch's resources in them, whose permissions count, and what is left of one that fails."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")


def assumable_by(service: str) -> dict[str, Any]:
    return json.loads(cloud.trust(service))  # type: ignore[no-any-return]  # JSON


TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Types": {"Type": "CommaDelimitedList", "Default": "m5,c5"},
        "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>"},
        "MaxVcpus": {"Type": "Number", "Default": 16},
        "WithSpot": {"Type": "String", "Default": "no"},
    },
    "Conditions": {"HasSpot": {"Fn::Equals": [{"Ref": "WithSpot"}, "yes"]}},
    "Resources": {
        "Repository": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "lab"}},
        "InstanceRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": assumable_by("ec2.amazonaws.com"),
                "ManagedPolicyArns": [
                    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
                ],
            },
        },
        "Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [{"Ref": "InstanceRole"}]},
        },
        "Machines": {
            "Type": "AWS::Batch::ComputeEnvironment",
            "Properties": {
                "Type": "managed",
                "ComputeEnvironmentName": "lab-machines",
                "ComputeResources": {
                    "Type": "EC2",
                    "AllocationStrategy": "BEST_FIT_PROGRESSIVE",
                    "MinvCpus": 0,
                    "MaxvCpus": {"Ref": "MaxVcpus"},
                    "InstanceTypes": {"Ref": "Types"},
                    "Subnets": {"Ref": "Subnets"},
                    "SecurityGroupIds": ["sg-1"],
                    "InstanceRole": {"Fn::GetAtt": ["Profile", "Arn"]},
                    "Tags": {"Lab": "x"},
                },
            },
        },
        "SpotMachines": {
            "Type": "AWS::Batch::ComputeEnvironment",
            "Condition": "HasSpot",
            "Properties": {
                "Type": "MANAGED",
                "ComputeResources": {
                    "Type": "SPOT",
                    "AllocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED",
                    "MinvCpus": 0,
                    "MaxvCpus": 16,
                    "InstanceTypes": ["optimal"],
                    "Subnets": {"Ref": "Subnets"},
                    "SecurityGroupIds": ["sg-1"],
                    "InstanceRole": {"Fn::GetAtt": ["Profile", "Arn"]},
                },
            },
        },
        "Queue": {
            "Type": "AWS::Batch::JobQueue",
            "Properties": {
                "JobQueueName": "lab-queue",
                "Priority": 1,
                "ComputeEnvironmentOrder": [{"Order": 1, "ComputeEnvironment": {"Ref": "Machines"}}],
            },
        },
        "Definition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "JobDefinitionName": "lab-definition",
                "Type": "container",
                "Parameters": {"Subject": "sub-01"},
                "RetryStrategy": {"Attempts": 2},
                "ContainerProperties": {
                    "Image": {"Fn::Sub": "${Repository.RepositoryUri}:latest"},
                    "Command": ["echo", "Ref::Subject"],
                    "ResourceRequirements": [
                        {"Type": "VCPU", "Value": "1"},
                        {"Type": "MEMORY", "Value": "128"},
                    ],
                },
            },
        },
    },
    "Outputs": {"Queue": {"Value": {"Ref": "Queue"}}},
}


def create(client: Any, template: dict[str, Any] = TEMPLATE, **parameters: str) -> dict[str, Any]:
    client.create_stack(
        StackName="lab",
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in {"Subnets": "subnet-1,subnet-2", **parameters}.items()
        ],
    )
    return state(client)


def state(client: Any) -> dict[str, Any]:
    return client.describe_stacks(StackName="lab")["Stacks"][0]  # type: ignore[no-any-return]  # JSON


def failures(client: Any) -> list[tuple[str, str]]:
    events = client.describe_stack_events(StackName="lab")["StackEvents"]
    return [
        (event["LogicalResourceId"], event["ResourceStatusReason"])
        for event in reversed(events)
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]


def test_a_stack_makes_a_queue_that_runs_jobs(aws_box: Box) -> None:
    stack = create(aws_box.client("cloudformation"))
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    [queue] = [output["OutputValue"] for output in stack["Outputs"]]
    assert queue == "arn:aws:batch:us-east-1:123456789012:job-queue/lab-queue"
    job = cloud.finish(aws_box, cloud.submit(aws_box, "lab-definition", queue=queue))
    assert job["status"] == "SUCCEEDED", job["statusReason"]
    assert cloud.log_of(aws_box, job) == ["sub-01"]
    assert job["container"]["image"] == f"localhost:{aws_box.port}/lab:latest"


def test_a_list_that_is_left_at_its_default_is_a_list(aws_box: Box) -> None:
    create(aws_box.client("cloudformation"))
    [made] = aws_box.client("batch").describe_compute_environments()["computeEnvironments"]
    assert made["computeResources"]["instanceTypes"] == ["m5", "c5"]
    assert made["computeResources"]["maxvCpus"] == 16
    assert made["computeResources"]["tags"] == {"Lab": "x"}


def test_an_update_changes_adds_and_removes(aws_box: Box) -> None:
    cloudformation, batch = aws_box.client("cloudformation"), aws_box.client("batch")
    create(cloudformation)
    template = json.loads(json.dumps(TEMPLATE))
    del template["Resources"]["Definition"]
    template["Resources"]["Queue"]["Properties"]["Priority"] = 7
    parameters = {"Subnets": "subnet-1", "WithSpot": "yes"}
    cloudformation.update_stack(
        StackName="lab",
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    assert state(cloudformation)["StackStatus"] == "UPDATE_COMPLETE"
    assert batch.describe_job_queues()["jobQueues"][0]["priority"] == 7
    assert batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"] == []


def test_a_deleted_stack_leaves_nothing(aws_box: Box) -> None:
    cloudformation, batch = aws_box.client("cloudformation"), aws_box.client("batch")
    create(cloudformation, WithSpot="yes")
    assert len(batch.describe_compute_environments()["computeEnvironments"]) == 2
    cloudformation.delete_stack(StackName="lab")
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    assert batch.describe_job_queues()["jobQueues"] == []
    assert batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"] == []
    assert aws_box.client("ecr").describe_repositories()["repositories"] == []


def test_a_resource_that_fails_is_said_and_all_is_rolled_back(aws_box: Box) -> None:
    template = json.loads(json.dumps(TEMPLATE))
    template["Resources"]["Queue"]["Properties"]["ComputeEnvironmentOrder"][0]["ComputeEnvironment"] = "none"
    cloudformation = aws_box.client("cloudformation")
    assert create(cloudformation, template)["StackStatus"] == "ROLLBACK_COMPLETE"
    [(resource, reason)] = failures(cloudformation)
    assert resource == "Queue"
    assert reason.startswith("Resource handler returned message: ")
    assert reason.endswith("HandlerErrorCode: InvalidRequest)")
    assert aws_box.client("batch").describe_compute_environments()["computeEnvironments"] == []
    assert aws_box.client("iam").list_roles()["Roles"] == []


def test_what_a_resource_needs_is_asked_of_who_makes_the_stack(aws_box: Box) -> None:
    allowed = cloud.policy(
        (["cloudformation:*", "iam:*", "ecr:*"], "*"),
        (["batch:Create*", "batch:Tag*", "batch:Update*", "batch:Delete*"], "*"),
    )
    ada = aws_box.user("ada", allowed).client("cloudformation", endpoint_url=aws_box.endpoint)
    assert create(ada)["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = dict(failures(ada))
    assert "batch:RegisterJobDefinition" in reasons["Definition"]
    assert "HandlerErrorCode: AccessDenied" in reasons["Definition"]


def test_a_change_set_shows_and_then_makes(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    cloudformation.create_change_set(
        StackName="lab",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(TEMPLATE),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": "Subnets", "ParameterValue": "subnet-1"}],
    )
    shown = cloudformation.describe_change_set(StackName="lab", ChangeSetName="first")["Changes"]
    assert {change["ResourceChange"]["LogicalResourceId"] for change in shown} >= {"Machines", "Queue"}
    assert aws_box.client("batch").describe_job_queues()["jobQueues"] == []
    cloudformation.execute_change_set(StackName="lab", ChangeSetName="first")
    assert state(cloudformation)["StackStatus"] == "CREATE_COMPLETE"
    assert len(aws_box.client("batch").describe_job_queues()["jobQueues"]) == 1


def test_a_stack_that_is_there_is_not_made_again(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    create(cloudformation)
    with pytest.raises(ClientError, match="AlreadyExists"):
        create(cloudformation)
