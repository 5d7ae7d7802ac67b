"""The registry's side of the distribution API, with an ECR in memory behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from werkzeug.test import Client, TestResponse

from cloudknot.testing.registry.app import RegistryApp
from tests.box.registry_rig import SCHEMA_2, FakeEcr, digest_of, image_manifest

CONFIG, LAYER = b"{}", b"layer " * 1000
MANIFEST = image_manifest(CONFIG, LAYER)


class Api:
    """A client of one registry."""

    def __init__(self, folder: Path, ecr: FakeEcr) -> None:
        self.ecr = ecr
        self.folder = folder
        self._client = Client(RegistryApp(folder, ecr))

    def __call__(self, method: str, path: str, **options: Any) -> TestResponse:
        options.setdefault("auth", ("AWS", "open"))
        return self._client.open(path, method=method, **options)

    def push_blob(self, content: bytes, repository: str = "box") -> TestResponse:
        location = self("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        self("PATCH", location, data=content)
        return self("PUT", f"{location}?digest={digest_of(content)}")

    def push_image(
        self, manifest: bytes = MANIFEST, tag: str = "1", *, media_type: str = SCHEMA_2
    ) -> TestResponse:
        return self("PUT", f"/v2/box/manifests/{tag}", data=manifest, content_type=media_type)

    def files(self) -> list[Path]:
        """All that is on the disk."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def empty_registry(folder: Path) -> Api:
    """Return a registry with two repositories, `box` and `other`."""
    return Api(folder, FakeEcr("box", "other"))


def fill(api: Api) -> Api:
    """Push one image."""
    api.push_blob(CONFIG)
    api.push_blob(LAYER)
    assert api.push_image().status_code == 201
    return api
