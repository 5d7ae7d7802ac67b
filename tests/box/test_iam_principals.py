import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend

from cloudknot.testing.iam.keys import holder_of
from cloudknot.testing.iam.names import known_in_moto
from cloudknot.testing.iam.policies import Ask, Policy, decide
from cloudknot.testing.iam.principals import Principal, find, role_session
from cloudknot.testing.iam.signatures import Secret, secret_of
from cloudknot.testing.iam.trust import may_assume, may_send

ACCOUNT, REGION = "123456789012", "eu-west-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def allowing(*actions: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def iam() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("iam", region_name=REGION)


@pytest.fixture
def key(iam: Any) -> dict[str, str]:
    iam.create_user(UserName="ada", Path="/team/", Tags=[{"Key": "group", "Value": "g"}])
    made: dict[str, str] = iam.create_access_key(UserName="ada")["AccessKey"]
    return made


def ask(principal: Principal | None, action: str, resource: str = "*") -> bool:
    assert principal is not None
    return decide(principal, Ask(action=action, resource=resource)).is_allowed


def test_a_user_has_his_inline_managed_and_groups_policies(iam: Any, key: dict[str, str]) -> None:
    iam.put_user_policy(UserName="ada", PolicyName="inline", PolicyDocument=allowing("a:Inline"))
    managed = iam.create_policy(PolicyName="managed", PolicyDocument=allowing("a:Old"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=managed, PolicyDocument=allowing("a:New"), SetAsDefault=True)
    iam.attach_user_policy(UserName="ada", PolicyArn=managed)
    iam.create_group(GroupName="g")
    iam.add_user_to_group(UserName="ada", GroupName="g")
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=allowing("a:GroupInline"))
    attached = iam.create_policy(PolicyName="p", PolicyDocument=allowing("a:GroupManaged"))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="g", PolicyArn=attached)
    ada = find(key["AccessKeyId"], REGION)
    actions = ("a:Inline", "a:New", "a:GroupInline", "a:GroupManaged", "a:Old", "a:Other")
    assert [action for action in actions if ask(ada, action)] == list(actions[:4])
    iam.put_user_policy(UserName="ada", PolicyName="inline", PolicyDocument=allowing("a:Other"))
    assert ask(find(key["AccessKeyId"], REGION), "a:Other")


def test_a_user_is_known_by_name_and_tags(iam: Any, key: dict[str, str]) -> None:
    ada = find(key["AccessKeyId"], REGION)
    assert ada is not None
    assert (ada.arn, ada.kind, ada.account) == (f"arn:aws:iam::{ACCOUNT}:user/team/ada", "user", ACCOUNT)
    keys = {"aws:username": "ada", "aws:PrincipalTag/group": "g", "aws:PrincipalArn": ada.arn}
    assert ada.context.items() >= keys.items()


def test_an_access_key_that_is_nobodys_inactive_or_gone_finds_nobody(iam: Any, key: dict[str, str]) -> None:
    name = key["AccessKeyId"]
    assert secret_of(name) == Secret(key=key["SecretAccessKey"])
    assert find("AKIANOBODY", REGION) is None
    iam.update_access_key(UserName="ada", AccessKeyId=name, Status="Inactive")
    assert find(name, REGION) is None
    assert secret_of(name) is None
    iam.update_access_key(UserName="ada", AccessKeyId=name, Status="Active")
    assert find(name, REGION)
    iam.delete_access_key(UserName="ada", AccessKeyId=name)
    assert find(name, REGION) is None


def assumed(role_arn: str, **more: Any) -> dict[str, Any]:
    sts = boto3.client("sts", region_name=REGION)
    made: dict[str, Any] = sts.assume_role(RoleArn=role_arn, RoleSessionName="session", **more)["Credentials"]
    return made


def role(iam: Any, name: str = "r", **more: Any) -> str:
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), **more)["Role"][
        "Arn"
    ]
    return arn


def test_a_session_has_the_policies_of_its_role(iam: Any) -> None:
    arn = role(iam, Path="/p/", Tags=[{"Key": "k", "Value": "v"}])
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allowing("a:Yes"))
    credentials = assumed(arn)
    session = find(credentials["AccessKeyId"], REGION)
    assert session is not None
    assert session.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session"
    assert session.context["aws:PrincipalArn"] == arn == f"arn:aws:iam::{ACCOUNT}:role/p/r"
    assert session.context["aws:PrincipalTag/k"] == "v"
    assert (ask(session, "a:Yes"), ask(session, "a:No")) == (True, False)
    secret = secret_of(credentials["AccessKeyId"])
    assert secret is not None
    assert (secret.key, secret.token) == (credentials["SecretAccessKey"], credentials["SessionToken"])
    assert secret.expires_at == pytest.approx(credentials["Expiration"].timestamp(), abs=2)


def test_a_session_policy_and_a_boundary_narrow_a_role(iam: Any) -> None:
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=allowing("a:One", "a:Two"))["Policy"]["Arn"]
    arn = role(iam, PermissionsBoundary=boundary)
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allowing("a:*"))
    whole = find(assumed(arn)["AccessKeyId"], REGION)
    assert [ask(whole, f"a:{name}") for name in ("One", "Two", "Three")] == [True, True, False]
    less = find(assumed(arn, Policy=allowing("a:Two", "a:Three"))["AccessKeyId"], REGION)
    assert [ask(less, f"a:{name}") for name in ("One", "Two", "Three")] == [False, True, False]


