"""Job definitions: revisions, finding them again, and what is refused."""

from typing import Any

import pytest

from cloudknot.testing.batch.errors import BatchError, ClientException
from cloudknot.testing.batch.fargate import GRID, is_size
from tests.box.making import CONTAINER, Front, definition_params, resources

ROLE = "arn:aws:iam::123456789012:role/execution"
ON_FARGATE = {
    "image": "busybox",
    "executionRoleArn": ROLE,
    "resourceRequirements": resources(VCPU="0.25", MEMORY="512"),
}


def test_each_registration_makes_a_revision() -> None:
    front = Front()
    first, second = front.definition(), front.definition()
    assert first == "arn:aws:batch:eu-central-1:123456789012:job-definition/d:1"
    assert second == first[:-1] + "2"


def test_a_name_alone_means_the_newest_that_is_active() -> None:
    front = Front()
    front.definition()
    second = front.definition()
    front.ask("DeregisterJobDefinition", jobDefinition=second)
    assert front.catalogue.definition("d").revision == 1
    assert front.definition().endswith(":3")


@pytest.mark.parametrize(
    "reference",
    [
        "d",
        "d:1",
        "arn:aws:batch:eu-central-1:123456789012:job-definition/d:1",
        "arn:aws:batch:eu-central-1:123456789012:job-definition/d",
    ],
)
def test_a_definition_is_found_by(reference: str) -> None:
    front = Front()
    front.definition()
    assert front.catalogue.definition(reference).revision == 1


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("other", "JobDefinition name other does not exist or is not in ACTIVE status"),
        ("d:1", "JobDefinition name d:1 does not exist or is not in ACTIVE status"),
        ("d", "JobDefinition name d does not exist or is not in ACTIVE status"),
        (
            "arn:aws:batch:eu-central-1:123456789012:job-definition/other:1",
            "JobDefinition arn:aws:batch:eu-central-1:123456789012:job-definition/other:1 not found.",
        ),
        ("d:latest", "Provided name d:latest is not supported pattern[a-zA-Z_0-9-]{1,128}"),
    ],
)
def test_what_is_not_there_or_inactive_is_not_found(reference: str, words: str) -> None:
    front = Front()
    front.ask("DeregisterJobDefinition", jobDefinition=front.definition())
    with pytest.raises(ClientException) as caught:
        front.catalogue.definition(reference)
    assert caught.value.message == words


def test_a_definition_is_shown_as_aws_shows_it() -> None:
    front = Front()
    front.definition(
        retryStrategy={"attempts": 2, "evaluateOnExit": [{"action": "exit", "onReason": "*"}]},
        timeout={"attemptDurationSeconds": 60},
        tags={"a": "b"},
        schedulingPriority=3,
    )
    (shown,) = front.ask("DescribeJobDefinitions", jobDefinitionName="d")["jobDefinitions"]
    assert shown["status"] == "ACTIVE"
    assert shown["platformCapabilities"] == ["EC2"]
    assert shown["containerProperties"]["environment"] == []
    assert shown["retryStrategy"]["evaluateOnExit"] == [{"action": "EXIT", "onReason": "*"}]
    assert shown["timeout"] == {"attemptDurationSeconds": 60}
    assert (shown["tags"], shown["schedulingPriority"]) == ({"a": "b"}, 3)
    assert front.catalogue.definition("d").timeout_s == 60


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["a:2", "a:1", "b:1"]),
        ({"jobDefinitionName": "a"}, ["a:2", "a:1"]),
        ({"status": "ACTIVE"}, ["a:2", "b:1"]),
        ({"jobDefinitionName": "a", "status": "INACTIVE"}, ["a:1"]),
        ({"jobDefinitions": ["b:1", "nothing:1"]}, ["b:1"]),
    ],
)
def test_definitions_are_described_by(asked: dict[str, Any], expected: list[str]) -> None:
    front = Front()
    for name in ("a", "a", "b"):
        front.definition(name)
    front.ask("DeregisterJobDefinition", jobDefinition="a:1")
    shown = front.ask("DescribeJobDefinitions", **asked)["jobDefinitions"]
    assert [f"{one['jobDefinitionName']}:{one['revision']}" for one in shown] == expected


