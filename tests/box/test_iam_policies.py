import json
from typing import Any

import pytest

from cloudknot.testing.iam.policies import MalformedPolicy, Policy, decide, parse_or_deny
from cloudknot.testing.iam.values import Ask, ContextValue, Decision, Principal

ARN = "arn:aws:iam::123456789012:user/ada"
BUCKET = "arn:aws:s3:::bucket"


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    return Policy.parse(json.dumps({"Version": version, "Statement": list(statements)}))


def allow(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str = "*", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def ada(*policies: Policy, boundary: Policy | None = None, session: Policy | None = None) -> Principal:
    return Principal(
        arn=ARN,
        account="123456789012",
        kind="user",
        policies=policies,
        boundary=boundary,
        session_policies=None if session is None else (session,),
        context={"aws:username": "ada", "aws:PrincipalTag/team": "x*"},
    )


def may(found: Policy, action: str, resource: str = "*", **context: ContextValue) -> bool:
    keys = {key.replace("__", ":"): value for key, value in context.items()}
    return decide(ada(found), Ask(action=action, resource=resource, context=keys)).is_allowed


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("*", "s3:GetObject", True),
        ("s3:*", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:get*", "s3:GetObject", True),
        ("S3:GETOBJECT", "s3:GetObject", True),
        ("s3:Get?bject", "s3:GetObject", True),
        ("s3:GetObject", "s3:GetObjectAcl", False),
        ("s3:*Object", "s3:GetObjectAcl", False),
        ("ec2:*", "s3:GetObject", False),
        ("s3:Get.bject", "s3:GetObject", False),
    ],
)
def test_actions_have_wildcards_and_no_case(pattern: str, action: str, expected: bool) -> None:
    assert may(policy(allow(pattern)), action) is expected
    not_action = {"Effect": "Allow", "NotAction": pattern, "Resource": "*"}
    assert may(policy(not_action), action) is not expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("*", f"{BUCKET}/k", True),
        (f"{BUCKET}/*", f"{BUCKET}/a/b:c", True),
        (f"{BUCKET}/a?c", f"{BUCKET}/abc", True),
        (f"{BUCKET}/a?c", f"{BUCKET}/ac", False),
        (f"{BUCKET}/*", BUCKET, False),
        (f"{BUCKET}*", f"{BUCKET}-other/k", True),
        (f"{BUCKET}/K", f"{BUCKET}/k", False),
        (f"{BUCKET}/a.c", f"{BUCKET}/abc", False),
        ("arn:aws:batch:*:*:job-queue/q", "arn:aws:batch:eu-west-1:123456789012:job-queue/q", True),
        (
            "arn:aws:batch:eu-*1:123456789012:job-queue/q",
            "arn:aws:batch:eu-west-1:123456789012:job-queue/q",
            True,
        ),
        ("arn:aws:batch:*", "arn:aws:batch:eu-west-1:123456789012:job-queue/q", True),
        ("arn:aws:batch:eu-*t-1:12:job-queue/q", "arn:aws:batch:eu-west:1t-1:12:job-queue/q", False),
        ("arn:aws:batch:eu-west?1:1:job-queue/q", "arn:aws:batch:eu-west:1:1:job-queue/q", False),
        (f"{BUCKET}/k", "*", False),
    ],
)
def test_resources_have_wildcards_and_case(pattern: str, resource: str, expected: bool) -> None:
    assert may(policy(allow(resource=pattern)), "s3:GetObject", resource) is expected
    not_resource = {"Effect": "Allow", "Action": "*", "NotResource": pattern}
    assert may(policy(not_resource), "s3:GetObject", resource) is not expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (f"{BUCKET}/${{aws:username}}/*", f"{BUCKET}/ada/x", True),
        (f"{BUCKET}/${{AWS:UserName}}/*", f"{BUCKET}/ada/x", True),
        (f"{BUCKET}/${{aws:username}}/*", f"{BUCKET}/bob/x", False),
        (f"{BUCKET}/${{aws:userid}}/*", f"{BUCKET}//x", False),
        (f"{BUCKET}/${{aws:userid, 'none'}}/*", f"{BUCKET}/none/x", True),
        (f"{BUCKET}/${{aws:PrincipalTag/team}}", f"{BUCKET}/x*", True),
        (f"{BUCKET}/${{aws:PrincipalTag/team}}", f"{BUCKET}/xyz", False),
        (f"{BUCKET}/a${{*}}", f"{BUCKET}/a*", True),
        (f"{BUCKET}/a${{*}}", f"{BUCKET}/ab", False),
        (f"{BUCKET}/a${{?}}${{$}}", f"{BUCKET}/a?$", True),
        (f"{BUCKET}/${{aws:TagKeys}}", f"{BUCKET}/a", False),
    ],
)
def test_resources_have_variables(pattern: str, resource: str, expected: bool) -> None:
    found = policy(allow(resource=pattern))
    assert may(found, "s3:GetObject", resource, aws__TagKeys=("a",)) is expected


