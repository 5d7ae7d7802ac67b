"""A worker in a container, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cloudknot.docker_engine.containers import Container, ContainerSpec
from cloudknot.runner.frames import Frames, Kind, frame, join_line, pieces, split_line
from cloudknot.runner.orders import read_orders
from cloudknot.runner.processes import Exit
from cloudknot.runner.relayed import Access, answer
from cloudknot.runner.stores import Store

# The relay answers at once; one that has not after this is taken to be stuck.
_PATIENCE_S = 10.0
# No frame of a relay's is larger: it cuts what is long, and the longest log is 4 MiB.
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class ContainedSpec:
    """What a worker in a container is started with; equal specs can share one.

    Parameters
    ----------
    container : ContainerSpec
        The container.
    bundle : str
        The key of the archive with the person's own modules; empty where there are none.
    cwd : str
        Its working directory; empty: the image's own.
    env_vars : dict
        Environment variables on top of the image's own.
    threads : int
        Threads that numerical libraries should use.
    """

    container: ContainerSpec
    bundle: str
    cwd: str
    env_vars: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1


class ContainerBerth:
    """Starts workers in a container that stays for as long as the next one can use it.

    Parameters
    ----------
    open_container : callable
        Starts a container.
    store : Store
        Where the runs are.
    """

    def __init__(self, open_container: Callable[[ContainerSpec], Container], store: Store) -> None:
        self._open_container = open_container
        self._store = store
        self._spec: ContainerSpec | None = None
        self._link: _Link | None = None

    def start(self, spec: ContainedSpec) -> ContainedWorker:
        """Start a worker, in the same container if that will do."""
        if self._link is None or self._link.has_ended or self._spec != spec.container:
            self.close(waits=False)
            self._link = _Link(self._open_container(spec.container), self._store)
            self._spec = spec.container
        return ContainedWorker(self._link, spec)

    def close(self, *, waits: bool) -> None:
        """End the container; where it ``waits``, return when it is removed."""
        link, self._link = self._link, None
        if link is not None and waits:
            link.container.remove()
        elif link is not None:
            link.container.hang_up()


class _Link:
    """The stream to one container's relay, and the thread that reads it."""

    def __init__(self, container: Container, store: Store) -> None:
        self.container = container
        self.store = store
        self.worker: ContainedWorker | None = None
        self.access = Access((), "")
        self.has_ended = False
        self.logs: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        threading.Thread(target=self._read, name="cloudknot-container", daemon=True).start()

    def send(self, data: bytes) -> None:
        """Send frames; safe from any thread."""
        with self._sending:
            self.container.send(data)

    def _read(self) -> None:
        where = ""
        try:
            self._pass_on()
        except Exception as error:  # an item may write to the stream; the container is of no use any more
            where = f"its container sent what cannot be read ({type(error).__name__}: {error})"
        self.has_ended = True
        if where:
            self.container.remove()
        worker = self.worker
        if worker is not None and not worker.is_told:
            worker.end(Exit(1, where=where or self.container.describe_end()), b"")

    def _pass_on(self) -> None:
        frames, requests = Frames(most_bytes=_MOST_BYTES), Frames()
        while data := self.container.receive():
            for kind, payload in frames.feed(data):
                if kind is Kind.REQUEST:
                    for _, request in requests.feed(payload):
                        for piece in pieces(Kind.REPLY, answer(self.store, self.access, request)):
                            self.send(piece)
                elif kind is Kind.LOG:
                    self.logs.put(split_line(payload))
                elif kind is Kind.ENVELOPES and self.worker is not None:
                    self.worker.deliver(payload)
                elif kind is Kind.EXIT and self.worker is not None:
                    requests = Frames()  # what it had half asked will not be finished
                    line, log = split_line(payload)
                    self.worker.end(Exit(*json.loads(line)), log)


