"""What a repository, a tag and a digest may be called; anything else never reaches the disk."""

import re

from cloudknot.testing.registry.errors import RegistryError

__all__ = ["check_digest", "check_repository", "check_tag", "is_digest"]

# As botocore's model of ECR has them.
_REPOSITORY_PATTERN = r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_MAX_REPOSITORY = 256
# The distribution specification's.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Return whether this is a digest.

    >>> is_digest("sha256:" + "0" * 64), is_digest("latest")
    (True, False)
    """
    return _DIGEST.fullmatch(text) is not None


def check_repository(name: str) -> str:
    """Return the name of a repository.

    Raises
    ------
    RegistryError
        When no repository can be called so.
    """
    if len(name) <= _MAX_REPOSITORY and _REPOSITORY.fullmatch(name):
        return name
    message = (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression"
        f" '{_REPOSITORY_PATTERN}''"
    )
    raise RegistryError("NAME_INVALID", message, 400, ecr_code="InvalidParameterException")


def check_tag(tag: str) -> str:
    """Return a tag.

    Raises
    ------
    RegistryError
        When no tag can be called so.
    """
    if _TAG.fullmatch(tag):
        return tag
    message = (
        "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression"
        f" '{_TAG.pattern}''"
    )
    raise RegistryError("TAG_INVALID", message, 400, ecr_code="InvalidParameterException")


def check_digest(digest: str) -> str:
    """Return a digest: sha256 alone, as ECR computes it.

    Raises
    ------
    RegistryError
        When it is none.
    """
    if is_digest(digest):
        return digest
    raise RegistryError(
        "DIGEST_INVALID", f"Invalid layer digest '{digest}'", 400, ecr_code="InvalidParameterException"
    )
