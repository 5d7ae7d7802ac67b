"""One contract for every store: a real folder, and S3 as moto answers for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cloudknot.runner.stores import FileStore, S3Store, Store, open_store


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "file":
        return FileStore(tmp_path / "store")
    client = boto3.client(
        "s3",
        endpoint_url=request.getfixturevalue("s3_endpoint"),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    bucket = f"bucket-{threading.get_ident()}-{abs(hash(tmp_path))}"
    client.create_bucket(Bucket=bucket)
    return S3Store(bucket, "some/prefix", client=client)


def test_what_is_put_is_got(store: Store) -> None:
    assert store.put("a/b", b"0123456789")
    assert store.get("a/b") == b"0123456789"
    assert store.get("a/b", 2, 5) == b"234"
    assert store.get("a/b", 7) == b"789"
    assert store.get("a/b", 3, 3) == b""
    assert store.get("a/b", 8, 99) == b"89"
    assert store.get("a/b", 10) == store.get("a/b", 11, 12) == b""
    assert store.put("a/b", b"new")
    assert store.get("a/b") == b"new"


def test_a_missing_key_is_a_key_error(store: Store) -> None:
    with pytest.raises(KeyError):
        store.get("nothing")
    store.put("a", b"")
    with pytest.raises(KeyError):
        store.get("a/b")


def test_only_the_first_of_many_writers_may(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.put("claim", b"%d" % n, if_absent=True), range(8)))
    assert sum(won) == 1
    assert store.get("claim") == b"%d" % won.index(True)
    assert not store.put("claim", b"late", if_absent=True)


def test_keys_are_listed_in_order_by_prefix(store: Store) -> None:
    for key in ("runs/b/2", "runs/b/1", "runs/a/1", "runs/bc/1", "other"):
        store.put(key, b"")
    assert list(store.list("runs/b/")) == ["runs/b/1", "runs/b/2"]
    assert list(store.list("runs/b")) == ["runs/b/1", "runs/b/2", "runs/bc/1"]
    assert list(store.list("runs/none/")) == []
    assert len(list(store.list(""))) == 5
    assert list(store.list("runs/b", "runs/b/1")) == ["runs/b/2", "runs/bc/1"]
    assert list(store.list("runs/b/", "runs/b/0")) == ["runs/b/1", "runs/b/2"]
    assert list(store.list("runs/b/", "runs/c")) == []


def test_delete_takes_what_starts_with_a_prefix(store: Store) -> None:
    for key in ("a/1", "a/2", "ab/1"):
        store.put(key, b"")
    store.delete("a/")
    assert list(store.list("")) == ["ab/1"]
    store.delete("ab/1")
    store.delete("nothing")
    assert list(store.list("")) == []


def test_a_uri_opens_the_same_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "with space")
    store.put("a", b"1")
    assert open_store(store.uri).get("a") == b"1"
    assert open_store("s3://bucket/some/prefix").uri == "s3://bucket/some/prefix"
    with pytest.raises(ValueError, match="no store at 'ftp://x'"):
        open_store("ftp://x")


def test_a_failed_put_leaves_the_old_object_and_no_scraps(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a", b"old")
    with pytest.raises(TypeError):
        store.put("a", "not bytes")  # type: ignore[arg-type]
    assert store.get("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
