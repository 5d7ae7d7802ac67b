"""What the registry's tests share: an ECR in memory, a server, a docker client of its own, small images."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient
from werkzeug.serving import WSGIRequestHandler, make_server

from cloudknot.testing.registry.errors import (
    expired_token,
    repository_unknown,
    tag_is_immutable,
    things_missing,
)
from cloudknot.testing.registry.manifests import Manifest

ACCOUNT = "123456789012"
SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_manifest(config: bytes, *layers: bytes, media_type: str = SCHEMA_2) -> bytes:
    """A manifest of these blobs."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": digest_of(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": len(layer),
                "digest": digest_of(layer),
            }
            for layer in layers
        ],
    }
    return json.dumps(document).encode()


def index_manifest(*manifests: bytes) -> bytes:
    """An index of these manifests."""
    entries = [{"mediaType": OCI_IMAGE, "size": len(each), "digest": digest_of(each)} for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


@dataclass
class Shelf:
    """One repository."""

    is_immutable: bool = False
    layers: dict[str, int] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class FakeEcr:
    """An `EcrPort` in memory, whose only password is `open`; it is its own `Access`."""

    registry_id = ACCOUNT

    def __init__(self, *names: str, is_mounting: bool = False) -> None:
        self.shelves = {name: Shelf() for name in names}
        self.denied: set[tuple[str, str]] = set()
        self.asked: list[str] = []
        self.pulls: list[str] = []
        self._is_mounting = is_mounting
        self._lock = threading.RLock()

    def authenticate(self, password: str) -> FakeEcr | None:
        if password == "yesterday":
            raise expired_token()
        return self if password == "open" else None

    def denial(self, action: str, repository: str) -> str | None:
        self.asked.append(action)
        if (action, repository) not in self.denied:
            return None
        arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"
        return (
            f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: {action} on resource: {arn}"
        )

    def has_repository(self, repository: str) -> bool:
        return repository in self.shelves

    def repositories(self) -> Sequence[str]:
        return sorted(self.shelves)

    def has_layer(self, repository: str, digest: str) -> bool:
        return digest in self._shelf(repository).layers

    def add_layer(self, repository: str, digest: str, size_bytes: int, place: Callable[[], None]) -> None:
        with self._lock:
            place()
            self._shelf(repository).layers[digest] = size_bytes

    def mount_layer(self, repository: str, digest: str, source: str) -> bool:
        if not self._is_mounting or digest not in self._shelf(source).layers:
            return False
        self._shelf(repository).layers[digest] = self._shelf(source).layers[digest]
        return True

    def put_image(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        shelf = self._shelf(repository)
        if tag and shelf.is_immutable and shelf.tags.get(tag, manifest.digest) != manifest.digest:
            raise tag_is_immutable(repository, tag)
        if missing := [digest for digest in manifest.layers if digest not in shelf.layers]:
            raise things_missing("Layers", missing, repository, ACCOUNT)
        if missing := [digest for digest in manifest.images if digest not in shelf.manifests]:
            raise things_missing("Images", missing, repository, ACCOUNT)
        shelf.manifests[manifest.digest] = manifest
        if tag:
            shelf.tags[tag] = manifest.digest

    def find_image(self, repository: str, reference: str) -> Manifest | None:
        shelf = self._shelf(repository)
        return shelf.manifests.get(shelf.tags.get(reference, reference))

    def pulled(self, repository: str, digest: str) -> None:
        self.pulls.append(digest)

    def tags(self, repository: str) -> Sequence[str]:
        return sorted(self._shelf(repository).tags)

    def delete_image(self, repository: str, reference: str) -> bool:
        shelf = self._shelf(repository)
        digest = shelf.tags.get(reference, reference)
        shelf.tags = {tag: each for tag, each in shelf.tags.items() if each != digest}
        return shelf.manifests.pop(digest, None) is not None

    def _shelf(self, repository: str) -> Shelf:
        if repository not in self.shelves:
            raise repository_unknown(repository, ACCOUNT)
        return self.shelves[repository]


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)


@contextlib.contextmanager
def serving(make_app: Callable[[int], Any]) -> Iterator[int]:
    """Serve an application on a free port of the loopback; it is made when the port is known."""

    def not_yet(environ: Any, start_response: Any) -> list[bytes]:
        start_response("503 -", [("Content-Length", "0")])
        return []

    server = make_server("127.0.0.1", 0, not_yet, threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded kind
    server.app = make_app(server.port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class DockerCommand:
    """The docker command with a folder of its own for what it knows of logins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["docker", "--config", str(self._folder), *arguments]
        environment = {**os.environ, "DOCKER_CLI_HINTS": "false"}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=120, check=False, env=environment
        )

    def login(self, port: int, password: str) -> subprocess.CompletedProcess[str]:
        return self("login", "--username", "AWS", "--password-stdin", f"localhost:{port}", stdin=password)


def make_image(engine: DockerClient, name: str, size_bytes: int = 100_000) -> str:
    """Make an image of one layer that there never was, and return its id."""
    content, file = io.BytesIO(), tarfile.TarInfo("noise")
    file.size = size_bytes
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(file, io.BytesIO(secrets.token_bytes(size_bytes)))
    repository, _, tag = name.rpartition(":")
    engine.api.import_image_from_data(content.getvalue(), repository=repository, tag=tag)
    return str(engine.images.get(name).id)


def refusal_of(response: Any) -> tuple[int, str, str]:
    """Return the status, the code and the message of a refusal."""
    (error,) = json.loads(response.get_data())["errors"]
    return response.status_code, error["code"], error["message"]
