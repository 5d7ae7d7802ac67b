"""Whether what the box answers is what botocore's model says that AWS answers."""

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session

_SERVICES: dict[str, Any] = {}
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}
# Members that the model calls required, and that cannot be there yet: a job that waits has not started.
_LATE = {"JobDetail": {"startedAt"}}


def check_response(operation: str, reply: Mapping[str, Any], service: str = "batch") -> None:
    """Fail when a reply has another shape than its operation's output in botocore's model."""
    shape = service_model(service).operation_model(operation).output_shape
    faults = list(_faults(shape, reply, operation)) if shape else []
    assert not faults, "\n".join(faults)


def check_request(operation: str, params: Mapping[str, Any], service: str = "batch") -> None:
    """Fail when a request has another shape than its operation's input in botocore's model."""
    shape = service_model(service).operation_model(operation).input_shape
    faults = list(_faults(shape, params, operation))
    assert not faults, "\n".join(faults)


def service_model(service: str = "batch") -> Any:
    """Return botocore's model of a service."""
    if service not in _SERVICES:
        _SERVICES[service] = botocore.session.get_session().get_service_model(service)
    return _SERVICES[service]


def _faults(shape: Any, value: object, path: str) -> Iterator[str]:
    kind = shape.type_name
    is_of_kind = isinstance(value, _PYTHON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not is_of_kind:
        yield f"{path}: {value!r} is not of type {kind}"
    elif isinstance(value, dict) and kind == "structure":
        yield from _faults_of_structure(shape, value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(shape.key, key, f"{path}.{key}")
            yield from _faults(shape.value, item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(shape.member, item, f"{path}[{index}]")
    elif isinstance(value, str) and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


def _faults_of_structure(shape: Any, value: Mapping[str, object], path: str) -> Iterator[str]:
    for name in set(shape.required_members) - _LATE.get(shape.name, set()) - value.keys():
        yield f"{path}.{name} is missing"
    for name, item in value.items():
        if name in shape.members:
            yield from _faults(shape.members[name], item, f"{path}.{name}")
        else:
            yield f"{path}.{name} is not known to the model"
