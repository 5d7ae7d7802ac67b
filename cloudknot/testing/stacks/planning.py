"""What an update would do, before it does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.stacks.intrinsics import resolve
from cloudknot.testing.stacks.kind import Kind
from cloudknot.testing.stacks.making import Maker
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Resource, Source, Stack
from cloudknot.testing.stacks.wanting import wanted_of

__all__ = ["Change", "is_idle", "plan"]

_LATER = "{{known after the change}}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What would become of a resource, with the names that moto's answers read."""

    action: str
    """`Add`, `Modify` or `Remove`."""
    logical_resource_id: str
    resource_type: str
    physical_resource_id: str | None = None
    replacement: str | None = None


class _Attributes(dict[str, Any]):
    """The attributes of a resource that is not there yet."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return f"{_LATER}.{name}"


def plan(stack: Stack, source: Source, kinds: Mapping[str, Kind]) -> list[Change]:
    """Return what making a stack what a source says would do.

    Parameters
    ----------
    stack : Stack
        As it is.
    source : Source
        What it shall be.
    kinds : mapping of Kind
        The types that the box makes.

    Raises
    ------
    Refusal
        When something in the template cannot be worked out.
    """
    maker, there = Maker(stack, kinds, None), dict(stack.resources)
    names, changes, wanted_ids = Names(stack, source, there), list[Change](), set[str]()
    for logical_id in source.template.order:
        if not names.is_wanted(logical_id):
            continue
        wanted_ids.add(logical_id)
        wanted, old = wanted_of(names, source, logical_id, kinds), stack.resources.get(logical_id)
        if old is None:
            changes.append(Change(action="Add", logical_resource_id=logical_id, resource_type=wanted.kind))
        elif wanted.kind != old.kind or wanted.properties != old.properties:
            is_anew = maker.is_anew(old, wanted)
            changes.append(_changed(old, wanted.kind, "Modify", "True" if is_anew else "False"))
            if not is_anew:
                continue
        else:
            continue
        there[logical_id] = Resource(
            logical_id=logical_id,
            kind=wanted.kind,
            status="",
            id=f"{_LATER}.{logical_id}",
            attributes=_Attributes(),
        )
    gone = [resource for name, resource in stack.resources.items() if name not in wanted_ids]
    return [*changes, *(_changed(resource, resource.kind, "Remove", None) for resource in gone)]


def _changed(old: Resource, kind: str, action: str, replacement: str | None) -> Change:
    return Change(
        action=action,
        logical_resource_id=old.logical_id,
        resource_type=kind,
        physical_resource_id=old.id,
        replacement=replacement,
    )


def is_idle(stack: Stack, source: Source, kinds: Mapping[str, Kind]) -> bool:
    """Whether an update would do nothing: no resource changes, and neither do outputs nor tags."""
    if plan(stack, source, kinds) or dict(source.tags) != stack.tags:
        return False
    outputs = source.template["Outputs"]
    if stack.source is None or set(outputs) != set(stack.source.template["Outputs"]):
        return False
    names, before = Names(stack, source, stack.resources), Names(stack, stack.source, stack.resources)
    return all(
        resolve(dict(outputs[key]), names) == resolve(dict(stack.source.template["Outputs"][key]), before)
        for key in outputs
        if "Condition" not in outputs[key] or names.condition(outputs[key]["Condition"])
    )
