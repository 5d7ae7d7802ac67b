"""A container's first process: starts workers in it and relays between them and the other end of a stream.

It runs none of a person's code. Frames come in over standard input and go out over standard output;
when standard input ends, so does the relay, and with it the container and all that runs in it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import tempfile
import time
import zipfile
from collections.abc import Container
from io import BytesIO
from pathlib import Path

from cloudknot.runner.cgroups import expose_to_oom_kills
from cloudknot.runner.frames import Frames, Kind, frame, join_line, pieces, split_line
from cloudknot.runner.orders import worker_environment
from cloudknot.runner.processes import Exit, WorkerProcess, WorkerSpec, widen
from cloudknot.runner.relayed import SCHEME

_READ_BYTES = 1 << 20
# While more than this waits to go out, nothing more that would go there is read.
_WAITING_BYTES = 4 << 20
# A dead worker whose children still hold its pipe is noticed by looking this often.
_LOOK_MS = 500
# A worker reads a reply at once; one that has not for so long will not.
_STUCK_S = 10.0
# Items use /tmp as they like, and sweep it.
_FOLDER = "/var/tmp"


class Outlet:
    """Bytes on their way to a descriptor that takes them when it can."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.moved = time.monotonic()
        self._waiting = bytearray()
        os.set_blocking(handle, False)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: bytes) -> None:
        """Add to what waits."""
        if not self._waiting:
            self.moved = time.monotonic()
        self._waiting += data
        self.flush()

    def flush(self) -> None:
        """Write what can be written now; what nobody can read any more is dropped."""
        try:
            while self._waiting:
                with memoryview(self._waiting) as view:
                    written = os.write(self.handle, view)
                del self._waiting[:written]
                self.moved = time.monotonic()
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()


class Inmate:
    """A worker in this container, and the socket over which it asks for objects of the store."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.socket, theirs = socket.socketpair()
        self.replies = Outlet(self.socket.fileno())
        with theirs:
            self.store = f"{SCHEME}://{theirs.fileno()}"
            self.process = WorkerProcess(spec, lent=(theirs.fileno(),))
        expose_to_oom_kills(self.process.pid)

    @property
    def is_stuck(self) -> bool:
        """Return whether it has left a reply unread for long."""
        return len(self.replies) > 0 and time.monotonic() - self.replies.moved > _STUCK_S

    def read_request(self) -> bytes:
        """Return what it asks; empty where there is nothing."""
        try:
            return self.socket.recv(_READ_BYTES)
        except OSError:
            return b""

    def close(self) -> None:
        """End it. What it still asked is not heard any more."""
        self.process.close()
        self.socket.close()


class Relay:
    """Serves the other end of a stream until it is gone.

    Parameters
    ----------
    source, sink : int
        Descriptors that frames come from and go to.
    folder : Path
        Where modules are unpacked.
    """

    def __init__(self, source: int, sink: int, folder: Path) -> None:
        self._source = source
        self._out = Outlet(sink)
        self._folder = folder
        self._frames = Frames()
        self._worker: Inmate | None = None

    def serve(self) -> None:
        """Relay until the source ends."""
        try:
            while self._serve_once():
                pass
        finally:
            if self._worker is not None:
                self._worker.close()

    def _serve_once(self) -> bool:
        """Wait for something to relay; return whether there may be more."""
        ready = self._wait()
        self._out.flush()
        if self._worker is not None:
            self._serve_worker(self._worker, ready)
        if self._source in ready:
            data = os.read(self._source, _READ_BYTES)
            for kind, payload in self._frames.feed(data):
                self._take(kind, payload)
            return bool(data)
        return True

    def _wait(self) -> set[int]:
        poll = select.poll()
        worker = self._worker
        # A worker that leaves a reply unread makes the other end wait, but not for ever.
        if worker is None or len(worker.replies) < _WAITING_BYTES or worker.is_stuck:
            poll.register(self._source, select.POLLIN)
        if len(self._out):
            poll.register(self._out.handle, select.POLLOUT)
        if worker is not None:
            has_room = len(self._out) < _WAITING_BYTES
            if has_room:
                poll.register(worker.process, select.POLLIN)
            wanted = (select.POLLIN if has_room else 0) | (select.POLLOUT if len(worker.replies) else 0)
            poll.register(worker.socket, wanted)
        return {
            handle
            for handle, events in poll.poll(_LOOK_MS)
            if events & ~select.POLLHUP or handle == self._source
        }

    def _serve_worker(self, worker: Inmate, ready: Container[int]) -> None:
        worker.replies.flush()
        if worker.socket.fileno() in ready and len(self._out) < _WAITING_BYTES:
            request = worker.read_request()
            if request:
                self._out.put(frame(Kind.REQUEST, request))
        if len(self._out) < _WAITING_BYTES:
            self._pass_envelopes(worker)

    def _pass_envelopes(self, worker: Inmate) -> None:
        has_died = worker.process.has_ended()  # before the last read, so that nothing it said is missed
        data = worker.process.read()
        if data:
            self._out.put(b"".join(pieces(Kind.ENVELOPES, data)))
        elif data is not None or has_died:
            self._end(worker)

    def _take(self, kind: Kind, payload: bytes) -> None:
        worker = self._worker
        if kind is Kind.START:
            self._start(payload)
        elif kind is Kind.LOG:
            log = worker.process.read_log() if worker is not None else b""
            self._out.put(frame(Kind.LOG, join_line(payload, log)))
        elif worker is None:
            return  # it has just ended, which the other end has yet to read
        elif kind is Kind.REPLY:
            worker.replies.put(payload)
        elif kind is Kind.ORDER:
            worker.process.expect_kills()
            order = json.loads(payload)
            if "store" in order:
                order["store"] = worker.store
            worker.process.say(order)
        elif kind is Kind.KILL:
            self._end(worker)

    def _start(self, payload: bytes) -> None:
        line, archive = split_line(payload)
        wanted = json.loads(line)
        try:
            self._worker = Inmate(
                WorkerSpec(
                    sys_path=(*self._unpack(wanted["bundle"], archive), *filter(None, sys.path)),
                    cwd=wanted["cwd"] or str(Path.cwd()),
                    environment=worker_environment(
                        os.environ, env_vars=wanted["env_vars"], threads=wanted["threads"]
                    ),
                )
            )
        except (OSError, zipfile.BadZipFile) as error:
            end = Exit(1, where=f"no worker could be started in the container: {error}")
            self._out.put(_exit_frame(end, b""))

    def _unpack(self, key: str, archive: bytes) -> list[str]:
        if not archive:
            return []
        target = self._folder / Path(key).stem
        if not target.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)  # an item may have swept it away
            half_made = Path(tempfile.mkdtemp(dir=self._folder))
            with zipfile.ZipFile(BytesIO(archive)) as files:
                files.extractall(half_made)
            half_made.rename(target)
        return [str(target)]

    def _end(self, worker: Inmate) -> None:
        end, log = worker.process.kill(), worker.process.read_log()
        worker.close()
        self._worker = None
        self._out.put(_exit_frame(end, log))


def _exit_frame(end: Exit, log: bytes) -> bytes:
    return frame(Kind.EXIT, join_line(json.dumps(end).encode(), log))


def main() -> None:
    """Serve over standard input and output; what else would be printed goes to standard error."""
    sink = os.dup(1)
    os.dup2(2, 1)
    for pipe in (0, sink):
        widen(pipe)
    with tempfile.TemporaryDirectory(dir=_FOLDER if os.access(_FOLDER, os.W_OK) else None) as folder:
        Relay(0, sink, Path(folder)).serve()


if __name__ == "__main__":
    main()
