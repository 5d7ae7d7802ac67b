"""Who asks: set by the door for each request, read by what answers behind it."""

from contextvars import ContextVar

__all__ = ["access_key", "principal"]

access_key: ContextVar[str | None] = ContextVar("access_key", default=None)
"""The id of the access key that the request is signed with."""

principal: ContextVar[object | None] = ContextVar("principal", default=None)
"""Whose key that is."""
