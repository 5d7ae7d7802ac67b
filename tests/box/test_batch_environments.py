"""Compute environments: made, changed, removed, refused."""

from typing import Any

import pytest

from cloudknot.testing.batch.catalogue import SETTLE_S
from tests.box.making import (
    EC2,
    FARGATE,
    Front,
    JsonObject,
    environment_params,
    queue_params,
    queue_status_of,
    status_of,
)

_BUSY = "resource is being modified"


def test_an_environment_is_creating_before_it_is_valid() -> None:
    front = Front()
    front.ask("CreateComputeEnvironment", **environment_params())
    assert status_of(front) == "CREATING"
    front.clock.advance(SETTLE_S)
    assert status_of(front) == "VALID"
    assert front.changes == 1


def test_where_nothing_is_waited_for_an_environment_is_valid_at_once() -> None:
    front = Front(settle_s=0)
    front.ask("CreateComputeEnvironment", **environment_params())
    assert status_of(front) == "VALID"


def test_an_environment_is_shown_with_what_was_not_said() -> None:
    front = Front()
    arn = front.environment(tags={"a": "b"})
    (shown,) = front.ask("DescribeComputeEnvironments", computeEnvironments=[arn])["computeEnvironments"]
    assert shown["computeResources"]["allocationStrategy"] == "BEST_FIT"
    assert shown["computeResources"]["desiredvCpus"] == 0
    assert shown["serviceRole"].endswith("AWSServiceRoleForBatch")
    assert shown["ecsClusterArn"].endswith(f"/AWSBatch-ce-{shown['uuid']}")
    assert (shown["state"], shown["tags"]) == ("ENABLED", {"a": "b"})
    assert shown["statusReason"] == "ComputeEnvironment Healthy"


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    front = Front()
    arn = front.environment(resources={**EC2, "allocationStrategy": "BEST_FIT_PROGRESSIVE"})
    front.ask("UpdateComputeEnvironment", computeEnvironment=arn, computeResources={"maxvCpus": 16})
    assert status_of(front) == "UPDATING"
    (made,) = front.catalogue.environments()
    assert made.is_usable
    assert (made.resources["maxvCpus"], made.resources["subnets"]) == (16, EC2["subnets"])
    assert f"Cannot update, {_BUSY}" in front.refused("UpdateComputeEnvironment", computeEnvironment="ce")
    front.clock.advance(SETTLE_S)
    assert status_of(front) == "VALID"


def test_an_environment_is_removed_when_it_is_disabled_and_in_no_queue() -> None:
    front = Front()
    front.environment()
    front.queue()
    asked: JsonObject = {"computeEnvironment": "ce"}
    assert "DISABLED" in front.refused("DeleteComputeEnvironment", **asked)
    front.ask("UpdateComputeEnvironment", **asked, state="DISABLED")
    assert front.refused("DeleteComputeEnvironment", **asked) == f"Cannot delete, {_BUSY}"
    front.clock.advance(SETTLE_S)
    said = front.refused("DeleteComputeEnvironment", **asked)
    assert said == "Cannot delete, found existing JobQueue relationship"
    front.ask("UpdateJobQueue", jobQueue="q", state="DISABLED")
    front.clock.advance(SETTLE_S)
    front.ask("DeleteJobQueue", jobQueue="q")
    assert queue_status_of(front) == "DELETING"
    front.clock.advance(SETTLE_S)
    front.ask("DeleteComputeEnvironment", **asked)
    assert status_of(front) == "DELETING"
    front.clock.advance(SETTLE_S)
    assert front.ask("DescribeComputeEnvironments")["computeEnvironments"] == []
    assert front.ask("DescribeJobQueues")["jobQueues"] == []


def test_the_name_of_what_was_removed_can_be_used_again() -> None:
    front = Front()
    front.environment(state="DISABLED")
    front.ask("DeleteComputeEnvironment", computeEnvironment="ce")
    assert front.refused("CreateComputeEnvironment", **environment_params()) == "Object already exists"
    front.clock.advance(SETTLE_S)
    front.environment()
    assert status_of(front) == "VALID"


