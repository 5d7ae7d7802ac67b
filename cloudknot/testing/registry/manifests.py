"""What a manifest says: which layers and which other manifests it needs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.registry.errors import RegistryError
from cloudknot.testing.registry.names import is_digest

__all__ = ["MAX_MANIFEST_BYTES", "Manifest", "read_manifest"]

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""The largest manifest: PutImage's `imageManifest` has at most 4,194,304 characters."""

_IMAGES = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
}
_INDEXES = {
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
}
# Layers that are never pushed: a client fetches them from where their `urls` point to.
_ELSEWHERE = ("foreign", "nondistributable")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image, or an index of images, as it was pushed."""

    content: bytes
    media_type: str
    digest: str
    layers: tuple[str, ...] = ()
    """Digests of the blobs it needs: its configuration and its layers."""
    images: tuple[str, ...] = ()
    """Digests of the manifests it needs, when it is an index."""
    size_bytes: int = 0
    """Of its blobs as they are pushed, thus compressed; 0 for an index."""
    artifact_type: str | None = None
    """Its configuration's media type."""


def read_manifest(content: bytes, media_type: str | None) -> Manifest:
    """Return a manifest's value.

    Parameters
    ----------
    content : bytes
        As it came: its digest is that of these very bytes.
    media_type : str or None
        What the sender calls it; without that, its own field says it.

    Raises
    ------
    RegistryError
        When it is none of schema 2, an OCI image, a list or an index.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise _invalid(f"it has {len(content)} bytes, and at most {MAX_MANIFEST_BYTES} are taken")
    try:
        document = json.loads(content.decode())
    except ValueError as error:
        raise _invalid("'Invalid JSON syntax'") from error
    if not isinstance(document, dict):
        raise _invalid("'Invalid JSON syntax'")
    kind = (media_type or "").partition(";")[0].strip() or str(document.get("mediaType") or "")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if kind in _INDEXES:
        images = tuple(_digest_of(entry) for entry in _list(document, "manifests"))
        return Manifest(content=content, media_type=kind, digest=digest, images=images)
    if kind not in _IMAGES:
        # A client of old falls back to schema 1 when schema 2 was refused; what it needs is the refusal.
        raise _invalid(f"the media type {kind!r} is not supported")
    config = document.get("config")
    blobs = [config, *(layer for layer in _list(document, "layers") if not _is_elsewhere(layer))]
    return Manifest(
        content=content,
        media_type=kind,
        digest=digest,
        layers=tuple(dict.fromkeys(_digest_of(blob) for blob in blobs)),
        size_bytes=sum(_size_of(blob) for blob in blobs),
        artifact_type=str(document["config"].get("mediaType") or "") or None,
    )


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise _invalid(f"it has no list {key!r}")
    return value


def _digest_of(descriptor: object) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not is_digest(digest):
        raise _invalid(f"{digest!r} is no digest")
    return digest


def _size_of(descriptor: Mapping[str, Any]) -> int:
    size = descriptor.get("size")
    if not isinstance(size, int) or size < 0:
        raise _invalid(f"{size!r} is no size")
    return size


def _is_elsewhere(descriptor: object) -> bool:
    media_type = descriptor.get("mediaType") if isinstance(descriptor, dict) else None
    return isinstance(media_type, str) and any(word in media_type for word in _ELSEWHERE)


def _invalid(why: str) -> RegistryError:
    message = f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: {why}"
    return RegistryError("MANIFEST_INVALID", message, 400, ecr_code="InvalidParameterException")
