"""Bytes on the disk, under the digest that they have."""

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloudknot.testing.registry.names import check_digest

__all__ = ["PIECE_BYTES", "Blobs", "Pieces"]

PIECE_BYTES = 1024 * 1024
"""So much of a layer is in memory at a time."""


class Blobs:
    """Finished blobs in a folder; what is there is whole.

    Parameters
    ----------
    folder : Path
        Theirs alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be."""
        name = check_digest(digest).partition(":")[2]
        return self._folder / name[:2] / name

    def size(self, digest: str) -> int | None:
        """Return a blob's length in bytes, or None when it is not there."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def place(self, file: Path, digest: str) -> None:
        """Move a finished file to its place; whoever came first with the same bytes has done the same."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)

    def write(self, content: bytes, digest: str) -> None:
        """Write a blob that is in memory."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{uuid.uuid4()}")
        draft.write_bytes(content)
        draft.replace(path)

    def delete(self, digests: Iterable[str]) -> None:
        """Delete blobs, where they are there; who reads one still reads it to its end."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all."""
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class Pieces(Iterator[bytes]):
    """A part of a file, a piece at a time; the file is opened at once, so that it may be deleted meanwhile.

    Parameters
    ----------
    path : Path
        The file.
    start, length : int
        The part, in bytes.
    """

    def __init__(self, path: Path, start: int, length: int) -> None:
        self._file = path.open("rb")
        self._file.seek(start)
        self._left = length

    def __next__(self) -> bytes:
        piece = self._file.read(min(self._left, PIECE_BYTES))
        if not piece:
            self.close()
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file; a server does so when the client has gone."""
        self._file.close()
