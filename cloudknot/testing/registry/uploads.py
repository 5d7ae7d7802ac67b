"""Blobs on their way in: written to a draft and hashed meanwhile."""

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cloudknot.testing.registry.blobs import PIECE_BYTES
from cloudknot.testing.registry.errors import RegistryError

__all__ = ["Upload", "Uploads"]

_FORGOTTEN_S = 24 * 3600.0  # not confirmed: for how long ECR keeps an upload that nobody goes on with


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""


class Upload:
    """One blob on its way in.

    Parameters
    ----------
    id : str
        Its name in the upload's address.
    repository : str
        Where it shall go.
    path : Path
        Its draft.
    """

    def __init__(self, *, id: str, owner: str, repository: str, path: Path) -> None:
        self.id = id
        self.owner = owner
        self.repository = repository
        self.path = path
        self.size_bytes = 0
        self.lock = threading.Lock()
        """Held by who writes to it or ends it."""
        self._hash = hashlib.sha256()
        path.touch()

    @property
    def digest(self) -> str:
        """The digest of what has come so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, stream: Stream) -> None:
        """Append all that a stream has; what came before it broke stays, and can be gone on from.

        Raises
        ------
        RegistryError
            When the draft is gone: it was ended meanwhile.
        """
        if not self.path.exists():
            raise upload_unknown(self.id)
        with self.path.open("ab") as file:
            while piece := stream.read(PIECE_BYTES):
                file.write(piece)
                self._hash.update(piece)
                self.size_bytes += len(piece)

    def discard(self) -> None:
        """Delete the draft, where it is still there."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


class Uploads:
    """All blobs on their way in; none outlives the process.

    Parameters
    ----------
    folder : Path
        Theirs alone; drafts of a process that was killed are deleted.
    read_time : callable, default time.monotonic
        The clock, in seconds.
    """

    def __init__(self, folder: Path, *, read_time: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        self._folder = folder
        self._read_time = read_time
        self._lock = threading.Lock()
        self._all: dict[str, tuple[float, Upload]] = {}

    def begin(self, owner: str, repository: str) -> Upload:
        """Return a new upload.

        Parameters
        ----------
        owner : str
            The registry's id.
        repository : str
            Where it shall go.
        """
        name = str(uuid.uuid4())
        upload = Upload(id=name, owner=owner, repository=repository, path=self._folder / name)
        now = self._read_time()
        with self._lock:
            forgotten = [each for begun, each in self._all.values() if now - begun > _FORGOTTEN_S]
            self._all[name] = (now, upload)
        for each in forgotten:
            self.end(each)
        return upload

    def find(self, name: str, owner: str, repository: str) -> Upload:
        """Return an upload of this repository.

        Raises
        ------
        RegistryError
            When there is none of this name.
        """
        with self._lock:
            _, upload = self._all.get(name, (0.0, None))
        if upload is None or (upload.owner, upload.repository) != (owner, repository):
            raise upload_unknown(name)
        return upload

    def end(self, upload: Upload) -> None:
        """Forget an upload; its draft is deleted unless it has become a blob."""
        with self._lock:
            self._all.pop(upload.id, None)
        upload.discard()


def upload_unknown(name: str) -> RegistryError:
    """Return the answer to who asks for an upload that there is not."""
    return RegistryError(
        "BLOB_UPLOAD_UNKNOWN",
        f"Upload with id '{name}' could not be found",
        404,
        ecr_code="UploadNotFoundException",
    )
