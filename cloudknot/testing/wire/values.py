"""What a request to the box asks, once it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["WireRequest"]


@dataclass(frozen=True, kw_only=True)
class WireRequest:
    """One HTTP request, read as a call of AWS.

    `service` and `operation` have botocore's names (`service-quotas`, `ListObjectsV2`).
    """

    service: str
    operation: str | None
    """None where nothing of that service's model fits."""
    region: str
    access_key: str | None
    """None for a request that nobody signed."""
    params: Mapping[str, Any]
    """By the names of the service's model; `query` and `ec2` keep their flat names (`Tags.member.1.Key`)."""
    method: str
    path: str
    """As it was sent: percent-encoded, without the query."""
    query: Mapping[str, str]
    protocol: str
    """`json`, `query`, `ec2`, `rest-json`, `rest-xml` or `smithy-rpc-v2-cbor`: what this client speaks."""
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes | None = field(default=None, repr=False)
    """None where it was left unread: what goes into S3, and what is too large."""
