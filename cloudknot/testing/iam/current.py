"""Who asks, set by the door for each request and read by what answers behind it; and what he needed."""

from contextvars import ContextVar

from cloudknot.testing.iam.values import Ask

__all__ = ["access_key", "needed", "note", "principal"]

access_key: ContextVar[str | None] = ContextVar("access_key", default=None)
"""The id of the access key that the request is signed with."""

principal: ContextVar[object | None] = ContextVar("principal", default=None)
"""Whose key that is."""

needed: ContextVar[list[Ask] | None] = ContextVar("needed", default=None)
"""The permissions that only come to light on the way: of a stack's resources, of an image's layers."""


def note(ask: Ask) -> None:
    """Remember a permission that the request needed, whether it was granted or not."""
    found = needed.get()
    if found is not None and ask not in found:
        found.append(ask)
