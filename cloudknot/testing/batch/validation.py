"""Whether a request has the shape that its operation takes: types, required members, choices, lengths."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.batch.model import input_shape
from cloudknot.testing.batch.refusals import refusal

__all__ = ["checked"]

# The words are not confirmed: AWS's clients check all but the choices themselves, so few have seen them.
_REQUIRED = "{path} is required."
_WRONG_TYPE = "{path} must be of type {kind}, got {value!r}"
_NOT_IN_ENUM = (
    "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: "
    "Member must satisfy enum value set: [{values}]"
)
_LENGTH = "{path} must have between {least} and {most} members, got {size}"

# "The values aren't case sensitive", says the model of a retry rule's action, and of no other enumeration.
_CASELESS = frozenset({"RetryAction"})

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}


def checked(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's members as its operation takes them.

    Members that the operation does not know are left out, and so are those that are null.

    Raises
    ------
    ClientException
        When one is missing or is not what it should be.
    """
    members = _read(input_shape(operation), dict(params), "")
    assert isinstance(members, dict)
    return members


def _read(shape: Any, value: Any, path: str) -> Any:
    kind = shape.type_name
    if not _is_of(kind, value):
        raise refusal(_WRONG_TYPE.format(path=path or "the request", kind=kind, value=value))
    _check_length(shape, value, path)
    if kind == "structure":
        return _read_structure(shape, value, path)
    if kind == "list":
        return [_read(shape.member, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        return {
            key: _read(shape.value, item, f"{path}.{key}") for key, item in value.items() if item is not None
        }
    if kind == "string" and shape.enum:
        return _read_choice(shape, value, path)
    return value


def _is_of(kind: str, value: object) -> bool:
    return isinstance(value, _PYTHON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _read_structure(shape: Any, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    prefix = f"{path}." if path else ""
    members = {
        name: _read(member, value[name], prefix + name)
        for name, member in shape.members.items()
        if value.get(name) is not None
    }
    for name in shape.required_members:
        if name not in members:
            raise refusal(_REQUIRED.format(path=prefix + name))
    return members


def _read_choice(shape: Any, value: str, path: str) -> str:
    choice = value.upper() if shape.name in _CASELESS else value
    if choice not in shape.enum:
        raise refusal(_NOT_IN_ENUM.format(value=value, path=path, values=", ".join(shape.enum)))
    return choice


def _check_length(shape: Any, value: Any, path: str) -> None:
    limits = shape.metadata
    if not {"min", "max"} & limits.keys():
        return
    size = value if isinstance(value, int | float) else len(value)
    # The model asks for one tag at least. botocore sends none too; that AWS refuses that is not confirmed.
    least = 0 if shape.type_name == "map" else limits.get("min", 0)
    most = limits.get("max", size)
    if not least <= size <= most:
        raise refusal(_LENGTH.format(path=path, least=least, most=most, size=size))
