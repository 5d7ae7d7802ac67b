"""The registry: who may ask, manifests and tags, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box.registry_api import CONFIG, LAYER, MANIFEST, Api, empty_registry, fill
from tests.box.registry_rig import (
    ACCOUNT,
    OCI_IMAGE,
    OCI_INDEX,
    SCHEMA_2,
    digest_of,
    image_manifest,
    index_manifest,
    refusal_of,
)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return empty_registry(tmp_path / "registry")


@pytest.fixture
def full(api: Api) -> Api:
    """A registry with one image."""
    return fill(api)


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
        yield response.json[key]  # type: ignore[index]  # it is JSON
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
