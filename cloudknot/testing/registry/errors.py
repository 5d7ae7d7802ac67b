"""What the registry answers when it refuses, in ECR's words where these are known."""

import json
from collections.abc import Sequence

__all__ = ["RegistryError", "expired_token", "repository_unknown", "tag_is_immutable", "things_missing"]


class RegistryError(Exception):
    """A refusal.

    Parameters
    ----------
    code : str
        What the OCI distribution specification calls it.
    message : str
        What a person reads.
    status : int
        The status of the response.
    ecr_code : str, optional
        What ECR's own API calls the same refusal.
    """

    def __init__(self, code: str, message: str, status: int, *, ecr_code: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.ecr_code = ecr_code

    def body(self) -> bytes:
        """Return the response's body, as the distribution specification has it."""
        return json.dumps({"errors": [{"code": self.code, "message": self.message}]}).encode()


def expired_token() -> RegistryError:
    """Return ECR's answer to a token of yesterday.

    The words are those of aws/aws-cli#6580; the status is seen in awslabs/amazon-ecr-credential-helper#7.
    """
    return RegistryError("DENIED", "Your authorization token has expired. Reauthenticate and try again.", 403)


def repository_unknown(repository: str, registry_id: str) -> RegistryError:
    """Return ECR's answer where there is no such repository (plexsystems/sinker#55)."""
    message = (
        f"The repository with name '{repository}' does not exist in the registry with id '{registry_id}'"
    )
    return RegistryError("NAME_UNKNOWN", message, 404, ecr_code="RepositoryNotFoundException")


def tag_is_immutable(repository: str, tag: str) -> RegistryError:
    """Return ECR's answer to a push that would move a tag which must stay (aws/containers-roadmap#862)."""
    message = (
        f"The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten"
        " because the repository is immutable."
    )
    return RegistryError("TAG_INVALID", message, 400, ecr_code="ImageTagAlreadyExistsException")


def things_missing(kind: str, digests: Sequence[str], repository: str, registry_id: str) -> RegistryError:
    """Return ECR's answer to a manifest whose layers or images are not there.

    Parameters
    ----------
    kind : {"Layers", "Images"}
        What is missing. The words for images are confirmed, those for layers are formed after them.
    digests : sequence of str
        The missing ones.
    repository, registry_id : str
        Where they are missing.
    """
    message = (
        f"{kind} with digests '[{', '.join(digests)}]' required for pushing image into repository with name"
        f" '{repository}' in the registry with id '{registry_id}' do not exist"
    )
    ecr_code = "LayersNotFoundException" if kind == "Layers" else "ReferencedImagesNotFoundException"
    return RegistryError("MANIFEST_BLOB_UNKNOWN", message, 400, ecr_code=ecr_code)
