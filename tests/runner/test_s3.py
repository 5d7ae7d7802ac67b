"""S3 in a box where requests go wrong."""

from __future__ import annotations

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.runner.s3 import S3Error, S3Store
from cloudknot.runner.stores import open_store
from cloudknot.testing import Box
from cloudknot.testing.faults import Fault, ResetConnection, ServerError, Throttle, TruncateAnswer

pytestmark = pytest.mark.aws_box(executor="process")

BUCKET = "brains"


@pytest.fixture
def store(aws_box: Box) -> S3Store:
    aws_box.client("s3").create_bucket(Bucket=BUCKET)
    return S3Store(BUCKET, "lab", sleep=lambda seconds: None)


def requests_of(box: Box, operation: str) -> int:
    return sum(call.operation == operation for call in box.calls())


LOST_ANSWERS = [
    ServerError(service="s3", operation="PutObject", is_carried_out=True, times=1),
    ResetConnection(service="s3", operation="PutObject", moment="answer", times=1),
]


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=["server error", "reset"])
class TestLostAnswer:
    """A put was carried out, and its answer was lost."""

    def test_an_own_commit_is_not_taken_for_anothers(
        self, aws_box: Box, store: S3Store, fault: Fault
    ) -> None:
        aws_box.add_fault(fault)
        assert store.put("pack", b"mine", if_absent=True)
        assert aws_box.faults()[0].struck == 1
        assert not store.put("pack", b"late", if_absent=True)

    def test_anothers_commit_is_not_taken_for_an_own(
        self, aws_box: Box, store: S3Store, fault: Fault
    ) -> None:
        assert store.put("pack", b"equal", if_absent=True)
        aws_box.add_fault(ServerError(service="s3", operation="PutObject", times=1))
        assert not store.put("pack", b"equal", if_absent=True)
        assert aws_box.faults()[0].struck == 1


def test_a_commit_costs_one_request(aws_box: Box, store: S3Store) -> None:
    store.put("pack", b"mine", if_absent=True)
    store.put("pack", b"other", if_absent=True)
    assert requests_of(aws_box, "PutObject") == 2
    assert requests_of(aws_box, "HeadObject") == 0


@pytest.mark.parametrize("after_bytes", [0, 10, 999])
def test_an_object_that_came_in_part_is_asked_for_again(
    aws_box: Box, store: S3Store, after_bytes: int
) -> None:
    content = os.urandom(1000)
    store.put("a", content)
    aws_box.add_fault(TruncateAnswer(service="s3", operation="GetObject", after_bytes=after_bytes, times=3))
    assert store.get("a") == content
    assert store.get("a", 10, 900) == content[10:900]
    assert aws_box.faults()[0].struck == 3


@pytest.mark.parametrize("after_bytes", [0, 10])
def test_an_object_that_never_comes_whole_is_an_error(aws_box: Box, store: S3Store, after_bytes: int) -> None:
    store.put("a", b"0123456789" * 10)
    aws_box.add_fault(TruncateAnswer(service="s3", operation="GetObject", after_bytes=after_bytes))
    with pytest.raises(S3Error, match="s3://brains/lab/a: get_object"):
        store.get("a")


@pytest.mark.parametrize("after_bytes", [0, 60, 400])
def test_a_listing_that_came_in_part_is_asked_for_again(
    aws_box: Box, store: S3Store, after_bytes: int
) -> None:
    for number in range(5):
        store.put(f"packs/{number}", b"")
    fault = TruncateAnswer(service="s3", operation="ListObjects*", after_bytes=after_bytes, times=2)
    aws_box.add_fault(fault)
    assert list(store.list("packs/")) == [f"packs/{number}" for number in range(5)]
    assert aws_box.faults()[0].struck == 2


@pytest.mark.parametrize(
    "fault",
    [
        Throttle(service="s3", times=4),
        ResetConnection(service="s3", times=4),
        ResetConnection(service="s3", moment="upload", after_bytes=3, times=4),
        ResetConnection(service="s3", moment="answer", after_bytes=3, times=4),
        ServerError(service="s3", status=503, times=4),
    ],
    ids=lambda fault: f"{type(fault).__name__}-{getattr(fault, 'moment', '')}",
)
def test_passing_faults_pass(aws_box: Box, store: S3Store, fault: Fault) -> None:
    store.put("a", b"before")
    aws_box.add_fault(fault)
    store.put("a", b"content")
    assert store.get("a") == b"content"
    assert list(store.list("")) == ["a"]
    assert aws_box.faults()[0].struck == 4
    store.delete("a")
    with pytest.raises(KeyError):
        store.get("a")


