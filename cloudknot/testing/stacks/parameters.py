"""A stack's parameters: their values, and the refusal of those that its template does not allow."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.templates import Template

__all__ = ["check", "given_values", "resolved"]

_STORED = re.compile(r"AWS::SSM::Parameter::Value<(.*)>")


def given_values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value as text, defaults filled in.

    Raises
    ------
    Refusal
        In AWS's words, when one is missing, unknown or not allowed.
    """
    declared = template["Parameters"]
    if unknown := [name for name in given if name not in declared]:
        raise Refusal(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    defaults = {name: _as_text(one["Default"]) for name, one in declared.items() if "Default" in one}
    values = {name: value for name, value in {**defaults, **given}.items() if value is not None}
    if missing := [name for name in declared if name not in values]:
        raise Refusal(f"Parameters: [{', '.join(missing)}] must have values")
    for name, one in declared.items():
        if not _STORED.match(str(one.get("Type"))):
            check(name, one, values[name])
    return {name: values[name] for name in declared}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check(name: str, declared: Mapping[str, Any], value: str) -> None:
    """Refuse a value that the parameter does not allow.

    Parameters
    ----------
    name : str
        Of the parameter.
    declared : mapping
        As the template has it: `AllowedValues`, `AllowedPattern`, `MinLength` and so on.
    value : str
        The value.

    Raises
    ------
    Refusal
        With the first rule that it breaks.
    """
    for words in _broken(declared, value):
        told = declared.get("ConstraintDescription")
        raise Refusal(
            f"Parameter {name} failed to satisfy constraint: {told}"
            if told
            else f"Parameter '{name}' {words}"
        )


def _broken(declared: Mapping[str, Any], value: str) -> list[str]:
    kind = str(declared.get("Type", "String"))
    parts = [part.strip() for part in value.split(",")] if _is_list(kind) else [value]
    found = []
    if "AllowedValues" in declared:
        allowed = {_as_text(each) for each in declared["AllowedValues"]}
        if any(part not in allowed for part in parts):
            found.append("must be one of AllowedValues")
    if "Number" in kind:
        numbers = [_number(part) for part in parts]
        if None in numbers:
            return [*found, "must be a number"]
        known = [number for number in numbers if number is not None]
        if "MinValue" in declared and min(known) < float(declared["MinValue"]):
            found.append(f"must be a number not less than {declared['MinValue']}")
        if "MaxValue" in declared and max(known) > float(declared["MaxValue"]):
            found.append(f"must be a number not greater than {declared['MaxValue']}")
    if "AllowedPattern" in declared and any(
        not re.fullmatch(str(declared["AllowedPattern"]), part) for part in parts
    ):
        found.append(f"must match pattern {declared['AllowedPattern']}")
    if len(value) < int(declared.get("MinLength", 0)):
        found.append(f"must contain at least {declared['MinLength']} characters")
    if "MaxLength" in declared and len(value) > int(declared["MaxLength"]):
        found.append(f"must contain at most {declared['MaxLength']} characters")
    return found


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _is_list(kind: str) -> bool:
    return kind == "CommaDelimitedList" or kind.startswith("List<")


def resolved(
    template: Template, values: Mapping[str, str], stored: Callable[[str], str]
) -> dict[str, str | list[str]]:
    """Return what `Ref` gives for each parameter: a list for those of several values.

    Parameters
    ----------
    template : Template
        Which declares them.
    values : mapping
        Of `given_values`.
    stored : callable
        Returns a parameter of Systems Manager by its name.
    """
    found: dict[str, str | list[str]] = {}
    for name, one in template["Parameters"].items():
        kind, value = str(one.get("Type", "String")), values[name]
        if inner := _STORED.match(kind):
            kind, value = inner.group(1), stored(value)
        found[name] = [part.strip() for part in value.split(",")] if _is_list(kind) else value
    return found
