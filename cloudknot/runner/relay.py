"""A container's first process: starts workers in it and relays between them and the other end of a stream.

It runs none of a person's code. Frames come in over standard input and go out over standard output;
when standard input ends, so does the relay, and with it the container and all that runs in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

from cloudknot.runner.frames import Frames, Kind, frame, join_line, pieces, split_line
from cloudknot.runner.orders import worker_environment
from cloudknot.runner.processes import Exit, WorkerProcess, WorkerSpec, widen
from cloudknot.runner.relayed import SCHEME

_READ_BYTES = 1 << 20
# While more than this waits to go out, nothing more that would go there is read.
_WAITING_BYTES = 4 << 20
# A dead worker whose children still hold its pipe is noticed by looking this often.
_LOOK_MS = 500
# The kernel takes a worker before the relay, so that the relay can say what happened.
_WORKER_OOM_SCORE = "500"


class Outlet:
    """Bytes on their way to a descriptor that takes them when it can."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._waiting = bytearray()
        os.set_blocking(handle, False)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: bytes) -> None:
        """Add to what waits."""
        self._waiting += data
        self.flush()

    def flush(self) -> None:
        """Write what can be written now; what nobody can read any more is dropped."""
        try:
            while self._waiting:
                with memoryview(self._waiting) as view:
                    written = os.write(self.handle, view)
                del self._waiting[:written]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()


class Relay:
    """Serves the other end of a stream until it is gone.

    Parameters
    ----------
    source, sink : int
        Descriptors that frames come from and go to.
    folder : Path
        Where modules are unpacked and the store's socket lies.
    """

    def __init__(self, source: int, sink: int, folder: Path) -> None:
        self._source = source
        self._out = Outlet(sink)
        self._folder = folder
        self._frames = Frames()
        self._worker: WorkerProcess | None = None
        self._path = folder / "store"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._asking: socket.socket | None = None
        self._replies: Outlet | None = None

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
        if self._out.handle in ready:
            self._out.flush()
        if self._replies is not None and self._replies.handle in ready:
            self._replies.flush()
        if self._listener.fileno() in ready:
            self._accept()
        elif self._asking is not None and self._asking.fileno() in ready:
            self._pass_request()
        self._pass_envelopes()
        if self._source in ready:
            data = os.read(self._source, _READ_BYTES)
            for kind, payload in self._frames.feed(data):
                self._take(kind, payload)
            return bool(data)
        return True

    def _wait(self) -> set[int]:
        poll = select.poll()
        if self._replies is None or len(self._replies) < _WAITING_BYTES:
            poll.register(self._source, select.POLLIN)
        if len(self._out):
            poll.register(self._out.handle, select.POLLOUT)
        poll.register(self._listener, select.POLLIN)
        has_room = len(self._out) < _WAITING_BYTES
        if self._worker is not None and has_room:
            poll.register(self._worker, select.POLLIN)
        if self._asking is not None and self._replies is not None:
            wanted = (select.POLLIN if has_room else 0) | (select.POLLOUT if len(self._replies) else 0)
            poll.register(self._asking, wanted)
        return {handle for handle, _ in poll.poll(_LOOK_MS)}

    def _take(self, kind: Kind, payload: bytes) -> None:
        worker = self._worker
        if kind is Kind.START:
            self._start(payload)
        elif kind is Kind.REPLY and self._replies is not None:
            self._replies.put(payload)
        elif kind is Kind.LOG:
            self._out.put(frame(Kind.LOG, worker.read_log() if worker is not None else b""))
        elif worker is None:
            return  # it has just ended, which the other end has yet to read
        elif kind is Kind.ORDER:
            worker.expect_kills()
            order = json.loads(payload)
            if "store" in order:
                order["store"] = f"{SCHEME}://{self._path}"
            worker.say(order)
        elif kind is Kind.KILL:
            self._end(worker)

    def _start(self, payload: bytes) -> None:
        line, archive = split_line(payload)
        wanted = json.loads(line)
        try:
            self._worker = WorkerProcess(
                WorkerSpec(
                    sys_path=(*self._unpack(wanted["bundle"], archive), *filter(None, sys.path)),
                    cwd=wanted["cwd"] or str(Path.cwd()),
                    environment=worker_environment(
                        os.environ, env_vars=wanted["env_vars"], threads=wanted["threads"]
                    ),
                )
            )
        except OSError as error:
            end = Exit(1, where=f"no worker could be started in the container: {error}")
            self._out.put(_exit_frame(end, b""))
            return
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._worker.pid}/oom_score_adj").write_text(_WORKER_OOM_SCORE)

    def _unpack(self, key: str, archive: bytes) -> list[str]:
        if not archive:
            return []
        target = self._folder / Path(key).stem
        if not target.is_dir():
            with zipfile.ZipFile(BytesIO(archive)) as files:
                files.extractall(target)
        return [str(target)]

    def _pass_envelopes(self) -> None:
        worker = self._worker
        if worker is None or len(self._out) >= _WAITING_BYTES:
            return
        has_died = worker.has_ended()  # before the last read, so that nothing it said is missed
        data = worker.read()
        if data:
            self._out.put(b"".join(pieces(Kind.ENVELOPES, data)))
        elif data is not None or has_died:
            self._end(worker)

    def _end(self, worker: WorkerProcess) -> None:
        end, log = worker.kill(), worker.read_log()
        worker.close()
        self._worker = None
        self._out.put(_exit_frame(end, log))

    def _accept(self) -> None:
        self._asking, _ = self._listener.accept()
        self._replies = Outlet(self._asking.fileno())

    def _pass_request(self) -> None:
        assert self._asking is not None  # its descriptor was ready
        try:
            data = self._asking.recv(_READ_BYTES)
        except BlockingIOError:
            return  # it was ready to be written to
        except OSError:
            data = b""
        if data:
            self._out.put(frame(Kind.REQUEST, data))
        else:
            self._asking.close()
            self._asking = self._replies = None


def _exit_frame(end: Exit, log: bytes) -> bytes:
    return frame(Kind.EXIT, join_line(json.dumps(end).encode(), log))


def main() -> None:
    """Serve over standard input and output; what else would be printed goes to standard error."""
    sink = os.dup(1)
    os.dup2(2, 1)
    for pipe in (0, sink):
        widen(pipe)
    with tempfile.TemporaryDirectory() as folder:
        Relay(0, sink, Path(folder)).serve()


if __name__ == "__main__":
    main()