def test_a_fault_that_stays_is_an_error_with_the_address(aws_box: Box, store: S3Store) -> None:
    aws_box.client("s3").delete_bucket(Bucket=BUCKET)
    with pytest.raises(S3Error, match=r"s3://brains/lab/a: put_object: .*NoSuchBucket"):
        store.put("a", b"")
    with pytest.raises(KeyError):  # a bucket that is gone holds nothing
        store.get("a")
    assert list(store.list("")) == []


def test_listing_goes_on_behind_a_key_over_pages(aws_box: Box, store: S3Store) -> None:
    for number in range(1003):
        store.put(f"news/{number:04d}", b"")
    assert list(store.list("news/", "news/0001")) == [f"news/{number:04d}" for number in range(2, 1003)]
    assert len(list(store.list("news/"))) == 1003
    store.delete("news/")
    assert list(store.list("")) == []


class Refusing:
    """An S3 client that is told, in answers of 200, that single objects were not removed."""

    def __init__(self, client: Any, *codes: str) -> None:
        self._client = client
        self._codes = list(codes)
        self.exceptions = client.exceptions

    def delete_objects(self, **request: Any) -> Any:
        if not self._codes:
            return self._client.delete_objects(**request)
        first, *others = request["Delete"]["Objects"]
        if others:
            self._client.delete_objects(**{**request, "Delete": {"Objects": others}})
        return {"Errors": [{"Key": first["Key"], "Code": self._codes.pop(0), "Message": "not now"}]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_what_was_not_removed_is_tried_again_or_an_error(aws_box: Box, store: S3Store) -> None:
    client = aws_box.client("s3")
    for key in ("a/1", "a/2", "a/3"):
        store.put(key, b"")
    busy = Refusing(client, "InternalError", "SlowDown")
    S3Store(BUCKET, "lab", client=busy, sleep=lambda seconds: None).delete("a/")
    assert list(store.list("a/")) == []
    store.put("a/1", b"")
    with pytest.raises(
        S3Error, match=r"1 objects below s3://brains/lab/a/ could not .* lab/a/1: .*AccessDenied"
    ):
        S3Store(BUCKET, "lab", client=Refusing(client, "AccessDenied")).delete("a/")


class Conflicting:
    """An S3 client whose first conditional puts meet another writer, as S3 answers it."""

    def __init__(self, client: Any, conflicts: int) -> None:
        self._client = client
        self._conflicts = conflicts
        self.exceptions = client.exceptions

    def put_object(self, **request: Any) -> Any:
        if self._conflicts:
            self._conflicts -= 1
            fields = {"HTTPStatusCode": 409, "RetryAttempts": 0}
            error = {"Code": "ConditionalRequestConflict", "Message": "try again"}
            raise ClientError({"Error": error, "ResponseMetadata": fields}, "PutObject")
        return self._client.put_object(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_conflict_is_tried_again(aws_box: Box, store: S3Store) -> None:
    waits: list[float] = []
    client = Conflicting(aws_box.client("s3"), 3)
    busy = S3Store(BUCKET, "lab", client=client, sleep=waits.append)
    assert busy.put("a", b"1", if_absent=True)
    assert waits == sorted(waits)
    assert len(waits) == 3
    late = S3Store(BUCKET, "lab", client=Conflicting(aws_box.client("s3"), 1), sleep=waits.append)
    assert not late.put("a", b"2", if_absent=True)
    never = S3Store(BUCKET, "lab", client=Conflicting(aws_box.client("s3"), 99), sleep=waits.append)
    with pytest.raises(S3Error, match="ConditionalRequestConflict"):
        never.put("b", b"2", if_absent=True)


@pytest.fixture
def no_region(aws_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("store", "no_region")
def test_no_region_is_needed(aws_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{BUCKET}/lab")
    assert store.put("a", b"1", if_absent=True)
    assert list(store.list("")) == ["a"]
    monkeypatch.setenv("AWS_REGION", aws_box.region)
    assert open_store(f"s3://{BUCKET}/lab").get("a") == b"1"
