"""What the registry needs of ECR around it: who may do what, which repositories, images and layers there are.

ECR holds the truth, the registry the bytes. A layer belongs to a repository, as on AWS: it is not seen in
another one, though its bytes are on the disk once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from cloudknot.testing.registry.manifests import Manifest

__all__ = ["Access", "EcrPort"]


class Access(Protocol):
    """One principal's way to one registry: an account's, in a region."""

    @property
    def registry_id(self) -> str:
        """The account's number."""

    def denial(self, action: str, repository: str) -> str | None:
        """Return why the principal may not do this, in IAM's words, or None.

        Parameters
        ----------
        action : str
            As IAM writes it: `ecr:PutImage`.
        repository : str
            A repository's name, which need not exist, or `*` for what concerns all of them.
        """

    def has_repository(self, repository: str) -> bool:
        """Return whether there is such a repository."""

    def repositories(self) -> Sequence[str]:
        """Return the names of all repositories, sorted."""

    def has_layer(self, repository: str, digest: str) -> bool:
        """Return whether this repository has this layer."""

    def add_layer(self, repository: str, digest: str, size_bytes: int, place: Callable[[], None]) -> None:
        """Give a layer to a repository; `place`, which brings its bytes to their place, is called meanwhile.

        Nothing can be taken away while `place` runs, so what the repository has always has its bytes.
        """

    def mount_layer(self, repository: str, digest: str, source: str) -> bool:
        """Give a repository the layer that another one has; return whether that was done."""

    def put_image(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        """Add an image, move a tag to it.

        Raises
        ------
        RegistryError
            When what it needs is not there, or the tag must not be moved.
        """

    def find_image(self, repository: str, reference: str) -> Manifest | None:
        """Return the image of a tag or digest."""

    def pulled(self, repository: str, digest: str) -> None:
        """Note that an image was pulled."""

    def tags(self, repository: str) -> Sequence[str]:
        """Return all tags of a repository, sorted."""

    def delete_image(self, repository: str, reference: str) -> bool:
        """Take away a tag, or an image with all its tags; return whether it was there."""


class EcrPort(Protocol):
    """Where passwords come from."""

    def authenticate(self, password: str) -> Access | None:
        """Return what a password opens, or None when it was never given out.

        Raises
        ------
        RegistryError
            When its time is over.
        """
