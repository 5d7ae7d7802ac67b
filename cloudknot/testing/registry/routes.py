"""Which request of the distribution API asks for what, and which permission of IAM it takes on ECR."""

import re
from dataclasses import dataclass
from typing import Literal

from cloudknot.testing.registry.errors import RegistryError
from cloudknot.testing.registry.names import check_digest, check_repository, check_tag, is_digest

__all__ = ["Kind", "Route", "read_route", "required_actions"]

Kind = Literal["ping", "catalog", "uploads", "upload", "blob", "manifest", "tags"]

_PATH = re.compile(
    r"/v2/(?P<name>.+)/(?:"
    r"(?P<uploads>blobs/uploads/?)|blobs/uploads/(?P<upload>[^/]+)|blobs/(?P<blob>[^/]+)"
    r"|manifests/(?P<manifest>[^/]+)|(?P<tags>tags/list))",
    re.DOTALL,
)

# From the user guide's pages on pushing and pulling, and from refusals that people report. For deleting and
# listing it is what ECR's own API calls the same; that is not confirmed.
_ACTIONS: dict[tuple[Kind, str], tuple[str, ...]] = {
    ("catalog", "GET"): ("ecr:DescribeRepositories",),
    ("blob", "HEAD"): ("ecr:BatchCheckLayerAvailability",),
    ("blob", "GET"): ("ecr:GetDownloadUrlForLayer",),
    ("uploads", "POST"): ("ecr:InitiateLayerUpload",),
    ("upload", "GET"): ("ecr:UploadLayerPart",),
    ("upload", "PATCH"): ("ecr:UploadLayerPart",),
    ("upload", "PUT"): ("ecr:CompleteLayerUpload",),
    ("upload", "DELETE"): ("ecr:UploadLayerPart",),
    ("manifest", "HEAD"): ("ecr:BatchGetImage",),
    ("manifest", "GET"): ("ecr:BatchGetImage",),
    ("manifest", "PUT"): ("ecr:PutImage",),
    ("manifest", "DELETE"): ("ecr:BatchDeleteImage",),
    ("tags", "GET"): ("ecr:ListImages",),
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """What is asked for."""

    kind: Kind
    method: str
    repository: str = ""
    reference: str = ""
    """A digest, a tag or an upload's name."""


def read_route(method: str, path: str) -> Route | None:
    """Return what is asked for, or None when nothing is at this path.

    Raises
    ------
    RegistryError
        When a repository, tag or digest cannot be called so, or the method makes no sense there.

    Examples
    --------
    >>> read_route("GET", "/v2/team/image/manifests/1.0").repository
    'team/image'
    """
    if path in ("/v2", "/v2/"):
        return Route(kind="ping", method=method)
    if path == "/v2/_catalog":
        return _checked(Route(kind="catalog", method=method))
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    kind: Kind
    for kind in ("uploads", "upload", "blob", "manifest", "tags"):
        if match[kind] is not None:
            break
    reference = "" if kind in ("uploads", "tags") else match[kind]
    if kind == "blob" or (kind == "manifest" and (is_digest(reference) or ":" in reference)):
        check_digest(reference)
    elif kind == "manifest":
        check_tag(reference)
    repository = check_repository(match["name"])
    return _checked(Route(kind=kind, method=method, repository=repository, reference=reference))


def required_actions(route: Route) -> tuple[str, ...]:
    """Return the permissions that a request takes; none where a valid token is enough."""
    return _ACTIONS.get((route.kind, route.method), ())


def _checked(route: Route) -> Route:
    if (route.kind, route.method) not in _ACTIONS:
        raise RegistryError("UNSUPPORTED", "The operation is unsupported.", 405)
    return route
