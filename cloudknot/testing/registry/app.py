"""The registry as a WSGI application: who asks, whether he may, and who answers."""

import base64
import binascii
from collections.abc import Callable, Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from cloudknot.testing.registry.blobs import Blobs
from cloudknot.testing.registry.errors import RegistryError, repository_unknown
from cloudknot.testing.registry.exchange import Reply, Request
from cloudknot.testing.registry.images import (
    delete_manifest,
    get_manifest,
    list_repositories,
    list_tags,
    put_manifest,
)
from cloudknot.testing.registry.layers import Layers
from cloudknot.testing.registry.port import Access, EcrPort
from cloudknot.testing.registry.routes import Kind, Route, read_route, required_actions
from cloudknot.testing.registry.uploads import Uploads

__all__ = ["RegistryApp", "blobs_of"]

_USER = "AWS"
_Handler = Callable[[Request], Reply]


def blobs_of(folder: Path) -> Blobs:
    """Return the finished blobs of a registry's folder."""
    return Blobs(folder / "blobs")


class RegistryApp:
    """Answers requests for `/v2/...` as ECR's registry does.

    A blob is sent from here, where ECR sends the client on to S3 (307).

    Parameters
    ----------
    folder : Path
        Where the bytes are kept; it is the registry's alone, and made where it is missing.
    ecr : EcrPort
        Knows passwords, repositories, images and permissions.
    """

    def __init__(self, folder: Path, ecr: EcrPort) -> None:
        self._ecr = ecr
        layers = Layers(blobs_of(folder), Uploads(folder / "uploads"))
        self._handlers: dict[tuple[Kind, str], _Handler] = {
            ("catalog", "GET"): list_repositories,
            ("blob", "HEAD"): layers.get,
            ("blob", "GET"): layers.get,
            ("uploads", "POST"): layers.begin,
            ("upload", "GET"): layers.state,
            ("upload", "PATCH"): layers.append,
            ("upload", "PUT"): layers.complete,
            ("upload", "DELETE"): layers.cancel,
            ("manifest", "HEAD"): get_manifest,
            ("manifest", "GET"): get_manifest,
            ("manifest", "PUT"): put_manifest,
            ("manifest", "DELETE"): delete_manifest,
            ("tags", "GET"): list_tags,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            reply = self._answer(environ)
        except RegistryError as error:
            body = error.body()
            reply = Reply(status=error.status, body=(body,), length=len(body))
        return reply.send(start_response, is_head=environ["REQUEST_METHOD"] == "HEAD")

    def _answer(self, environ: WSGIEnvironment) -> Reply:
        access = self._authenticate(environ)
        if access is None:
            return _unauthorized(environ)
        # WSGI hands a path on as Latin-1.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        route = read_route(environ["REQUEST_METHOD"], path)
        if route is None:
            return _text(404, "404 page not found\n")
        if route.kind == "ping":
            return Reply()
        _check(route, access)
        request = Request(environ=environ, route=route, access=access)
        return self._handlers[route.kind, route.method](request)

    def _authenticate(self, environ: WSGIEnvironment) -> Access | None:
        """Return what the sender's password opens, or None when he has given none for the user of ECR."""
        scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if scheme.lower() != "basic" or user != _USER:
            return None
        access = self._ecr.authenticate(password)
        if access is None:
            # ECR answers 400 to a token that it cannot read or that is another region's (aws/aws-cli#5317 and
            # #9864); the words are not confirmed.
            raise RegistryError("DENIED", "Your authorization token is invalid.", 400)
        return access


def _check(route: Route, access: Access) -> None:
    """Raise when the sender may not do this, or there is no such repository."""
    for action in required_actions(route):
        if denial := access.denial(action, route.repository or "*"):
            raise RegistryError("DENIED", denial, 403)
    if route.repository and not access.has_repository(route.repository):
        raise repository_unknown(route.repository, access.registry_id)


def _unauthorized(environ: WSGIEnvironment) -> Reply:
    """Return ECR's challenge: a line of text and where to log in."""
    host = environ.get("HTTP_HOST", "localhost")
    realm = f"{environ.get('wsgi.url_scheme', 'http')}://{host}/"
    challenge = f'Basic realm="{realm}",service="ecr.amazonaws.com"'
    return _text(401, "Not Authorized\n", ("Www-Authenticate", challenge))


def _text(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    body = text.encode()
    kind = "text/plain; charset=utf-8"
    return Reply(status=status, headers=headers, body=(body,), length=len(body), content_type=kind)
