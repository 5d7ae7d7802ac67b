"""Publishing to an S3 bucket that is a website; what else lies there is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from examples.tractometry.page.errors import PageError
from examples.tractometry.page.folder import MARKER, list_files

# Python's own table differs between machines.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".cff": "text/yaml; charset=utf-8",
    ".gz": "application/gzip",
}
_WORDS = "text/plain; charset=utf-8"
_AT_ONCE = 1000  # keys that one request may delete


@dataclass(frozen=True, kw_only=True)
class S3Target:
    """A bucket, or a folder in it.

    Parameters
    ----------
    bucket : str
        Its name.
    prefix : str
        The folder, without slashes around it; may be empty.
    connect : callable, optional
        Returns boto3's client of S3.
    """

    bucket: str
    prefix: str = ""
    connect: Callable[[], Any] = field(default=lambda: boto3.client("s3"))

    def check(self) -> None:
        """Check that nothing is there, or a page that this has made.

        Raises
        ------
        PageError
            The bucket cannot be read, or holds something else here.
        """
        self._files_there(self.connect())

    def push(self, folder: Path, *, message: str) -> str:
        """Send a folder, its first page last, and remove what an earlier page had and this has not.

        Raises
        ------
        PageError
            The bucket refuses, or holds something else here.
        """
        client = self.connect()
        before = self._files_there(client)
        files = list_files(folder)
        for name in sorted(files, key=lambda name: (name == "index.html", name)):
            self._ask(client.put_object, **self._request(folder, name))
        stale = sorted(before - set(files))
        for start in range(0, len(stale), _AT_ONCE):
            keys = [{"Key": self._key(name)} for name in stale[start : start + _AT_ONCE]]
            self._ask(client.delete_objects, Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
        region = client.meta.region_name
        return (
            f"{len(files)} files are in s3://{self.bucket}/{self.prefix} ({message}). Where the bucket is "
            f"set up as a website, the page is at {self._address(region)}"
        )

    def _files_there(self, client: Any) -> set[str]:
        """Return the files of an earlier page; there may be none."""
        start = f"{self.prefix}/" if self.prefix else ""
        listed = self._ask(client.list_objects_v2, Bucket=self.bucket, Prefix=start, MaxKeys=1)
        if not listed.get("KeyCount"):
            return set()
        try:
            marker = client.get_object(Bucket=self.bucket, Key=self._key(MARKER))
            return set(json.loads(marker["Body"].read())["files"])
        except client.exceptions.NoSuchKey as error:
            first = listed["Contents"][0]["Key"]
            raise PageError(
                f"s3://{self.bucket}/{start} holds {first}, which this has not made, and is left as it is. "
                "Publish to another prefix."
            ) from error
        except (BotoCoreError, ClientError) as error:
            raise PageError(f"S3 refused to read s3://{self.bucket}/{self._key(MARKER)}: {error}") from error

    def _request(self, folder: Path, name: str) -> dict[str, Any]:
        suffix = Path(name).suffix
        # A page that is published again must not be half the one of yesterday; its library stays the same.
        age = "public, max-age=86400" if name.startswith("lib/") else "no-cache"
        return {
            "Bucket": self.bucket,
            "Key": self._key(name),
            "Body": (folder / name).read_bytes(),
            "ContentType": CONTENT_TYPES.get(suffix, _WORDS),
            "CacheControl": age,
        }

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _address(self, region: str) -> str:
        return f"http://{self.bucket}.s3-website-{region}.amazonaws.com/{self._key('')}"

    def _ask(self, call: Callable[..., Any], **request: Any) -> Any:
        try:
            return call(**request)
        except (BotoCoreError, ClientError) as error:
            raise PageError(
                f"S3 refused for s3://{self.bucket}: {error}. The bucket must exist, and the credentials "
                "must allow listing it and reading and writing its objects."
            ) from error
