"""What botocore knows of AWS Batch: its operations and what they are asked with."""

import functools
from typing import Any

import botocore.session

__all__ = ["input_shape", "operations"]


@functools.cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("batch")


@functools.cache
def operations() -> frozenset[str]:
    """Return the names of all of Batch's operations."""
    return frozenset(_service().operation_names)


@functools.cache
def input_shape(operation: str) -> Any:
    """Return the shape of what an operation is asked with."""
    return _service().operation_model(operation).input_shape
