"""Types of resources: what their properties come to, and the refusal of those that would be passed over."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import stacks
from tests.box.stacks import QUEUE, VPC

pytestmark = pytest.mark.aws_box(executor="process")

BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "bbbb"}}
ANYBODY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}],
}


@pytest.mark.parametrize(
    ("resource", "word"),
    [
        ({**BUCKET, "Properties": {"WebsiteConfiguration": {}}}, "WebsiteConfiguration"),
        ({**QUEUE, "Properties": {"Nonsense": 1}}, "Nonsense"),
        ({**VPC, "Properties": {}}, "CidrBlock"),
        (
            {**BUCKET, "Properties": {"LifecycleConfiguration": {"Rules": [{"ObjectSizeLessThan": 1}]}}},
            "ObjectSizeLessThan",
        ),
        (
            {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {"LaunchTemplateData": {"Nonsense": 1}},
            },
            "Nonsense",
        ),
        (
            {
                "Type": "AWS::Batch::JobDefinition",
                "Properties": {"Type": "container", "ContainerProperties": {"Nonsense": 1}},
            },
            "nonsense",
        ),
    ],
    ids=["bucket", "queue", "missing", "in a rule", "in a launch template", "in a definition"],
)
def test_a_property_that_would_be_passed_over_is_refused_by_name(
    aws_box: Box, resource: dict[str, Any], word: str
) -> None:
    stacks.create(aws_box, {"R": resource})
    assert stacks.status(aws_box) == "ROLLBACK_COMPLETE"
    words = stacks.reason(aws_box, "R", "CREATE_FAILED")
    assert words.startswith("Properties validation failed for resource R")
    assert word in words


def test_a_bucket_of_that_name_is_not_taken_over(aws_box: Box) -> None:
    aws_box.client("s3").create_bucket(Bucket="bbbb")
    stacks.create(aws_box, {"B": BUCKET})
    assert "HandlerErrorCode: AlreadyExists" in stacks.reason(aws_box, "B", "CREATE_FAILED")
    assert len(aws_box.client("s3").list_buckets()["Buckets"]) == 1


def test_policies_are_put_changed_and_taken_away(aws_box: Box) -> None:
    def policies(action: str) -> dict[str, Any]:
        return {
            "B": BUCKET,
            "Q": QUEUE,
            "OfB": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "B"}, "PolicyDocument": _policy(action, "bbbb/*")},
            },
            "OfQ": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {"Queues": [{"Ref": "Q"}], "PolicyDocument": ANYBODY},
            },
        }

    s3 = aws_box.client("s3")
    stacks.create(aws_box, policies("s3:GetObject"))
    assert json.loads(stacks.attribute(aws_box, "Policy") or "") == ANYBODY
    stacks.update(aws_box, policies("s3:PutObject"))
    [statement] = json.loads(s3.get_bucket_policy(Bucket="bbbb")["Policy"])["Statement"]
    assert statement["Action"] == "s3:PutObject"
    stacks.update(aws_box, {"B": BUCKET, "Q": QUEUE})
    assert not stacks.attribute(aws_box, "Policy")
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket="bbbb")


def _policy(action: str, key: str) -> dict[str, Any]:
    resource = f"arn:aws:s3:::{key}"
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_parts_of_a_bucket_are_taken_away_with_their_properties(aws_box: Box) -> None:
    rule = {"Status": "Enabled", "TagFilters": [{"Key": "k", "Value": "v"}], "ExpirationInDays": 3}
    with_parts = {
        "BucketName": "bbbb",
        "LifecycleConfiguration": {"Rules": [rule]},
        "Tags": [{"Key": "k", "Value": "v"}],
        "CorsConfiguration": {"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    }
    s3 = aws_box.client("s3")
    stacks.create(aws_box, {"B": {**BUCKET, "Properties": with_parts}})
    [found] = s3.get_bucket_lifecycle_configuration(Bucket="bbbb")["Rules"]
    assert found["Filter"] == {"Tag": {"Key": "k", "Value": "v"}}
    assert s3.get_bucket_cors(Bucket="bbbb")["CORSRules"][0]["AllowedMethods"] == ["GET"]
    stacks.update(aws_box, {"B": BUCKET})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    for look in (s3.get_bucket_lifecycle_configuration, s3.get_bucket_cors, s3.get_bucket_tagging):
        with pytest.raises(ClientError, match="NoSuch"):
            look(Bucket="bbbb")


SECRET = {
    "GenerateSecretString": {"GenerateStringKey": "password", "SecretStringTemplate": '{"user": "ada"}'}
}
# Each: what it is at first, what it is then, what is read of it, and what that is each time.
SIMPLE: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Box], Any], Any, Any]] = {
    "AWS::SecretsManager::Secret": (
        {"Name": "n", "SecretString": "a"},
        {"Name": "n", "SecretString": "b"},
        lambda box: box.client("secretsmanager").get_secret_value(SecretId="n")["SecretString"],
        "a",
        "b",
    ),
    "AWS::SSM::Parameter": (
        {"Name": "n", "Type": "String", "Value": "a", "Tags": {"k": "v"}},
        {"Name": "n", "Type": "String", "Value": "b", "Tags": {"k": "v"}},
        lambda box: box.client("ssm").get_parameter(Name="n")["Parameter"]["Value"],
        "a",
        "b",
    ),
    "AWS::KMS::Key": (
        {"Description": "a", "EnableKeyRotation": True},
        {"Description": "b", "EnableKeyRotation": True},
        lambda box: [
            box.client("kms").describe_key(KeyId=one["KeyId"])["KeyMetadata"]["Description"]
            for one in box.client("kms").list_keys()["Keys"]
        ],
        ["a"],
        ["b"],
    ),
    "AWS::SNS::Topic": (
        {"TopicName": "n", "Subscription": [{"Protocol": "email", "Endpoint": "a@x.org"}]},
        {"TopicName": "n", "Subscription": [{"Protocol": "email", "Endpoint": "b@x.org"}]},
        lambda box: [one["Endpoint"] for one in box.client("sns").list_subscriptions()["Subscriptions"]],
        ["a@x.org"],
        ["b@x.org"],
    ),
    "AWS::CloudWatch::Alarm": (
        {
            **{"AlarmName": "n", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1},
            **{"MetricName": "m", "Namespace": "x", "Period": 60, "Statistic": "Sum", "Threshold": 1},
        },
        {
            **{"AlarmName": "n", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1},
            **{"MetricName": "m", "Namespace": "x", "Period": 60, "Statistic": "Sum", "Threshold": 2},
        },
        lambda box: [one["Threshold"] for one in box.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        [1.0],
        [2.0],
    ),
    "AWS::Budgets::Budget": (
        {
            "Budget": {
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": 1, "Unit": "USD"},
            }
        },
        {
            "Budget": {
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": 2, "Unit": "USD"},
            }
        },
        lambda box: [
            one["BudgetLimit"]["Amount"]
            for one in box.client("budgets").describe_budgets(AccountId=box.account_id)["Budgets"]
        ],
        ["1"],
        ["2"],
    ),
    "AWS::Logs::LogGroup": (
        {"LogGroupName": "n", "RetentionInDays": 3},
        {"LogGroupName": "n"},
        lambda box: [
            one.get("retentionInDays") for one in box.client("logs").describe_log_groups()["logGroups"]
        ],
        [3],
        [None],
    ),
    "AWS::ECR::Repository": (
        {"RepositoryName": "nn", "ImageTagMutability": "IMMUTABLE"},
        {"RepositoryName": "nn", "Tags": [{"Key": "k", "Value": "v"}]},
        lambda box: [
            one["imageTagMutability"] for one in box.client("ecr").describe_repositories()["repositories"]
        ],
        ["IMMUTABLE"],
        ["MUTABLE"],
    ),
}


@pytest.mark.parametrize("kind", SIMPLE)
def test_a_type_is_made_changed_and_removed(aws_box: Box, kind: str) -> None:
    first, then, look, made, changed = SIMPLE[kind]
    stack_id = stacks.create(aws_box, {"R": {"Type": kind, "Properties": first}})
    assert (stacks.status(aws_box), look(aws_box)) == ("CREATE_COMPLETE", made)
    stacks.update(aws_box, {"R": {"Type": kind, "Properties": then}})
    assert (stacks.status(aws_box), look(aws_box)) == ("UPDATE_COMPLETE", changed)
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert stacks.status(aws_box, stack_id) == "DELETE_COMPLETE"


def test_a_secret_may_be_made_up(aws_box: Box) -> None:
    stacks.create(
        aws_box, {"R": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "n", **SECRET}}}
    )
    found = json.loads(aws_box.client("secretsmanager").get_secret_value(SecretId="n")["SecretString"])
    assert found["user"] == "ada"
    assert len(found["password"]) == 32


def test_a_role_linked_to_a_service_is_made(aws_box: Box) -> None:
    linked = {"Type": "AWS::IAM::ServiceLinkedRole", "Properties": {"AWSServiceName": "batch.amazonaws.com"}}
    stacks.create(aws_box, {"R": linked})
    assert stacks.status(aws_box) == "CREATE_COMPLETE"
    [found] = aws_box.client("iam").list_roles()["Roles"]
    assert found["RoleName"].lower() == "awsserviceroleforbatch"


def test_rules_of_a_group_may_stand_beside_it(aws_box: Box) -> None:
    rule = {"GroupId": {"Ref": "G"}, "IpProtocol": "tcp", "FromPort": "443", "ToPort": 443}
    group = {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupName": "g", "GroupDescription": "d", "VpcId": {"Ref": "Vpc"}},
    }
    beside = {
        "In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {**rule, "CidrIp": "10.0.0.0/8"}},
        "Out": {
            "Type": "AWS::EC2::SecurityGroupEgress",
            "Properties": {**rule, "DestinationSecurityGroupId": {"Fn::GetAtt": ["G", "GroupId"]}},
        },
    }
    stacks.create(aws_box, {"Vpc": VPC, "G": group, **beside})

    def rules() -> tuple[int, int]:
        named = [{"Name": "group-name", "Values": ["g"]}]
        [found] = aws_box.client("ec2").describe_security_groups(Filters=named)["SecurityGroups"]
        return len(found["IpPermissions"]), len(found["IpPermissionsEgress"])

    assert rules() == (1, 2)  # everything may go out, unless the group itself says otherwise
    stacks.update(aws_box, {"Vpc": VPC, "G": group})
    assert rules() == (0, 1)


def test_an_update_of_a_role_leaves_what_the_template_says(aws_box: Box) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }

    def role(*names: str, **more: Any) -> dict[str, Any]:
        inline = [{"PolicyName": name, "PolicyDocument": _own(name)} for name in names]
        properties = {"RoleName": "r", "AssumeRolePolicyDocument": trust, "Policies": inline, **more}
        return {"R": {"Type": "AWS::IAM::Role", "Properties": properties}}

    reading = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    stacks.create(aws_box, role("a", "b"))
    stacks.update(aws_box, role("b", "c", ManagedPolicyArns=[reading], Description="d"))
    iam = aws_box.client("iam")
    assert set(iam.list_role_policies(RoleName="r")["PolicyNames"]) == {"b", "c"}
    [attached] = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert attached["PolicyArn"] == reading
    assert iam.get_role(RoleName="r")["Role"]["Description"] == "d"


def _own(name: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": f"s3:Get{name}", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
