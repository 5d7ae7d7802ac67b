"""A call is written down before whoever asked has the whole answer, and its parts go out as they come."""

from collections.abc import Iterator
from typing import Any

import pytest

from cloudknot.testing.server.journal import Journal
from cloudknot.testing.server.records import Record
from cloudknot.testing.wire.values import WireRequest


@pytest.fixture
def journal() -> Journal:
    return Journal()


def record_of(journal: Journal, method: str = "GET", **headers: str) -> Record:
    request = WireRequest(
        service="s3",
        operation="GetObject",
        region="us-east-1",
        access_key=None,
        params={},
        method=method,
        path="/brains/sub-01",
        query={},
        protocol="rest-xml",
        headers={},
    )
    record = Record(journal, lambda: 0.0, request, {"REQUEST_METHOD": method}, lambda *_: None)
    record.start("200 OK", [(name.replace("_", "-"), value) for name, value in headers.items()])
    return record


def sizes(journal: Journal) -> list[Any]:
    return [call["received_bytes"] for call in journal.read()]


def test_the_last_part_of_an_answer_goes_when_the_call_is_in_the_journal(journal: Journal) -> None:
    answer = record_of(journal, Content_Length="3").counted([b"ab", b"c"])
    assert (next(answer), sizes(journal)) == (b"ab", [])
    assert (next(answer), sizes(journal)) == (b"c", [3])
    assert (list(answer), sizes(journal)) == ([], [3])


def test_the_head_of_an_answer_without_body_goes_when_the_call_is_in_the_journal(journal: Journal) -> None:
    answer = record_of(journal, "HEAD", content_length="3").counted([b""])
    assert (next(answer), sizes(journal)) == (b"", [0])


def test_of_an_answer_of_unknown_length_the_end_goes_when_the_call_is_in_the_journal(
    journal: Journal,
) -> None:
    assert list(record_of(journal).counted([b"ab", b"c"])) == [b"ab", b"c"]
    assert sizes(journal) == [3]


def test_what_was_sent_before_a_connection_breaks_is_passed_on_before(journal: Journal) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise ConnectionResetError

    answer = record_of(journal, Content_Length="3").counted(broken())
    assert next(answer) == b"ab"
    with pytest.raises(ConnectionResetError):
        next(answer)
    assert sizes(journal) == [2]
