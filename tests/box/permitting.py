"""Policies, users and refusals, for the tests of permissions."""

import json
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from cloudknot.testing.sessions import Sessions

ACCOUNT = "123456789012"
ONCE = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
"""Tries once, and lets the box say what is wrong with a call."""


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows; with a Principal it has its place in a resource's policy."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that denies."""
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a policy."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def user(box: Box, name: str, *statements: dict[str, Any]) -> boto3.Session:
    """Make a user with these permissions, or none."""
    return box.user(name, *([document(*statements)] if statements else []))


def client(box: Box, session: boto3.Session, service: str, **options: Any) -> Any:
    """Return a client of a service for somebody, that tries once."""
    return session.client(service, endpoint_url=box.endpoint, config=ONCE, **options)


@cache
def _sessions() -> Sessions:
    return Sessions()


def session_of(credentials: dict[str, Any]) -> boto3.Session:
    """Return somebody who has temporary credentials."""
    return _sessions().open(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )


def arn_of(name: str) -> str:
    """Return the ARN of a user."""
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def make_role(box: Box, name: str, trusted: Any, *statements: dict[str, Any], **more: Any) -> str:
    """Make a role: whom it trusts (the Principal, or whole statements), and what it may; return its ARN."""
    trust = trusted if isinstance(trusted, list) else [{"Principal": trusted}]
    parts = [{"Effect": "Allow", "Action": "sts:AssumeRole", **part} for part in trust]
    iam = box.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document(*parts)), **more)
    if statements:
        iam.put_role_policy(
            RoleName=name, PolicyName="work", PolicyDocument=json.dumps(document(*statements))
        )
    return str(made["Role"]["Arn"])


def error(call: Any, **params: Any) -> ClientError:
    """Return how a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value


def refusal(call: Any, **params: Any) -> str:
    """Return the words of a refusal for want of permission."""
    found = error(call, **params)
    code = found.response["Error"]["Code"]
    assert code in ("AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation"), found
    return str(found)
