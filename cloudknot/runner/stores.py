"""Where a run's objects live: a folder on this machine, or an S3 bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit


class Store(Protocol):
    """Objects by key. A put is atomic: a reader sees all of an object or none of it."""

    uri: str

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; with ``if_absent`` only the first of many writers gets True."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object's bytes from start to stop; KeyError where there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with prefix, in order."""

    def delete(self, prefix: str) -> None:
        """Remove every object whose key starts with prefix."""


class FileStore:
    """A store in a folder.

    Parameters
    ----------
    root : path
        The folder. It is made, readable by its owner only, at the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root).absolute()
        self.uri = self._root.as_uri()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write to a temporary name, then link or rename."""
        path = self._root / key
        try:
            handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
        except FileNotFoundError:
            self._make_folder(path.parent)
            handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            try:
                write_all(handle, data)
            finally:
                os.close(handle)
            if not if_absent:
                Path(temporary).replace(path)
                return True
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read the range."""
        try:
            with (self._root / key).open("rb", buffering=0) as file:
                if start:
                    file.seek(start)
                if stop is None:
                    return file.readall()
                return _read_exactly(file.fileno(), stop - start)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyError(key) from error

    def list(self, prefix: str) -> Iterator[str]:
        """Walk the folder that the prefix names."""
        folder = self._root / prefix[: prefix.rfind("/") + 1]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for key in sorted(self._walk(folder)):
                if key.startswith(prefix):
                    yield key

    def delete(self, prefix: str) -> None:
        """Remove a folder at once where the prefix names one."""
        if prefix.endswith("/"):
            shutil.rmtree(self._root / prefix, ignore_errors=True)
            return
        for key in list(self.list(prefix)):
            (self._root / key).unlink(missing_ok=True)

    def _walk(self, folder: Path | str) -> Iterator[str]:
        skip = len(str(self._root)) + 1
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path)
                elif not entry.name.startswith("."):
                    yield entry.path[skip:]

    def _make_folder(self, folder: Path) -> None:
        # Whatever the umask: who can write here can make this user's processes run their code.
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)


class S3Store:
    """A store in an S3 bucket.

    Parameters
    ----------
    bucket : str
        The bucket.
    prefix : str
        What all keys start with; may be empty.
    client : boto3 S3 client, optional
        Made from the environment when not given.
    """

    def __init__(self, bucket: str, prefix: str = "", *, client: Any = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._made_client = client
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Put, with ``If-None-Match: *`` where only the first may."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data, **condition)
        except self._client.exceptions.ClientError as error:
            # 412: it exists; 409: another writer is just making it.
            if if_absent and _http_status(error) in (409, 412):
                return False
            raise
        return True

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Get the range."""
        if stop is not None and stop <= start:
            return b""
        byte_range = {}
        if start or stop is not None:
            byte_range["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **byte_range)
        except self._client.exceptions.NoSuchKey as error:
            raise KeyError(key) from error
        data: bytes = reply["Body"].read()
        return data

    def list(self, prefix: str) -> Iterator[str]:
        """List page by page; S3 sorts the keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                yield entry["Key"][len(self._prefix) :]

    def delete(self, prefix: str) -> None:
        """Delete in the largest requests that S3 takes."""
        keys = [{"Key": self._prefix + key} for key in self.list(prefix)]
        for first in range(0, len(keys), 1000):
            self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": keys[first : first + 1000], "Quiet": True}
            )

    @property
    def _client(self) -> Any:
        if self._made_client is None:
            import boto3  # noqa: PLC0415  # a runner without boto3 serves files only

            self._made_client = boto3.client("s3")
        return self._made_client


def open_store(uri: str) -> Store:
    """Return the store that a URI names.

    Parameters
    ----------
    uri : str
        ``file:///folder`` or ``s3://bucket/prefix``; in a container also the number of the relay's socket.

    Raises
    ------
    ValueError
        The URI is of another kind.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return FileStore(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path)
    if parts.scheme == "relayed":
        from cloudknot.runner.relayed import RelayedStore  # noqa: PLC0415  # it needs this module

        return RelayedStore(int(parts.netloc))
    raise ValueError(f"no store at {uri!r}: use file:///folder or s3://bucket/prefix")


def write_all(handle: int, data: bytes) -> None:
    """Write all of the data to a descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _read_exactly(handle: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(handle, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _http_status(error: Any) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status