def test_a_boundary_that_is_not_there_allows_nothing(iam: Any) -> None:
    arn = role(iam, PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/gone")
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allowing("a:*"))
    assert not ask(role_session(ACCOUNT, arn, "s"), "a:One")


def test_a_role_that_is_gone_may_do_nothing(iam: Any) -> None:
    arn = role(iam)
    credentials = assumed(arn)
    iam.delete_role(RoleName="r")
    assert not ask(find(credentials["AccessKeyId"], REGION), "a:One")


def test_sessions_of_an_account_that_was_emptied_are_gone(iam: Any) -> None:
    access_key = assumed(role(iam))["AccessKeyId"]
    assert holder_of(access_key)
    moto_api_backend.reset()
    assert holder_of(access_key) is None
    later = assumed(role(iam))["AccessKeyId"]
    assert holder_of(later)


OF_AWS = {
    "service-role/AmazonEC2ContainerServiceforEC2Role": "ecr:BatchGetImage",
    "service-role/AmazonECSTaskExecutionRolePolicy": "logs:PutLogEvents",
    "service-role/AWSBatchServiceRole": "ecs:RunTask",
    "AmazonS3ReadOnlyAccess": "s3:GetObject",
}


def test_policies_of_aws_count_where_moto_is_told_to_load_them() -> None:
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        iam = boto3.client("iam", region_name=REGION)
        for number, (policy, action) in enumerate(OF_AWS.items()):
            arn = role(iam, f"r{number}")
            iam.attach_role_policy(RoleName=f"r{number}", PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
            session = role_session(ACCOUNT, arn, "s")
            assert (ask(session, action), ask(session, "iam:CreateUser")) == (True, False)
        every = list(iam_backends[ACCOUNT]["aws"].managed_policies.values())
    assert len(every) > 1000
    for managed in every:
        Policy.parse(managed.versions[0].document)  # none of AWS's own is malformed


def test_full_arns_are_found_by_name(iam: Any) -> None:
    arn = role(iam, Path="/p/")
    iam.create_instance_profile(InstanceProfileName="i", Path="/q/")
    iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    secret = boto3.client("secretsmanager", region_name=REGION).create_secret(Name="x", SecretString="y")[
        "ARN"
    ]
    known = known_in_moto(ACCOUNT, REGION)
    assert known("role", "r") == known("role-of-instance-profile", "i") == arn
    assert known("instance-profile", "i") == f"arn:aws:iam::{ACCOUNT}:instance-profile/q/i"
    assert known("secret", "x") == known("secret", secret) == secret
    assert known("role", "other") is known("secret", "z") is known("launch-template", "l") is None
    assert known("nothing", "r") is None


def trusting(principal: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole", **more}


USER = f"arn:aws:iam::{ACCOUNT}:user/ada"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session"
TASKS = "ecs-tasks.amazonaws.com"


@pytest.mark.parametrize(
    ("statements", "principal", "context", "expected"),
    [
        ([trusting({"Service": TASKS})], TASKS, {}, True),
        ([trusting({"Service": ["ec2.amazonaws.com", TASKS]})], TASKS, {}, True),
        ([trusting({"Service": "ec2.amazonaws.com"})], TASKS, {}, False),
        ([trusting({"AWS": USER})], USER, {}, True),
        ([trusting({"AWS": USER})], TASKS, {}, False),
        ([trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})], USER, {}, True),
        ([trusting({"AWS": ACCOUNT})], SESSION, {}, True),
        ([trusting({"AWS": "arn:aws:iam::999999999999:root"})], USER, {}, False),
        ([trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/r"})], SESSION, {}, True),
        ([trusting({"AWS": SESSION})], SESSION, {}, True),
        ([trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"})], USER, {}, False),
        ([trusting("*")], USER, {}, True),
        ([trusting({"AWS": "*"})], USER, {}, True),
        ([trusting("*"), trusting({"AWS": USER}, "Deny")], USER, {}, False),
        ([trusting({"AWS": USER}, Action="sts:TagSession")], USER, {}, False),
        ([trusting({"AWS": USER}, Condition={"StringEquals": {"sts:ExternalId": "x"}})], USER, {}, False),
        (
            [trusting({"AWS": USER}, Condition={"StringEquals": {"sts:ExternalId": "x"}})],
            USER,
            {"sts:ExternalId": "x"},
            True,
        ),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": USER}, "Action": "sts:AssumeRole"}], USER, {}, False),
        ([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}], USER, {}, False),
        ([{"Effect": "Allow"}], USER, {}, False),
    ],
)
def test_whom_a_role_trusts(statements: list[Any], principal: str, context: Any, expected: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": statements}
    assert may_assume(document, principal, context) is expected
    assert may_assume(json.dumps(document), principal, context) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"Resource": "arn:aws:sqs:eu-west-1:123456789012:other"}, False),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Action": "sqs:*"}, True),
        ({"Action": "sqs:ReceiveMessage"}, False),
        (
            {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:eu-west-1:123456789012:rule/*"}}},
            True,
        ),
        (
            {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:eu-west-1:123456789012:rule/x"}}},
            False,
        ),
        ({"Effect": "Deny"}, False),
    ],
)
def test_who_may_send_to_a_queue(change: dict[str, Any], expected: bool) -> None:
    queue = "arn:aws:sqs:eu-west-1:123456789012:q"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        **change,
    }
    rule = "arn:aws:events:eu-west-1:123456789012:rule/r"
    assert may_send({"Statement": [statement]}, "events.amazonaws.com", queue, rule) is expected
