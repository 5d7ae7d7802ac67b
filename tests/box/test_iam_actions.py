"""Which permissions a call needs, on which resources, and with which condition keys."""

import json
from typing import Any

import pytest

from cloudknot.testing.iam.actions import asks_of
from cloudknot.testing.wire.requests import WireRequest
from tests.box.iam_cases import CASES, IAM, REGION

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
