"""What the registry asks of ECR, answered from moto's backends."""

import time
from collections.abc import Callable, Sequence
from typing import cast

from moto.ecr.models import Repository, ecr_backends

from cloudknot.testing.ecr.images import BoxEcrBackend
from cloudknot.testing.ecr.store import find_image
from cloudknot.testing.ecr.tokens import Caller, Grant, Tokens
from cloudknot.testing.iam import current
from cloudknot.testing.iam.principals import find
from cloudknot.testing.iam.resource_policies import decide_with_resource
from cloudknot.testing.iam.values import Ask, Principal
from cloudknot.testing.registry.errors import RegistryError, repository_unknown
from cloudknot.testing.registry.manifests import Manifest
from cloudknot.testing.registry.names import is_digest

__all__ = ["Authorize", "Ecr", "GrantedAccess", "by_policies"]

# Not confirmed: what ECR says when whoever got the token is no more.
_NOBODY = "The security token included in the request is invalid."

Authorize = Callable[[Caller, str, str], str | None]
"""(who, action, ARN of the repository) -> why not, in IAM's words, or None."""


def by_policies(caller: Caller, action: str, resource: str) -> str | None:
    """Decide by the policies that the caller has now, which may be others than when he got his token."""
    who = (find(caller.access_key) if caller.access_key else None) or caller.principal
    if not isinstance(who, Principal):
        return _NOBODY
    ask = Ask(action=action, resource=resource)
    current.principal.set(who)
    current.note(ask)
    decision = decide_with_resource(who, ask)
    return None if decision.is_allowed else decision.words_for(who, ask)


class Ecr:
    """What the registry asks ECR (`EcrPort`), answered from moto's backends.

    Parameters
    ----------
    tokens : Tokens
        The passwords given out.
    authorize : callable
        The decision of IAM.
    """

    def __init__(self, tokens: Tokens, authorize: Authorize) -> None:
        self._tokens = tokens
        self._authorize = authorize

    def authenticate(self, password: str) -> "GrantedAccess | None":
        """Return what a password opens, or None when it was never given out."""
        grant = self._tokens.find(password)
        return GrantedAccess(grant, self._authorize) if grant else None


class GrantedAccess:
    """One caller in the registry of one account and region (`Access`).

    Parameters
    ----------
    grant : Grant
        What his token opens.
    authorize : callable
        The decision of IAM.
    """

    def __init__(self, grant: Grant, authorize: Authorize) -> None:
        self._grant = grant
        self._authorize = authorize
        self._backend = cast("BoxEcrBackend", ecr_backends[grant.account_id][grant.region])

    @property
    def registry_id(self) -> str:
        """The account's number."""
        return self._grant.account_id

    def denial(self, action: str, repository: str) -> str | None:
        """Return why the caller may not do this, or None."""
        grant = self._grant
        if grant.caller.is_box:
            return None
        arn = f"arn:{self._backend.partition}:ecr:{grant.region}:{grant.account_id}:repository/{repository}"
        return self._authorize(grant.caller, action, arn)

    def has_repository(self, repository: str) -> bool:
        """Return whether there is such a repository."""
        return repository in self._backend.repositories

    def repositories(self) -> Sequence[str]:
        """Return the names of all repositories, sorted."""
        return sorted(self._backend.repositories)

    def has_layer(self, repository: str, digest: str) -> bool:
        """Return whether this repository has this layer."""
        return digest in self._find(repository).layers

    def add_layer(self, repository: str, digest: str, size_bytes: int, place: Callable[[], None]) -> None:
        """Give a layer to a repository."""
        with self._backend.store.lock:
            layers = self._find(repository).layers
            place()
            layers[digest] = size_bytes

    def mount_layer(self, repository: str, digest: str, source: str) -> bool:
        """Give a repository the layer that another one has, where the account has that turned on."""
        with self._backend.store.lock:
            there = self._backend.repositories.get(source)
            is_on = self._backend.settings["BLOB_MOUNTING"] == "ENABLED"
            if not is_on or there is None or digest not in there.layers:
                return False
            self._find(repository).layers[digest] = there.layers[digest]
            return True

    def put_image(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        """Add an image, move a tag to it."""
        with self._backend.store.lock:
            self._backend.store_image(self._find(repository), manifest, tag)

    def find_image(self, repository: str, reference: str) -> Manifest | None:
        """Return the image of a tag or digest."""
        with self._backend.store.lock:
            image = find_image(self._find(repository), reference)
            return image.parsed if image else None

    def pulled(self, repository: str, digest: str) -> None:
        """Note that an image was pulled."""
        with self._backend.store.lock:
            if image := find_image(self._find(repository), digest):
                image.last_recorded_pull_time = time.time()

    def tags(self, repository: str) -> Sequence[str]:
        """Return all tags of a repository, sorted."""
        with self._backend.store.lock:
            return sorted(tag for image in self._find(repository).images for tag in image.image_tags)

    def delete_image(self, repository: str, reference: str) -> bool:
        """Take away a tag, or an image with all its tags."""
        asked = {"imageDigest" if is_digest(reference) else "imageTag": reference}
        with self._backend.store.lock:
            self._find(repository)
            response = self._backend.batch_delete_image(repository, image_ids=[asked])
        for failure in response["failures"]:
            if failure["failureCode"] != "ImageNotFound":
                raise RegistryError("DENIED", failure["failureReason"], 403)  # the status is not confirmed
        return not response["failures"]

    def _find(self, repository: str) -> Repository:
        found = self._backend.repositories.get(repository)
        if found is None:
            raise repository_unknown(repository, self.registry_id)
        return found
