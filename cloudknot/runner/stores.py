"""Where a run's objects live: a folder on this machine, or an S3 bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from cloudknot.runner.s3 import S3Store

__all__ = ["FileStore", "S3Store", "Store", "open_store", "write_all"]


class Store(Protocol):
    """Objects by key. A put is atomic: a reader sees all of an object or none of it.

    Attributes
    ----------
    uri : str
        What ``open_store`` opens it by.
    parallel : int
        Requests side by side that it gains from.
    """

    uri: str
    parallel: int

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; with ``if_absent`` only the first of many writers gets True."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object's bytes from start to stop; KeyError where there is none."""

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys that start with prefix and come behind ``after``, in order."""

    def delete(self, prefix: str) -> None:
        """Remove every object whose key starts with prefix."""


class FileStore:
    """A store in a folder.

    Parameters
    ----------
    root : path
        The folder. It is made, readable by its owner only, at the first write.
    """

    parallel = 1

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

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Walk the folder that the prefix names."""
        folder = self._root / prefix[: prefix.rfind("/") + 1]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for key in sorted(self._walk(folder)):
                if key.startswith(prefix) and key > after:
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

        [far] = parse_qs(parts.query).get("far", [""])
        return RelayedStore(int(parts.netloc), partial(open_store, far) if far else None)
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
