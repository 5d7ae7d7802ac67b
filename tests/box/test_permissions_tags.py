"""Permissions that hang on the tags of what is asked for."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box import cloud
from tests.box.permitting import allow, client, deny, make_role, refusal, user

pytestmark = pytest.mark.aws_box(executor="process")

OURS = {"team": "a"}
PAIRS = [{"Key": "team", "Value": "a"}]
CONDITION = {"StringEquals": {"aws:ResourceTag/team": "a"}}


def test_a_job_is_ended_by_those_whose_tag_it_has(aws_box: Box) -> None:
    cloud.make_queue(aws_box)
    definition = cloud.make_definition(aws_box, "sleep", "60")
    batch = aws_box.client("batch")
    asked = {"jobName": "job", "jobQueue": "queue", "jobDefinition": definition}
    ours, theirs = (batch.submit_job(**asked, tags={"team": team})["jobId"] for team in ("a", "b"))
    ada = client(
        aws_box, user(aws_box, "ada", allow("batch:TerminateJob", "*", Condition=CONDITION)), "batch"
    )
    refusal(ada.terminate_job, jobId=theirs, reason="x")
    ada.terminate_job(jobId=ours, reason="x")


def test_batch_keeps_what_is_tagged_from_those_who_are_denied_it(aws_box: Box) -> None:
    arn = cloud.make_queue(aws_box)
    batch = aws_box.client("batch")
    definition = cloud.make_definition(aws_box, "true", tags={"team": "a"})
    arn = batch.describe_job_queues(jobQueues=["queue"])["jobQueues"][0]["jobQueueArn"]
    statements = (allow("batch:*"), deny("batch:*", "*", Condition=CONDITION))
    ada = client(aws_box, user(aws_box, "ada", *statements), "batch")
    ada.update_job_queue(jobQueue="queue", priority=5)
    batch.tag_resource(resourceArn=arn, tags=OURS)
    refusal(ada.update_job_queue, jobQueue="queue", priority=6)
    refusal(ada.update_job_queue, jobQueue=arn, priority=6)
    batch.untag_resource(resourceArn=arn, tagKeys=["team"])
    # A definition that is named without its revision is the newest one.
    for name in (definition, definition.partition(":")[0]):
        refusal(ada.submit_job, jobName="job", jobQueue="queue", jobDefinition=name)


def _secret(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    name = f"s{len(tags)}"
    box.client("secretsmanager").create_secret(Name=name, SecretString="x", Tags=tags)
    return {"SecretId": name}


def _parameter(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    name = f"/lab/p{len(tags)}"
    box.client("ssm").put_parameter(Name=name, Value="x", Type="String", Tags=tags)
    return {"Name": name}


def _repository(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    name = f"repo{len(tags)}"
    box.client("ecr").create_repository(repositoryName=name, tags=tags)
    return {"repositoryName": name}


def _group(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    name = f"/lab/g{len(tags)}"
    box.client("logs").create_log_group(logGroupName=name, tags={tag["Key"]: tag["Value"] for tag in tags})
    return {"logGroupName": name}


def _queue(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    named = {tag["Key"]: tag["Value"] for tag in tags}
    url = box.client("sqs").create_queue(QueueName=f"q{len(tags)}", tags=named)["QueueUrl"]
    return {"QueueUrl": url, "AttributeNames": ["All"]}


def _role(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    make_role(box, f"role{len(tags)}", {"Service": "ec2.amazonaws.com"}, Tags=tags)
    return {"RoleName": f"role{len(tags)}"}


def _machine(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    ec2 = box.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    if tags:
        ec2.create_tags(Resources=[made], Tags=tags)
    return {"InstanceIds": [made]}


def _object(box: Box, tags: list[dict[str, str]]) -> dict[str, Any]:
    s3, key = box.client("s3"), f"k{len(tags)}"
    if not tags:
        s3.create_bucket(Bucket="brains")
    tagging = "&".join(f"{tag['Key']}={tag['Value']}" for tag in tags)
    s3.put_object(Bucket="brains", Key=key, Body=b"x", **({"Tagging": tagging} if tags else {}))
    return {"Bucket": "brains", "Key": key}


@pytest.mark.parametrize(
    ("service", "call", "make", "key"),
    [
        ("secretsmanager", "get_secret_value", _secret, "aws:ResourceTag"),
        ("secretsmanager", "describe_secret", _secret, "secretsmanager:ResourceTag"),
        ("ssm", "get_parameter", _parameter, "ssm:ResourceTag"),
        ("ecr", "describe_images", _repository, "aws:ResourceTag"),
        ("logs", "describe_log_streams", _group, "aws:ResourceTag"),
        ("sqs", "get_queue_attributes", _queue, "aws:ResourceTag"),
        ("iam", "get_role", _role, "iam:ResourceTag"),
        ("ec2", "terminate_instances", _machine, "ec2:ResourceTag"),
        ("s3", "get_object", _object, "s3:ExistingObjectTag"),
    ],
)
def test_what_is_tagged_is_open_to_those_whose_tag_it_has(
    aws_box: Box, service: str, call: str, make: Callable[..., dict[str, Any]], key: str
) -> None:
    theirs, ours = make(aws_box, []), make(aws_box, PAIRS)
    condition = {"StringEquals": {f"{key}/team": "a"}}
    ada = client(aws_box, user(aws_box, "ada", allow(f"{service}:*", "*", Condition=condition)), service)
    getattr(ada, call)(**ours)
    refusal(getattr(ada, call), **theirs)


def test_a_stack_is_changed_by_those_whose_tag_it_has(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    template = {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}}
    made = {}
    for name, tags in (("ours", PAIRS), ("theirs", [])):
        text = json.dumps(template)
        made[name] = cloudformation.create_stack(StackName=name, TemplateBody=text, Tags=tags)["StackId"]
    ada = client(
        aws_box, user(aws_box, "ada", allow("cloudformation:*", Condition=CONDITION)), "cloudformation"
    )
    refusal(ada.describe_stack_resources, StackName=made["theirs"])
    assert ada.describe_stack_resources(StackName=made["ours"])["StackResources"]
    # By its name, too.
    refusal(ada.describe_stack_resources, StackName="theirs")
    assert ada.describe_stack_resources(StackName="ours")["StackResources"]


def test_the_boxs_own_time_counts(aws_box: Box) -> None:
    aws_box.reset(ticking=False)
    aws_box.client("s3").create_bucket(Bucket="brains")
    until = {"NumericLessThan": {"aws:EpochTime": str(int(aws_box.now()) + 3600)}}
    ada = client(aws_box, user(aws_box, "ada", allow("s3:*", Condition=until)), "s3")
    ada.head_bucket(Bucket="brains")
    aws_box.advance(7200)
    refusal(ada.head_bucket, Bucket="brains")
