from typing import Any

import pytest

from cloudknot.testing.iam.stack_actions import asks_of_resource
from cloudknot.testing.iam.stack_updates import asks_of_update

ACCOUNT, REGION = "123456789012", "eu-west-1"
BATCH = f"arn:aws:batch:{REGION}:{ACCOUNT}:"
IAM = f"arn:aws:iam::{ACCOUNT}:"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
ECR = f"arn:aws:ecr:{REGION}:{ACCOUNT}:"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:"
SQS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
EVENTS = f"arn:aws:events:{REGION}:{ACCOUNT}:"

RESOURCES: list[tuple[str, dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    (
        "AWS::Batch::JobQueue",
        {"JobQueueName": "q"},
        [("batch:CreateJobQueue", BATCH + "job-queue/q")],
        [("batch:UpdateJobQueue", BATCH + "job-queue/q"), ("batch:DeleteJobQueue", BATCH + "job-queue/q")],
    ),
    (
        "AWS::Batch::ComputeEnvironment",
        {"ComputeEnvironmentName": "c", "ComputeResources": {"InstanceRole": "i"}, "Tags": {"K": "V"}},
        [
            ("batch:CreateComputeEnvironment", BATCH + "compute-environment/c"),
            ("batch:TagResource", BATCH + "compute-environment/c"),
            ("iam:PassRole", IAM + "role/i"),
        ],
        [
            ("batch:UpdateComputeEnvironment", BATCH + "compute-environment/c"),
            ("batch:DeleteComputeEnvironment", BATCH + "compute-environment/c"),
        ],
    ),
    (
        "AWS::Batch::JobDefinition",
        {"JobDefinitionName": "d", "ContainerProperties": {"JobRoleArn": IAM + "role/j"}},
        [("batch:RegisterJobDefinition", BATCH + "job-definition/d"), ("iam:PassRole", IAM + "role/j")],
        [("batch:DeregisterJobDefinition", BATCH + "job-definition/d")],
    ),
    (
        "AWS::IAM::Role",
        {"RoleName": "r", "Path": "/p/", "Policies": [{}], "ManagedPolicyArns": ["arn:m"]},
        [
            ("iam:CreateRole", IAM + "role/p/r"),
            ("iam:PutRolePolicy", IAM + "role/p/r"),
            ("iam:AttachRolePolicy", IAM + "role/p/r"),
        ],
        [
            ("iam:DeleteRole", IAM + "role/p/r"),
            ("iam:DeleteRolePolicy", IAM + "role/p/r"),
            ("iam:DetachRolePolicy", IAM + "role/p/r"),
        ],
    ),
    (
        "AWS::IAM::Policy",
        {"PolicyName": "p", "Roles": ["r"], "Users": [{"Ref": "x"}]},
        [("iam:PutRolePolicy", IAM + "role/r")],
        [("iam:DeleteRolePolicy", IAM + "role/r")],
    ),
    (
        "AWS::IAM::ManagedPolicy",
        {"ManagedPolicyName": "p", "Roles": ["r"]},
        [("iam:CreatePolicy", IAM + "policy/p"), ("iam:AttachRolePolicy", IAM + "role/r")],
        [("iam:DetachRolePolicy", IAM + "role/r"), ("iam:DeletePolicy", IAM + "policy/p")],
    ),
    (
        "AWS::IAM::InstanceProfile",
        {"Roles": ["r"]},
        [
            ("iam:CreateInstanceProfile", IAM + "instance-profile/*"),
            ("iam:AddRoleToInstanceProfile", IAM + "instance-profile/*"),
            ("iam:PassRole", IAM + "role/r"),
        ],
        [
            ("iam:RemoveRoleFromInstanceProfile", IAM + "instance-profile/*"),
            ("iam:DeleteInstanceProfile", IAM + "instance-profile/*"),
        ],
    ),
    (
        "AWS::S3::Bucket",
        {"BucketName": "b", "LifecycleConfiguration": {"Rules": []}},
        [("s3:CreateBucket", "arn:aws:s3:::b"), ("s3:PutLifecycleConfiguration", "arn:aws:s3:::b")],
        [("s3:DeleteBucket", "arn:aws:s3:::b")],
    ),
    (
        "AWS::S3::BucketPolicy",
        {"Bucket": "b"},
        [("s3:PutBucketPolicy", "arn:aws:s3:::b")],
        [("s3:DeleteBucketPolicy", "arn:aws:s3:::b")],
    ),
    (
        "AWS::ECR::Repository",
        {"RepositoryName": "a", "LifecyclePolicy": {"x": 1}},
        [("ecr:CreateRepository", ECR + "repository/a"), ("ecr:PutLifecyclePolicy", ECR + "repository/a")],
        [("ecr:DeleteRepository", ECR + "repository/a")],
    ),
    (
        "AWS::EC2::VPC",
        {"EnableDnsSupport": True, "Tags": [{"Key": "k", "Value": "v"}]},
        [
            ("ec2:CreateVpc", EC2 + "vpc/*"),
            ("ec2:ModifyVpcAttribute", EC2 + "vpc/*"),
            ("ec2:CreateTags", EC2 + "vpc/*"),
        ],
        [("ec2:DeleteVpc", EC2 + "vpc/*")],
    ),
    (
        "AWS::EC2::Subnet",
        {"VpcId": "vpc-1"},
        [("ec2:CreateSubnet", EC2 + "subnet/*"), ("ec2:CreateSubnet", EC2 + "vpc/vpc-1")],
        [("ec2:DeleteSubnet", EC2 + "subnet/*")],
    ),
    (
        "AWS::EC2::Route",
        {"RouteTableId": "rtb-1"},
        [("ec2:CreateRoute", EC2 + "route-table/rtb-1")],
        [("ec2:DeleteRoute", EC2 + "route-table/rtb-1")],
    ),
    (
        "AWS::Logs::LogGroup",
        {"LogGroupName": "g", "RetentionInDays": 3},
        [
            ("logs:CreateLogGroup", LOGS + "log-group:g:log-stream:"),
            ("logs:PutRetentionPolicy", LOGS + "log-group:g:log-stream:"),
        ],
        [("logs:DeleteLogGroup", LOGS + "log-group:g:log-stream:")],
    ),
    (
        "AWS::SQS::Queue",
        {"QueueName": "q", "Tags": [{"Key": "k", "Value": "v"}]},
        [("sqs:CreateQueue", SQS + "q"), ("sqs:TagQueue", SQS + "q")],
        [("sqs:DeleteQueue", SQS + "q")],
    ),
    (
        "AWS::SQS::QueuePolicy",
        {"Queues": ["http://x/1/q"]},
        [("sqs:SetQueueAttributes", SQS + "q")],
        [("sqs:SetQueueAttributes", SQS + "q")],
    ),
    (
        "AWS::Events::Rule",
        {"Name": "r", "Targets": [{"Arn": "a"}]},
        [("events:PutRule", EVENTS + "rule/r"), ("events:PutTargets", EVENTS + "rule/r")],
        [("events:RemoveTargets", EVENTS + "rule/r"), ("events:DeleteRule", EVENTS + "rule/r")],
    ),
    ("AWS::CloudFormation::WaitConditionHandle", {}, [], []),
    ("AWS::Lambda::Function", {}, [("lambda:CreateFunction", "*")], [("lambda:DeleteFunction", "*")]),
]


@pytest.mark.parametrize(("kind", "properties", "made", "removed"), RESOURCES, ids=[r[0] for r in RESOURCES])
def test_what_a_resource_of_a_stack_needs(
    kind: str, properties: dict[str, Any], made: list[tuple[str, str]], removed: list[tuple[str, str]]
) -> None:
    for verb, expected in (("create", made), ("delete", removed)):
        asks = asks_of_resource(kind, properties, verb, ACCOUNT, REGION)
        assert [(ask.action, ask.resource) for ask in asks] == expected


def test_a_resource_without_a_name_has_the_one_that_the_stack_gives_it() -> None:
    [ask] = asks_of_resource(
        "AWS::IAM::Role", {"RoleName": {"Ref": "x"}}, "create", ACCOUNT, REGION, name="s-Role-1"
    )
    assert ask.resource == IAM + "role/s-Role-1"


@pytest.mark.parametrize(
    ("kind", "properties", "changed", "name", "expected"),
    [
        ("AWS::Batch::JobQueue", {}, {"Priority"}, "q", [("batch:UpdateJobQueue", BATCH + "job-queue/q")]),
        (
            "AWS::IAM::Role",
            {"RoleName": "r"},
            {"Policies", "Tags"},
            "r",
            [("iam:PutRolePolicy", IAM + "role/r"), ("iam:TagRole", IAM + "role/r")],
        ),
        ("AWS::S3::Bucket", {}, {"Tags"}, "b", [("s3:PutBucketTagging", "arn:aws:s3:::b")]),
        ("AWS::EC2::VPC", {}, {"Tags"}, "vpc-1", [("ec2:CreateTags", EC2 + "vpc/vpc-1")]),
        (
            "AWS::SQS::Queue",
            {"QueueName": "q"},
            {"DelaySeconds"},
            "u",
            [("sqs:SetQueueAttributes", SQS + "q")],
        ),
    ],
)
def test_what_changing_a_resource_needs(
    kind: str, properties: dict[str, Any], changed: set[str], name: str, expected: list[tuple[str, str]]
) -> None:
    asks = asks_of_update(kind, properties, changed, ACCOUNT, REGION, name=name)
    assert [(ask.action, ask.resource) for ask in asks] == expected