@pytest.mark.parametrize("operation", ["DeleteComputeEnvironment", "DeleteJobQueue"])
def test_to_remove_what_is_not_there_is_no_fault(operation: str) -> None:
    names = {"DeleteJobQueue": "jobQueue", "DeleteComputeEnvironment": "computeEnvironment"}
    asked: JsonObject = {names[operation]: "nothing"}
    assert Front().ask(operation, **asked) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instanceRole": ""}, "<Instance role is required.>"),
        ({"minvCpus": None}, "<Resource minvCpus is required.>"),
        (
            {"instanceTypes": ["m6g.large", "m6i.large"]},
            "<arm-based instance type cannot be used with other instance types.>",
        ),
        (
            {"instanceTypes": ["optimal", "m6g"]},
            "<arm-based instance type cannot be used with other instance types.>",
        ),
        ({"instanceTypes": []}, None),
        ({"minvCpus": 9}, "<minvCpus 9 must not be greater than maxvCpus 8>"),
        ({"minvCpus": -1}, None),
        ({"maxvCpus": 0}, None),
        ({"desiredvCpus": 9}, None),
        ({"subnets": []}, None),
        ({"securityGroupIds": []}, None),
        ({"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}, None),
        ({"allocationStrategy": "WORST_FIT"}, None),
        ({"type": "SPOT"}, None),
    ],
)
def test_an_environment_of_machines_is_refused(changes: dict[str, Any], words: str | None) -> None:
    said = Front().refused("CreateComputeEnvironment", **environment_params(**changes))
    assert words in (None, said)


@pytest.mark.parametrize("kind", ["m9z.large", "t3.large", "m6i.huge"])
def test_an_instance_type_that_batch_does_not_have_is_refused(kind: str) -> None:
    said = Front().refused("CreateComputeEnvironment", **environment_params(instanceTypes=[kind]))
    assert said.startswith("<Instance type can only be one of [c5, c5.large, default_arm64,")


@pytest.mark.parametrize("kind", ["optimal", "default_arm64", "m6i", "m6g.large"])
def test_an_instance_type_is_a_word_a_family_or_a_size(kind: str) -> None:
    Front().environment(resources={**EC2, "instanceTypes": [kind]})


def test_spot_without_a_fleet_role_needs_a_strategy() -> None:
    Front().environment(
        resources={**EC2, "type": "SPOT", "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"minvCpus": 0},
        {"desiredvCpus": 0},
        {"instanceTypes": ["optimal"]},
        {"allocationStrategy": "BEST_FIT"},
        {"tags": {"a": "b"}},
        {"instanceRole": "r"},
    ],
)
def test_fargate_takes_no_word_of_machines(changes: dict[str, Any]) -> None:
    said = Front().refused("CreateComputeEnvironment", **environment_params("ce", FARGATE, **changes))
    assert said == f"<{next(iter(changes))} is not applicable for Fargate.>"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minvCpus": 0, "maxvCpus": 1}, "<minvCpus is not applicable for Fargate.>"),
        ({"type": "FARGATE_SPOT"}, "<The following parameters can't be updated for Fargate compute "),
    ],
)
def test_fargate_is_not_updated_with_what_it_does_not_have(changes: dict[str, Any], words: str) -> None:
    front = Front()
    front.environment(resources=FARGATE)
    said = front.refused("UpdateComputeEnvironment", computeEnvironment="ce", computeResources=changes)
    assert said.startswith(words)


def test_an_unmanaged_environment_needs_a_service_role() -> None:
    params: JsonObject = {"computeEnvironmentName": "ce", "type": "UNMANAGED"}
    front = Front()
    assert front.refused("CreateComputeEnvironment", **params) == "<ServiceRole is required.>"
    front.ask("CreateComputeEnvironment", **params, serviceRole="arn:aws:iam::123456789012:role/r")
    assert "computeResources" not in front.ask("DescribeComputeEnvironments")["computeEnvironments"][0]


def test_there_are_fifty_environments_and_fifty_queues_at_most() -> None:
    front = Front()
    for number in range(50):
        front.environment(f"ce{number}")
        front.queue(f"q{number}", ["ce0"])
    assert "50" in front.refused("CreateComputeEnvironment", **environment_params("more"))
    assert "50" in front.refused("CreateJobQueue", **queue_params("more", ["ce0"]))


def test_one_that_reads_too_early_does_not_see_what_was_made() -> None:
    front = Front(lag_s=3)
    front.environment()
    assert front.ask("DescribeComputeEnvironments")["computeEnvironments"] == []
    front.clock.advance(3)
    assert status_of(front) == "VALID"
