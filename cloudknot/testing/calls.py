"""One request, as the box remembers it."""

from dataclasses import dataclass

__all__ = ["Call"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request that the box has answered."""

    number: int
    at: float
    """Seconds since the epoch, box time."""
    principal: str
    """The ARN of who asked."""
    service: str
    operation: str
    actions: tuple[tuple[str, str], ...]
    """The IAM actions that it needed, each with its resource."""
    status: int
    error: str
    """AWS's error code where the box refused; else empty."""
    sent_bytes: int
    received_bytes: int
