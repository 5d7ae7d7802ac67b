"""Calls, and the permissions that they need by AWS's service authorization reference."""

from typing import Any

ACCOUNT, REGION = "123456789012", "eu-west-1"
BATCH = f"arn:aws:batch:{REGION}:{ACCOUNT}:"
IAM = f"arn:aws:iam::{ACCOUNT}:"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:"

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
