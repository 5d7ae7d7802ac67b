"""What is left of a stack whose resources fail, and what is said of it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import stacks
from tests.box.stacks import FAILS, QUEUE, ROUTES, VPC

pytestmark = pytest.mark.aws_box(executor="process")

BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "bbbb"}}


def vpcs(box: Box) -> list[str]:
    return [one["CidrBlock"] for one in box.client("ec2").describe_vpcs()["Vpcs"]]


def test_resources_come_in_the_order_of_their_needs_and_each_is_told(aws_box: Box) -> None:
    stacks.create(aws_box, {"Routes": ROUTES, "Vpc": VPC})
    assert stacks.said(aws_box) == [
        ("s", "CREATE_IN_PROGRESS"),
        ("Vpc", "CREATE_IN_PROGRESS"),
        ("Vpc", "CREATE_COMPLETE"),
        ("Routes", "CREATE_IN_PROGRESS"),
        ("Routes", "CREATE_COMPLETE"),
        ("s", "CREATE_COMPLETE"),
    ]
    assert stacks.resources(aws_box) == {"Vpc": "CREATE_COMPLETE", "Routes": "CREATE_COMPLETE"}


def test_a_failing_creation_is_rolled_back_in_reverse_order(aws_box: Box) -> None:
    before = vpcs(aws_box)
    stacks.create(aws_box, {"Vpc": VPC, "Routes": ROUTES, "Bad": {**FAILS, "DependsOn": "Routes"}})
    assert stacks.status(aws_box) == "ROLLBACK_COMPLETE"
    assert stacks.said(aws_box)[-7:] == [
        ("Bad", "CREATE_FAILED"),
        ("s", "ROLLBACK_IN_PROGRESS"),
        ("Routes", "DELETE_IN_PROGRESS"),
        ("Routes", "DELETE_COMPLETE"),
        ("Vpc", "DELETE_IN_PROGRESS"),
        ("Vpc", "DELETE_COMPLETE"),
        ("s", "ROLLBACK_COMPLETE"),
    ]
    words = "The following resource(s) failed to create: [Bad]. Rollback requested by user."
    assert stacks.reason(aws_box, "s", "ROLLBACK_IN_PROGRESS") == words
    assert vpcs(aws_box) == before


def test_a_rollback_that_fails_says_so(aws_box: Box) -> None:
    ada = stacks.person(aws_box, "cloudformation:*", "sqs:CreateQueue")
    stacks.create(aws_box, {"Q": QUEUE, "Bad": {**FAILS, "DependsOn": "Q"}}, client=ada)
    assert stacks.status(aws_box) == "ROLLBACK_FAILED"
    assert "[Q]" in stacks.reason(aws_box, "s", "ROLLBACK_FAILED")
    assert "sqs:DeleteQueue" in stacks.reason(aws_box, "Q", "DELETE_FAILED")
    assert stacks.queues(aws_box) == ["q"]


@pytest.mark.parametrize(
    ("way", "expected", "left"),
    [
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", ["q"]),
        ({"DisableRollback": True}, "CREATE_FAILED", ["q"]),
        ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", []),
        ({"OnFailure": "ROLLBACK"}, "ROLLBACK_COMPLETE", []),
    ],
)
def test_what_becomes_of_a_failure_can_be_chosen(
    aws_box: Box, way: dict[str, Any], expected: str, left: list[str]
) -> None:
    stack_id = stacks.create(aws_box, {"Q": QUEUE, "Bad": {**FAILS, "DependsOn": "Q"}}, **way)
    assert stacks.status(aws_box, stack_id) == expected
    assert stacks.queues(aws_box) == left


def test_a_deletion_that_is_not_permitted_keeps_the_stack_and_the_resource(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": QUEUE})
    stacks.person(aws_box, "cloudformation:*").delete_stack(StackName="s")
    assert stacks.status(aws_box) == "DELETE_FAILED"
    words = "The following resource(s) failed to delete: [Q]. "
    assert stacks.reason(aws_box, "s", "DELETE_FAILED") == words
    assert "HandlerErrorCode: AccessDenied" in stacks.reason(aws_box, "Q", "DELETE_FAILED")
    assert stacks.resources(aws_box) == {"Q": "DELETE_FAILED"}
    assert stacks.queues(aws_box) == ["q"]
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert stacks.queues(aws_box) == []


def test_a_bucket_that_is_not_empty_is_not_deleted_and_can_be_left(aws_box: Box) -> None:
    stack_id = stacks.create(aws_box, {"Bucket": BUCKET, "Q": QUEUE})
    s3, cloudformation = aws_box.client("s3"), aws_box.client("cloudformation")
    s3.put_object(Bucket="bbbb", Key="k", Body=b"")
    cloudformation.delete_stack(StackName="s")
    assert stacks.status(aws_box) == "DELETE_FAILED"
    assert "not empty" in stacks.reason(aws_box, "Bucket", "DELETE_FAILED")
    assert stacks.queues(aws_box) == []
    cloudformation.delete_stack(StackName="s", RetainResources=["Bucket"])
    assert stacks.status(aws_box, stack_id) == "DELETE_COMPLETE"
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["bbbb"]


def test_what_a_resource_that_stays_needs_stays_too(aws_box: Box) -> None:
    stacks.create(aws_box, {"Vpc": VPC, "Routes": ROUTES, "Q": QUEUE})
    stacks.person(aws_box, "cloudformation:*", "ec2:DeleteVpc", "sqs:*").delete_stack(StackName="s")
    assert stacks.resources(aws_box) == {
        "Q": "DELETE_COMPLETE",
        "Vpc": "CREATE_COMPLETE",
        "Routes": "DELETE_FAILED",
    }


def test_what_shall_be_retained_is(aws_box: Box) -> None:
    stack_id = stacks.create(aws_box, {"Q": {**QUEUE, "DeletionPolicy": "Retain"}})
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert stacks.status(aws_box, stack_id) == "DELETE_COMPLETE"
    assert ("Q", "DELETE_SKIPPED") in stacks.said(aws_box, stack_id)
    assert stacks.queues(aws_box) == ["q"]


def test_what_is_gone_already_does_not_hinder(aws_box: Box) -> None:
    stack_id = stacks.create(aws_box, {"Bucket": BUCKET, "Q": QUEUE})
    aws_box.client("s3").delete_bucket(Bucket="bbbb")
    sqs = aws_box.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="q")["QueueUrl"])
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert stacks.status(aws_box, stack_id) == "DELETE_COMPLETE"


def test_a_deleted_stack_is_found_by_its_id_only(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    stack_id = stacks.create(aws_box, {"Q": QUEUE})
    cloudformation.delete_stack(StackName="s")
    cloudformation.delete_stack(StackName="s")
    with pytest.raises(ClientError, match="does not exist"):
        stacks.status(aws_box)
    assert stacks.status(aws_box, stack_id) == "DELETE_COMPLETE"
    assert stacks.create(aws_box, {"Q": QUEUE}) != stack_id


def test_an_export_is_there_when_its_stack_is_and_belongs_to_one(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    arn = {"Fn::GetAtt": ["Q", "Arn"]}
    sections = {"Outputs": {"Arn": {"Value": arn, "Export": {"Name": "the-queue"}}}}
    stacks.create(aws_box, {"Q": QUEUE}, sections=sections)
    assert stacks.status(aws_box) == "CREATE_COMPLETE"
    [output] = cloudformation.describe_stacks(StackName="s")["Stacks"][0]["Outputs"]
    assert output["ExportName"] == "the-queue"
    other = {"Q": {"Type": "AWS::SQS::Queue"}}
    stacks.create(aws_box, other, sections=sections, StackName="again")
    assert stacks.status(aws_box, "again") == "ROLLBACK_COMPLETE"
    words = stacks.reason(aws_box, "again", "ROLLBACK_IN_PROGRESS", "again")
    assert words.startswith("Export with name the-queue is already exported by stack s.")


def test_what_is_imported_cannot_be_deleted(aws_box: Box) -> None:
    sections = {"Outputs": {"Name": {"Value": "imported", "Export": {"Name": "name"}}}}
    stacks.create(aws_box, {"Q": QUEUE}, sections=sections)
    importing = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::ImportValue": "name"}}}
    stacks.create(aws_box, {"Q": importing}, StackName="b")
    assert stacks.queues(aws_box) == ["imported", "q"]
    cloudformation = aws_box.client("cloudformation")
    cloudformation.delete_stack(StackName="s")
    assert stacks.queues(aws_box) == ["imported", "q"]
    told = stacks.reason(aws_box, "s", "CREATE_COMPLETE")
    assert told == "Delete canceled. Cannot delete export name as it is in use by b."
    cloudformation.delete_stack(StackName="b")
    cloudformation.delete_stack(StackName="s")
    assert stacks.queues(aws_box) == []
