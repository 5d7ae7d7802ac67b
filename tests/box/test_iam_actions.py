import json
from typing import Any

import pytest

from cloudknot.testing.iam.actions import asks_of
from cloudknot.testing.wire.requests import WireRequest

ACCOUNT, REGION = "123456789012", "eu-west-1"
BATCH = f"arn:aws:batch:{REGION}:{ACCOUNT}:"
IAM = f"arn:aws:iam::{ACCOUNT}:"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:"
PROTOCOLS = {"s3": "rest-xml", "batch": "rest-json", "iam": "query", "sts": "query", "ec2": "ec2"}
PROTOCOLS |= {"cloudformation": "query"}


def request_for(service: str, operation: str | None, params: dict[str, Any], **headers: str) -> WireRequest:
    return WireRequest(
        service=service,
        operation=operation,
        region=REGION,
        access_key="AKIA",
        params=params,
        method="POST",
        path="/",
        query={},
        protocol=PROTOCOLS.get(service, "json"),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


CASES: list[tuple[str, str, dict[str, Any], list[tuple[str, str]]]] = [
    (
        "batch",
        "SubmitJob",
        {"jobDefinition": "d", "jobQueue": "q"},
        [("batch:SubmitJob", BATCH + "job-definition/d"), ("batch:SubmitJob", BATCH + "job-queue/q")],
    ),
    (
        "batch",
        "SubmitJob",
        {"jobDefinition": BATCH + "job-definition/d:3", "jobQueue": "q", "tags": {"a": "b"}},
        [
            ("batch:SubmitJob", BATCH + "job-definition/d:3"),
            ("batch:SubmitJob", BATCH + "job-queue/q"),
            ("batch:TagResource", BATCH + "job/*"),
        ],
    ),
    ("batch", "DescribeJobs", {"jobs": ["1"]}, [("batch:DescribeJobs", "*")]),
    ("batch", "ListJobs", {"jobQueue": "q"}, [("batch:ListJobs", "*")]),
    ("batch", "TerminateJob", {"jobId": "1"}, [("batch:TerminateJob", BATCH + "job/1")]),
    (
        "batch",
        "TerminateJobs",
        {"jobs": ["1", "2"]},
        [("batch:TerminateJob", BATCH + "job/1"), ("batch:TerminateJob", BATCH + "job/2")],
    ),
    (
        "batch",
        "DeregisterJobDefinition",
        {"jobDefinition": "d:3"},
        [("batch:DeregisterJobDefinition", BATCH + "job-definition/d:3")],
    ),
    (
        "batch",
        "RegisterJobDefinition",
        {
            "jobDefinitionName": "d",
            "containerProperties": {"jobRoleArn": IAM + "role/p/j", "executionRoleArn": "e"},
        },
        [
            ("batch:RegisterJobDefinition", BATCH + "job-definition/d"),
            ("iam:PassRole", IAM + "role/p/j"),
            ("iam:PassRole", IAM + "role/e"),
        ],
    ),
    (
        "batch",
        "CreateJobQueue",
        {"jobQueueName": "q", "computeEnvironmentOrder": [{"computeEnvironment": "c"}]},
        [
            ("batch:CreateJobQueue", BATCH + "job-queue/q"),
            ("batch:CreateJobQueue", BATCH + "compute-environment/c"),
        ],
    ),
    (
        "batch",
        "CreateComputeEnvironment",
        {
            "computeEnvironmentName": "c",
            "serviceRole": IAM + "role/s",
            "computeResources": {
                "instanceRole": IAM + "instance-profile/i",
                "spotIamFleetRole": IAM + "role/f",
            },
        },
        [
            ("batch:CreateComputeEnvironment", BATCH + "compute-environment/c"),
            ("iam:PassRole", IAM + "role/s"),
            ("iam:PassRole", IAM + "role/i"),
            ("iam:PassRole", IAM + "role/f"),
        ],
    ),
    (
        "batch",
        "TagResource",
        {"resourceArn": BATCH + "job-queue/q", "tags": {"k": "v"}},
        [("batch:TagResource", BATCH + "job-queue/q")],
    ),
    ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
    ("s3", "CreateBucket", {"Bucket": "b"}, [("s3:CreateBucket", "arn:aws:s3:::b")]),
    ("s3", "HeadBucket", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
    ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "p/"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "GetObject",
        {"Bucket": "b", "Key": "k", "VersionId": "v"},
        [("s3:GetObjectVersion", "arn:aws:s3:::b/k")],
    ),
    ("s3", "PutObject", {"Bucket": "b", "Key": "k"}, [("s3:PutObject", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "PutObject",
        {"Bucket": "b", "Key": "k", "Tagging": "a=b"},
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:PutObjectTagging", "arn:aws:s3:::b/k")],
    ),
    ("s3", "UploadPart", {"Bucket": "b", "Key": "k"}, [("s3:PutObject", "arn:aws:s3:::b/k")]),
    ("s3", "ListParts", {"Bucket": "b", "Key": "k"}, [("s3:ListMultipartUploadParts", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "CopyObject",
        {"Bucket": "b", "Key": "k", "CopySource": "o/p%20q?versionId=v"},
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObjectVersion", "arn:aws:s3:::o/p q")],
    ),
    (
        "s3",
        "DeleteObjects",
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l", "VersionId": "v"}]}},
        [("s3:DeleteObject", "arn:aws:s3:::b/k"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/l")],
    ),
    (
        "s3",
        "GetBucketLifecycleConfiguration",
        {"Bucket": "b"},
        [("s3:GetLifecycleConfiguration", "arn:aws:s3:::b")],
    ),
    ("s3", "DeletePublicAccessBlock", {"Bucket": "b"}, [("s3:PutBucketPublicAccessBlock", "arn:aws:s3:::b")]),
    ("ecr", "GetAuthorizationToken", {}, [("ecr:GetAuthorizationToken", "*")]),
    (
        "ecr",
        "DescribeImages",
        {"repositoryName": "a/b"},
        [("ecr:DescribeImages", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/a/b")],
    ),
    (
        "ecr",
        "DescribeRepositories",
        {},
        [("ecr:DescribeRepositories", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*")],
    ),
    (
        "ecr",
        "CreateRepository",
        {"repositoryName": "a", "tags": [{"Key": "k", "Value": "v"}]},
        [
            ("ecr:CreateRepository", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/a"),
            ("ecr:TagResource", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/a"),
        ],
    ),
    ("iam", "GetRole", {"RoleName": "r"}, [("iam:GetRole", IAM + "role/r")]),
    (
        "iam",
        "CreateRole",
        {"RoleName": "r", "Path": "/p/", "Tags.member.1.Key": "k", "Tags.member.1.Value": "v"},
        [("iam:CreateRole", IAM + "role/p/r"), ("iam:TagRole", IAM + "role/p/r")],
    ),
    (
        "iam",
        "AttachRolePolicy",
        {"RoleName": "r", "PolicyArn": IAM + "policy/p"},
        [("iam:AttachRolePolicy", IAM + "role/r")],
    ),
    (
        "iam",
        "GetPolicyVersion",
        {"PolicyArn": IAM + "policy/p"},
        [("iam:GetPolicyVersion", IAM + "policy/p")],
    ),
    (
        "iam",
        "AddRoleToInstanceProfile",
        {"RoleName": "r", "InstanceProfileName": "i"},
        [("iam:AddRoleToInstanceProfile", IAM + "instance-profile/i"), ("iam:PassRole", IAM + "role/r")],
    ),
    ("iam", "AddUserToGroup", {"UserName": "u", "GroupName": "g"}, [("iam:AddUserToGroup", IAM + "group/g")]),
    ("iam", "ListUsers", {}, [("iam:ListUsers", "*")]),
    (
        "iam",
        "CreateServiceLinkedRole",
        {"AWSServiceName": "batch.amazonaws.com"},
        [("iam:CreateServiceLinkedRole", IAM + "role/aws-service-role/batch.amazonaws.com/*")],
    ),
    ("sts", "GetCallerIdentity", {}, []),
    ("sts", "AssumeRole", {"RoleArn": IAM + "role/r"}, [("sts:AssumeRole", IAM + "role/r")]),
    (
        "logs",
        "GetLogEvents",
        {"logGroupName": "/aws/batch/job", "logStreamName": "a/b"},
        [("logs:GetLogEvents", LOGS + "log-group:/aws/batch/job:log-stream:a/b")],
    ),
    ("logs", "DescribeLogGroups", {}, [("logs:DescribeLogGroups", LOGS + "log-group::log-stream:")]),
    (
        "logs",
        "CreateLogGroup",
        {"logGroupName": "g", "tags": {"k": "v"}},
        [
            ("logs:CreateLogGroup", LOGS + "log-group:g:log-stream:"),
            ("logs:TagResource", LOGS + "log-group:g"),
        ],
    ),
    (
        "logs",
        "FilterLogEvents",
        {"logGroupIdentifier": LOGS + "log-group:g:*"},
        [("logs:FilterLogEvents", LOGS + "log-group:g:log-stream:")],
    ),
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": "http://127.0.0.1:1/123456789012/q"},
        [("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:q")],
    ),
    ("sqs", "ListQueues", {}, [("sqs:ListQueues", "*")]),
    ("events", "PutRule", {"Name": "r"}, [("events:PutRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r")]),
    (
        "events",
        "PutTargets",
        {"Rule": "r", "EventBusName": "b", "Targets": [{"Arn": "a", "RoleArn": IAM + "role/x"}]},
        [
            ("events:PutTargets", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/b/r"),
            ("iam:PassRole", IAM + "role/x"),
        ],
    ),
    ("ec2", "DescribeVpcs", {"VpcId.1": "vpc-1"}, [("ec2:DescribeVpcs", "*")]),
    (
        "ec2",
        "CreateSubnet",
        {"VpcId": "vpc-1"},
        [("ec2:CreateSubnet", EC2 + "subnet/*"), ("ec2:CreateSubnet", EC2 + "vpc/vpc-1")],
    ),
    (
        "ec2",
        "CreateVpc",
        {
            "TagSpecification.1.ResourceType": "vpc",
            "TagSpecification.1.Tag.1.Key": "k",
            "TagSpecification.1.Tag.1.Value": "v",
        },
        [("ec2:CreateVpc", EC2 + "vpc/*"), ("ec2:CreateTags", EC2 + "vpc/*")],
    ),
    (
        "ec2",
        "CreateRoute",
        {"RouteTableId": "rtb-1", "GatewayId": "igw-1"},
        [("ec2:CreateRoute", EC2 + "route-table/rtb-1")],
    ),
    (
        "ec2",
        "CreateTags",
        {"ResourceId.1": "vpc-1", "ResourceId.2": "sg-1"},
        [("ec2:CreateTags", EC2 + "vpc/vpc-1"), ("ec2:CreateTags", EC2 + "security-group/sg-1")],
    ),
    ("ec2", "DescribeVpcAttribute", {"VpcId": "vpc-1"}, [("ec2:DescribeVpcAttribute", EC2 + "vpc/vpc-1")]),
    (
        "cloudformation",
        "CreateStack",
        {"StackName": "s", "RoleARN": IAM + "role/c"},
        [
            ("cloudformation:CreateStack", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/*"),
            ("iam:PassRole", IAM + "role/c"),
        ],
    ),
    (
        "cloudformation",
        "DescribeStacks",
        {},
        [("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/*/*")],
    ),
    ("cloudformation", "ValidateTemplate", {}, [("cloudformation:ValidateTemplate", "*")]),
    ("secretsmanager", "GetSecretValue", {"SecretId": "x"}, [("secretsmanager:GetSecretValue", "x")]),
    (
        "ssm",
        "GetParameters",
        {"Names": ["/a/b", "c:3"]},
        [
            ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a/b"),
            ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/c"),
        ],
    ),
    (
        "ssm",
        "GetParameter",
        {"Name": "/aws/service/ecs/x"},
        [("ssm:GetParameter", f"arn:aws:ssm:{REGION}::parameter/aws/service/ecs/x")],
    ),
    ("kms", "Decrypt", {"KeyId": "k"}, [("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k")]),
    ("pricing", "GetProducts", {}, [("pricing:GetProducts", "*")]),
    ("service-quotas", "ListServiceQuotas", {}, [("servicequotas:ListServiceQuotas", "*")]),
    ("budgets", "DescribeBudgets", {}, [("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/*")]),
    (
        "budgets",
        "CreateBudget",
        {"Budget": {"BudgetName": "b"}},
        [("budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/b")],
    ),
    ("resourcegroupstaggingapi", "GetResources", {}, [("tag:GetResources", "*")]),
    ("ecs", "DescribeClusters", {}, [("ecs:DescribeClusters", "*")]),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"), CASES, ids=lambda value: str(value)[:30]
)
def test_what_a_call_needs(
    service: str, operation: str, params: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    asks = asks_of(request_for(service, operation, params))
    assert [(ask.action, ask.resource) for ask in asks] == expected


def test_deletions_that_cannot_be_read_need_the_permission_for_every_key() -> None:
    [ask] = asks_of(request_for("s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": []}}))
    assert ask.resource == "arn:aws:s3:::b/*"


def test_an_operation_that_is_not_known_needs_a_permission_that_only_stars_give() -> None:
    [ask] = asks_of(request_for("s3", None, {}))
    assert (ask.action, ask.resource) == ("s3:UnknownOperation", "*")


CONTEXTS: list[tuple[str, str, dict[str, Any], dict[str, str], int, dict[str, Any]]] = [
    (
        "s3",
        "ListObjectsV2",
        {"Bucket": "b", "Prefix": "p/", "Delimiter": "/", "MaxKeys": "5"},
        {},
        0,
        {"s3:prefix": "p/", "s3:delimiter": "/", "s3:max-keys": "5"},
    ),
    (
        "s3",
        "PutObject",
        {"Bucket": "b", "Key": "k", "Tagging": "a=b"},
        {"if_none_match": "*", "x_amz_server_side_encryption": "AES256"},
        0,
        {"s3:if-none-match": "*", "s3:x-amz-server-side-encryption": "AES256", "s3:RequestObjectTag/a": "b"},
    ),
    (
        "batch",
        "SubmitJob",
        {"jobDefinition": "d", "jobQueue": "q", "tags": {"k": "v"}},
        {},
        0,
        {"aws:RequestTag/k": "v", "aws:TagKeys": ("k",)},
    ),
    (
        "batch",
        "RegisterJobDefinition",
        {"jobDefinitionName": "d", "containerProperties": {"image": "i"}},
        {},
        0,
        {"batch:Image": "i"},
    ),
    (
        "batch",
        "RegisterJobDefinition",
        {"jobDefinitionName": "d", "containerProperties": {"jobRoleArn": "r"}},
        {},
        1,
        {"iam:PassedToService": "ecs-tasks.amazonaws.com"},
    ),
    ("iam", "AttachRolePolicy", {"RoleName": "r", "PolicyArn": "p"}, {}, 0, {"iam:PolicyARN": "p"}),
    (
        "iam",
        "CreateRole",
        {"RoleName": "r", "PermissionsBoundary": "p"},
        {},
        0,
        {"iam:PermissionsBoundary": "p"},
    ),
    ("iam", "UntagRole", {"RoleName": "r", "TagKeys.member.1": "k"}, {}, 0, {"aws:TagKeys": ("k",)}),
    (
        "ec2",
        "CreateVpc",
        {
            "TagSpecification.1.ResourceType": "vpc",
            "TagSpecification.1.Tag.1.Key": "k",
            "TagSpecification.1.Tag.1.Value": "v",
        },
        {},
        1,
        {"ec2:CreateAction": "CreateVpc", "aws:RequestTag/k": "v"},
    ),
    ("sts", "AssumeRole", {"RoleArn": "r", "ExternalId": "e"}, {}, 0, {"sts:ExternalId": "e"}),
    (
        "ecr",
        "DescribeImages",
        {"repositoryName": "a"},
        {"user_agent": "ua"},
        0,
        {
            "aws:RequestedRegion": REGION,
            "aws:SecureTransport": "true",
            "aws:UserAgent": "ua",
            "aws:CurrentTime": "1970-01-01T00:01:00Z",
            "aws:EpochTime": "60",
        },
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "headers", "number", "keys"),
    CONTEXTS,
    ids=lambda value: str(value)[:20],
)
def test_condition_keys(
    service: str,
    operation: str,
    params: dict[str, Any],
    headers: dict[str, str],
    number: int,
    keys: dict[str, Any],
) -> None:
    asks = asks_of(request_for(service, operation, params, **headers), now=lambda: 60.0)
    assert asks[number].context.items() >= keys.items()


def test_tags_of_resources_and_full_arns_can_be_looked_up() -> None:
    known = {("role", "r"): IAM + "role/path/r"}
    [ask] = asks_of(
        request_for("iam", "GetRole", {"RoleName": "r"}),
        known=lambda kind, name: known.get((kind, name)),
        tags_of=lambda arn: {"team": arn},
    )
    assert ask.resource == IAM + "role/path/r"
    assert ask.context["aws:ResourceTag/team"] == IAM + "role/path/r"


def test_every_condition_key_is_text() -> None:
    for service, operation, params, _ in CASES:
        for ask in asks_of(request_for(service, operation, params)):
            assert all(isinstance(value, str | tuple) for value in ask.context.values()), json.dumps(params)
