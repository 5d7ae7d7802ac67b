"""Operations of AWS done within the box, as CloudFormation does them: no network, no door."""

import functools
import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore import model
from botocore.config import Config
from moto.core.botocore_stubber import BotocoreStubber

__all__ = ["Unfit", "client", "fit"]

# moto answers these; whose they are has been decided before (`making.permit`).
_SESSION = boto3.Session(aws_access_key_id="stack", aws_secret_access_key="stack", region_name="us-east-1")
_CONFIG = Config(
    retries={"total_max_attempts": 1},
    ignore_configured_endpoint_urls=True,
    # The other style would make a host name of a bucket's name.
    s3={"addressing_style": "path"},
)
_LOCK = threading.RLock()
_TRUE = ("true", "True", True)


class Unfit(ValueError):  # noqa: N818 - what is wrong with a template, not with the box
    """A property that the service's own model does not have, or a value that it cannot be."""


@functools.lru_cache(maxsize=64)
def client(service: str, region: str) -> Any:
    """Return a boto3 client whose calls moto answers within this process."""
    with _LOCK:  # making clients is not safe among threads
        made = _SESSION.client(service, region_name=region, endpoint_url=_address(service), config=_CONFIG)
    answering = BotocoreStubber()
    answering.enabled = True
    made.meta.events.register("before-send", answering)
    return made


def _address(service: str) -> str | None:
    return None if service != "s3" else "https://s3.amazonaws.com"


def fit(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with each value of the type that the operation wants; templates write many as text.

    Raises
    ------
    Unfit
        When the operation has no such parameter, or the value cannot be of its type.
    """
    found = client(service, "us-east-1").meta.service_model.operation_model(operation).input_shape
    fitted: dict[str, Any] = _fit(found, params, "")
    return fitted


def _fit(shape: model.Shape, value: Any, path: str) -> Any:
    if isinstance(shape, model.StructureShape) and isinstance(value, Mapping):
        if unknown := [name for name in value if name not in shape.members]:
            raise Unfit(f"#{path}: extraneous key [{unknown[0]}] is not permitted")
        return {name: _fit(shape.members[name], part, f"{path}/{name}") for name, part in value.items()}
    if isinstance(shape, model.ListShape) and isinstance(value, list):
        return [_fit(shape.member, part, f"{path}/{at}") for at, part in enumerate(value)]
    if isinstance(shape, model.MapShape) and isinstance(value, Mapping):
        return {str(name): _fit(shape.value, part, f"{path}/{name}") for name, part in value.items()}
    return _fit_scalar(shape, value, path)


def _fit_scalar(shape: model.Shape, value: Any, path: str) -> Any:
    kind = shape.type_name
    try:
        if kind == "boolean" and value in ("true", "false", "True", "False", True, False):
            return value in _TRUE
        if kind in ("integer", "long"):
            return int(value)
        if kind in ("float", "double"):
            return float(value)
    except (TypeError, ValueError) as error:
        raise Unfit(f"#{path}: expected type: {kind.capitalize()}, found: {value!r}") from error
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if kind == "string" and not isinstance(value, str):
        raise Unfit(f"#{path}: expected type: String, found: {value!r}")
    return value
