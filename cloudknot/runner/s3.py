"""Objects in an S3 bucket: what goes wrong on the way is tried again here, or told in one way."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, TypeVar

# AWS's standard mode: throttling and passing faults are tried again, with waits that grow.
_ATTEMPTS = 8
_CONNECTIONS = 64
_CONNECT_S = 10.0
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
# The most that one DeleteObjects takes.
_DELETED_AT_ONCE = 1000
# Tells a writer's own object from another's.
_WRITER = "cloudknot-writer"
_CONFLICT, _EXISTS = 409, 412

T = TypeVar("T")


class S3Error(OSError):
    """S3 refused, or could not be reached for long."""


class S3Store:
    """A store in an S3 bucket; safe from any thread.

    Parameters
    ----------
    bucket : str
        The bucket.
    prefix : str
        What all keys start with; may be empty.
    client : boto3 S3 client, optional
        Made from the environment when not given.
    sleep : callable
        Waits so many seconds before something is tried again.

    Raises
    ------
    S3Error
        By every method: S3 refused, or could not be reached for long.
    """

    parallel = 32

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._made_client = client
        self._making = threading.Lock()
        self._sleep = sleep
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Put, with ``If-None-Match: *`` where only the first may."""
        if not if_absent:
            self._ask("put_object", key, Body=data)
            return True
        writer = os.urandom(12).hex()
        condition = {"IfNoneMatch": "*", "Metadata": {_WRITER: writer}}
        was_tried_before = False
        for attempt in itertools.count(1):
            try:
                self._call("put_object", Key=self._prefix + key, Body=data, **condition)
            except self._refusal as error:
                fields = error.response.get("ResponseMetadata", {})
                status = fields.get("HTTPStatusCode")
                if status == _EXISTS:
                    # Where the answer to an earlier try was lost, the object may be this writer's own.
                    return (was_tried_before or fields.get("RetryAttempts", 0) > 0) and self._is_by(
                        key, writer
                    )
                if status != _CONFLICT or attempt == _ATTEMPTS:
                    raise self._explain(error, "put_object", key) from error
                was_tried_before = True  # another writer is just making it, or removing it
            except self._unreachable as error:
                raise self._explain(error, "put_object", key) from error
            else:
                return True
            self._pause(attempt)
        raise AssertionError("it counts for ever")

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Get the range; an answer that ends early is asked for again."""
        if stop is not None and stop <= start:
            return b""
        byte_range = {}
        if start or stop is not None:
            byte_range["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"

        def read() -> bytes:
            reply = self._ask("get_object", key, **byte_range)
            data: bytes = reply["Body"].read()  # botocore compares it with Content-Length
            return data

        return self._try_again(read, "get_object", key)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """List page by page; S3 sorts the keys."""
        place = {"StartAfter": self._prefix + after} if after else {}
        while True:
            try:
                page = self._page(prefix, place)
            except KeyError:
                return
            for entry in page.get("Contents", ()):
                yield entry["Key"][len(self._prefix) :]
            if not page["IsTruncated"]:
                return
            place = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, prefix: str) -> None:
        """Delete in the largest requests that S3 takes."""
        keys = [{"Key": self._prefix + key} for key in self.list(prefix)]
        for first in range(0, len(keys), _DELETED_AT_ONCE):
            wanted = {"Objects": keys[first : first + _DELETED_AT_ONCE], "Quiet": True}
            for attempt in itertools.count(1):
                left = self._ask("delete_objects", prefix, Delete=wanted).get("Errors", ())
                if not left:
                    break
                if attempt == _ATTEMPTS or any(error.get("Code") not in _PASSING for error in left):
                    worst = left[0]
                    raise S3Error(
                        f"{len(left)} objects below {self.uri}/{prefix} could not be removed, the first "
                        f"{worst.get('Key')}: {worst.get('Message')} ({worst.get('Code')})"
                    )
                wanted = {"Objects": [{"Key": error["Key"]} for error in left], "Quiet": True}
                self._pause(attempt)

    def _page(self, prefix: str, place: dict[str, str]) -> Any:
        def read() -> Any:
            page = self._ask("list_objects_v2", prefix, Prefix=self._prefix + prefix, **place)
            if "IsTruncated" not in page:  # S3 always says; an empty answer must not be an empty listing
                raise EOFError("the listing ended early")
            return page

        return self._try_again(read, "list_objects_v2", prefix)

    def _is_by(self, key: str, writer: str) -> bool:
        try:
            reply = self._ask("head_object", key)
        except KeyError:  # removed since
            return False
        return bool(reply.get("Metadata", {}).get(_WRITER) == writer)

    def _try_again(self, ask: Callable[[], T], operation: str, key: str) -> T:
        """Return what is answered, where the answer may end early: botocore does not look that far."""
        for attempt in itertools.count(1):
            try:
                return ask()
            except self._unreachable as error:
                if attempt == _ATTEMPTS:
                    raise self._explain(error, operation, key) from error
            self._pause(attempt)
        raise AssertionError("it counts for ever")

    def _pause(self, attempt: int) -> None:
        self._sleep(min(_FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S))

    def _ask(self, operation: str, key: str, **parameters: Any) -> Any:
        if operation in ("put_object", "get_object", "head_object"):
            parameters["Key"] = self._prefix + key
        try:
            return self._call(operation, **parameters)
        except self._refusal as error:
            code = error.response.get("Error", {}).get("Code")
            if code in ("NoSuchKey", "404") or (code == "NoSuchBucket" and operation != "put_object"):
                raise KeyError(key) from error  # a bucket that is gone holds nothing
            if code == "InvalidRange":  # it begins behind the end
                return {"Body": BytesIO()}
            raise self._explain(error, operation, key) from error
        except self._unreachable as error:
            raise self._explain(error, operation, key) from error

    def _call(self, operation: str, **parameters: Any) -> Any:
        return getattr(self._client, operation)(Bucket=self._bucket, **parameters)

    def _explain(self, error: Exception, operation: str, key: str) -> S3Error:
        return S3Error(f"{self.uri}/{key}: {operation}: {error}")

    @property
    def _refusal(self) -> Any:
        """Return the exception of an answer that refuses."""
        return self._client.exceptions.ClientError

    @property
    def _unreachable(self) -> tuple[type[Exception], ...]:
        """Return the exceptions that come where there was no answer, or only a part of one."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # a runner without boto3 serves files only

        return BotoCoreError, EOFError

    @property
    def _client(self) -> Any:
        with self._making:
            if self._made_client is None:
                self._made_client = _make_client()
        return self._made_client


# What DeleteObjects says of a single object where it will do later.
_PASSING = frozenset({"InternalError", "SlowDown", "ServiceUnavailable"})


def _make_client() -> Any:
    import boto3  # noqa: PLC0415  # as above
    from botocore.config import Config  # noqa: PLC0415

    # boto3 reads AWS_DEFAULT_REGION only, and Fargate sets AWS_REGION only. Without both S3 itself says where
    # a bucket is, at the cost of a request.
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        connect_timeout=_CONNECT_S,
    )
    return boto3.Session(region_name=region).client("s3", config=config)
