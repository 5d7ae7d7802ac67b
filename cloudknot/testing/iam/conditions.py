"""The Condition element: operators, and what a missing or manifold key means."""

import functools
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudknot.testing.iam.patterns import Context, Variables, fits, fits_arn, resolve

__all__ = ["Condition", "MalformedPolicy", "parse_conditions"]

Match = Callable[[str, str, Variables], bool]
"""Whether the policy's value, with its variables, fits the request's."""


class MalformedPolicy(ValueError):  # noqa: N818 - AWS's own word for it
    """A policy document that IAM would not have taken."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One operator on one key."""

    operator: str
    """In lower case, without its set operator and `IfExists`."""
    key: str
    """In lower case."""
    values: tuple[str, ...]
    if_exists: bool = False
    quantifier: str = ""
    """`forallvalues`, `foranyvalue`, or nothing."""

    def holds(self, context: Context, variables: Variables) -> bool:
        """Whether a request with these keys meets it."""
        found = context.get(self.key)
        present = () if found is None else (found,) if isinstance(found, str) else found
        if self.operator == "null":
            return (not present) == (self.values[0] == "true")
        match, is_negated = _OPERATORS[self.operator]
        if not present:
            return self._holds_without_key(is_negated=is_negated)

        def is_met(value: str) -> bool:
            return any(match(wanted, value, variables) for wanted in self.values) != is_negated

        # A negated operator must hold of every value of the key, as it must of every value in the policy.
        is_for_all = self.quantifier == "forallvalues" or (is_negated and not self.quantifier)
        return all(map(is_met, present)) if is_for_all else any(map(is_met, present))

    def _holds_without_key(self, *, is_negated: bool) -> bool:
        if self.quantifier == "foranyvalue":
            return self.if_exists
        return self.if_exists or is_negated or self.quantifier == "forallvalues"


def parse_conditions(block: Any) -> tuple[Condition, ...]:
    """Return the conditions of a statement; all of them must hold.

    Raises
    ------
    MalformedPolicy
        When the block has another shape, an operator that IAM does not know, or a value that fits none.
    """
    if not isinstance(block, Mapping):
        raise MalformedPolicy(f"Condition is a map of operators, not {block!r}")
    return tuple(
        _parse(operator, key, values)
        for operator, keys in block.items()
        for key, values in _items(operator, keys)
    )


def _items(operator: str, keys: Any) -> list[tuple[str, Any]]:
    if not isinstance(keys, Mapping):
        raise MalformedPolicy(f"the condition operator {operator!r} holds a map of keys, not {keys!r}")
    return list(keys.items())


def _parse(operator: str, key: str, values: Any) -> Condition:
    quantifier, _, rest = operator.lower().rpartition(":")
    name = rest.removesuffix("ifexists")
    if quantifier not in ("", "forallvalues", "foranyvalue") or (name not in _OPERATORS and name != "null"):
        raise MalformedPolicy(f"{operator!r} is no condition operator")
    if name == "null" and rest != name:
        raise MalformedPolicy("Null takes no IfExists")
    texts = tuple(_text(value) for value in (values if isinstance(values, list) else [values]))
    check = _CHECKS.get(name)
    if name == "null":
        texts = tuple(text.lower() for text in texts)
    for text in texts:
        if check and "${" not in text and check(text) is None:
            raise MalformedPolicy(f"{operator!r} cannot compare with {text!r}")
        if name == "null" and text not in ("true", "false"):
            raise MalformedPolicy(f"Null is true or false, not {text!r}")
    if not texts:
        raise MalformedPolicy(f"{operator!r} on {key!r} has no value")
    return Condition(
        operator=name, key=key.lower(), values=texts, if_exists=rest != name, quantifier=quantifier
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise MalformedPolicy(f"a condition compares with text, numbers and booleans, not {value!r}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=1024)
def _moment(text: str) -> float | None:
    """Return seconds since the epoch: policies write them as a number or in ISO 8601."""
    if (number := _number(text)) is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@functools.lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _same(wanted: str, value: str, variables: Variables) -> bool:
    return resolve(wanted, variables) == value


def _same_ignoring_case(wanted: str, value: str, variables: Variables) -> bool:
    resolved = resolve(wanted, variables)
    return resolved is not None and resolved.lower() == value.lower()


def _is_within(wanted: str, value: str, variables: Variables) -> bool:
    network, address = _network(resolve(wanted, variables) or ""), _network(value)
    if network is None or address is None or network.version != address.version:
        return False
    return address.network_address in network


def _compare(read: Callable[[str], float | None], holds: Callable[[float, float], bool]) -> Match:
    def match(wanted: str, value: str, variables: Variables) -> bool:
        right, left = read(resolve(wanted, variables) or ""), read(value)
        return left is not None and right is not None and holds(left, right)

    return match


def _ordered(name: str, read: Callable[[str], float | None]) -> dict[str, tuple[Match, bool]]:
    equals = _compare(read, lambda left, right: left == right)
    return {
        f"{name}equals": (equals, False),
        f"{name}notequals": (equals, True),
        f"{name}lessthan": (_compare(read, lambda left, right: left < right), False),
        f"{name}lessthanequals": (_compare(read, lambda left, right: left <= right), False),
        f"{name}greaterthan": (_compare(read, lambda left, right: left > right), False),
        f"{name}greaterthanequals": (_compare(read, lambda left, right: left >= right), False),
    }


_OPERATORS: dict[str, tuple[Match, bool]] = {
    "stringequals": (_same, False),
    "stringnotequals": (_same, True),
    "stringequalsignorecase": (_same_ignoring_case, False),
    "stringnotequalsignorecase": (_same_ignoring_case, True),
    "stringlike": (fits, False),
    "stringnotlike": (fits, True),
    **_ordered("numeric", _number),
    **_ordered("date", _moment),
    "bool": (_same_ignoring_case, False),
    "binaryequals": (_same, False),
    "ipaddress": (_is_within, False),
    "notipaddress": (_is_within, True),
    # ArnEquals and ArnLike behave alike (IAM user guide).
    "arnequals": (fits_arn, False),
    "arnlike": (fits_arn, False),
    "arnnotequals": (fits_arn, True),
    "arnnotlike": (fits_arn, True),
}
"""The match of each operator, and whether it is negated."""

_CHECKS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(_ordered("numeric", _number), _number),
    **dict.fromkeys(_ordered("date", _moment), _moment),
    "ipaddress": _network,
    "notipaddress": _network,
}
"""What reads the values of an operator in a policy: None says that it cannot."""
