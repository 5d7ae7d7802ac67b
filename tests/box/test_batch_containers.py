"""What a job's container is, of its definition, parameters and overrides."""

from typing import Any

import pytest

from cloudknot.testing.batch.containers import Requirements, effective_container, requirements
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.values import JobDefinition
from tests.box.making import CONTAINER, resources


def definition(container: dict[str, Any], **parameters: str) -> JobDefinition:
    return JobDefinition(
        name="d",
        revision=1,
        arn="arn:d",
        created_at=0,
        container={"image": "busybox", **container},
        parameters=parameters,
    )


@pytest.mark.parametrize(
    ("container", "overrides", "expected"),
    [
        ({"vcpus": 2, "memory": 512}, {}, {"VCPU": "2", "MEMORY": "512"}),
        (CONTAINER, {}, {"VCPU": "1", "MEMORY": "512"}),
        (
            CONTAINER,
            {"resourceRequirements": resources(MEMORY="1024", GPU="1")},
            {"VCPU": "1", "MEMORY": "1024", "GPU": "1"},
        ),
        ({"vcpus": 2, "memory": 512}, {"vcpus": 4}, {"VCPU": "4", "MEMORY": "512"}),
        (
            {"vcpus": 2, "memory": 512},
            {"resourceRequirements": resources(VCPU="4")},
            {"VCPU": "4", "MEMORY": "512"},
        ),
        # "It doesn't override any vCPU requirement specified in the resourceRequirements structure."
        (CONTAINER, {"vcpus": 4, "memory": 9}, {"VCPU": "1", "MEMORY": "512"}),
    ],
)
def test_amounts_are_overridden_by_their_type(
    container: dict[str, Any], overrides: dict[str, Any], expected: dict[str, str]
) -> None:
    effective = effective_container(definition(container), {}, overrides)
    assert {one["type"]: one["value"] for one in effective["resourceRequirements"]} == expected
    assert "vcpus" not in effective
    assert "memory" not in effective


def test_variables_are_overridden_by_their_name_and_others_added() -> None:
    made = definition({"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    overrides = {"environment": [{"name": "B", "value": "3"}, {"name": "C"}]}
    assert effective_container(made, {}, overrides)["environment"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "3"},
        {"name": "C", "value": ""},
    ]


def test_the_jobs_parameters_go_before_the_definitions() -> None:
    made = definition(
        {"command": ["convert", "Ref::input", "Ref::codec", "xRef::codec", "Ref::codec or so"]}, codec="mp4"
    )
    effective = effective_container(made, {"input": "a.mov"}, {})
    assert effective["command"] == ["convert", "a.mov", "mp4", "xRef::codec", "Ref::codec or so"]
    assert effective_container(made, {"input": "a", "codec": "avi"}, {})["command"][2] == "avi"


def test_parameters_are_put_into_a_command_that_was_overridden() -> None:
    made = definition({"command": ["sleep", "Ref::seconds"]}, seconds="1")
    assert effective_container(made, {}, {"command": ["echo", "Ref::seconds"]})["command"] == ["echo", "1"]


def test_a_placeholder_without_a_parameter_is_refused() -> None:
    with pytest.raises(ClientException, match="No parameter found for reference input"):
        effective_container(definition({"command": ["Ref::input"]}), {}, {})


def test_what_is_not_overridden_is_the_definitions_and_its_lists_are_shown() -> None:
    effective = effective_container(definition({"user": "1000", **CONTAINER}), {}, {})
    assert effective["user"] == "1000"
    assert effective["mountPoints"] == effective["secrets"] == []


def test_the_definition_is_left_as_it_was() -> None:
    made = definition({"vcpus": 1, "memory": 64, "environment": [{"name": "A", "value": "1"}]})
    before = str(made)
    effective_container(made, {}, {"vcpus": 2, "environment": [{"name": "A", "value": "2"}]})
    assert str(made) == before


def test_parts_of_a_processor_can_be_asked_for() -> None:
    asked = {"resourceRequirements": resources(VCPU="0.25", MEMORY="512")}
    assert requirements(asked) == Requirements(vcpus=0.25, memory_mib=512, gpus=0)
