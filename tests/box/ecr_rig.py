"""A box with nothing but ECR and CloudFormation, for tests."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.client import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client, TestResponse

from cloudknot.testing.ecr.access import by_policies
from cloudknot.testing.ecr.installing import install
from cloudknot.testing.ecr.tokens import Caller
from cloudknot.testing.iam import current
from tests.box.registry_rig import (
    ACCOUNT,
    SCHEMA_2,
    digest_of,
    image_manifest,
    serving,
)

REGION = "us-east-1"
KEY = "AKIAEXAMPLE"
CONFIG, LAYER = b"{}", b"layer " * 1000


class Cloud:
    """A box with nothing but ECR and CloudFormation."""

    def __init__(self, port: int, folder: Path, *, is_by_policies: bool = False) -> None:
        self.port = port
        self.key = KEY
        self.folder = folder
        self.now = time.time()
        self.denied: set[str] = set()
        self.asked: list[tuple[Caller, str, str]] = []
        self.installed = install(
            port,
            folder,
            account_id=ACCOUNT,
            authorize=by_policies if is_by_policies else self._authorize,
            read_time=lambda: self.now,
        )
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._http = Client(self)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/v2/"):
            return self.installed(environ, start_response)
        key = current.access_key.set(self.key)
        try:
            return self._moto(environ, start_response)
        finally:
            current.access_key.reset(key)

    def client(self, service: str = "ecr", region: str = REGION) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=region,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def with_repository(self) -> Any:
        """Make the repository `box`; return a client of the API."""
        client = self.client()
        client.create_repository(repositoryName="box")
        return client

    def password(self, region: str = REGION) -> str:
        data = self.client(region=region).get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        assert user == "AWS"
        return password

    def http(self, method: str, path: str, password: str, **options: Any) -> TestResponse:
        return self._http.open(path, method=method, auth=("AWS", password), **options)

    def push(self, content: bytes, password: str, repository: str = "box") -> None:
        path = f"/v2/{repository}/blobs/uploads/?digest={digest_of(content)}"
        assert self.http("POST", path, password, data=content).status_code == 201

    def push_image(
        self, *layers: bytes, tag: str, password: str, repository: str = "box", media_type: str = SCHEMA_2
    ) -> bytes:
        for blob in (CONFIG, *layers):
            self.push(blob, password, repository)
        manifest = image_manifest(CONFIG, *layers, media_type=media_type)
        self.put(manifest, tag, password, repository, media_type)
        return manifest

    def put(
        self, manifest: bytes, tag: str, password: str, repository: str = "box", media_type: str = SCHEMA_2
    ) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        response = self.http("PUT", path, password, data=manifest, content_type=media_type)
        assert response.status_code == 201, response.text

    def blobs(self) -> set[str]:
        """The digests of all blobs on the disk."""
        return {f"sha256:{path.name}" for path in (self.folder / "blobs").glob("??/*")}

    def _authorize(self, caller: Caller, action: str, resource: str) -> str | None:
        self.asked.append((caller, action, resource))
        if action not in self.denied:
            return None
        arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
        return f"User: {arn} is not authorized to perform: {action} on resource: {resource}"


@contextlib.contextmanager
def a_cloud(folder: Path, *, is_by_policies: bool = False) -> Iterator[Cloud]:
    made: list[Cloud] = []

    def make(port: int) -> Cloud:
        made.append(Cloud(port, folder, is_by_policies=is_by_policies))
        return made[0]

    with serving(make):
        yield made[0]
    made[0].installed.remove()
