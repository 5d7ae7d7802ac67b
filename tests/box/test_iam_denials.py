import pytest

from cloudknot.testing.iam.denials import denial
from cloudknot.testing.iam.policies import Ask, Decision
from cloudknot.testing.iam.values import Principal
from tests.box.iam_cases import ACCOUNT, IAM
from tests.box.test_iam_actions import request_for

ADA = Principal(arn=IAM + "user/ada", account=ACCOUNT, kind="user")
REFUSED: list[tuple[str, str, Decision, int, str, str]] = [
    (
        "batch",
        "batch:SubmitJob",
        Decision(is_allowed=False),
        403,
        "AccessDeniedException",
        "batch:SubmitJob on resource: a because no identity-based policy allows the batch:SubmitJob action",
    ),
    (
        "ecr",
        "ecr:PutImage",
        Decision(is_allowed=False, is_explicit=True),
        400,
        "AccessDeniedException",
        "ecr:PutImage on resource: a with an explicit deny in an identity-based policy",
    ),
    (
        "s3",
        "s3:GetObject",
        Decision(is_allowed=False, layer="permissions boundary"),
        403,
        "AccessDenied",
        "s3:GetObject on resource: a because no permissions boundary allows the s3:GetObject action",
    ),
    (
        "iam",
        "iam:GetRole",
        Decision(is_allowed=False, layer="session policy"),
        403,
        "AccessDenied",
        "iam:GetRole on resource: a because no session policy allows the iam:GetRole action",
    ),
    (
        "sqs",
        "sqs:SendMessage",
        Decision(is_allowed=False),
        403,
        "AccessDenied",
        "sqs:sendmessage on resource: a because no identity-based policy allows the sqs:sendmessage action",
    ),
    (
        "iam",
        "iam:GetRole",
        Decision(is_allowed=False, is_explicit=True, layer="permissions boundary"),
        403,
        "AccessDenied",
        "iam:GetRole on resource: a with an explicit deny in a permissions boundary",
    ),
]


@pytest.mark.parametrize(("service", "action", "decision", "status", "code", "words"), REFUSED)
def test_a_refusal_has_the_words_of_its_service(
    service: str, action: str, decision: Decision, status: int, code: str, words: str
) -> None:
    request = request_for(service, action.partition(":")[2], {})
    said = denial(request, ADA, Ask(action=action, resource="a"), decision)
    assert said == (status, code, f"User: {ADA.arn} is not authorized to perform: {words}")


def test_ec2_has_a_sentence_before_its_refusal() -> None:
    ask = Ask(action="ec2:CreateVpc", resource="*")
    status, code, words = denial(request_for("ec2", "CreateVpc", {}), ADA, ask, Decision(is_allowed=False))
    assert (status, code) == (403, "UnauthorizedOperation")
    assert words.startswith(
        f"You are not authorized to perform this operation. User: {ADA.arn} is not authorized"
    )


def test_logs_words_a_missing_permission_to_tag_in_its_own_way() -> None:
    ask = Ask(action="logs:TagResource", resource="*")
    _, code, words = denial(request_for("logs", "CreateLogGroup", {}), ADA, ask, Decision(is_allowed=False))
    assert code == "AccessDeniedException"
    assert words.startswith(
        f"User with accountId: {ACCOUNT} is not authorized to perform CreateLogGroup with Tags."
    )
