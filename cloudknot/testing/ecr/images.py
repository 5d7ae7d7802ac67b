"""moto's ECR with real images: it holds which there are, their tags and their layers."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr import urls
from moto.ecr.exceptions import ImageAlreadyExistsException
from moto.ecr.models import ECRBackend, Image, Repository

from cloudknot.testing.ecr.store import RealImage, Store, find_image, match_image, real
from cloudknot.testing.registry.errors import RegistryError, tag_is_immutable, things_missing
from cloudknot.testing.registry.manifests import Manifest, read_manifest

__all__ = ["BoxEcrBackend"]


class BoxEcrBackend(ECRBackend):
    """One region of one account; `install` makes a subclass of it that knows its store."""

    store: Store

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.settings = {"BLOB_MOUNTING": "DISABLED"}
        with self.store.lock:
            self.store.backends.add(self)

    def reset(self) -> None:
        """Forget all repositories, and their bytes."""
        with self.store.lock:
            layers = {digest for repository in self.repositories.values() for digest in repository.layers}
            super().reset()
            self.store.release(layers)

    @property
    def _url_module(self) -> Any:
        return urls  # moto derives it from the module that the class is in

    def create_repository(self, *args: Any, **options: Any) -> Repository:
        """Create a repository, whose address is the box's."""
        with self.store.lock:
            repository = super().create_repository(*args, **options)
            repository.uri = f"{self.store.address}/{repository.name}"
            return repository

    def delete_repository(
        self, repository_name: str, registry_id: str | None = None, force: bool = False
    ) -> Repository:
        """Delete a repository and the bytes that it alone had."""
        with self.store.lock:
            repository = super().delete_repository(repository_name, registry_id, force)
            self.store.release(repository.layers)
            return repository

    def put_image(
        self,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None = None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Image:
        """Add an image as PutImage does: what it needs must be there."""
        with self.store.lock, _api_names():
            repository = self._get_repository(repository_name)
            manifest = read_manifest(image_manifest.encode(), image_manifest_mediatype)
            if digest and digest != manifest.digest:
                message = f"The digest {digest} does not match the image's, which is {manifest.digest}."
                raise RegistryError("", message, 400, ecr_code="ImageDigestDoesNotMatchException")
            present = find_image(repository, manifest.digest)
            if present and (image_tag is None or image_tag in present.image_tags):
                raise ImageAlreadyExistsException(
                    repository_name, repository.registry_id, manifest.digest, image_tag or "null"
                )
            return self.store_image(repository, manifest, image_tag)

    def store_image(self, repository: Repository, manifest: Manifest, tag: str | None) -> RealImage:
        """Add an image that may be there already, and move a tag to it.

        Raises
        ------
        RegistryError
            When layers or images that it needs are missing, or the tag must stay where it is.
        """
        with self.store.lock:
            image = find_image(repository, manifest.digest)
            # Not confirmed: the same image may be pushed again under its tag, though that is immutable.
            if tag and not (image and tag in image.image_tags):
                self._check_mutable(repository, tag)
            if image is None:
                size = _check_parts(repository, manifest)
                image = RealImage(self.account_id, repository.name, manifest, size)
                repository.images.append(image)
            if tag:
                for other in repository.images:
                    if other is not image:
                        other.remove_tag(tag)
                image.update_tag(tag)
            return image

    def batch_get_image(
        self,
        repository_name: str,
        registry_id: str | None = None,
        image_ids: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Return images with the very tag or digest that was asked for; moto's names another of its tags."""
        with self.store.lock:
            found = super().batch_get_image(repository_name, registry_id, image_ids)
            repository = self._get_repository(repository_name, registry_id)
            images = []
            for asked in image_ids or ():
                image = match_image(repository, asked)
                if image is not None:
                    images.append({**_fields(image), "imageId": {**asked, "imageDigest": image.image_digest}})
            return {"images": images, "failures": found["failures"]}

    def batch_delete_image(
        self,
        repository_name: str,
        registry_id: str | None = None,
        image_ids: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Delete images, with the layers that no other image has; one that an index needs stays."""
        with self.store.lock:
            repository = self._get_repository(repository_name, registry_id)
            deletable, failures = _split_deletable(repository, image_ids or [])
            before = {image.image_digest: image for image in repository.images}
            response: dict[str, Any] = {"imageIds": [], "failures": []}
            if deletable or not image_ids:
                response = super().batch_delete_image(repository_name, registry_id, deletable)
            gone = before.keys() - {image.image_digest for image in repository.images}
            named = {each.image_digest for each in response["imageIds"]}
            # moto answers an entry for each tag, thus none for an image without.
            response["imageIds"] += [{"imageDigest": digest} for digest in sorted(gone - named)]
            response["failures"] += failures
            self._drop_layers(repository, [real(before[digest]) for digest in gone])
            return response

    def complete_layer_upload(
        self,
        repository_name: str,
        upload_id: str,
        layer_digests: list[str],
        registry_id: str | None = None,
    ) -> dict[str, Any]:
        """Make a layer of an upload through the API, which can then be pulled as well."""
        with self.store.lock:
            upload = self._get_repository(repository_name, registry_id).uploads.get(upload_id)
            content = bytes(upload.layer_parts) if upload else b""
            if upload:
                self.store.keep(content, f"sha256:{hashlib.sha256(content).hexdigest()}")
            return super().complete_layer_upload(repository_name, upload_id, layer_digests, registry_id)

    def _check_mutable(self, repository: Repository, tag: str) -> None:
        """Raise when the tag is taken, and stays."""
        try:
            self._resolve_image_tag_mutability(repository, tag)
        except ImageAlreadyExistsException as error:
            raise tag_is_immutable(repository.name, tag) from error

    def _drop_layers(self, repository: Repository, gone: Sequence[RealImage]) -> None:
        """Take from a repository the layers that only these images had.

        Those of a push that is under way have no image yet, and stay.
        """
        kept = {digest for image in repository.images for digest in real(image).parsed.layers}
        dropped = {digest for image in gone for digest in image.parsed.layers} - kept
        for digest in dropped:
            repository.layers.pop(digest, None)
        self.store.release(dropped)


class _Refusal(ServiceException):
    """A refusal that moto words as ECR; for its own class it would look for a service called `core`."""


@contextlib.contextmanager
def _api_names() -> Iterator[None]:
    """Give a refusal the name that ECR's API has for it."""
    try:
        yield
    except RegistryError as error:
        raise _Refusal(error.ecr_code, error.message) from error


def _fields(image: RealImage) -> dict[str, Any]:
    return {
        "registryId": image.registry_id,
        "repositoryName": image.repository_name,
        "imageManifest": image.image_manifest,
        "imageManifestMediaType": image.image_manifest_media_type,
    }


def _check_parts(repository: Repository, manifest: Manifest) -> int:
    """Return an image's size, in bytes; raise when something that it needs is missing."""
    missing = [digest for digest in manifest.layers if digest not in repository.layers]
    if missing:
        raise things_missing("Layers", missing, repository.name, repository.registry_id)
    parts = {digest: find_image(repository, digest) for digest in manifest.images}
    absent = [digest for digest, part in parts.items() if part is None]
    if absent:
        raise things_missing("Images", absent, repository.name, repository.registry_id)
    # Of a list ECR tells the largest (docs of imageSizeInBytes). Not confirmed: the configuration counts.
    return max([manifest.size_bytes, *(part.get_image_size_in_bytes() for part in parts.values() if part)])


def _split_deletable(
    repository: Repository, image_ids: Sequence[dict[str, str]]
) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Return which may be deleted, and ECR's refusal for those that an index needs."""
    deletable, failures = [], []
    for asked in image_ids:
        image = match_image(repository, asked)
        is_whole = image is not None and ("imageDigest" in asked or len(image.image_tags) <= 1)
        users = [
            each.image_digest
            for each in repository.images
            if image and image.image_digest in real(each).parsed.images
        ]
        if is_whole and users:
            reason = f"Requested image referenced by manifest list: [{', '.join(users)}]"
            failures.append(
                {"imageId": asked, "failureCode": "ImageReferencedByManifestList", "failureReason": reason}
            )
        else:
            deletable.append(asked)
    return deletable, failures
