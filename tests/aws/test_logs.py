"""What CloudWatch has of an item, as it is read and followed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.aws.logs import ItemLog
from cloudknot.aws.session import Aws
from cloudknot.cli.logs import follow_log, unseen
from cloudknot.errors import AwsError
from cloudknot.runner.streams import encode, header, words
from cloudknot.testing import Box
from cloudknot.testing.faults import Throttle

pytestmark = pytest.mark.aws_box(executor="process")

GROUP = "/aws/batch/job"
STREAM = "definition/default/1234"


@pytest.fixture
def logs(aws_box: Box) -> Any:
    client = aws_box.client("logs")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    return client


def write(logs: Any, data: bytes, *, at_ms: int) -> None:
    """Write as a job does whose lines docker sends: none is empty."""
    lines = [line for line in data.decode().split("\n") if line]
    for first in range(0, len(lines), 1000):
        events = [{"timestamp": at_ms, "message": line} for line in lines[first : first + 1000]]
        logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


@pytest.fixture
def at_ms(aws_box: Box) -> int:
    return int(aws_box.now() * 1000) - 60_000


def test_an_item_s_part_is_read_over_many_pages(logs: Any, at_ms: int) -> None:
    text = "".join(f"line {number} \\ \n\n" for number in range(6000)).encode()
    write(logs, words("hello") + header(3) + encode(b"3\n") + header(4) + encode(text), at_ms=at_ms)
    write(logs, header(5) + encode(b"5"), at_ms=at_ms + 1)
    assert ItemLog(Aws(), GROUP, STREAM, 4).read() == text
    assert [ItemLog(Aws(), GROUP, STREAM, index).read() for index in (2, 3, 5)] == [b"", b"3\n", b"5"]


def test_what_was_read_is_not_asked_for_again(aws_box: Box, logs: Any, at_ms: int) -> None:
    write(logs, header(0) + encode(b"line\n" * 25_000), at_ms=at_ms)
    log = ItemLog(Aws(), GROUP, STREAM, 0)
    assert len(log.read()) == 5 * 25_000
    write(logs, encode(b"more\n"), at_ms=at_ms + 1)
    before = aws_box.calls()[-1].number
    assert log.read().endswith(b"line\nmore\n")
    assert len(aws_box.calls(after=before)) <= 3


def test_a_job_that_has_written_nothing_has_an_empty_log(aws_box: Box) -> None:
    assert ItemLog(Aws(), GROUP, "definition/default/none", 0).read() == b""
    assert ItemLog(Aws(), GROUP, STREAM, 0).read() == b""


def test_a_refusal_is_told(aws_box: Box, logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = aws_box.user("ada").get_credentials()
    assert ada is not None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ada.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ada.secret_key)
    with pytest.raises(AwsError, match="logs:GetLogEvents") as caught:
        ItemLog(Aws(), GROUP, STREAM, 0).read()
    assert isinstance(caught.value.__cause__, ClientError)


def test_throttling_passes(aws_box: Box, logs: Any, at_ms: int) -> None:
    write(logs, header(0) + encode(b"a\n"), at_ms=at_ms)
    aws_box.add_fault(Throttle(service="logs", times=3))
    assert ItemLog(Aws(), GROUP, STREAM, 0).read() == b"a\n"


class Log:
    """A log that grows from look to look."""

    def __init__(self, *looks: bytes | AwsError) -> None:
        self._looks = list(looks)

    def read(self) -> bytes:
        look = self._looks.pop(0)
        if isinstance(look, AwsError):
            raise look
        return look

    def has_ended(self) -> bool:
        return not self._looks

    def follow(self) -> list[bytes]:
        shown: list[bytes] = []
        follow_log(self.read, has_ended=self.has_ended, show=shown.append, sleep=lambda seconds: None)
        return [part for part in shown if part]


def test_following_shows_what_is_new() -> None:
    throttle = AwsError("slowly", is_throttle=True)
    assert Log(b"", b"a\n", throttle, b"a\nb\n", b"a\nb\n", b"").follow() == [b"a\n", b"b\n"]
    with pytest.raises(AwsError, match="no"):
        Log(b"a", AwsError("no"), b"ab").follow()


def test_following_another_try_goes_on_where_it_differs() -> None:
    assert Log(b"epoch 1\nepoch 2\n", b"epoch 1\n", b"epoch 1\nepoch 3\n").follow() == [
        b"epoch 1\nepoch 2\n",
        b"3\n",
    ]


def test_following_an_output_whose_middle_is_left_out_repeats_nothing() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(3000))
    end = lines + b"later\n"
    cut = end[:5000] + b"\n[cloudknot: 9 bytes are left out here]\n" + end[-15_000:]
    assert unseen(lines, cut) == b"later\n"
