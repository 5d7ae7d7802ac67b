"""Blobs over HTTP: asked for, fetched, pushed in one piece or in many, mounted."""

import re
from collections.abc import Iterable

from cloudknot.testing.registry.blobs import Blobs, Pieces
from cloudknot.testing.registry.errors import RegistryError
from cloudknot.testing.registry.exchange import Reply, Request, parse_range
from cloudknot.testing.registry.names import check_digest
from cloudknot.testing.registry.uploads import Upload, Uploads

__all__ = ["Layers"]

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(?P<start>\d+)-\d+(?:/.*)?")


class Layers:
    """Answers what is asked about blobs.

    Parameters
    ----------
    blobs : Blobs
        The finished ones.
    uploads : Uploads
        Those on their way in.
    """

    def __init__(self, blobs: Blobs, uploads: Uploads) -> None:
        self._blobs = blobs
        self._uploads = uploads

    def get(self, request: Request) -> Reply:
        """Answer GET and HEAD of a blob."""
        digest = request.route.reference
        path = self._blobs.path(digest)
        size = self._blobs.size(digest) if request.access.has_layer(request.repository, digest) else None
        if size is None:
            raise RegistryError("BLOB_UNKNOWN", "blob unknown to registry", 404)
        headers: tuple[tuple[str, str], ...] = (("Docker-Content-Digest", digest), ("Accept-Ranges", "bytes"))
        kind = "application/octet-stream"
        asked = parse_range(request.header("Range"), size)
        start, length = asked or (0, size)
        body: Iterable[bytes] = ()
        if request.route.method == "GET":
            try:
                body = Pieces(path, start, length)
            except FileNotFoundError as error:  # it was deleted this very moment
                raise RegistryError("BLOB_UNKNOWN", "blob unknown to registry", 404) from error
        if asked:
            headers = (*headers, ("Content-Range", f"bytes {start}-{start + length - 1}/{size}"))
        return Reply(
            status=206 if asked else 200, headers=headers, body=body, length=length, content_type=kind
        )

    def begin(self, request: Request) -> Reply:
        """Answer POST: mount a blob, take one that comes at once, or open an upload."""
        mount, source = request.argument("mount"), request.argument("from")
        if mount and source and self._mount(request, check_digest(mount), source):
            return self._created(request, mount)
        digest = request.argument("digest")
        if digest is not None:
            check_digest(digest)
        upload = self._uploads.begin(request.access.registry_id, request.repository)
        if digest is not None:
            return self._finish(request, upload, digest)
        return self._state(request, upload, status=202)

    def state(self, request: Request) -> Reply:
        """Answer GET of an upload: how much has come."""
        return self._state(request, self._find(request), status=204)

    def append(self, request: Request) -> Reply:
        """Answer PATCH: take a piece."""
        upload = self._find(request)
        with upload.lock:
            written = _CONTENT_RANGE.fullmatch(request.header("Content-Range") or "")
            if written and int(written["start"]) != upload.size_bytes:
                return self._state(request, upload, status=416)
            upload.write(request.body)
        return self._state(request, upload, status=202)

    def complete(self, request: Request) -> Reply:
        """Answer PUT: take the last piece, and make a blob of all if it is what it shall be."""
        return self._finish(request, self._find(request), request.argument("digest") or "")

    def cancel(self, request: Request) -> Reply:
        """Answer DELETE of an upload."""
        upload = self._find(request)
        with upload.lock:
            self._uploads.end(upload)
        return Reply(status=204)

    def _find(self, request: Request) -> Upload:
        return self._uploads.find(request.route.reference, request.access.registry_id, request.repository)

    def _mount(self, request: Request, digest: str, source: str) -> bool:
        access = request.access
        return (
            access.denial("ecr:GetDownloadUrlForLayer", source) is None
            and self._blobs.size(digest) is not None
            and access.mount_layer(request.repository, digest, source)
        )

    def _finish(self, request: Request, upload: Upload, digest: str) -> Reply:
        check_digest(digest)
        with upload.lock:
            upload.write(request.body)
            if upload.digest != digest:
                # What has come can never become what was announced.
                self._uploads.end(upload)
                message = f"the layer was announced as {digest}, but {upload.digest} came"
                raise RegistryError("DIGEST_INVALID", message, 400, ecr_code="InvalidLayerException")
            request.access.add_layer(
                request.repository,
                digest,
                upload.size_bytes,
                lambda: self._blobs.place(upload.path, digest),
            )
            self._uploads.end(upload)
        return self._created(request, digest)

    def _created(self, request: Request, digest: str) -> Reply:
        location = request.url(f"/v2/{request.repository}/blobs/{digest}")
        return Reply(status=201, headers=(("Location", location), ("Docker-Content-Digest", digest)))

    def _state(self, request: Request, upload: Upload, *, status: int) -> Reply:
        location = request.url(f"/v2/{request.repository}/blobs/uploads/{upload.id}")
        return Reply(
            status=status,
            headers=(
                ("Location", location),
                ("Range", f"0-{max(0, upload.size_bytes - 1)}"),
                ("Docker-Upload-UUID", upload.id),
            ),
        )
