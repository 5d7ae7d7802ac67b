"""CloudFormation in moto where it differs from AWS: permissions, events of resources, rolling back."""

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from moto.cloudformation import models, parsing

from cloudknot.testing.batch.errors import BatchError
from cloudknot.testing.iam import current
from cloudknot.testing.iam.names import known_in_moto
from cloudknot.testing.iam.policies import decide
from cloudknot.testing.iam.stack_actions import asks_of_resource
from cloudknot.testing.iam.values import Principal
from cloudknot.testing.stacks import batch_resources, roles

__all__ = ["install"]

_STACK: ContextVar[Any] = ContextVar("stack", default=None)


class _Failed(Exception):  # noqa: N818 - what has become of a stack, not a fault of the box
    """A resource could not be made; told as an event already."""


def install(call: Callable[[str, str, dict[str, Any]], dict[str, Any]]) -> None:
    """Make moto's CloudFormation behave as AWS's where it matters here.

    Each change, and why:

    - Batch's resources are made in the box's own Batch (moto would make them in its own).
    - What a resource needs is asked of the caller's permissions (moto asks nobody).
    - A resource that fails is an event with its reason, and the stack rolls back (moto refuses the request,
      and leaves what it has made).
    - A role has its managed policies (`stacks.roles`).
    - A list parameter that is left at its default is a list (moto hands out the text).

    Parameters
    ----------
    call : callable
        Does an operation of Batch in a region, ``call(region, "CreateJobQueue", params)``, and lets what it
        began come to its end.
    """
    batch_resources.Resource.call = staticmethod(call)
    roles.install()
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
    for owner, name, wrapper in (
        (parsing, "parse_and_create_resource", _told),
        (parsing.ResourceMap, "load_parameters", _lists),
        (models.Stack, "create_resources", _rolled_back),
        (models.Stack, "update", _rolled_back),
        (models.Stack, "delete", _checked),
        (models.ChangeSet, "apply", _applied),
    ):
        setattr(owner, name, wrapper(getattr(owner, name)))


def _told(_: Callable[..., Any]) -> Callable[..., Any]:
    def parse_and_create_resource(
        logical_id: str, resource_json: dict[str, Any], resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        condition = resource_json.get("Condition")
        if condition and not resources_map.lazy_condition_map[condition]:
            return None
        stack, kind = _STACK.get(), str(resource_json["Type"])
        _event(stack, logical_id, "", kind, "CREATE_IN_PROGRESS")
        try:
            made = _make(logical_id, resource_json, resources_map, account_id, region_name)
        except _Failed:
            _event(stack, logical_id, "", kind, "CREATE_FAILED", "Resource creation cancelled")
            raise
        except Exception as error:
            _event(stack, logical_id, "", kind, "CREATE_FAILED", _reason(error))
            raise _Failed(logical_id) from error
        _event(stack, logical_id, getattr(made, "physical_resource_id", ""), kind, "CREATE_COMPLETE")
        return made

    return parse_and_create_resource


def _make(
    logical_id: str, resource_json: dict[str, Any], resources_map: Any, account_id: str, region_name: str
) -> Any:
    kind = str(resource_json["Type"])
    found = parsing.parse_resource_and_generate_name(logical_id, resource_json, resources_map)
    if not found:
        raise NotImplementedError(f"the box cannot make a {kind}")
    model, resolved, name = found
    _check(kind, resolved["Properties"], "create", account_id, region_name, name)
    made = model.create_from_cloudformation_json(
        name,
        resolved,
        account_id,
        region_name,
        LogicalId=logical_id,
        StackId=resources_map.stack_id,
        ResourceType=kind,
    )
    made.cf_resource_type = kind
    made.logical_resource_id = logical_id
    return made


def _rolled_back(act: Callable[..., Any]) -> Callable[..., Any]:
    """Do something to a stack; when a resource fails, undo it, as AWS does without being asked."""

    def change(stack: Any, *values: Any, **named: Any) -> None:
        before = (stack.template, dict(stack.template_dict), dict(stack.parameters))
        with _working_on(stack):
            try:
                act(stack, *values, **named)
            except _Failed as failed:
                _roll_back(stack, before, failed)

    return change


def _applied(apply: Callable[[Any], None]) -> Callable[[Any], None]:
    def apply_change_set(change_set: Any) -> None:
        # As a stack's own update, which keeps its template and rolls back.
        if change_set.change_set_type == "CREATE":
            change_set.stack.template = change_set.template
            change_set.stack._parse_template()
        change_set.stack.update(
            change_set.template, change_set.role_arn, change_set.parameters, change_set.tags
        )

    return apply_change_set


def _checked(delete: Callable[[Any], None]) -> Callable[[Any], None]:
    def delete_stack(stack: Any) -> None:
        for logical_id, resource in stack.resource_map._parsed_resources.items():
            kind = getattr(resource, "cf_resource_type", None)
            if kind:
                raw = stack.template_dict["Resources"][logical_id].get("Properties", {})
                properties = parsing.clean_json(copy.deepcopy(raw), stack.resource_map)
                name = str(resource.physical_resource_id)
                _check(kind, properties, "delete", stack.account_id, stack.region_name, name)
        delete(stack)

    return delete_stack


def _lists(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_parameters(resources: Any) -> None:
        for name, parameter in resources._template.get("Parameters", {}).items():
            kind = str(parameter.get("Type", "String"))
            if (kind == "CommaDelimitedList" or kind.startswith("List<")) and "Default" in parameter:
                resources.input_parameters.setdefault(name, str(parameter["Default"]))
        load(resources)

    return load_parameters


def _roll_back(stack: Any, before: tuple[Any, dict[str, Any], dict[str, Any]], failed: _Failed) -> None:
    was_there = stack.status.startswith("UPDATE") or stack.status == "CREATE_COMPLETE"
    verb = "UPDATE_ROLLBACK" if was_there else "ROLLBACK"
    reason = f"The following resource(s) failed to create: [{failed}]. Rollback requested by user."
    stack._add_stack_event(f"{verb}_IN_PROGRESS", resource_status_reason=reason)
    if verb == "ROLLBACK":
        stack.resource_map.delete()
    else:
        template, template_dict, parameters = before
        stack.resource_map.update(template_dict, parameters)
        stack.template, stack.template_dict, stack.parameters = template, template_dict, parameters
    stack.status = f"{verb}_COMPLETE"
    stack._add_stack_event(stack.status)


@contextmanager
def _working_on(stack: Any) -> Iterator[None]:
    token = _STACK.set(stack)
    try:
        yield
    finally:
        _STACK.reset(token)


def _check(
    kind: str, properties: Mapping[str, Any], verb: Any, account_id: str, region: str, name: str | None = None
) -> None:
    who = current.principal.get()
    if not isinstance(who, Principal):
        return
    known = known_in_moto(account_id, region)
    for ask in asks_of_resource(kind, properties, verb, account_id, region, name=name, known=known):
        decision = decide(who, ask)
        if not decision.is_allowed:
            raise PermissionError(decision.words_for(who, ask))


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        code, words = "AccessDenied", str(error)
    else:
        code = "InvalidRequest" if isinstance(error, BatchError) else "GeneralServiceException"
        words = str(getattr(error, "message", None) or error)
    token = uuid.uuid4()
    return f'Resource handler returned message: "{words}" (RequestToken: {token}, HandlerErrorCode: {code})'


def _event(
    stack: Any, logical_id: str, physical_id: str, kind: str, status: str, reason: str | None = None
) -> None:
    stack.events.append(
        models.Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=logical_id,
            physical_resource_id=physical_id,
            resource_type=kind,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
    )
