"""What a task's start asks of its roles: its log group, its secrets."""

import json
from typing import Any

import pytest

from cloudknot.testing import Box
from cloudknot.testing.faults import Stale
from tests.box import cloud
from tests.box.permitting import allow, deny, document

pytestmark = pytest.mark.aws_box(executor="process")


def run(box: Box, name: str, **container: Any) -> dict[str, Any]:
    definition = cloud.make_definition(box, "echo", "hello", name=name, container=container)
    return cloud.finish(box, cloud.submit(box, definition))


def logging_to(group: str, **options: str) -> dict[str, Any]:
    return {"logDriver": "awslogs", "options": {"awslogs-group": group, **options}}


def test_a_log_group_is_made_when_it_is_asked_for_and_allowed(aws_box: Box) -> None:
    cloud.make_queue(aws_box)
    made = logging_to("/lab/made", **{"awslogs-create-group": "true"})
    assert run(aws_box, "made", logConfiguration=made)["status"] == "SUCCEEDED"
    logs = aws_box.client("logs")
    assert logs.describe_log_streams(logGroupName="/lab/made")["logStreams"]
    job = run(aws_box, "missing", logConfiguration=logging_to("/lab/missing"))
    assert "log group does not exist" in job["attempts"][0]["container"]["reason"]
    aws_box.client("iam").put_role_policy(
        RoleName="queue-machines-instance",
        PolicyName="no-groups",
        PolicyDocument=json.dumps(document(deny("logs:CreateLogGroup"))),
    )
    refused = logging_to("/lab/refused", **{"awslogs-create-group": "true"})
    reason = run(aws_box, "refused", logConfiguration=refused)["attempts"][0]["container"]["reason"]
    assert "failed to create Cloudwatch log group: AccessDeniedException: User: " in reason


def test_a_binary_secret_is_no_variable(aws_box: Box) -> None:
    cloud.make_queue(aws_box)
    secret = aws_box.client("secretsmanager").create_secret(Name="key", SecretBinary=b"\x00\x01")["ARN"]
    role = cloud.make_role(aws_box, "execution", reads=document(allow("secretsmanager:GetSecretValue")))
    job = run(aws_box, "job", executionRoleArn=role, secrets=[{"name": "KEY", "valueFrom": secret}])
    assert job["status"] == "FAILED"
    assert "binary secret" in job["statusReason"]


def test_a_role_that_was_just_made_may_not_be_known_yet(aws_box: Box) -> None:
    aws_box.add_fault(Stale(service="iam", seconds=30))
    cloud.make_queue(aws_box)
    role = cloud.make_role(aws_box, "new")
    definition = cloud.make_definition(aws_box, "true", container={"jobRoleArn": role})
    early = cloud.finish(aws_box, cloud.submit(aws_box, definition))
    assert early["statusReason"].startswith(f"ECS was unable to assume the role '{role}'")
    aws_box.advance(31)
    assert cloud.finish(aws_box, cloud.submit(aws_box, definition))["status"] == "SUCCEEDED"