def test_definitions_are_described_in_pages() -> None:
    front = Front()
    for _ in range(5):
        front.definition()
    seen: list[int] = []
    token: dict[str, Any] = {}
    while True:
        reply = front.ask("DescribeJobDefinitions", maxResults=2, **token)
        assert len(reply["jobDefinitions"]) <= 2
        seen += [one["revision"] for one in reply["jobDefinitions"]]
        if "nextToken" not in reply:
            break
        token = {"nextToken": reply["nextToken"]}
    assert seen == [5, 4, 3, 2, 1]


def test_a_definition_that_was_just_made_is_neither_seen_nor_known() -> None:
    front = Front(lag_s=5)
    arn = front.definition()
    assert front.ask("DescribeJobDefinitions")["jobDefinitions"] == []
    for reference in ("d", "d:1", arn):
        with pytest.raises(ClientException):  # seen by cromwell (cromwell#4076), which tries again
            front.catalogue.definition(reference)
    front.clock.advance(5)
    assert len(front.ask("DescribeJobDefinitions")["jobDefinitions"]) == 1
    assert front.catalogue.definition("d").revision == 1


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"resourceRequirements": resources(MEMORY="512")}, "<vCPU is not provided.>"),
        ({"resourceRequirements": resources(VCPU="1")}, "<Memory is not provided.>"),
        (
            {"resourceRequirements": resources(VCPU="1", MEMORY="1")},
            "<Memory must be at least 4 Mib, got 1 Mib.>",
        ),
        ({"vcpus": 1, "memory": 3}, "<Memory must be at least 4 Mib, got 3 Mib.>"),
        (
            {"resourceRequirements": resources(VCPU="1.0", MEMORY="512")},
            "<Value 1.0 for type VCPU in resourceRequirement is not valid. Please provide a numeric value.>",
        ),
        ({**CONTAINER, "command": ["echo", ""]}, "<Command field cannot have empty strings>"),
        ({**CONTAINER, "networkConfiguration": {}}, "<networkConfiguration not applicable for EC2.>"),
    ],
)
def test_a_container_for_machines_is_refused_in_awss_words(container: dict[str, Any], words: str) -> None:
    params = definition_params(container={"image": "busybox", **container})
    assert Front().refused("RegisterJobDefinition", **params) == words


@pytest.mark.parametrize(
    "changes",
    [
        {"image": ""},
        {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "mine"}]},
        {"resourceRequirements": resources(VCPU="1", MEMORY="512") * 2},
        {"resourceRequirements": resources(VCPU="0", MEMORY="512")},
        {"vcpus": 0, "resourceRequirements": resources(MEMORY="512")},
    ],
)
def test_a_container_is_refused_with(changes: dict[str, Any]) -> None:
    Front().refused("RegisterJobDefinition", **definition_params(container={**CONTAINER, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"resourceRequirements": resources(VCPU="0.5", MEMORY="512")},
            "<Fargate resource requirements (0.50 vCPU, 512 MiB) not valid.>",
        ),
        ({"vcpus": 1}, "vcpus is not applicable for Fargate. Use resource requirements instead."),
        ({"privileged": True}, "<privileged is not applicable for Fargate.>"),
        ({"linuxParameters": {"maxSwap": 1}}, "<maxSwap is not applicable for Fargate.>"),
        (
            {"resourceRequirements": resources(VCPU="1", MEMORY="2048", GPU="1")},
            "<GPU is not applicable for Fargate.>",
        ),
        ({"executionRoleArn": ""}, None),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, None),
        ({"ephemeralStorage": {"sizeInGiB": 201}}, None),
    ],
)
def test_a_container_for_fargate_is_refused(changes: dict[str, Any], words: str | None) -> None:
    params = definition_params(container={**ON_FARGATE, **changes})
    said = Front().refused("RegisterJobDefinition", platformCapabilities=["FARGATE"], **params)
    assert words in (None, said)