class ContainedWorker:
    """Starts a worker in a container, gives it chunks and reads its envelopes."""

    def __init__(self, link: _Link, spec: ContainedSpec) -> None:
        self._link = link
        self._came: deque[bytes] = deque()
        self._exit: Exit | None = None
        self._log = b""
        self._ended = threading.Event()
        self._asking_for_log = threading.Lock()
        self._n_asked = 0
        self._waking = threading.Lock()
        self._is_closed = False
        self._access: dict[str, Access] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        link.worker = self
        wanted = {
            "bundle": spec.bundle,
            "cwd": spec.cwd,
            "env_vars": dict(spec.env_vars),
            "threads": spec.threads,
        }
        archive = link.store.get(spec.bundle) if spec.bundle else b""
        link.send(frame(Kind.START, join_line(json.dumps(wanted).encode(), archive)))
        if link.has_ended:  # since it was looked at: nobody else would tell
            self.end(Exit(1, where="its container ended"), b"")

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when envelopes have come."""
        return self._wake_read

    def order(self, number: int, store: str, run: str, first: int, last: int) -> None:
        """Ask for a chunk."""
        if run not in self._access:
            self._access[run] = Access.of(run, read_orders(self._link.store, run).inputs_run)
        self._link.access = self._access[run]
        self._link.container.expect()
        # The store's name only tells stores apart; the relay puts itself in its place.
        self._order({"number": number, "store": store, "run": run, "first": first, "last": last})

    def stop(self, number: int) -> None:
        """Ask to end a chunk after its present item."""
        self._order({"stop": number})

    def read(self) -> bytes | None:
        """Return what has come; None when nothing has, empty when nothing will."""
        has_ended = self._ended.is_set()  # before the last look, so that nothing it said is missed
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        came = []
        while self._came:
            came.append(self._came.popleft())
        return b"".join(came) if came or has_ended else None

    def has_ended(self) -> bool:
        """Return whether the process is no more."""
        return self._ended.is_set() or self._link.has_ended

    @property
    def is_told(self) -> bool:
        """Return whether it is known how it ended."""
        return self._ended.is_set()

    def read_log(self) -> bytes:
        """Return what the present item has written so far."""
        with self._asking_for_log:
            if not self._ended.is_set():
                self._n_asked += 1
                number = str(self._n_asked).encode()
                self._link.send(frame(Kind.LOG, number))
                with contextlib.suppress(queue.Empty):
                    while True:
                        answered, log = self._link.logs.get(timeout=_PATIENCE_S)
                        if answered == number:  # another one came too late for its asker
                            return log
        return self._log

    def kill(self) -> Exit:
        """Kill it with all that it started; say how it came to its end."""
        if not self._ended.is_set():
            self._link.send(frame(Kind.KILL))
            if not self._ended.wait(_PATIENCE_S):
                self._link.has_ended = True  # no other worker is started there
                self._link.container.remove()
                self.end(Exit(1, where="its container did not answer and was removed"), b"")
        return self._exit or Exit(1)

    def close(self) -> None:
        """Kill it and give back what it holds here."""
        self.kill()
        self._link.worker = None
        with self._waking:  # the stream's thread must not write to what may be another file by then
            if not self._is_closed:
                self._is_closed = True
                os.close(self._wake_read)
                os.close(self._wake_write)

    def deliver(self, data: bytes) -> None:
        """Take in envelopes; called by the stream's own thread."""
        self._came.append(data)
        self._wake()

    def end(self, end: Exit, log: bytes) -> None:
        """Take note of how it ended; called by the stream's own thread."""
        self._exit, self._log = end, log
        self._ended.set()
        self._wake()

    def _order(self, order: dict[str, int | str]) -> None:
        self._link.send(frame(Kind.ORDER, json.dumps(order).encode()))

    def _wake(self) -> None:
        with self._waking, contextlib.suppress(BlockingIOError):  # full: it is readable already
            if not self._is_closed:
                os.write(self._wake_write, b"!")
