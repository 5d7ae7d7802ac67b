"""Faults of the connection: it is reset, the answer is cut short, all goes slowly."""

import http.client
import io
import socket
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from cloudknot.testing import faults
from cloudknot.testing.faults.pacing import Pace, SlowUpload
from cloudknot.testing.faults.wire import apply
from cloudknot.testing.wire.requests import WireRequest, read_request
from tests.box.fault_stand import LARGE, MIB, standing


def request_of(method: str) -> WireRequest:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/b/k", "wsgi.input": io.BytesIO()}
    return read_request(environ)


@pytest.mark.parametrize("moment", ["before", "upload", "answer"])
def test_a_reset_is_seen_as_econnreset_and_nothing_comes_before_it(moment: str) -> None:
    with standing(faults.ResetConnection(service="s3", moment=moment, times=1)) as stand:
        for expected in (b"", b"HTTP/1.1 200 OK"):
            with socket.create_connection(stand.address) as connection:
                connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not expected:
                    with pytest.raises(ConnectionResetError):
                        connection.recv(100)
                else:
                    assert connection.recv(15) == expected


@pytest.mark.parametrize(
    "fault",
    [
        faults.ResetConnection(service="s3"),
        faults.ResetConnection(service="s3", moment="upload"),
        faults.ResetConnection(service="s3", moment="upload", after_bytes=MIB),
        faults.ResetConnection(service="s3", moment="upload", after_bytes=100 * MIB),
    ],
    ids=["before", "at once", "within", "at its end"],
)
def test_an_upload_that_is_reset_is_not_carried_out(
    fault: faults.Fault, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with standing(fault) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("s3").put_object(Bucket="b", Key="k", Body=LARGE)
        assert not stand.objects
        stand.rules.clear()
        stand.client("s3").put_object(Bucket="b", Key="k", Body=b"fine")
        assert stand.objects == {"/b/k": b"fine"}
    assert "Traceback" not in capfd.readouterr().err + caplog.text


def test_botocore_uploads_again_from_the_beginning() -> None:
    fault = faults.ResetConnection(service="s3", moment="upload", after_bytes=MIB, times=1)
    with standing(fault) as stand:
        stand.client("s3", retries=1).put_object(Bucket="b", Key="k", Body=io.BytesIO(LARGE))
        assert stand.objects == {"/b/k": LARGE}
        assert stand.rules.list()[0].struck == 1


def test_a_small_upload_that_the_door_has_read_is_reset_too() -> None:
    with standing(faults.ResetConnection(service="batch", moment="upload", after_bytes=10)) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("batch").submit_job(jobName="a", jobQueue="q", jobDefinition="d")
        assert not stand.submitted


def test_a_request_whose_answer_is_lost_is_carried_out_twice() -> None:
    fault = faults.ResetConnection(service="batch", operation="SubmitJob", moment="answer", times=1)
    with standing(fault) as stand:
        reply = stand.client("batch", retries=1).submit_job(jobName="a", jobQueue="q", jobDefinition="d")
        assert reply["jobId"] == "2"
        assert len(stand.submitted) == 2


def test_a_body_that_is_reset_comes_up_to_there() -> None:
    fault = faults.ResetConnection(service="s3", moment="answer", after_bytes=1000)
    with standing(fault) as stand:
        stand.objects["/b/k"] = LARGE
        body = stand.client("s3").get_object(Bucket="b", Key="k")["Body"]
        assert body.read(1000) == LARGE[:1000]
        with pytest.raises(botocore.exceptions.ResponseStreamingError, match="reset"):
            body.read()


def test_a_body_that_is_truncated_is_an_incomplete_read() -> None:
    with standing(faults.TruncateAnswer(service="s3", after_bytes=1000)) as stand:
        stand.objects["/b/k"] = LARGE
        reply = stand.client("s3").get_object(Bucket="b", Key="k")
        assert reply["ContentLength"] == len(LARGE)
        with pytest.raises(botocore.exceptions.BotoCoreError, match="1000 bytes read"):
            reply["Body"].read()


def test_an_answer_that_is_truncated_before_its_body_has_its_head() -> None:
    with standing(faults.TruncateAnswer(service="s3")) as stand:
        stand.objects["/b/k"] = LARGE
        reply = stand.client("s3").get_object(Bucket="b", Key="k")
        with pytest.raises(botocore.exceptions.BotoCoreError, match="0 bytes read"):
            reply["Body"].read()


def test_an_answer_in_chunks_is_not_ended_when_it_is_truncated() -> None:
    with standing(faults.TruncateAnswer(service="s3", after_bytes=1000)) as stand:
        stand.objects["/b/k"] = LARGE
        stand.sends_length = False
        connection = http.client.HTTPConnection(*stand.address)
        connection.request("GET", "/b/k")
        with pytest.raises(http.client.IncompleteRead):
            connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [([b"abc", b"def", b"ghi"], b"abcd"), ([b"abc"], b"abc"), ([], b"")],
)
def test_an_answer_in_parts_is_cut_within_one_and_the_rest_is_made(
    parts: list[bytes], expected: bytes
) -> None:
    made, (ours, theirs) = [], socket.socketpair()

    def app(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        for part in parts:
            made.append(part)
            yield part

    with ours, theirs:
        environ = {"wsgi.input": io.BytesIO(), "werkzeug.socket": ours}
        fault = faults.WireFault(ending=faults.TruncateAnswer(service="s3", after_bytes=4))
        sent = list(apply(fault, request_of("GET"), environ, print, app))
        assert theirs.recv(1) == b""
    assert (b"".join(sent), made) == (expected, parts)
    assert sent


@pytest.mark.parametrize("kind", [faults.TruncateAnswer, faults.ResetConnection])
def test_a_download_gets_over_a_broken_body(kind: Any) -> None:
    moment = {"moment": "answer"} if kind is faults.ResetConnection else {}
    fault = kind(service="s3", operation="GetObject", after_bytes=1000, times=2, **moment)
    with standing(fault) as stand:
        stand.objects["/b/k"] = LARGE
        got = io.BytesIO()
        stand.client("s3").download_fileobj("b", "k", got)
        assert got.getvalue() == LARGE
        assert stand.rules.list()[0].struck == 2


def test_another_server_cannot_reset() -> None:
    fault = faults.WireFault(ending=faults.ResetConnection(service="s3"))
    with pytest.raises(RuntimeError, match="only under werkzeug's server"):
        list(apply(fault, request_of("GET"), {"wsgi.input": io.BytesIO()}, print, lambda *_: []))


def test_a_slow_connection_delays_and_paces_both_ways() -> None:
    fault = faults.SlowConnection(service="s3", delay_s=7, bytes_per_s=MIB)
    with standing(fault) as stand:
        client = stand.client("s3")
        client.put_object(Bucket="b", Key="k", Body=LARGE)
        assert stand.objects == {"/b/k": LARGE}
        assert stand.slept.pop(0) == 7
        assert sum(stand.slept) == pytest.approx(len(LARGE) / MIB)
        assert max(stand.slept) < 0.1
        stand.slept.clear()
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == LARGE
        assert stand.slept.pop(0) == 7
        assert sum(stand.slept) == pytest.approx(len(LARGE) / MIB)
        assert max(stand.slept) < 0.1


def test_a_slow_connection_can_be_reset_too() -> None:
    slow = faults.SlowConnection(service="s3", bytes_per_s=MIB)
    reset = faults.ResetConnection(service="s3", moment="upload", after_bytes=2 * MIB)
    with standing(slow, reset) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("s3").put_object(Bucket="b", Key="k", Body=LARGE)
        assert sum(stand.slept) == pytest.approx(2)


def test_a_client_with_little_patience_times_out() -> None:
    with standing(faults.SlowConnection(service="s3", delay_s=0.5)) as stand:
        stand.is_real_time = True
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            stand.client("s3", read_timeout=0.1).get_object(Bucket="b", Key="k")


def test_a_part_without_bytes_is_passed_on_by_a_slow_connection() -> None:
    """It has the server send the answer's head."""
    slept: list[float] = []
    assert list(Pace(1, slept.append).send([b"", b"ab"])) == [b"", b"a", b"b"]
    assert slept == [1, 1]


def test_a_slow_upload_reads_as_the_body_does() -> None:
    slept: list[float] = []

    def upload() -> SlowUpload:
        return SlowUpload(io.BytesIO(b"one\ntwo\nthree"), Pace(100, slept.append))

    assert upload().read() == b"one\ntwo\nthree"
    assert sum(slept) == pytest.approx(0.13)
    assert upload().read(11) == b"one\ntwo\nthr"
    assert list(upload()) == [b"one\n", b"two\n", b"three"]
    assert upload().read(100) == b"one\ntwo\nthree"
