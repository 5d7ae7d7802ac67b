"""The functions of templates: what a part of one comes to."""

import base64
import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cloudknot.testing.stacks.refusals import Refusal

__all__ = ["Scope", "holds", "resolve"]


class Scope(Protocol):
    """What the names in a template stand for."""

    def ref(self, name: str) -> Any:
        """Return a parameter's value or a resource's id; raises Refusal for what is not there."""

    def attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute of a resource; raises Refusal."""

    def condition(self, name: str) -> bool:
        """Whether a condition holds."""

    def mapped(self, table: str, row: str, column: str) -> Any:
        """Return a value of the template's Mappings; raises Refusal."""

    def imported(self, name: str) -> str:
        """Return what another stack exports; raises Refusal."""

    def zones(self, region: str) -> Sequence[str]:
        """Return the availability zones of a region, or of the stack's own for an empty name."""


NOTHING = object()
"""What `AWS::NoValue` stands for: as if nothing were written."""


def resolve(part: Any, scope: Scope) -> Any:
    """Return a part of a template with its functions worked out."""
    if isinstance(part, Mapping):
        if len(part) == 1:
            [(name, given)] = part.items()
            if name == "Ref":
                return NOTHING if given == "AWS::NoValue" else scope.ref(str(given))
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](given, scope)
            if name.startswith("Fn::"):
                raise Refusal(f"the box does not do {name}")
        worked = {str(name): resolve(value, scope) for name, value in part.items()}
        return {name: value for name, value in worked.items() if value is not NOTHING}
    if isinstance(part, list):
        return [value for value in (resolve(value, scope) for value in part) if value is not NOTHING]
    if isinstance(part, str) and "{{resolve:" in part:
        raise Refusal(
            "the box does not do dynamic references ({{resolve:...}}): use a parameter of an SSM type"
        )
    return part


def holds(condition: Any, scope: Scope) -> bool:
    """Return whether a condition holds."""
    if isinstance(condition, Mapping) and len(condition) == 1:
        [(name, given)] = condition.items()
        if name == "Condition":
            return scope.condition(str(given))
        if name == "Fn::Equals":
            first, second = (_text(resolve(value, scope)) for value in given)
            return bool(first == second)
        if name == "Fn::Not":
            return not holds(given[0], scope)
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(holds(each, scope) for each in given)
    raise Refusal(f"Template format error: this is no condition: {json.dumps(condition, default=str)}")


def _text(value: Any) -> Any:
    """Return a value as CloudFormation compares it: numbers and truths as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _join(given: Any, scope: Scope) -> str:
    delimiter, parts = given[0], resolve(given[1], scope)
    return str(delimiter).join(str(_text(part)) for part in parts)


def _split(given: Any, scope: Scope) -> list[str]:
    return str(resolve(given[1], scope)).split(str(given[0]))


def _select(given: Any, scope: Scope) -> Any:
    index, parts = int(resolve(given[0], scope)), resolve(given[1], scope)
    if index >= len(parts):
        raise Refusal(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
    return parts[index]


_NAMED = re.compile(r"\$\{(!?)([^}]+)\}")


def _sub(given: Any, scope: Scope) -> str:
    text, own = (given[0], resolve(given[1], scope)) if isinstance(given, list) else (given, {})

    def stands_for(found: re.Match[str]) -> str:
        name = found.group(2).strip()
        if found.group(1):
            return f"${{{found.group(2)}}}"
        if name in own:
            return str(_text(own[name]))
        resource, dot, attribute = name.partition(".")
        return str(_text(scope.attribute(resource, attribute) if dot else scope.ref(name)))

    return _NAMED.sub(stands_for, str(text))


def _attribute(given: Any, scope: Scope) -> Any:
    name, attribute = given if isinstance(given, list) else str(given).split(".", 1)
    return scope.attribute(str(name), str(resolve(attribute, scope)))


def _find(given: Any, scope: Scope) -> Any:
    table, row, column, *default = given
    if default:
        raise Refusal("the box does not do a default value of Fn::FindInMap")
    table, row, column = (str(_text(resolve(part, scope))) for part in (table, row, column))
    return scope.mapped(table, row, column)


def _if(given: Any, scope: Scope) -> Any:
    return resolve(given[1] if scope.condition(str(given[0])) else given[2], scope)


def _cidr(given: Any, scope: Scope) -> list[str]:
    block, count, *bits = (resolve(part, scope) for part in given)
    network = ipaddress.ip_network(str(block))
    width = int(bits[0]) if bits else (8 if network.version == 4 else 64)  # noqa: PLR2004 - versions of IP
    parts = network.subnets(new_prefix=network.max_prefixlen - width)
    found = [str(part) for part in itertools.islice(parts, int(count))]
    if len(found) < int(count):
        raise Refusal(f"Template error: Fn::Cidr: {block} has no {count} blocks of {width} bits")
    return found


_FUNCTIONS: dict[str, Callable[[Any, Scope], Any]] = {
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::Sub": _sub,
    "Fn::GetAtt": _attribute,
    "Fn::FindInMap": _find,
    "Fn::If": _if,
    "Fn::Cidr": _cidr,
    "Fn::GetAZs": lambda given, scope: list(scope.zones(str(resolve(given, scope) or ""))),
    "Fn::ImportValue": lambda given, scope: scope.imported(str(resolve(given, scope))),
    "Fn::Base64": lambda given, scope: base64.b64encode(str(resolve(given, scope)).encode()).decode(),
}
