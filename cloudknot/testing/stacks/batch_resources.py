"""Batch's resources as CloudFormation makes them, through the box's own Batch."""

from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.iam.stack_properties import to_camel_case
from cloudknot.testing.stacks.calls import fit
from cloudknot.testing.stacks.kind import Kind, Made, Work

__all__ = ["Call", "batch_kinds"]

Call = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""Does an operation of Batch in a region and lets what it began come to its end."""

# A change of these is a change of the machines, for which a new environment is made unless the template has
# `ReplaceComputeEnvironment: false` (CloudFormation user guide, AWS::Batch::ComputeEnvironment).
_MACHINES = frozenset(
    {
        *("AllocationStrategy", "BidPercentage", "Ec2Configuration", "Ec2KeyPair", "ImageId"),
        *("InstanceRole", "InstanceTypes", "LaunchTemplate", "PlacementGroup", "Tags"),
    }
)
_ALWAYS = frozenset({"Type", "SpotIamFleetRole"})


def batch_kinds(call: Call) -> dict[str, Kind]:
    """Return Batch's types.

    Parameters
    ----------
    call : callable
        ``call(region, "CreateJobQueue", params)``.
    """

    def ask(work: Work, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return call(work.region, operation, fit("batch", operation, params))

    return {
        "AWS::Batch::ComputeEnvironment": _environment(ask),
        "AWS::Batch::JobQueue": _queue(ask),
        "AWS::Batch::JobDefinition": _definition(ask),
        "AWS::Batch::SchedulingPolicy": _policy(ask),
    }


_Ask = Callable[[Work, str, Mapping[str, Any]], dict[str, Any]]


def _params(work: Work, *without: str) -> dict[str, Any]:
    kept = {name: part for name, part in work.properties.items() if name not in without}
    params: dict[str, Any] = to_camel_case(kept)
    return params


def _environment(ask: _Ask) -> Kind:
    def make(work: Work) -> Made:
        params = _params(work, "ReplaceComputeEnvironment", "UpdatePolicy")
        params["computeEnvironmentName"] = work.name
        # In a template the kind may be written in any case.
        params["type"] = str(params.get("type", "MANAGED")).upper()
        arn = ask(work, "CreateComputeEnvironment", params)["computeEnvironmentArn"]
        return Made(id=arn, attributes={"ComputeEnvironmentArn": arn})

    def change(work: Work) -> Made:
        fixed = ("ComputeEnvironmentName", "Type", "Tags", "ComputeResources", "ReplaceComputeEnvironment")
        params = _params(work, *fixed)
        now, before = work.get("ComputeResources") or {}, work.before.get("ComputeResources") or {}
        if changed := {name: part for name, part in now.items() if part != before.get(name)}:
            params["computeResources"] = to_camel_case(changed)
        ask(work, "UpdateComputeEnvironment", {**params, "computeEnvironment": work.id})
        return Made(id=work.id, attributes=work.attributes)

    def is_anew(work: Work) -> bool:
        now, before = work.get("ComputeResources") or {}, work.before.get("ComputeResources") or {}
        changed = {name for name in {*now, *before} if now.get(name) != before.get(name)}
        replaces = str(work.get("ReplaceComputeEnvironment", True)).lower() == "true"
        return bool(changed & _ALWAYS) or (replaces and bool(changed & _MACHINES))

    return Kind(
        properties=frozenset(
            {
                *("ComputeEnvironmentName", "Type", "State", "ServiceRole", "ComputeResources", "Tags"),
                *("UnmanagedvCpus", "ReplaceComputeEnvironment", "UpdatePolicy", "Context"),
            }
        ),
        required=frozenset({"Type"}),
        anew=frozenset({"ComputeEnvironmentName", "Type", "Tags"}),
        is_anew=is_anew,
        name="ComputeEnvironmentName",
        longest_name=128,
        tags="map",
        make=make,
        change=change,
        remove=_disabled_first(ask, "ComputeEnvironment", "computeEnvironment"),
    )


def _queue(ask: _Ask) -> Kind:
    def make(work: Work) -> Made:
        arn = ask(work, "CreateJobQueue", {**_params(work), "jobQueueName": work.name})["jobQueueArn"]
        return Made(id=arn, attributes={"JobQueueArn": arn})

    def change(work: Work) -> Made:
        ask(work, "UpdateJobQueue", {**_params(work, "JobQueueName", "Tags"), "jobQueue": work.id})
        return Made(id=work.id, attributes=work.attributes)

    return Kind(
        properties=frozenset(
            {
                *("JobQueueName", "Priority", "State", "ComputeEnvironmentOrder", "SchedulingPolicyArn"),
                *("JobStateTimeLimitActions", "JobQueueType", "Tags"),
            }
        ),
        required=frozenset({"Priority"}),
        anew=frozenset({"JobQueueName", "JobQueueType", "Tags"}),
        name="JobQueueName",
        longest_name=128,
        tags="map",
        make=make,
        change=change,
        remove=_disabled_first(ask, "JobQueue", "jobQueue"),
    )


def _disabled_first(ask: _Ask, noun: str, key: str) -> Callable[[Work], None]:
    def remove(work: Work) -> None:
        ask(work, f"Update{noun}", {key: work.id, "state": "DISABLED"})
        ask(work, f"Delete{noun}", {key: work.id})

    return remove


def _definition(ask: _Ask) -> Kind:
    def make(work: Work) -> Made:
        arn = ask(work, "RegisterJobDefinition", {**_params(work), "jobDefinitionName": work.name})[
            "jobDefinitionArn"
        ]
        return Made(id=arn, attributes={"JobDefinitionArn": arn})

    def change(work: Work) -> Made:
        made = make(work)
        remove(work)
        return made

    def remove(work: Work) -> None:
        ask(work, "DeregisterJobDefinition", {"jobDefinition": work.id})

    return Kind(
        properties=frozenset(
            {
                *("JobDefinitionName", "Type", "Parameters", "SchedulingPriority", "ContainerProperties"),
                *("NodeProperties", "EcsProperties", "EksProperties", "RetryStrategy", "PropagateTags"),
                *("Timeout", "PlatformCapabilities", "Tags"),
            }
        ),
        required=frozenset({"Type"}),
        anew=frozenset({"JobDefinitionName"}),
        name="JobDefinitionName",
        longest_name=128,
        tags="map",
        make=make,
        change=change,
        remove=remove,
    )


def _policy(ask: _Ask) -> Kind:
    def make(work: Work) -> Made:
        arn = ask(work, "CreateSchedulingPolicy", {**_params(work), "name": work.name})["arn"]
        return Made(id=arn, attributes={"Arn": arn})

    def change(work: Work) -> Made:
        ask(work, "UpdateSchedulingPolicy", {**_params(work, "Name", "Tags"), "arn": work.id})
        return Made(id=work.id, attributes=work.attributes)

    def remove(work: Work) -> None:
        ask(work, "DeleteSchedulingPolicy", {"arn": work.id})

    return Kind(
        properties=frozenset({"Name", "FairsharePolicy", "Tags"}),
        anew=frozenset({"Name", "Tags"}),
        name="Name",
        longest_name=128,
        tags="map",
        make=make,
        change=change,
        remove=remove,
    )
