"""A type of resource: which properties it has, and how it is made, changed and removed."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudknot.testing.stacks.calls import client, fit

__all__ = ["Kind", "Made", "Work", "as_text", "pairs", "picked"]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What has come of a resource."""

    id: str
    """What `Ref` gives."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What `Fn::GetAtt` gives."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One resource to make, change or remove."""

    account: str
    region: str
    name: str
    """The name that the template gives it, or the one that the stack makes up."""
    properties: Mapping[str, Any]
    id: str = ""
    """Of the one that is there."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    """The properties of the one that is there."""

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do an operation; parameters that are None are left out."""
        bound = client(service, self.region)
        given = {name: value for name, value in params.items() if value is not None}
        method = _METHODS.get((service, operation)) or _method(bound, operation)
        reply: dict[str, Any] = getattr(bound, method)(**fit(service, operation, given))
        return reply

    def get(self, name: str, default: Any = None) -> Any:
        """Return a property."""
        return self.properties.get(name, default)

    def is_changed(self, *names: str) -> bool:
        """Whether one of these properties is not what it was."""
        return any(self.properties.get(name) != self.before.get(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of resource that the box makes."""

    properties: frozenset[str]
    """All that count; any other is refused."""
    make: Callable[[Work], Made]
    remove: Callable[[Work], None]
    change: Callable[[Work], Made] | None = None
    """Changes it in place; where there is none, another one is made."""
    anew: frozenset[str] = frozenset()
    """Properties whose change makes another one."""
    is_anew: Callable[[Work], bool] = lambda work: False
    """Whether a change within a property makes another one."""
    required: frozenset[str] = frozenset()
    name: str = ""
    """The property that names it."""
    longest_name: int = 64
    is_lower: bool = False
    tags: str = "list"
    """How its tags are written: `list`, `map`, or empty for one that has none."""
    service: str = ""


_METHODS: dict[tuple[str, str], str] = {}


def _method(bound: Any, operation: str) -> str:
    by_operation = {value: key for key, value in bound.meta.method_to_api_mapping.items()}
    service = bound.meta.service_model.service_name
    _METHODS.update({(service, name): method for name, method in by_operation.items()})
    return str(by_operation[operation])


def as_text(document: Any) -> str | None:
    """Return a policy as the API takes it: as text."""
    return document if document is None or isinstance(document, str) else json.dumps(document)


def pairs(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return a list of tags as a map."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in tags or ()}


def picked(properties: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return these properties, where they are given."""
    return {name: properties[name] for name in names if name in properties}
