"""The registry's blobs: pushed in pieces, mounted, fetched in parts."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from cloudknot.testing.registry.uploads import Uploads
from tests.box.registry_api import LAYER, Api, empty_registry, fill
from tests.box.registry_rig import ACCOUNT, FakeEcr, digest_of, refusal_of


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return empty_registry(tmp_path / "registry")


@pytest.fixture
def full(api: Api) -> Api:
    """A registry with one image."""
    return fill(api)


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
