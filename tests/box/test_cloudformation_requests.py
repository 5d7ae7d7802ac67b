"""What CloudFormation refuses, and what it shows before it acts."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import cloud, stacks
from tests.box.stacks import QUEUE

pytestmark = pytest.mark.aws_box(executor="process")

TRUST = json.loads(cloud.trust("ec2.amazonaws.com"))


def role(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST, **properties}}


@pytest.mark.parametrize(
    ("resource", "given", "needed"),
    [
        (role(), [], "CAPABILITY_IAM"),
        (role(RoleName="r"), ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
    ],
)
def test_identities_have_to_be_acknowledged(
    aws_box: Box, resource: dict[str, Any], given: list[str], needed: str
) -> None:
    with pytest.raises(ClientError, match=rf"Requires capabilities : \[{needed}\]") as refused:
        stacks.create(aws_box, {"R": resource}, Capabilities=given)
    assert refused.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"
    assert aws_box.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        ({"Type": "String", "AllowedValues": ["a"]}, "zz", "Parameter 'P' must be one of AllowedValues"),
        ({"Type": "Number", "MinValue": 2}, "1", "must be a number not less than 2"),
        ({"Type": "Number"}, "x", "Parameter 'P' must be a number"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "A", r"must match pattern \[a-z\]\+"),
        ({"Type": "String", "MinLength": 3}, "ab", "must contain at least 3 characters"),
        (
            {"Type": "String", "AllowedValues": ["a"], "ConstraintDescription": "be a"},
            "b",
            "Parameter P failed to satisfy constraint: be a",
        ),
        ({"Type": "String"}, None, r"Parameters: \[P\] must have values"),
    ],
)
def test_a_parameter_has_to_be_allowed(
    aws_box: Box, declared: dict[str, Any], value: str | None, words: str
) -> None:
    given = [{"ParameterKey": "P", "ParameterValue": value}] if value is not None else []
    with pytest.raises(ClientError, match=words):
        stacks.create(aws_box, {"Q": QUEUE}, sections={"Parameters": {"P": declared}}, Parameters=given)
    assert stacks.queues(aws_box) == []


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"Z": {"Type": "AWS::No::Thing"}}, r"Unrecognized resource types: \[AWS::No::Thing\]"),
        ({"Q": {**QUEUE, "Properties": {"QueueName": {"Ref": "No"}}}}, r"resource dependencies \[No\]"),
        (
            {"A": {**QUEUE, "DependsOn": "B"}, "B": {**QUEUE, "DependsOn": "A"}},
            r"Circular dependency between resources: \[A, B\]",
        ),
        ({"Q": {**QUEUE, "Condition": "No"}}, "Unresolved condition dependency No"),
        ({"Q": {**QUEUE, "CreationPolicy": {}}}, r"the box does not do CreationPolicy \(of Q\)"),
    ],
)
def test_a_template_that_cannot_be_made_is_refused(
    aws_box: Box, resources: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        stacks.create(aws_box, resources)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match=words):
        aws_box.client("cloudformation").validate_template(TemplateBody=stacks.body(resources))


def test_a_template_is_described_when_it_is_validated(aws_box: Box) -> None:
    sections = {"Parameters": {"Unused": {"Type": "String", "Default": "a"}}, "Description": "d"}
    template = stacks.body({"R": role(RoleName="r")}, **sections)
    shown = aws_box.client("cloudformation").validate_template(TemplateBody=template)
    assert shown["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert shown["Description"] == "d"
    assert shown["Parameters"][0]["ParameterKey"] == "Unused"


def test_an_update_without_changes_is_refused(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": QUEUE})
    with pytest.raises(ClientError, match=r"No updates are to be performed\."):
        stacks.update(aws_box, {"Q": QUEUE})
    stacks.update(aws_box, {"Q": QUEUE}, sections={"Outputs": {"O": {"Value": "x"}}})
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"


def test_the_permissions_of_the_stacks_role_count(aws_box: Box) -> None:
    arn = cloud.make_role(aws_box, "maker", "cloudformation.amazonaws.com", own=cloud.policy(("sqs:*", "*")))
    ada = stacks.person(aws_box, "cloudformation:*", "iam:PassRole")
    stacks.create(aws_box, {"Q": QUEUE}, client=ada, RoleARN=arn)
    assert stacks.status(aws_box) == "CREATE_COMPLETE"
    [stack] = aws_box.client("cloudformation").describe_stacks(StackName="s")["Stacks"]
    assert stack["RoleARN"] == arn
    stacks.create(aws_box, {"V": stacks.VPC}, client=ada, RoleARN=arn, StackName="b")
    assert stacks.status(aws_box, "b") == "ROLLBACK_COMPLETE"
    assert "assumed-role/maker/" in stacks.reason(aws_box, "V", "CREATE_FAILED", "b")
    ada.delete_stack(StackName="s")  # with the role that the stack has
    assert stacks.queues(aws_box) == []


def test_a_role_that_does_not_trust_cloudformation_is_refused(aws_box: Box) -> None:
    arn = cloud.make_role(aws_box, "other")
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        stacks.create(aws_box, {"Q": QUEUE}, RoleARN=arn)


def test_a_protected_stack_is_not_deleted(aws_box: Box) -> None:
    cloudformation = aws_box.client("cloudformation")
    stacks.create(aws_box, {"Q": QUEUE}, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cloudformation.delete_stack(StackName="s")
    cloudformation.update_termination_protection(StackName="s", EnableTerminationProtection=False)
    cloudformation.delete_stack(StackName="s")
    assert stacks.queues(aws_box) == []


def change_set(box: Box, resources: dict[str, Any], **options: Any) -> dict[str, Any]:
    cloudformation = box.client("cloudformation")
    asked = {"StackName": "s", "ChangeSetName": "c", "TemplateBody": stacks.body(resources), **options}
    arn = cloudformation.create_change_set(**asked)["Id"]
    return cloudformation.describe_change_set(ChangeSetName=arn)  # type: ignore[no-any-return]  # boto3's


def test_a_change_set_is_of_the_stack_that_is_there(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": QUEUE, "V": stacks.VPC})
    changed = {"Q": {**QUEUE, "Properties": {"QueueName": "q", "DelaySeconds": 3}}, "New": role()}
    changed["V"] = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}}
    shown = change_set(aws_box, changed, Capabilities=stacks.NAMED)
    actions = {
        one["ResourceChange"]["LogicalResourceId"]: (
            one["ResourceChange"]["Action"],
            one["ResourceChange"].get("Replacement"),
        )
        for one in shown["Changes"]
    }
    assert actions == {"Q": ("Modify", "False"), "New": ("Add", None), "V": ("Modify", "True")}
    assert stacks.attribute(aws_box, "DelaySeconds") == "0"
    cloudformation = aws_box.client("cloudformation")
    cloudformation.execute_change_set(ChangeSetName="c", StackName="s")
    assert stacks.status(aws_box) == "UPDATE_COMPLETE"
    assert stacks.attribute(aws_box, "DelaySeconds") == "3"
    with pytest.raises(
        ClientError, match=r"in its current execution status of \[EXECUTE_COMPLETE\]"
    ) as refused:
        cloudformation.execute_change_set(ChangeSetName="c", StackName="s")
    assert refused.value.response["Error"]["Code"] == "InvalidChangeSetStatus"


def test_what_the_resources_of_a_stack_need_is_what_the_request_needs(aws_box: Box) -> None:
    ada = aws_box.user("ada", cloud.policy((["cloudformation:*", "sqs:CreateQueue"], "*")))
    client = ada.client("cloudformation", endpoint_url=aws_box.endpoint)
    stacks.create(aws_box, {"Q": QUEUE}, client=client)
    [call] = [call for call in aws_box.calls() if call.operation == "CreateStack"]
    assert ("sqs:CreateQueue", "arn:aws:sqs:us-east-1:123456789012:q") in call.actions


def test_a_change_set_without_changes_has_failed(aws_box: Box) -> None:
    stacks.create(aws_box, {"Q": QUEUE})
    shown = change_set(aws_box, {"Q": QUEUE})
    assert (shown["Status"], shown["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert shown["StatusReason"].startswith("The submitted information didn't contain changes.")
    with pytest.raises(ClientError, match=r"cannot be executed in its current status of \[FAILED\]"):
        aws_box.client("cloudformation").execute_change_set(ChangeSetName="c", StackName="s")


def test_a_change_set_of_no_stack_has_to_say_that_it_makes_one(aws_box: Box) -> None:
    with pytest.raises(ClientError, match=r"Stack \[s\] does not exist"):
        change_set(aws_box, {"Q": QUEUE})
    change_set(aws_box, {"Q": QUEUE}, ChangeSetType="CREATE")
    assert stacks.status(aws_box) == "REVIEW_IN_PROGRESS"
    stacks.create(aws_box, {"V": stacks.VPC}, StackName="b")
    with pytest.raises(ClientError, match="already exists and cannot be created again"):
        change_set(aws_box, {"Q": QUEUE}, ChangeSetType="CREATE", StackName="b")
