"""A worker that asks its supervisor for the store: it starts sooner, and needs no client of S3's."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import quote

from cloudknot.runner.frames import Frames
from cloudknot.runner.processes import WorkerProcess, WorkerSpec
from cloudknot.runner.relayed import SCHEME, Access, answer
from cloudknot.runner.stores import Store

_READ_BYTES = 1 << 20


class ServedWorker(WorkerProcess):
    """A worker process beside the supervisor that serves it. What is large it reads and writes itself.

    Parameters
    ----------
    spec : WorkerSpec
        What it is started with.
    store : Store
        Where the run is.
    access : Access
        What it may ask for.
    """

    def __init__(self, spec: WorkerSpec, store: Store, access: Access) -> None:
        self._store = store
        self._access = access
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._store_uri = f"{SCHEME}://{theirs.fileno()}?far={quote(store.uri, safe='')}"
            super().__init__(spec, lent=(theirs.fileno(),))
        threading.Thread(target=self._serve, name="cloudknot-store", daemon=True).start()

    def order(self, number: int, store: str, run: str, first: int, last: int) -> None:
        """Ask for a chunk; the store is the one that is served."""
        super().order(number, self._store_uri, run, first, last)

    def close(self) -> None:
        """Kill it and give its files back."""
        super().close()
        with contextlib.suppress(OSError):  # it may never have been connected
            self._socket.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        frames = Frames()
        with self._socket, contextlib.suppress(OSError):  # the worker may be killed as it asks
            while data := self._socket.recv(_READ_BYTES):
                for _, request in frames.feed(data):
                    self._socket.sendall(answer(self._store, self._access, request))
