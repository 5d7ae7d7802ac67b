"""Manifests and tags over HTTP."""

import base64
import json
from collections.abc import Sequence

from cloudknot.testing.registry.errors import RegistryError
from cloudknot.testing.registry.exchange import Reply, Request
from cloudknot.testing.registry.manifests import MAX_MANIFEST_BYTES, read_manifest
from cloudknot.testing.registry.names import is_digest

__all__ = ["delete_manifest", "get_manifest", "list_repositories", "list_tags", "put_manifest"]

# ListImages gives 100 at once, and at most 1,000 (docs of its maxResults).
_PAGE = 100
_MAX_PAGE = 1000


def get_manifest(request: Request) -> Reply:
    """Answer GET and HEAD of a manifest."""
    manifest = request.access.find_image(request.repository, request.route.reference)
    if manifest is None:
        raise _unknown_image()
    if request.route.method == "GET":
        request.access.pulled(request.repository, manifest.digest)
    return Reply(
        headers=(("Docker-Content-Digest", manifest.digest),),
        body=(manifest.content,),
        length=len(manifest.content),
        content_type=manifest.media_type,
    )


def put_manifest(request: Request) -> Reply:
    """Answer PUT of a manifest: an image is there from now on."""
    reference = request.route.reference
    manifest = read_manifest(_content(request), request.header("Content-Type"))
    tag = None if is_digest(reference) else reference
    if tag is None and reference != manifest.digest:
        message = (
            f"The image with digest '{reference}' in repository '{request.repository}' and registry ID"
            f" '{request.access.registry_id}' does not match the image digest that Amazon ECR has calculated."
        )
        raise RegistryError("MANIFEST_INVALID", message, 400, ecr_code="ImageDigestDoesNotMatchException")
    request.access.put_image(request.repository, manifest, tag)
    location = request.url(f"/v2/{request.repository}/manifests/{manifest.digest}")
    return Reply(status=201, headers=(("Location", location), ("Docker-Content-Digest", manifest.digest)))


def delete_manifest(request: Request) -> Reply:
    """Answer DELETE of a manifest, by tag or digest."""
    if not request.access.delete_image(request.repository, request.route.reference):
        raise _unknown_image()
    return Reply(status=202)


def list_tags(request: Request) -> Reply:
    """Answer GET of a repository's tags, a page at a time."""
    tags, headers = _page(request, request.access.tags(request.repository))
    return _json({"name": request.repository, "tags": list(tags)}, headers)


def list_repositories(request: Request) -> Reply:
    """Answer GET of the catalog, a page at a time."""
    names, headers = _page(request, request.access.repositories())
    return _json({"repositories": list(names)}, headers)


def _content(request: Request) -> bytes:
    """Return the body; of one that is too long, just enough to tell."""
    stream, content = request.body, bytearray()
    while len(content) <= MAX_MANIFEST_BYTES and (
        piece := stream.read(MAX_MANIFEST_BYTES + 1 - len(content))
    ):
        content += piece
    return bytes(content)


def _page(request: Request, names: Sequence[str]) -> tuple[Sequence[str], tuple[tuple[str, str], ...]]:
    """Return the names of the page asked for, and the header that leads to the next one.

    Its `last` is not a name but a token that only ECR reads (deitch/docker_registry2#34).
    """
    size = _page_size(request.argument("n"))
    last = request.argument("last")
    rest = [name for name in names if last is None or name > _read_token(last)]
    if len(rest) <= size:
        return rest, ()
    page = rest[:size]
    path = request.environ.get("PATH_INFO", "")
    token = base64.urlsafe_b64encode(page[-1].encode()).decode().rstrip("=")
    return page, (("Link", f'<{request.url(path)}?n={size}&last={token}>; rel="next"'),)


def _page_size(text: str | None) -> int:
    if text is None:
        return _PAGE
    size = int(text) if text.isdecimal() else 0
    if size < 1:
        raise _invalid_parameter("maxResults", "Member must have value greater than or equal to 1")
    if size > _MAX_PAGE:
        raise _invalid_parameter("maxResults", "Member must have value less than or equal to 1000")
    return size


def _read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError as error:
        raise _invalid_parameter("nextToken", "Invalid token") from error  # the words are not confirmed


def _invalid_parameter(name: str, why: str) -> RegistryError:
    """Return ECR's refusal in its words (google/go-containerregistry#681), which it calls unsupported."""
    return RegistryError(
        "UNSUPPORTED", f"Invalid parameter at '{name}' failed to satisfy constraint: '{why}'", 405
    )


def _unknown_image() -> RegistryError:
    return RegistryError(
        "MANIFEST_UNKNOWN", "Requested image not found", 404, ecr_code="ImageNotFoundException"
    )


def _json(value: object, headers: tuple[tuple[str, str], ...]) -> Reply:
    body = json.dumps(value).encode()
    return Reply(body=(body,), length=len(body), headers=headers)
