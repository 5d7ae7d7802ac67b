"""The stack's ECR repository: what is in it, what is sent to it, what is taken out."""

from __future__ import annotations

import base64
import enum
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from cloudknot.aws.session import Aws
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.pushing import Login, push_image
from cloudknot.errors import AwsError, NotConfiguredError

Tell = Callable[[str], None]
# The engine itself tries each layer five times: what fails then is out of reach for longer.
_WAITS_S = (1.0, 4.0, 15.0)
_MOST_AT_ONCE = 100
_PERMIT = "'cloudknot policy' prints what a person must be allowed to do"
_CONFIGURE = "'cloudknot configure' makes it"
_DENIED = frozenset({"AccessDeniedException", "AccessDenied"})


class Refusal(enum.Enum):
    """Why a push was refused."""

    DENIED = enum.auto()
    MISSING = enum.auto()
    IMMUTABLE = enum.auto()
    LOST = enum.auto()
    OTHER = enum.auto()


_SIGNS: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (Refusal.IMMUTABLE, ("repository is immutable",)),
    (Refusal.MISSING, ("name unknown", "does not exist in the registry", "repositorynotfound")),
    # A token that has expired meanwhile is replaced by the next try's; so is a name that another process,
    # which has pushed the same image, has taken away.
    (Refusal.LOST, ("authorization token has expired", "does not exist locally", "tag does not exist")),
    (Refusal.DENIED, ("not authorized", "denied:", "no basic auth credentials", "unauthorized", "http 403")),
    (
        Refusal.LOST,
        (
            "eof", "reset by peer", "broken pipe", "refused", "timeout", "timed out", "deadline exceeded",
            "dial tcp", "closed network connection", "closed idle connection", "server misbehaving",
            "http status: 5", "http 5", "toomanyrequests", "rate exceeded", "throttl", "blob upload",
        ),
    ),
)  # fmt: skip


def read_refusal(words: str) -> Refusal:
    """Return what the words of an engine or a registry mean.

    Examples
    --------
    >>> read_refusal("denied: User: ada is not authorized to perform: ecr:PutImage"), read_refusal("EOF")
    (<Refusal.DENIED: 1>, <Refusal.LOST: 4>)
    """
    said = words.lower()
    return next((kind for kind, signs in _SIGNS if any(map(said.__contains__, signs))), Refusal.OTHER)


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What was taken out of a repository.

    Parameters
    ----------
    digests : frozenset of str
        The images.
    tags : frozenset of str
        What they were called.
    """

    digests: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


class Registry:
    """One repository of ECR.

    Parameters
    ----------
    aws : Aws
        Who asks.
    uri : str
        The repository's address, as ECR gives it: ``repositoryUri``.
    sleep : callable
        Waits between two tries of a push; takes seconds.
    """

    def __init__(self, aws: Aws, uri: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.uri = uri
        self._aws = aws
        self._name = uri.partition("/")[2]
        self._sleep = sleep

    def find(self, tag: str) -> str | None:
        """Return the digest of the image with a tag; None where there is none. It is one request.

        Raises
        ------
        NotConfiguredError
            The repository is not there.
        AwsError
            AWS refused or could not be reached.
        """
        try:
            found = self._call("describe_images", imageIds=[{"imageTag": tag}])
        except AwsError as error:
            if error.code == "ImageNotFoundException":
                return None
            raise
        return str(found["imageDetails"][0]["imageDigest"])

    def push(self, engine: Engine, image: str, tag: str, *, tell: Tell) -> str:
        """Send an engine's image and return its digest there; layers that are there are not sent again.

        Where another process was first, and tags stay where they are, its image counts.

        Raises
        ------
        NotConfiguredError
            The repository is not there.
        AwsError
            It was refused, or the registry could not be reached in several tries.
        EngineError
            The engine failed.
        """
        name = f"{self.uri}:{tag}"
        waits_s = iter(_WAITS_S)
        while True:
            pushed = push_image(engine, image, name, self._log_in(), tell=tell)
            kind = read_refusal(pushed.refusal)
            if not pushed.refusal or kind is Refusal.IMMUTABLE:
                # Not every engine tells the digest.
                digest = pushed.digest or self.find(tag)
                if digest:
                    return digest
            wait_s = next(waits_s, None) if kind is Refusal.LOST else None
            if wait_s is None:
                raise self._explain(kind, name, pushed.refusal)
            tell(f"pushing {name}: {pushed.refusal}; it is tried again in {wait_s:.0f} s")
            self._sleep(wait_s)

    def delete(self, digests: Collection[str]) -> Deleted:
        """Take images out; those that are not there are passed over.

        Raises
        ------
        NotConfiguredError
            The repository is not there.
        AwsError
            AWS refused; what went before is gone.
        """
        gone: list[dict[str, str]] = []
        asked = [{"imageDigest": digest} for digest in sorted(digests)]
        for start in range(0, len(asked), _MOST_AT_ONCE):
            reply = self._call("batch_delete_image", imageIds=asked[start : start + _MOST_AT_ONCE])
            gone += reply["imageIds"]
            for failure in reply["failures"]:
                if failure["failureCode"] != "ImageNotFound":
                    raise AwsError(
                        f"could not remove {self.uri}@{failure['imageId']['imageDigest']}: "
                        f"{failure['failureReason']} ({failure['failureCode']})",
                        code=failure["failureCode"],
                    )
        return Deleted(
            digests=frozenset(one["imageDigest"] for one in gone),
            tags=frozenset(one["imageTag"] for one in gone if "imageTag" in one),
        )

    def _log_in(self) -> Login:
        [granted] = self._call("get_authorization_token", of_repository=False)["authorizationData"]
        user, _, password = base64.b64decode(granted["authorizationToken"]).decode().partition(":")
        return Login(user=user, password=password)

    def _call(self, operation: str, *, of_repository: bool = True, **parameters: Any) -> Any:
        if of_repository:
            parameters["repositoryName"] = self._name
        try:
            return self._aws.call("ecr", operation, **parameters)
        except AwsError as error:
            if error.code == "RepositoryNotFoundException":
                raise NotConfiguredError(f"{error}: {_CONFIGURE}", code=error.code) from error
            if error.code in _DENIED:
                raise AwsError(f"{error}: {_PERMIT}", code=error.code) from error
            raise

    def _explain(self, kind: Refusal, name: str, words: str) -> AwsError:
        what = f"could not push {name}: {words.strip() or 'ECR does not have it all the same'}"
        if kind is Refusal.MISSING:
            return NotConfiguredError(f"{what}: {_CONFIGURE}", code="RepositoryNotFoundException")
        if kind is Refusal.DENIED:
            return AwsError(f"{what}: {_PERMIT}", code="AccessDeniedException")
        if kind is Refusal.LOST:
            cure = "see the network and the proxy of the docker engine, and try again: what was sent is kept"
            return AwsError(f"{what}: {cure}", code="PushLost", is_unsure=True)
        return AwsError(what, code="PushRefused")
