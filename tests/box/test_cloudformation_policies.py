"""What becomes of a resource that its stack has no more: `DeletionPolicy` and `UpdateReplacePolicy`."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import stacks
from tests.box.stacks import FAILS, QUEUE

pytestmark = pytest.mark.aws_box(executor="process")


def queue(policy: str) -> dict[str, Any]:
    return {**QUEUE, "DeletionPolicy": policy}


@pytest.mark.parametrize(
    ("policy", "left"), [("Delete", []), ("Retain", ["q"]), ("RetainExceptOnCreate", ["q"])]
)
def test_what_is_retained_outlives_its_stack(aws_box: Box, policy: str, left: list[str]) -> None:
    stacks.create(aws_box, {"Q": queue(policy)})
    aws_box.client("cloudformation").delete_stack(StackName="s")
    assert stacks.queues(aws_box) == left


@pytest.mark.parametrize(
    ("policy", "left"), [("Delete", []), ("Retain", ["q"]), ("RetainExceptOnCreate", [])]
)
@pytest.mark.parametrize("on_failure", ["ROLLBACK", "DELETE"])
def test_retain_holds_in_a_stack_that_fails_too_except_on_create(
    aws_box: Box, policy: str, left: list[str], on_failure: str
) -> None:
    stacks.create(aws_box, {"Q": queue(policy), "F": {**FAILS, "DependsOn": "Q"}}, OnFailure=on_failure)
    assert stacks.queues(aws_box) == left


@pytest.mark.parametrize(("policy", "left"), [("Retain", ["new", "q"]), ("RetainExceptOnCreate", ["q"])])
def test_what_an_update_has_made_and_undoes_is_its_creation(
    aws_box: Box, policy: str, left: list[str]
) -> None:
    stacks.create(aws_box, {"Q": QUEUE})
    new = {**queue(policy), "Properties": {"QueueName": "new"}}
    stacks.update(aws_box, {"Q": QUEUE, "New": new, "F": {**FAILS, "DependsOn": "New"}})
    assert stacks.status(aws_box) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.queues(aws_box) == left


@pytest.mark.parametrize("attribute", ["DeletionPolicy", "UpdateReplacePolicy"])
@pytest.mark.parametrize("word", ["Keep", "Snapshot"])
def test_a_policy_that_is_none_is_refused(aws_box: Box, attribute: str, word: str) -> None:
    with pytest.raises(ClientError, match=f"{attribute} of Q must be Delete or Retain") as refused:
        stacks.create(aws_box, {"Q": {**QUEUE, attribute: word}})
    assert refused.value.response["Error"]["Code"] == "ValidationError"
