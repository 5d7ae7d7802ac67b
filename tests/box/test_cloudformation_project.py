"""One stack with all that a project on Batch has: made, looked at part by part, changed, deleted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box import cloud, stacks

pytestmark = pytest.mark.aws_box(executor="process")

TEMPLATE = Path(__file__).with_name("batch_project.yaml").read_text()
BUCKET = "lab-123456789012"


def make(box: Box) -> dict[str, str]:
    box.client("cloudformation").create_stack(
        StackName="s", TemplateBody=TEMPLATE, Capabilities=stacks.NAMED, Tags=[{"Key": "run", "Value": "7"}]
    )
    failed = [
        (event["LogicalResourceId"], event.get("ResourceStatusReason"))
        for event in stacks.events(box)
        if event["ResourceStatus"].endswith("FAILED")
    ]
    assert failed == []
    stack = box.client("cloudformation").describe_stacks(StackName="s")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def ids(box: Box) -> dict[str, str]:
    found = box.client("cloudformation").list_stack_resources(StackName="s")["StackResourceSummaries"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


def test_the_parts_are_what_the_template_says(aws_box: Box) -> None:
    outputs, made = make(aws_box), ids(aws_box)
    _look_at_network(aws_box, made)
    _look_at_bucket(aws_box)
    _look_at_identities(aws_box, made)
    _look_at_batch(aws_box, made)
    [repository] = aws_box.client("ecr").describe_repositories()["repositories"]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    rules = aws_box.client("ecr").get_lifecycle_policy(repositoryName="lab/images")["lifecyclePolicyText"]
    assert json.loads(rules)["rules"][0]["selection"]["countNumber"] == 50
    [group] = aws_box.client("logs").describe_log_groups(logGroupNamePrefix="/lab")["logGroups"]
    assert group["retentionInDays"] == 30
    assert stacks.attribute(aws_box, "MessageRetentionPeriod", "lab-events") == "86400"
    assert outputs["Queue"] == "arn:aws:batch:us-east-1:123456789012:job-queue/lab-main"
    assert outputs["FargateQueue"] == made["FargateQueue"]
    [export] = aws_box.client("cloudformation").list_exports()["Exports"]
    assert (export["Name"], export["Value"]) == ("lab-queue", outputs["Queue"])


def _look_at_network(box: Box, made: dict[str, str]) -> None:
    ec2 = box.client("ec2")
    is_on = ec2.describe_vpc_attribute(VpcId=made["Vpc"], Attribute="enableDnsHostnames")
    assert is_on["EnableDnsHostnames"] == {"Value": True}
    [vpc] = ec2.describe_vpcs(VpcIds=[made["Vpc"]])["Vpcs"]
    assert {"Key": "Name", "Value": "lab-vpc"} in vpc["Tags"]
    assert {"Key": "run", "Value": "7"} in vpc["Tags"]
    subnets = ec2.describe_subnets(SubnetIds=[made["SubnetA"], made["SubnetB"]])["Subnets"]
    assert {one["CidrBlock"] for one in subnets} == {"10.0.0.0/20", "10.0.16.0/20"}
    assert {one["AvailabilityZone"] for one in subnets} == {"us-east-1a", "us-east-1b"}
    assert all(one["MapPublicIpOnLaunch"] for one in subnets)
    [table] = ec2.describe_route_tables(RouteTableIds=[made["Routes"]])["RouteTables"]
    assert {one.get("GatewayId") for one in table["Routes"]} >= {made["Gateway"]}
    assert {one["SubnetId"] for one in table["Associations"]} == {made["SubnetA"], made["SubnetB"]}
    [group] = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert [rule.get("ToPort") for rule in group["IpPermissionsEgress"]] == [443]
    [version] = ec2.describe_launch_template_versions(LaunchTemplateId=made["Launch"])[
        "LaunchTemplateVersions"
    ]
    [disk] = version["LaunchTemplateData"]["BlockDeviceMappings"]
    assert disk["Ebs"]["VolumeSize"] == 100


def _look_at_bucket(box: Box) -> None:
    s3 = box.client("s3")
    [rule] = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"] == {"Days": 30}
    assert rule["Filter"] == {"Prefix": "runs/"}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    [owner] = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner == {"ObjectOwnership": "BucketOwnerEnforced"}
    [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:role/lab-job"}


def _look_at_identities(box: Box, made: dict[str, str]) -> None:
    iam = box.client("iam")
    assert iam.list_role_policies(RoleName="lab-job")["PolicyNames"] == ["results", "list"]
    [attached] = iam.list_attached_role_policies(RoleName=made["StartRole"])["AttachedPolicies"]
    assert attached["PolicyArn"] == made["StartPolicy"]
    profile = iam.get_instance_profile(InstanceProfileName=made["Profile"])["InstanceProfile"]
    assert profile["Arn"].startswith("arn:aws:iam::123456789012:instance-profile/lab/")
    assert [role["RoleName"] for role in profile["Roles"]] == [made["InstanceRole"]]


def _look_at_batch(box: Box, made: dict[str, str]) -> None:
    batch = box.client("batch")
    found = {
        one["computeEnvironmentArn"]: one
        for one in batch.describe_compute_environments()["computeEnvironments"]
    }
    assert set(found) == {made[name] for name in ("OnDemand", "Spot", "Arm", "Fargate")}
    resources = found[made["OnDemand"]]["computeResources"]
    assert resources["maxvCpus"] == 64
    assert resources["launchTemplate"] == {"launchTemplateId": made["Launch"], "version": "1"}
    assert resources["tags"] == {"project": "lab"}
    assert found[made["OnDemand"]]["tags"] == {"run": "7"}
    [queue] = batch.describe_job_queues(jobQueues=["lab-main"])["jobQueues"]
    assert [one["computeEnvironment"] for one in queue["computeEnvironmentOrder"]] == [
        made["Spot"],
        made["OnDemand"],
    ]
    [definition] = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert definition["timeout"] == {"attemptDurationSeconds": 3600}
    assert definition["containerProperties"]["jobRoleArn"] == "arn:aws:iam::123456789012:role/lab-job"


def test_a_job_has_the_inline_policies_of_the_stacks_role_and_its_events_arrive(aws_box: Box) -> None:
    url = make(aws_box)["EventsUrl"]
    code = (
        "import boto3; s3 = boto3.client('s3');"
        f"s3.put_object(Bucket='{BUCKET}', Key='k', Body=b'1');"
        f"print(s3.list_objects_v2(Bucket='{BUCKET}')['KeyCount']);"
        "s3.list_buckets()"
    )
    override = {"command": ["python", "-c", code]}
    job = aws_box.client("batch").submit_job(
        jobName="j",
        jobQueue="lab-main",
        jobDefinition="lab-job",
        containerOverrides=override,
        retryStrategy={"attempts": 1},
    )
    ended = cloud.finish(aws_box, job["jobId"])
    logs = aws_box.client("logs").get_log_events(
        logGroupName="/lab/lab", logStreamName=ended["container"]["logStreamName"], startFromHead=True
    )["events"]
    lines = [event["message"] for event in logs]
    assert "1" in lines
    assert any("AccessDenied) when calling the ListBuckets" in line for line in lines)
    sqs = aws_box.client("sqs")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    assert {json.loads(one["Body"])["detail"]["status"] for one in messages} >= {"RUNNABLE", "RUNNING"}


def test_an_update_changes_what_is_changed(aws_box: Box) -> None:
    make(aws_box)
    before, cloudformation = ids(aws_box), aws_box.client("cloudformation")
    changed = TEMPLATE.replace("RetentionInDays: 30", "RetentionInDays: 60").replace("m6g, c6g", "m6g")
    parameters = {"WithFargate": "no", "MaxvCpus": "128", "KeepDays": "9"}
    cloudformation.update_stack(
        StackName="s",
        TemplateBody=changed,
        Capabilities=stacks.NAMED,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    after = ids(aws_box)
    assert before.keys() - after.keys() == {"Fargate", "FargateQueue"}
    assert {name for name in after if after[name] != before[name]} == {"Arm"}
    [group] = aws_box.client("logs").describe_log_groups(logGroupNamePrefix="/lab")["logGroups"]
    assert group["retentionInDays"] == 60
    [rule] = aws_box.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"] == {"Days": 9}
    found = aws_box.client("batch").describe_compute_environments()["computeEnvironments"]
    sizes = {one["computeEnvironmentArn"]: one["computeResources"]["maxvCpus"] for one in found}
    assert sizes == {after["OnDemand"]: 128, after["Spot"]: 128, after["Arm"]: 16}


LEFT: dict[str, Callable[[Box], Any]] = {
    "vpcs": lambda box: [one["CidrBlock"] for one in box.client("ec2").describe_vpcs()["Vpcs"]],
    "subnets": lambda box: len(box.client("ec2").describe_subnets()["Subnets"]),
    "gateways": lambda box: len(box.client("ec2").describe_internet_gateways()["InternetGateways"]),
    "tables": lambda box: len(box.client("ec2").describe_route_tables()["RouteTables"]),
    "groups": lambda box: len(box.client("ec2").describe_security_groups()["SecurityGroups"]),
    "templates": lambda box: len(box.client("ec2").describe_launch_templates()["LaunchTemplates"]),
    "endpoints": lambda box: [
        one for one in box.client("ec2").describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"
    ],
    "buckets": lambda box: box.client("s3").list_buckets()["Buckets"],
    "roles": lambda box: box.client("iam").list_roles()["Roles"],
    "profiles": lambda box: box.client("iam").list_instance_profiles()["InstanceProfiles"],
    "policies": lambda box: box.client("iam").list_policies(Scope="Local")["Policies"],
    "repositories": lambda box: box.client("ecr").describe_repositories()["repositories"],
    "queues": stacks.queues,
    "rules": lambda box: box.client("events").list_rules()["Rules"],
    "log groups": lambda box: box.client("logs").describe_log_groups()["logGroups"],
    "environments": lambda box: box.client("batch").describe_compute_environments()["computeEnvironments"],
    "job queues": lambda box: box.client("batch").describe_job_queues()["jobQueues"],
    "definitions": lambda box: box.client("batch").describe_job_definitions(status="ACTIVE")[
        "jobDefinitions"
    ],
    "exports": lambda box: box.client("cloudformation").list_exports()["Exports"],
    "stacks": lambda box: box.client("cloudformation").describe_stacks()["Stacks"],
}


def test_nothing_is_left_of_a_deleted_project(aws_box: Box) -> None:
    before = {name: look(aws_box) for name, look in LEFT.items()}
    make(aws_box)
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert {name: look(aws_box) for name, look in LEFT.items()} == before