def test_a_policy_of_2008_knows_no_variables() -> None:
    found = policy(allow(resource=f"{BUCKET}/${{aws:username}}"), version="2008-10-17")
    assert not may(found, "s3:GetObject", f"{BUCKET}/ada")
    assert may(found, "s3:GetObject", f"{BUCKET}/${{aws:username}}")


ALL, NONE, DENIES = policy(allow()), policy(), policy(allow(), deny("s3:*"))


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (ada(), Decision(is_allowed=False)),
        (ada(NONE), Decision(is_allowed=False)),
        (ada(NONE, ALL), Decision(is_allowed=True)),
        (ada(ALL, DENIES), Decision(is_allowed=False, is_explicit=True)),
        (ada(ALL, boundary=NONE), Decision(is_allowed=False, layer="permissions boundary")),
        (
            ada(ALL, boundary=DENIES),
            Decision(is_allowed=False, is_explicit=True, layer="permissions boundary"),
        ),
        (ada(ALL, boundary=ALL), Decision(is_allowed=True)),
        (ada(boundary=ALL), Decision(is_allowed=False)),
        (ada(ALL, session=NONE), Decision(is_allowed=False, layer="session policy")),
        (ada(ALL, session=DENIES), Decision(is_allowed=False, is_explicit=True, layer="session policy")),
        (ada(NONE, session=ALL), Decision(is_allowed=False)),
        (ada(NONE, session=DENIES), Decision(is_allowed=False, is_explicit=True, layer="session policy")),
        (ada(ALL, boundary=ALL, session=ALL), Decision(is_allowed=True)),
        (Principal(arn="arn:aws:iam::1:root", account="1", kind="root"), Decision(is_allowed=True)),
    ],
)
def test_a_deny_wins_and_every_layer_must_allow(principal: Principal, expected: Decision) -> None:
    assert decide(principal, Ask(action="s3:GetObject", resource=f"{BUCKET}/k")) == expected


def test_a_statement_with_a_condition_applies_only_when_it_holds() -> None:
    found = policy(allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "x"}}))
    assert may(found, "iam:PassRole", "*", iam__PassedToService="x")
    assert not may(found, "iam:PassRole", "*", iam__PassedToService="y")
    assert not may(found, "iam:PassRole", "*")


MALFORMED: list[Any] = [
    "",
    "no json",
    "[]",
    {"Version": "2013-01-01", "Statement": []},
    {"Version": "2012-10-17"},
    {"Version": "2012-10-17", "Statement": "x"},
    {"Version": "2012-10-17", "Statment": [], "Statement": []},
    {"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": "GetObject", "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": 1, "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": [], "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Conditions": {}}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": []}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Equals": {"a": "b"}}}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": "x"}}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"a": None}}}]},
    {"Statement": [{"Effect": "Allow", "Action": "*", "Principal": 7}]},
]


@pytest.mark.parametrize("document", MALFORMED, ids=repr)
def test_a_malformed_policy_is_refused_and_in_place_denies_all(document: Any) -> None:
    with pytest.raises(MalformedPolicy):
        Policy.parse(document)
    text = document if isinstance(document, str) else json.dumps(document)
    said = decide(ada(ALL, parse_or_deny(text)), Ask(action="s3:GetObject"))
    assert (said.is_allowed, said.is_explicit) == (False, True)


def test_one_statement_may_stand_without_a_list() -> None:
    assert may(Policy.parse({"Statement": allow("s3:*")}), "s3:GetObject")
