"""The box's end of the socket to a keeper (see `keeper`)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudknot

__all__ = ["Link"]

_LOG = logging.getLogger(__name__)

# -I -S: nothing that this machine's Python is told to load is loaded.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from cloudknot.testing.executors.keeper import main; main(sys.argv[2])"
)
_ROOT = str(Path(cloudknot.__file__).parent.parent)
_END_S = 20.0


class Link:
    """A keeper, what is said to it, and what it tells.

    Parameters
    ----------
    parent : Path
        Where it makes a folder for its tasks' folders; the keeper removes that when it ends.
    hear : callable
        Called with each message of the keeper.
    lost : callable
        Called once, when no message will come any more.
    """

    def __init__(self, parent: Path, *, hear: Callable[[list[Any]], None], lost: Callable[[], None]) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="tasks-", dir=parent)).resolve()
        self._hear = hear
        self._lost = lost
        self._pids: dict[str, int] = {}
        self._orders: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._keeper: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, str(self.folder)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                # The terminal's signals are for the box, which then ends its tasks in order.
                start_new_session=True,
            )
        self._threads = [
            threading.Thread(target=target, name=f"box {name}", daemon=True)
            for name, target in (("orders", self._speak), ("reports", self._listen))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._keeper.pid

    def send(self, kind: str, task_id: str, value: Any) -> None:
        """Say something to the keeper, in the order of the calls; returns at once."""
        self._orders.put([kind, task_id, value])

    def close(self) -> None:
        """Have all tasks killed, and wait until the keeper is gone."""
        self._orders.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_END_S)
        self._end()

    def _speak(self) -> None:
        is_open = True
        with contextlib.suppress(OSError):  # the keeper is gone; that is seen where it is listened to
            while is_open:
                order = self._orders.get()
                if order is None:
                    self._socket.shutdown(socket.SHUT_WR)
                    is_open = False
                else:
                    self._socket.sendall(json.dumps(order).encode() + b"\n")

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(1 << 20):
                *messages, rest = (rest + data).split(b"\n")
                for text in messages:
                    message = json.loads(text)
                    self._follow(message)
                    self._hear(message)
        self._end()
        self._lost()

    def _follow(self, message: list[Any]) -> None:
        kind, task_id, value = message
        if kind == "started":
            self._pids[task_id] = value
        elif kind == "ended":
            self._pids.pop(task_id, None)

    def _end(self) -> None:
        """See to it that the keeper is gone, and its tasks when it was killed."""
        try:
            self._keeper.wait(_END_S)
        except subprocess.TimeoutExpired:
            _LOG.warning("the process that keeps the box's tasks does not end: killing it")
            self._keeper.kill()
            self._keeper.wait()
        for pid in list(self._pids.values()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._pids.clear()
        self._socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)
