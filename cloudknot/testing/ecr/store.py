"""The images that the box's ECR holds, and where their bytes are."""

import threading
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any

from moto.ecr.models import ECRBackend, Image, Repository

from cloudknot.testing.registry.manifests import Manifest
from cloudknot.testing.registry.names import is_digest

__all__ = ["RealImage", "Store", "find_image", "match_image", "real"]


class Store:
    """Where the backends of all accounts and regions keep bytes, and how they are told to let go of them.

    Parameters
    ----------
    port : int
        The registry's, on the loopback.
    keep : callable
        Writes a blob: (content, digest).
    drop : callable
        Deletes blobs by their digests.
    """

    def __init__(
        self, port: int, keep: Callable[[bytes, str], None], drop: Callable[[Iterable[str]], None]
    ) -> None:
        self.address = f"localhost:{port}"
        self.lock = threading.RLock()
        """Held while what a repository has changes, so that it always has the bytes of its images."""
        self.backends: weakref.WeakSet[ECRBackend] = weakref.WeakSet()
        self.keep = keep
        self._drop = drop

    def release(self, digests: Collection[str]) -> None:
        """Delete the bytes of layers that no repository has any more."""
        with self.lock:
            held = {
                digest
                for backend in self.backends
                for repository in backend.repositories.values()
                for digest in repository.layers
            }
            self._drop([digest for digest in digests if digest not in held])


class RealImage(Image):
    """An image whose digest and size are those of its bytes."""

    def __init__(self, account_id: str, repository: str, manifest: Manifest, size_bytes: int) -> None:
        super().__init__(
            account_id, "", manifest.content.decode(), repository, manifest.media_type, manifest.digest
        )
        self.image_tags = []
        self.parsed = manifest
        self.artifact_media_type = manifest.artifact_type
        self._size_bytes = size_bytes
        self.last_recorded_pull_time: float | None = None

    @property
    def image_id(self) -> dict[str, str]:
        """Return its digest, and its last tag where it has one."""
        tag = {"imageTag": self.image_tag} if self.image_tags else {}
        return {**tag, "imageDigest": self.image_digest}

    def get_image_size_in_bytes(self) -> int:
        """Return what its blobs have together; of an index, what its largest image has."""
        return self._size_bytes


def find_image(repository: Repository, reference: str) -> RealImage | None:
    """Return the image of a tag or digest."""
    asked = {"imageDigest" if is_digest(reference) else "imageTag": reference}
    return match_image(repository, asked)


def match_image(repository: Repository, asked: dict[str, Any]) -> RealImage | None:
    """Return the image that has this digest and this tag, as far as either is given."""
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    for image in repository.images:
        if (
            (digest or tag)
            and digest in (None, image.image_digest)
            and (tag is None or tag in image.image_tags)
        ):
            return real(image)
    return None


def real(image: Image) -> RealImage:
    """Return an image of a box's backend, which makes no others."""
    assert isinstance(image, RealImage)
    return image
