"""CloudFormation of the box in place of moto's, behind moto's own wire."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from moto.cloudformation import models
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from cloudknot.testing.stacks import buckets, identities, keeping, messages, networks, security_groups
from cloudknot.testing.stacks.asking import Stacks
from cloudknot.testing.stacks.batch_resources import Call, batch_kinds
from cloudknot.testing.stacks.kind import Kind
from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.stack import Resource, Stack
from cloudknot.testing.stacks.templates import capabilities_of

__all__ = ["install", "kinds"]


def kinds(call: Call) -> dict[str, Kind]:
    """Return every type of resource that the box makes.

    Parameters
    ----------
    call : callable
        Does an operation of Batch in a region, ``call(region, "CreateJobQueue", params)``, and lets what it
        began come to its end.
    """
    return {
        **networks.KINDS,
        **security_groups.KINDS,
        **buckets.KINDS,
        **identities.KINDS,
        **messages.KINDS,
        **keeping.KINDS,
        **batch_kinds(call),
    }


def install(call: Call) -> None:
    """Let the box's own CloudFormation answer.

    moto makes resources with models of its own, which pass over many properties, ask nobody's permission and
    know neither events nor rolling back. Here every resource is made by the service's own operations.

    Parameters
    ----------
    call : callable
        Does an operation of Batch in a region, ``call(region, "CreateJobQueue", params)``, and lets what it
        began come to its end.
    """
    known = kinds(call)
    for name, answer in _ANSWERS.items():
        setattr(CloudFormationResponse, name, _answering(answer, known))
    for name in ("create_stack", "create_stack_set"):
        setattr(models.CloudFormationBackend, name, _no_stack_sets)


_Asked = Mapping[str, Any]
_Answer = Callable[[Stacks, _Asked], Any]


def _answering(answer: _Answer, known: Mapping[str, Kind]) -> Callable[[Any], ActionResult]:
    @functools.wraps(answer)
    def respond(self: Any) -> ActionResult:
        asked = self._get_params()
        result = answer(Stacks(self.current_account, self.region, known), asked)
        return EmptyResult() if result is None else ActionResult(result)

    return respond


def _no_stack_sets(*_: Any, **__: Any) -> Any:
    raise Refusal("the box does not do stack sets: create a stack in each region")


def _create(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    return {"StackId": stacks.create(asked).stack_id}


def _update(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    return {"StackId": stacks.update(asked).stack_id}


def _delete(stacks: Stacks, asked: _Asked) -> None:
    stacks.delete(asked)


def _protect(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    stack = stacks.found(str(asked["StackName"]))
    stack.enable_termination_protection = bool(asked["EnableTerminationProtection"])
    return {"StackId": stack.stack_id}


def _create_change_set(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    change_set = stacks.create_change_set(asked)
    return {"Id": change_set.change_set_id, "StackId": change_set.stack_id}


def _describe_change_set(stacks: Stacks, asked: _Asked) -> Any:
    return stacks.change_set(str(asked["ChangeSetName"]), asked.get("StackName"))


def _execute_change_set(stacks: Stacks, asked: _Asked) -> None:
    stacks.execute(str(asked["ChangeSetName"]), asked.get("StackName"))


def _delete_change_set(stacks: Stacks, asked: _Asked) -> None:
    stacks.remove_change_set(str(asked["ChangeSetName"]), asked.get("StackName"))


def _list_change_sets(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    return {"Summaries": stacks.change_sets(str(asked["StackName"]))}


def _validate(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    template = stacks.read(asked)
    needed = capabilities_of(template)
    parameters = [
        {
            "ParameterKey": name,
            "DefaultValue": str(one["Default"]) if "Default" in one else None,
            "NoEcho": str(one.get("NoEcho", "")).lower() == "true",
            "Description": one.get("Description"),
        }
        for name, one in template["Parameters"].items()
    ]
    named = sorted(
        {one["Type"] for one in template["Resources"].values() if one["Type"].startswith("AWS::IAM")}
    )
    return {
        "Description": template.content.get("Description"),
        "Parameters": parameters,
        "Capabilities": list(needed),
        "CapabilitiesReason": f"The following resource(s) require capabilities: [{', '.join(named)}]"
        if needed
        else None,
        "DeclaredTransforms": [],
    }


def _resources(stack: Stack) -> list[Resource]:
    return list({**stack.past, **stack.resources}.values())


def _shown(stack: Stack, resource: Resource) -> dict[str, Any]:
    return {
        "StackName": stack.name,
        "StackId": stack.stack_id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.id or None,
        "ResourceType": resource.kind,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason,
        "Timestamp": resource.at,
        "LastUpdatedTimestamp": resource.at,
    }


def _describe_resource(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    stack, name = stacks.any(str(asked["StackName"])), str(asked["LogicalResourceId"])
    for resource in _resources(stack):
        if resource.logical_id == name:
            return {"StackResourceDetail": _shown(stack, resource)}
    raise Refusal(f"Resource {name} does not exist for stack {stack.name}")


def _describe_resources(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    stack, name = stacks.holding(asked), asked.get("LogicalResourceId")
    found = [resource for resource in _resources(stack) if name in (None, resource.logical_id)]
    return {"StackResources": [_shown(stack, resource) for resource in found]}


def _list_resources(stacks: Stacks, asked: _Asked) -> dict[str, Any]:
    stack = stacks.any(str(asked["StackName"]))
    return {"StackResourceSummaries": [_shown(stack, resource) for resource in _resources(stack)]}


_ANSWERS: dict[str, Callable[[Stacks, _Asked], Any]] = {
    "create_stack": _create,
    "update_stack": _update,
    "delete_stack": _delete,
    "update_termination_protection": _protect,
    "create_change_set": _create_change_set,
    "describe_change_set": _describe_change_set,
    "execute_change_set": _execute_change_set,
    "delete_change_set": _delete_change_set,
    "list_change_sets": _list_change_sets,
    "validate_template": _validate,
    "describe_stack_resource": _describe_resource,
    "describe_stack_resources": _describe_resources,
    "list_stack_resources": _list_resources,
}
