"""The registry's side of the distribution API, with an ECR in memory behind it."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from cloudknot.testing.registry.app import RegistryApp
from cloudknot.testing.registry.uploads import Uploads
from tests.box.registry_rig import (
    ACCOUNT,
    OCI_IMAGE,
    OCI_INDEX,
    SCHEMA_2,
    FakeEcr,
    digest_of,
    image_manifest,
    index_manifest,
    refusal_of,
)

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


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path / "registry", FakeEcr("box", "other"))


@pytest.fixture
def full(api: Api) -> Api:
    """A registry with one image."""
    api.push_blob(CONFIG)
    api.push_blob(LAYER)
    assert api.push_image().status_code == 201
    return api


def test_who_is_not_logged_in_is_told_where_to(api: Api) -> None:
    response = api("GET", "/v2/", auth=None)
    assert response.status_code == 401
    assert (
        response.headers["Www-Authenticate"] == 'Basic realm="http://localhost/",service="ecr.amazonaws.com"'
    )
    assert response.text == "Not Authorized\n"


@pytest.mark.parametrize(
    ("user", "password", "status", "words"),
    [
        ("AWS", "open", 200, ""),
        ("ann", "open", 401, "Not Authorized"),
        ("AWS", "wrong", 400, "Your authorization token is invalid."),
        ("AWS", "yesterday", 403, "Your authorization token has expired. Reauthenticate and try again."),
    ],
)
def test_only_a_password_that_was_given_out_and_is_fresh_opens(
    api: Api, user: str, password: str, status: int, words: str
) -> None:
    response = api("GET", "/v2/", auth=(user, password))
    assert response.status_code == status
    assert words in response.text


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic gICA", "Bearer open"])
def test_credentials_that_cannot_be_read_are_none(api: Api, header: str) -> None:
    assert api("GET", "/v2/", auth=None, headers={"Authorization": header}).status_code == 401


def test_a_pushed_blob_is_there_under_its_digest(api: Api) -> None:
    response = api.push_blob(LAYER)
    assert response.status_code == 201
    assert response.headers["Docker-Content-Digest"] == digest_of(LAYER)
    path = f"/v2/box/blobs/{digest_of(LAYER)}"
    assert response.headers["Location"] == f"http://localhost{path}"
    head = api("HEAD", path)
    assert (head.status_code, head.headers["Content-Length"], head.data) == (200, str(len(LAYER)), b"")
    assert api("GET", path).data == LAYER


def test_a_blob_comes_in_pieces_and_the_last_with_its_digest(api: Api) -> None:
    content = b"ab" * 5000
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    first = api("PATCH", location, data=content[:6000], headers={"Content-Range": "0-5999"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-5999")
    state = api("GET", location)
    assert (state.status_code, state.headers["Range"]) == (204, "0-5999")
    last = api("PUT", f"{location}?digest={digest_of(content)}", data=content[6000:])
    assert last.status_code == 201
    assert api("GET", location).status_code == 404
    assert api("GET", f"/v2/box/blobs/{digest_of(content)}").data == content


def test_a_piece_that_does_not_follow_the_last_is_refused_and_what_came_stays(api: Api) -> None:
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    api("PATCH", location, data=b"12345")
    response = api("PATCH", location, data=b"89", headers={"Content-Range": "7-8"})
    assert (response.status_code, response.headers["Range"]) == (416, "0-4")
    assert api("PUT", f"{location}?digest={digest_of(b'12345')}").status_code == 201


def test_a_blob_may_come_with_the_first_request(api: Api) -> None:
    response = api("POST", f"/v2/box/blobs/uploads/?digest={digest_of(LAYER)}", data=LAYER)
    assert response.status_code == 201
    assert api("GET", f"/v2/box/blobs/{digest_of(LAYER)}").data == LAYER


@pytest.mark.parametrize("digest", [digest_of(b"other"), "sha256:abc", "md5:" + "0" * 32, ""])
def test_a_digest_that_is_not_the_contents_is_refused_and_nothing_is_left(api: Api, digest: str) -> None:
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    api("PATCH", location, data=LAYER)
    response = api("PUT", f"{location}?digest={digest}")
    assert refusal_of(response)[:2] == (400, "DIGEST_INVALID")
    assert not [path for path in api.files() if path.parent.name != "uploads"]
    assert api("HEAD", f"/v2/box/blobs/{digest_of(b'other')}").status_code == 404


def test_an_upload_that_did_not_become_what_it_should_is_over(api: Api) -> None:
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    api("PUT", f"{location}?digest={digest_of(b'other')}", data=LAYER)
    assert refusal_of(api("GET", location))[:2] == (404, "BLOB_UPLOAD_UNKNOWN")
    assert api.files() == []


def test_an_upload_belongs_to_its_repository_and_ends_when_it_is_given_up(api: Api) -> None:
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    assert api("GET", location.replace("/box/", "/other/")).status_code == 404
    assert api("DELETE", location).status_code == 204
    assert api("PATCH", location, data=b"x").status_code == 404
    assert api.files() == []


class Breaking(io.BytesIO):
    """A body that breaks off as a connection does."""

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            raise OSError("Invalid chunk header")
        return piece


def test_a_push_that_breaks_off_leaves_no_blob_and_can_be_gone_on_with(api: Api) -> None:
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    response = api(
        "PATCH",
        location,
        input_stream=Breaking(LAYER[:100]),
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert refusal_of(response)[:2] == (400, "BLOB_UPLOAD_INVALID")
    assert api("HEAD", f"/v2/box/blobs/{digest_of(LAYER)}").status_code == 404
    assert api("GET", location).headers["Range"] == "0-99"
    api("PATCH", location, data=LAYER[100:])
    assert api("PUT", f"{location}?digest={digest_of(LAYER)}").status_code == 201
    assert api("GET", f"/v2/box/blobs/{digest_of(LAYER)}").data == LAYER


def test_drafts_of_a_process_that_was_killed_are_deleted(api: Api) -> None:
    api.push_blob(LAYER)
    location = api("POST", "/v2/box/blobs/uploads/").headers["Location"]
    api("PATCH", location, data=b"half")
    assert len(api.files()) == 2
    again = Api(api.folder, api.ecr)
    assert [path.name for path in again.files()] == [digest_of(LAYER).removeprefix("sha256:")]
    assert again("GET", location).status_code == 404
    assert again("GET", f"/v2/box/blobs/{digest_of(LAYER)}").data == LAYER


def test_uploads_that_nobody_goes_on_with_are_forgotten(tmp_path: Path) -> None:
    now = [0.0]
    uploads = Uploads(tmp_path, read_time=lambda: now[0])
    old = uploads.begin(ACCOUNT, "box")
    now[0] = 25 * 3600.0
    new = uploads.begin(ACCOUNT, "box")
    assert list(tmp_path.iterdir()) == [new.path]
    assert not old.path.exists()


def test_the_same_blob_pushed_by_many_at_once_is_whole(api: Api) -> None:
    content = b"same" * 300_000
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(api.push_blob(content).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [201] * 8
    assert api("GET", f"/v2/box/blobs/{digest_of(content)}").data == content
    assert len(api.files()) == 1


def test_an_unknown_blob_is_said_to_be_unknown(full: Api) -> None:
    assert refusal_of(full("GET", f"/v2/box/blobs/{digest_of(b'none')}")) == (
        404,
        "BLOB_UNKNOWN",
        "blob unknown to registry",
    )


def test_a_blob_of_another_repository_is_not_seen_until_it_is_pushed_there(full: Api) -> None:
    path = f"/v2/other/blobs/{digest_of(LAYER)}"
    assert full("HEAD", path).status_code == 404
    full.push_blob(LAYER, "other")
    assert full("HEAD", path).status_code == 200
    assert len(full.files()) == 2


@pytest.mark.parametrize("is_mounting", [True, False])
def test_a_blob_is_mounted_where_the_registry_does_that_and_uploaded_otherwise(
    tmp_path: Path, is_mounting: bool
) -> None:
    api = Api(tmp_path, FakeEcr("box", "other", is_mounting=is_mounting))
    api.push_blob(LAYER)
    response = api("POST", f"/v2/other/blobs/uploads/?mount={digest_of(LAYER)}&from=box")
    assert response.status_code == (201 if is_mounting else 202)
    assert (api("HEAD", f"/v2/other/blobs/{digest_of(LAYER)}").status_code == 200) is is_mounting
    assert ("/blobs/uploads/" in response.headers["Location"]) is not is_mounting


def test_a_blob_that_may_not_be_fetched_is_not_mounted(tmp_path: Path) -> None:
    ecr = FakeEcr("box", "other", is_mounting=True)
    ecr.denied.add(("ecr:GetDownloadUrlForLayer", "box"))
    api = Api(tmp_path, ecr)
    api.push_blob(LAYER)
    assert api("POST", f"/v2/other/blobs/uploads/?mount={digest_of(LAYER)}&from=box").status_code == 202


@pytest.mark.parametrize(
    ("asked", "status", "part", "content_range"),
    [
        ("bytes=0-4", 206, LAYER[:5], f"bytes 0-4/{len(LAYER)}"),
        ("bytes=5990-", 206, LAYER[5990:], f"bytes 5990-5999/{len(LAYER)}"),
        ("bytes=-6", 206, LAYER[-6:], f"bytes 5994-5999/{len(LAYER)}"),
        ("bytes=10-99999", 206, LAYER[10:], f"bytes 10-5999/{len(LAYER)}"),
        ("lines=1-2", 200, LAYER, None),
        ("bytes=a-b", 200, LAYER, None),
    ],
)
def test_a_part_of_a_blob_can_be_fetched(
    full: Api, asked: str, status: int, part: bytes, content_range: str | None
) -> None:
    response = full("GET", f"/v2/box/blobs/{digest_of(LAYER)}", headers={"Range": asked})
    assert (response.status_code, response.data) == (status, part)
    assert response.headers.get("Content-Range") == content_range


@pytest.mark.parametrize("asked", ["bytes=6000-", "bytes=9-5"])
def test_a_part_that_is_not_there_is_refused(full: Api, asked: str) -> None:
    response = full("GET", f"/v2/box/blobs/{digest_of(LAYER)}", headers={"Range": asked})
    assert response.status_code == 416


@pytest.mark.parametrize("reference", ["1", digest_of(MANIFEST)])
def test_an_image_is_found_by_tag_and_digest(full: Api, reference: str) -> None:
    for method, body in (("GET", MANIFEST), ("HEAD", b"")):
        response = full(method, f"/v2/box/manifests/{reference}")
        assert response.status_code == 200
        assert response.data == body
        assert response.headers["Docker-Content-Digest"] == digest_of(MANIFEST)
        assert response.headers["Content-Type"] == SCHEMA_2
        assert response.headers["Content-Length"] == str(len(MANIFEST))
    assert full.ecr.pulls == [digest_of(MANIFEST)]


def test_an_image_that_is_not_there_is_unknown(full: Api) -> None:
    assert refusal_of(full("GET", "/v2/box/manifests/2")) == (
        404,
        "MANIFEST_UNKNOWN",
        "Requested image not found",
    )


def test_an_image_whose_layers_are_not_there_is_refused(api: Api) -> None:
    api.push_blob(CONFIG)
    status, code, message = refusal_of(api.push_image())
    assert (status, code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert message.startswith(f"Layers with digests '[{digest_of(LAYER)}]' required for pushing image")
    assert api("GET", "/v2/box/manifests/1").status_code == 404


def test_an_index_needs_its_images(full: Api) -> None:
    inner = image_manifest(CONFIG, LAYER, media_type=OCI_IMAGE)
    index = index_manifest(inner)
    status, code, message = refusal_of(full.push_image(index, "all", media_type=OCI_INDEX))
    assert (status, code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert message.startswith(f"Images with digests '[{digest_of(inner)}]' required")
    assert full.push_image(inner, digest_of(inner), media_type=OCI_IMAGE).status_code == 201
    assert full.push_image(index, "all", media_type=OCI_INDEX).status_code == 201
    assert full("GET", "/v2/box/manifests/all").data == index


def test_layers_that_are_fetched_from_elsewhere_need_not_be_there(api: Api) -> None:
    api.push_blob(CONFIG)
    document = json.loads(image_manifest(CONFIG, LAYER))
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    assert api.push_image(json.dumps(document).encode()).status_code == 201


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"no json", SCHEMA_2),
        (b"[]", SCHEMA_2),
        (b"\xff\xfe", SCHEMA_2),
        (b"{}", SCHEMA_2),
        (b'{"config": 5, "layers": []}', SCHEMA_2),
        (b'{"config": {"digest": "sha256:1", "size": 1}, "layers": []}', SCHEMA_2),
        (b'{"manifests": {}}', OCI_INDEX),
        (MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (MANIFEST + b" " * 4 * 1024 * 1024, SCHEMA_2),
    ],
)
def test_what_is_no_manifest_is_refused(full: Api, content: bytes, media_type: str) -> None:
    response = full.push_image(content, "bad", media_type=media_type)
    assert refusal_of(response)[:2] == (400, "MANIFEST_INVALID")


def test_a_manifest_pushed_under_another_digest_is_refused_in_ecrs_words(full: Api) -> None:
    digest = digest_of(b"other")
    status, code, message = refusal_of(full.push_image(MANIFEST, digest))
    assert (status, code) == (400, "MANIFEST_INVALID")
    assert message == (
        f"The image with digest '{digest}' in repository 'box' and registry ID '{ACCOUNT}' does not match the"
        " image digest that Amazon ECR has calculated."
    )


def test_a_tag_that_is_immutable_stays(full: Api) -> None:
    full.ecr.shelves["box"].is_immutable = True
    other = image_manifest(CONFIG)
    assert refusal_of(full.push_image(other)) == (
        400,
        "TAG_INVALID",
        "The image tag '1' already exists in the 'box' repository and cannot be overwritten because the"
        " repository is immutable.",
    )
    assert full.push_image().status_code == 201
    assert full.push_image(other, "2").status_code == 201


def test_a_deleted_image_is_gone(full: Api) -> None:
    assert full("DELETE", "/v2/box/manifests/1").status_code == 202
    assert full("GET", "/v2/box/manifests/1").status_code == 404
    assert full("DELETE", "/v2/box/manifests/1").status_code == 404


def follow(api: Api, path: str, key: str) -> Iterator[list[str]]:
    """Yield page by page."""
    while True:
        response = api("GET", path)
        yield response.json[key]  # type: ignore[index]
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("Link", ""))
        if link is None:
            return
        path = link[1]


@pytest.mark.parametrize(
    ("query", "sizes"),
    [("", [100, 100, 50]), ("?n=240", [240, 10]), ("?n=1000", [250]), ("?n=125", [125, 125])],
)
def test_tags_come_page_by_page(full: Api, query: str, sizes: list[int]) -> None:
    full.ecr.shelves["box"].tags = {f"{number:03}": digest_of(MANIFEST) for number in range(250)}
    pages = list(follow(full, f"/v2/box/tags/list{query}", "tags"))
    assert [len(page) for page in pages] == sizes
    assert [tag for page in pages for tag in page] == [f"{number:03}" for number in range(250)]


def test_repositories_come_page_by_page(api: Api) -> None:
    assert list(follow(api, "/v2/_catalog?n=1", "repositories")) == [["box"], ["other"]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("n=1001", "less than or equal to 1000"),
        ("n=0", "greater than or equal to 1"),
        ("last=ä", "Invalid token"),
    ],
)
def test_a_page_that_ecr_does_not_give_is_refused(full: Api, query: str, words: str) -> None:
    status, code, message = refusal_of(full("GET", f"/v2/box/tags/list?{query}"))
    assert (status, code) == (405, "UNSUPPORTED")
    assert words in message


def test_a_repository_that_does_not_exist_is_unknown_by_its_name(api: Api) -> None:
    assert refusal_of(api("POST", "/v2/team/none/blobs/uploads/")) == (
        404,
        "NAME_UNKNOWN",
        f"The repository with name 'team/none' does not exist in the registry with id '{ACCOUNT}'",
    )


BLOB = f"/v2/box/blobs/{digest_of(LAYER)}"


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("HEAD", BLOB, "ecr:BatchCheckLayerAvailability"),
        ("GET", BLOB, "ecr:GetDownloadUrlForLayer"),
        ("POST", "/v2/box/blobs/uploads/", "ecr:InitiateLayerUpload"),
        ("PATCH", "/v2/box/blobs/uploads/1", "ecr:UploadLayerPart"),
        ("PUT", "/v2/box/blobs/uploads/1", "ecr:CompleteLayerUpload"),
        ("PUT", "/v2/box/manifests/1", "ecr:PutImage"),
        ("GET", "/v2/box/manifests/1", "ecr:BatchGetImage"),
        ("HEAD", "/v2/box/manifests/1", "ecr:BatchGetImage"),
        ("DELETE", "/v2/box/manifests/1", "ecr:BatchDeleteImage"),
        ("GET", "/v2/box/tags/list", "ecr:ListImages"),
    ],
)
def test_each_request_takes_its_permission(full: Api, method: str, path: str, action: str) -> None:
    full.ecr.denied.add((action, "box"))
    full.ecr.asked.clear()
    response = full(method, path)
    assert response.status_code == 403
    assert full.ecr.asked == [action]
    if method != "HEAD":
        assert refusal_of(response)[1:] == (
            "DENIED",
            f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: {action} on resource:"
            f" arn:aws:ecr:us-east-1:{ACCOUNT}:repository/box",
        )


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/../box/manifests/1", "NAME_INVALID"),
        ("/v2/box/../../etc/manifests/1", "NAME_INVALID"),
        ("/v2/box/%2e%2e/manifests/1", "NAME_INVALID"),
        ("/v2/box%00/manifests/1", "NAME_INVALID"),
        ("/v2/box%0A/manifests/1", "NAME_INVALID"),
        ("/v2/Box/manifests/1", "NAME_INVALID"),
        ("/v2//box/manifests/1", "NAME_INVALID"),
        (f"/v2/{'a' * 257}/manifests/1", "NAME_INVALID"),
        ("/v2/box/manifests/..", "TAG_INVALID"),
        ("/v2/box/manifests/1%0A", "TAG_INVALID"),
        (f"/v2/box/manifests/{'a' * 129}", "TAG_INVALID"),
        ("/v2/box/manifests/%2e%2e%2fpasswd", None),
        ("/v2/box/manifests/sha256:..", "DIGEST_INVALID"),
        ("/v2/box/blobs/..", "DIGEST_INVALID"),
        ("/v2/box/blobs/sha256:" + "g" * 64, "DIGEST_INVALID"),
        ("/v2/box/blobs/sha256:../../../../etc/passwd", None),
        ("/v2/box/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/box/blobs/uploads/%2e%2e%2f%2e%2e", None),
    ],
)
def test_names_that_lead_elsewhere_are_refused(full: Api, path: str, code: str | None) -> None:
    before = full.files()
    response = full("GET", path)
    if code is None:
        assert (response.status_code, response.text) == (404, "404 page not found\n")
    else:
        assert refusal_of(response)[1] == code
    for method in ("HEAD", "PUT", "DELETE"):
        assert full(method, path).status_code in (400, 404, 405)
    assert full.files() == before


@pytest.mark.parametrize("query", ["mount=sha256:../../x&from=box", "digest=sha256:../../x", "digest=x"])
def test_digests_that_lead_elsewhere_are_refused(full: Api, query: str) -> None:
    response = full("POST", f"/v2/box/blobs/uploads/?{query}", data=LAYER)
    assert refusal_of(response)[:2] == (400, "DIGEST_INVALID")
    assert len(full.files()) == 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/box/referrers/1", 404),
        ("GET", "/v2/box", 404),
        ("GET", "/v3/", 404),
        ("POST", "/v2/box/manifests/1", 405),
        ("DELETE", BLOB, 405),
        ("PUT", "/v2/_catalog", 405),
    ],
)
def test_what_is_not_offered_is_refused(full: Api, method: str, path: str, status: int) -> None:
    assert full(method, path).status_code == status
