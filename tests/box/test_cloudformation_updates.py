"""Updates of stacks: what is new first, what is gone last, and back again when one fails."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import stacks
from tests.box.stacks import FAILS, QUEUE

pytestmark = pytest.mark.aws_box(executor="process")


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", **properties}}


def environment(name: str = "", **resources: Any) -> dict[str, Any]:
    computing = {
        "Type": "FARGATE",
        "MaxvCpus": 4,
        "Subnets": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        **resources,
    }
    named = {"ComputeEnvironmentName": name} if name else {}
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {"Type": "MANAGED", "ComputeResources": computing, **named},
    }


def job_queue(environment_id: str) -> dict[str, Any]:
    order = [{"Order": 1, "ComputeEnvironment": {"Ref": environment_id}}]
    properties = {"JobQueueName": "jobs", "Priority": 1, "ComputeEnvironmentOrder": order}
    return {"Type": "AWS::Batch::JobQueue", "Properties": properties}


def test_a_queue_moves_to_a_new_environment_before_the_old_one_goes(aws_box: Box) -> None:
    stacks.create(aws_box, {"A": environment(), "Q": job_queue("A")})
    stacks.update(aws_box, {"B": environment(), "Q": job_queue("B")})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    assert stacks.said(aws_box)[-9:] == [
        ("s", "UPDATE_IN_PROGRESS"),
        ("B", "CREATE_IN_PROGRESS"),
        ("B", "CREATE_COMPLETE"),
        ("Q", "UPDATE_IN_PROGRESS"),
        ("Q", "UPDATE_COMPLETE"),
        ("s", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
        ("s", "UPDATE_COMPLETE"),
    ]
    assert set(stacks.resources(aws_box)) == {"B", "Q"}
    assert len(aws_box.client("batch").describe_compute_environments()["computeEnvironments"]) == 1


def test_a_change_of_machines_makes_a_new_environment(aws_box: Box) -> None:
    machines: dict[str, Any] = {
        "Type": "EC2",
        "InstanceRole": "i",
        "MinvCpus": 0,
        "AllocationStrategy": "BEST_FIT_PROGRESSIVE",
    }
    stacks.create(aws_box, {"A": environment(**machines, InstanceTypes=["m5"]), "Q": job_queue("A")})
    batch = aws_box.client("batch")
    [before] = batch.describe_compute_environments()["computeEnvironments"]
    stacks.update(aws_box, {"A": environment(**machines, InstanceTypes=["c5"]), "Q": job_queue("A")})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    [after] = batch.describe_compute_environments()["computeEnvironments"]
    assert after["computeEnvironmentArn"] != before["computeEnvironmentArn"]
    assert after["computeResources"]["instanceTypes"] == ["c5"]
    [found] = batch.describe_job_queues()["jobQueues"]
    assert found["computeEnvironmentOrder"][0]["computeEnvironment"] == after["computeEnvironmentArn"]


def test_what_has_a_name_of_its_own_is_not_replaced_under_it(aws_box: Box) -> None:
    machines: dict[str, Any] = {
        "Type": "EC2",
        "InstanceRole": "i",
        "MinvCpus": 0,
        "AllocationStrategy": "BEST_FIT_PROGRESSIVE",
    }
    stacks.create(aws_box, {"A": environment("a", **machines, InstanceTypes=["m5"])})
    stacks.update(aws_box, {"A": environment("a", **machines, InstanceTypes=["c5"])})
    assert stacks.status(aws_box) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Rename a and update the stack again" in stacks.reason(aws_box, "A", "UPDATE_FAILED")


def test_a_failing_update_brings_back_what_was(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": queue(VisibilityTimeout=10)})
    stacks.update(
        aws_box,
        {
            "Q": queue(VisibilityTimeout=20),
            "New": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "new"}},
            "Bad": {**FAILS, "DependsOn": ["Q", "New"]},
        },
    )
    assert stacks.status(aws_box) == "UPDATE_ROLLBACK_COMPLETE"
    words = "The following resource(s) failed to create: [Bad]. "
    assert stacks.reason(aws_box, "s", "UPDATE_ROLLBACK_IN_PROGRESS") == words
    assert stacks.attribute(aws_box, "VisibilityTimeout") == "10"
    assert stacks.queues(aws_box) == ["q"]
    stacks.update(aws_box, {"Q": queue(VisibilityTimeout=30)})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    assert stacks.attribute(aws_box, "VisibilityTimeout") == "30"


def test_what_a_change_needs_is_asked_of_who_updates(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": queue(VisibilityTimeout=10)})
    ada = stacks.person(aws_box, "cloudformation:*", "sqs:CreateQueue")
    stacks.update(aws_box, {"Q": queue(VisibilityTimeout=20)}, client=ada)
    assert "sqs:SetQueueAttributes" in stacks.reason(aws_box, "Q", "UPDATE_FAILED")
    assert stacks.status(aws_box) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.attribute(aws_box, "VisibilityTimeout") == "10"


def test_a_resource_that_is_gone_leaves_the_rollback_failed(aws_box: Box) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "g", "RetentionInDays": 3}}
    stacks.create(aws_box, {"G": group})
    aws_box.client("logs").delete_log_group(logGroupName="g")
    changed = {**group, "Properties": {"LogGroupName": "g", "RetentionInDays": 5}}
    stacks.update(aws_box, {"G": changed})
    assert stacks.status(aws_box) == "UPDATE_ROLLBACK_FAILED"
    assert "[G]" in stacks.reason(aws_box, "s", "UPDATE_ROLLBACK_FAILED")
    with pytest.raises(ClientError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
        stacks.update(aws_box, {"G": group, "Q": QUEUE})


def test_an_update_may_stay_where_it_failed(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": queue(VisibilityTimeout=10)})
    changed = {"Q": queue(VisibilityTimeout=20), "Bad": {**FAILS, "DependsOn": "Q"}}
    stacks.update(aws_box, changed, DisableRollback=True)
    assert stacks.status(aws_box) == "UPDATE_FAILED"
    assert stacks.attribute(aws_box, "VisibilityTimeout") == "20"


def test_what_cannot_be_cleaned_up_is_told_and_the_update_is_complete(aws_box: Box) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "bbbb"}}
    stacks.create(aws_box, {"Q": QUEUE, "Bucket": bucket})
    aws_box.client("s3").put_object(Bucket="bbbb", Key="k", Body=b"")
    stacks.update(aws_box, {"Q": QUEUE})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    assert ("Bucket", "DELETE_FAILED") in stacks.said(aws_box)
    assert set(stacks.resources(aws_box)) == {"Q"}


def test_a_parameter_keeps_its_value_when_asked_to(aws_box: Box) -> None:
    sections = {"Parameters": {"Seconds": {"Type": "Number"}, "Delay": {"Type": "Number", "Default": 0}}}
    resources = {"Q": queue(VisibilityTimeout={"Ref": "Seconds"}, DelaySeconds={"Ref": "Delay"})}
    seconds = {"ParameterKey": "Seconds", "ParameterValue": "11"}
    stacks.create(aws_box, resources, sections=sections, Parameters=[seconds])
    given = [
        {"ParameterKey": "Seconds", "UsePreviousValue": True},
        {"ParameterKey": "Delay", "ParameterValue": "2"},
    ]
    aws_box.client("cloudformation").update_stack(StackName="s", UsePreviousTemplate=True, Parameters=given)
    assert stacks.attribute(aws_box, "VisibilityTimeout") == "11"
    assert stacks.attribute(aws_box, "DelaySeconds") == "2"


def test_tags_of_a_stack_are_tags_of_what_it_has(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": QUEUE}, Tags=[{"Key": "run", "Value": "1"}])
    sqs = aws_box.client("sqs")
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"run": "1"}
    stacks.update(aws_box, {"Q": QUEUE}, Tags=[{"Key": "run", "Value": "2"}])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"run": "2"}
