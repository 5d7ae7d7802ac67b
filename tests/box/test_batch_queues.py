"""Job queues and scheduling policies: made, changed, removed, refused."""

from typing import Any

import pytest

from cloudknot.testing.batch.catalogue import SETTLE_S
from cloudknot.testing.batch.errors import ClientException
from tests.box.making import EC2, FARGATE, Front, environment_params, queue_params, queue_status_of, status_of


def test_a_queue_is_creating_before_it_is_valid_and_keeps_its_order() -> None:
    front = Front()
    first, second = front.environment("one"), front.environment("two")
    order = [{"order": 5, "computeEnvironment": "one"}, {"order": 2, "computeEnvironment": second}]
    front.ask("CreateJobQueue", jobQueueName="q", priority=3, computeEnvironmentOrder=order)
    assert queue_status_of(front) == "CREATING"
    front.clock.advance(SETTLE_S)
    (shown,) = front.ask("DescribeJobQueues")["jobQueues"]
    assert shown["computeEnvironmentOrder"] == [
        {"order": 2, "computeEnvironment": second},
        {"order": 5, "computeEnvironment": first},
    ]
    assert (shown["status"], shown["priority"], shown["jobQueueType"]) == ("VALID", 3, "ECS")
    queue = front.catalogue.queue("q")
    assert [one.name for one in front.catalogue.environments_of(queue)] == ["two", "one"]


@pytest.mark.parametrize(
    "environments", [[], ["nothing"], ["ce", "ce"], ["ce", "b", "c", "d"], ["ce", "fargate"], ["ce", "arm"]]
)
def test_a_queue_is_refused_of_environments(environments: list[str]) -> None:
    front = Front()
    for name in ("ce", "b", "c", "d"):
        front.environment(name)
    front.environment("fargate", FARGATE)
    front.environment("arm", {**EC2, "instanceTypes": ["default_arm64"]})
    front.refused("CreateJobQueue", **queue_params("q", environments))


def test_a_queue_takes_three_environments_of_one_family() -> None:
    front = Front()
    for name in ("a", "b", "c"):
        front.environment(name, FARGATE)
    front.queue("q", ["a", "b", "c"])
    assert front.ask("DescribeJobQueues")["jobQueues"][0]["jobQueueType"] == "ECS_FARGATE"


def test_a_queue_is_refused_of_an_environment_that_is_not_valid_yet() -> None:
    front = Front()
    front.ask("CreateComputeEnvironment", **environment_params())
    assert "VALID" in front.refused("CreateJobQueue", **queue_params())


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({}, True),
        ({"maxTimeSeconds": 599}, False),
        ({"maxTimeSeconds": 86_400}, True),
        ({"maxTimeSeconds": 86_401}, False),
        ({"action": "TERMINATE"}, False),
        ({"state": "RUNNING"}, False),
    ],
)
def test_a_time_limit_is_ten_minutes_to_a_day_in_runnable(changes: dict[str, Any], *, is_taken: bool) -> None:
    action = {"reason": "r", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL", **changes}
    front = Front()
    front.environment()
    if is_taken:
        front.queue(jobStateTimeLimitActions=[action])
        assert front.catalogue.queue("q").time_limit_actions == [action]
    else:
        front.refused("CreateJobQueue", **queue_params(), jobStateTimeLimitActions=[action])


def test_a_queue_is_changed() -> None:
    front = Front()
    front.environment()
    second = front.environment("second")
    front.queue()
    order = [{"order": 1, "computeEnvironment": "second"}]
    front.ask("UpdateJobQueue", jobQueue="q", priority=9, state="DISABLED", computeEnvironmentOrder=order)
    assert queue_status_of(front) == "UPDATING"
    made = front.catalogue.queue("q")
    assert (made.priority, made.state, made.environments) == (9, "DISABLED", [second])


def test_a_queue_that_is_removed_ends_its_jobs_and_stays_until_they_have_ended() -> None:
    front = Front()
    ended: list[str] = []
    has_jobs = [True]
    front.catalogue.terminate_all = lambda arn, _reason: ended.append(arn)
    front.catalogue.has_jobs = lambda _arn: has_jobs[0]
    front.environment()
    arn = front.queue(state="DISABLED")
    front.ask("DeleteJobQueue", jobQueue="q")
    assert ended == [arn]
    front.clock.advance(30)
    assert queue_status_of(front) == "DELETING"
    has_jobs[0] = False
    front.clock.advance(1)
    assert front.catalogue.queues() == []


def test_what_was_begun_can_be_brought_to_its_end_without_time() -> None:
    front = Front()
    has_jobs = [True]
    front.catalogue.has_jobs = lambda _arn: has_jobs[0]
    front.ask("CreateComputeEnvironment", **environment_params())
    front.catalogue.settle()
    assert status_of(front) == "VALID"
    front.queue(state="DISABLED")
    front.ask("DeleteJobQueue", jobQueue="q")
    front.catalogue.settle()
    assert queue_status_of(front) == "DELETING"
    has_jobs[0] = False
    front.catalogue.settle()
    assert front.catalogue.queues() == []
    changes = front.changes
    front.clock.advance(SETTLE_S)
    assert front.changes == changes


def test_a_queue_that_is_not_there_is_not_found_in_awss_words() -> None:
    with pytest.raises(ClientException, match=r"^JobQueue nothing not found\.$"):
        Front().catalogue.queue("nothing")


def test_an_arn_of_another_region_is_not_found() -> None:
    front = Front()
    front.environment()
    arn = front.queue()
    assert front.catalogue.queue(arn).name == "q"
    with pytest.raises(ClientException):
        front.catalogue.queue(arn.replace("eu-central-1", "eu-west-1"))


def test_scheduling_policies_are_kept() -> None:
    front = Front()
    share = {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 0.5}]}
    arn = front.ask("CreateSchedulingPolicy", name="p", fairsharePolicy=share, tags={"a": "b"})["arn"]
    assert front.ask("ListSchedulingPolicies")["schedulingPolicies"] == [{"arn": arn}]
    front.ask("UpdateSchedulingPolicy", arn=arn, fairsharePolicy={"computeReservation": 1})
    (shown,) = front.ask("DescribeSchedulingPolicies", arns=[arn])["schedulingPolicies"]
    assert shown == {
        "name": "p",
        "arn": arn,
        "fairsharePolicy": {"computeReservation": 1},
        "tags": {"a": "b"},
    }
    front.environment()
    front.queue(schedulingPolicyArn=arn)
    front.refused("DeleteSchedulingPolicy", arn=arn)
    front.queue("fifo")
    assert "scheduling policy" in front.refused("UpdateJobQueue", jobQueue="fifo", schedulingPolicyArn=arn)
    front.refused("CreateJobQueue", **queue_params("other"), schedulingPolicyArn=arn + "x")


def test_a_scheduling_policy_that_no_queue_has_is_removed() -> None:
    front = Front()
    arn = front.ask("CreateSchedulingPolicy", name="p")["arn"]
    assert front.refused("CreateSchedulingPolicy", name="p") == "Object already exists"
    front.ask("DeleteSchedulingPolicy", arn=arn)
    assert front.ask("DescribeSchedulingPolicies", arns=[arn])["schedulingPolicies"] == []
