"""What the box does not have is said as AWS says it."""

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from cloudknot.testing import Box
from cloudknot.testing.server.moto_answers import MotoAnswers
from cloudknot.testing.wire.values import WireRequest
from tests.box.permitting import allow, client, error, refusal, user

pytestmark = pytest.mark.aws_box(executor="process")

UNSIGNED_ONCE = Config(
    retries={"total_max_attempts": 1}, signature_version=UNSIGNED, parameter_validation=False
)


MISSING: list[tuple[str, str, dict[str, Any]]] = [
    ("budgets", "describe_budget_performance_history", {"AccountId": "123456789012", "BudgetName": "b"}),
    ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),
    ("ec2", "describe_fast_launch_images", {}),
    ("logs", "list_anomalies", {}),
    ("sqs", "list_message_move_tasks", {"SourceArn": "arn:aws:sqs:us-east-1:123456789012:q"}),
    ("cloudtrail", "list_imports", {}),
    ("ce", "get_anomalies", {"DateInterval": {"StartDate": "2026-01-01"}}),
    ("polly", "list_speech_synthesis_tasks", {}),
    ("ecr-public", "get_authorization_token", {}),
    ("outposts", "list_sites", {}),
]


def test_an_operation_that_nobody_does_is_named(aws_box: Box) -> None:
    for service, call, params in MISSING:
        found = error(getattr(client(aws_box, aws_box.session, service), call), **params)
        assert found.response["ResponseMetadata"]["HTTPStatusCode"] == 501, found
        assert found.response["Error"]["Code"] == "NotImplemented", found
        assert found.operation_name in str(found)
        assert service in str(found)


class Answering:
    """What moto says, and what the box makes of it."""

    def __init__(self, app: Any) -> None:
        self.refused: list[tuple[str, str, int]] = []
        self.started: list[Any] = []
        request = WireRequest(
            service="sqs",
            operation="SendMessage",
            region="us-east-1",
            access_key=None,
            params={},
            method="POST",
            path="/",
            query={},
            protocol="json",
            headers={},
        )
        self.body = b"".join(MotoAnswers(app).answer(request, {}, self.start, self.refuse, lambda ask: None))

    def start(self, *said: Any) -> None:
        self.started.extend(said)

    def refuse(self, code: str, message: str, status: int) -> list[bytes]:
        self.refused.append((code, message, status))
        return [b"refused"]


def test_a_failure_of_motos_is_an_internal_one_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fails(environ: Any, start: Any) -> list[bytes]:
        raise KeyError("an error of moto's")

    ((code, message, status),) = Answering(fails).refused
    assert (code, status) == ("InternalFailure", 500)
    assert "SendMessage of sqs" in message
    assert "an error of moto's" in caplog.text


@pytest.mark.parametrize(
    ("status", "kind", "body", "is_replaced"),
    [
        ("404 NOT FOUND", "text/html; charset=utf-8", b"<!doctype html>\n<title>404", True),
        ("404 NOT FOUND", "text/html; charset=utf-8", b"", False),
        ("200 OK", "text/html", b"<!doctype html> an object", False),
        ("400 BAD REQUEST", "application/json", b"{}", False),
    ],
)
def test_a_page_of_flasks_is_no_answer(status: str, kind: str, body: bytes, is_replaced: bool) -> None:
    def says(environ: Any, start: Any) -> list[bytes]:
        start(status, [("Content-Type", kind)])
        return [body]

    found = Answering(says)
    assert found.body == (b"refused" if is_replaced else body)
    assert bool(found.started) is not is_replaced
    assert [code for code, _, _ in found.refused] == ["NotImplemented"] * is_replaced


def test_permissions_come_before_what_is_missing(aws_box: Box) -> None:
    ada = client(aws_box, user(aws_box, "ada", allow("s3:*")), "ec2")
    refusal(ada.describe_fast_launch_images)


PORTAL: list[tuple[str, str, dict[str, str], str]] = [
    ("sso", "list_accounts", {"accessToken": "x"}, "UnauthorizedException"),
    (
        "sso",
        "get_role_credentials",
        {"accessToken": "x", "accountId": "1", "roleName": "r"},
        "UnauthorizedException",
    ),
    (
        "sso-oidc",
        "register_client",
        {"clientName": "c", "clientType": "public"},
        "UnauthorizedClientException",
    ),
    (
        "sso-oidc",
        "create_token",
        {"clientId": "c", "clientSecret": "s", "grantType": "refresh_token"},
        "UnauthorizedClientException",
    ),
]


def test_there_is_no_identity_center(aws_box: Box) -> None:
    for service, call, params, code in PORTAL:
        portal = boto3.client(
            service, region_name="us-east-1", endpoint_url=aws_box.endpoint, config=UNSIGNED_ONCE
        )
        found = error(getattr(portal, call), **params)
        assert found.response["Error"]["Code"] == code
        assert "IAM Identity Center" in str(found)