def test_fargate_takes_what_only_it_has() -> None:
    container = {
        **ON_FARGATE,
        "ephemeralStorage": {"sizeInGiB": 200},
        "networkConfiguration": {"assignPublicIp": "ENABLED"},
    }
    front = Front()
    front.definition(container=container, platformCapabilities=["FARGATE"])
    (shown,) = front.ask("DescribeJobDefinitions")["jobDefinitions"]
    assert shown["containerProperties"]["fargatePlatformConfiguration"] == {"platformVersion": "LATEST"}


def test_the_grid_has_the_sizes_of_the_docs() -> None:
    assert {vcpus: (min(sizes), max(sizes), len(sizes)) for vcpus, sizes in GRID.items()} == {
        0.25: (512, 2048, 3),
        0.5: (1024, 4096, 4),
        1: (2048, 8192, 7),
        2: (4096, 16384, 13),
        4: (8192, 30720, 23),
        8: (16384, 61440, 12),
        16: (32768, 122880, 12),
        32: (61440, 249856, 3),
    }
    assert not is_size(3, 8192)


@pytest.mark.parametrize(
    ("retry", "is_taken"),
    [
        ({"attempts": 1}, True),
        ({"attempts": 10}, True),
        ({"attempts": 0}, False),
        ({"attempts": 11}, False),
        ({}, False),
        ({"evaluateOnExit": [{"action": "EXIT", "onReason": "*"}]}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onExitCode": "1"}] * 5}, True),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onExitCode": "1"}] * 6}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "STOP", "onExitCode": "1"}]}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "retry", "onStatusReason": "Host EC2*"}]}, True),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onStatusReason": "*EC2"}]}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onExitCode": "1x"}]}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onReason": "a" * 512}]}, True),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY", "onReason": "a" * 513}]}, False),
        ({"attempts": 1, "evaluateOnExit": [{"action": "RETRY"}]}, False),
    ],
)
def test_a_retry_strategy_is_taken_or_refused(retry: dict[str, Any], *, is_taken: bool) -> None:
    front = Front()
    if is_taken:
        front.definition(retryStrategy=retry)
    else:
        front.refused("RegisterJobDefinition", **definition_params(), retryStrategy=retry)


def test_a_retry_strategy_without_attempts_is_refused_in_awss_words() -> None:
    said = Front().refused("RegisterJobDefinition", **definition_params(), retryStrategy={})
    assert said == "<RetryAttempts must be provided with retry strategy>"


def test_a_timeout_has_at_least_a_minute() -> None:
    front = Front()
    front.definition(timeout={"attemptDurationSeconds": 60})
    front.refused("RegisterJobDefinition", **definition_params(), timeout={"attemptDurationSeconds": 59})


def test_a_definition_that_is_too_long_is_refused() -> None:
    front = Front()
    front.ask("RegisterJobDefinition", size=24 * 1024, **definition_params())
    said = front.refused("RegisterJobDefinition", size=24 * 1024 + 1, **definition_params())
    assert "24 KiB, got 25 KiB" in said


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", "a.b", "a:1"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    assert "pattern" in Front().refused("RegisterJobDefinition", **definition_params(name))


@pytest.mark.parametrize(
    "params",
    [
        {"jobDefinitionName": "d", "type": "multinode"},
        {"jobDefinitionName": "d", "type": "container", "eksProperties": {}},
        {"jobDefinitionName": "d", "type": "container", "ecsProperties": {"taskProperties": []}},
    ],
)
def test_what_the_box_cannot_run_is_said_by_a_code_that_aws_does_not_have(params: dict[str, Any]) -> None:
    with pytest.raises(BatchError) as caught:
        Front().api.handle("RegisterJobDefinition", params, size=1)
    assert (caught.value.code, caught.value.status) == ("UnsupportedOperation", 501)
