"""What items write on AWS Batch, read from CloudWatch while they write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError
from cloudknot.runner.streams import ItemStream

_MISSING = "ResourceNotFoundException"


class ItemLog:
    """An item's output, read again and again while it grows: what was read once is not asked for again.

    Parameters
    ----------
    aws : Aws
        Access to the region of the job.
    group, stream : str
        Where the job's log is.
    index : int
        The item's index in the user's map.
    """

    def __init__(self, aws: Aws, group: str, stream: str, index: int) -> None:
        self._aws = aws
        self._place = {"logGroupName": group, "logStreamName": stream}
        self._token: str | None = None
        self._found = ItemStream(index)

    def read(self) -> bytes:
        """Return what the item has written so far; empty where its job has written nothing.

        Raises
        ------
        AwsError
            CloudWatch refused or could not be reached. What it told before is kept for the next time.
        """
        for lines in self._new_pages():
            self._found.feed(lines)
        return self._found.log

    def _new_pages(self) -> Iterator[list[str]]:
        # A page may be empty though more follow: the end is where the token stays the same.
        while True:
            page = self._page()
            if page is None:
                return
            yield [str(event["message"]) for event in page.get("events", ())]
            token, self._token = self._token, page["nextForwardToken"]
            if token == self._token:
                return

    def _page(self) -> Any:
        request: dict[str, Any] = {**self._place, "startFromHead": True}
        if self._token is not None:
            request["nextToken"] = self._token
        try:
            return self._aws.call("logs", "get_log_events", **request)
        except AwsError as error:
            if error.code == _MISSING:  # a job that has written nothing has no stream yet
                return None
            raise
