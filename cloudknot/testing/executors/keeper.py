"""The process that the process executor's tasks are children of: it starts, reads, watches and ends them.

It is a process of its own so that nothing is left when the box is killed: the socket to the box then ends,
and the keeper ends all that it has started. One thread does everything; only the standard library is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudknot.testing.executors.children import Child, outcome_of, start_child
from cloudknot.testing.executors.memory import Usage, measure, unshared_kib

__all__ = ["main"]

_READ_BYTES = 1 << 16
# Memory is looked at this often; a look takes well under a millisecond.
_LOOK_S = 0.2
_IDLE_S = 1.0
_PR_SET_CHILD_SUBREAPER = 36


class _Keeper:
    def __init__(self, link: socket.socket, folder: Path) -> None:
        self._link = link
        self._folder = folder
        self._is_open = True
        self._parent = os.getppid()
        self._heard = b""
        self._to_tell: list[Any] = []
        self._children: dict[int, Child] = {}
        self._pids: dict[str, int] = {}
        self._next_look = 0.0
        self._selector = selectors.DefaultSelector()
        self._sweepers: list[threading.Thread] = []
        link.setblocking(True)
        self._selector.register(link, selectors.EVENT_READ, self._listen)
        self._wakes = _wake_on_child_end()
        self._selector.register(self._wakes, selectors.EVENT_READ, self._reap)

    def run(self) -> None:
        """Serve until the box is gone and all tasks with it."""
        while self._is_open or self._children:
            for key, _ in self._selector.select(_LOOK_S if self._children else _IDLE_S):
                # What was done before may have closed this, and given its number to another.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._look()
            self._speak()
            if self._is_open and os.getppid() != self._parent:  # a fork of the box may still hold the socket
                self._leave()
        while self._kill_strays() and self._reap_one(flags=0) is not None:
            pass
        for sweeper in self._sweepers:
            sweeper.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> None:
        try:
            data = self._link.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._leave()
            return
        *messages, self._heard = (self._heard + data).split(b"\n")
        for message in messages:
            kind, task_id, value = json.loads(message)
            if kind == "start":
                self._start(task_id, value)
            elif task_id in self._pids:
                self._signal(self._pids[task_id], value)

    def _leave(self) -> None:
        self._is_open = False
        self._selector.unregister(self._link)
        for pid in self._children:
            _signal_group(pid, signal.SIGKILL)

    def _speak(self) -> None:
        told = "".join(json.dumps(message) + "\n" for message in self._to_tell)
        self._to_tell.clear()
        with contextlib.suppress(OSError):  # the box is gone; that is seen where it is listened to
            self._link.sendall(told.encode())

    def _start(self, task_id: str, order: dict[str, Any]) -> None:
        folder = self._folder / task_id
        child = start_child(task_id, folder, order)
        if isinstance(child, str):
            self._to_tell.append(
                ["ended", task_id, {"reason": child, "status_reason": "Task failed to start"}]
            )
            self._remove(folder)
            return
        self._children[child.pid] = child
        self._pids[task_id] = child.pid
        for handle in child.outputs:
            self._selector.register(handle, selectors.EVENT_READ, self._reader(child, handle))
        self._to_tell.append(["started", task_id, child.pid])

    def _reader(self, child: Child, handle: int) -> Callable[[], object]:
        return lambda: self._read(child, handle)

    def _read(self, child: Child, handle: int) -> bool:
        """Read what is there; return whether there may be more."""
        try:
            data = os.read(handle, _READ_BYTES)
        except BlockingIOError:
            return False
        lines = child.outputs[handle]
        told = lines.feed(data, int(time.time() * 1000)) if data else lines.finish()
        if told:
            self._to_tell.append(["wrote", child.task_id, told])
        if not data:
            self._selector.unregister(handle)
            os.close(handle)
            del child.outputs[handle]
        return bool(data)

    def _signal(self, pid: int, number: int) -> None:
        if number == signal.SIGKILL:
            _signal_group(pid, number)
        else:  # as docker does it: the rest of a container hears of it through its first process
            os.kill(pid, number)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakes, _READ_BYTES)
        while self._reap_one():
            pass
        self._kill_strays()

    def _reap_one(self, flags: int = os.WNOHANG) -> int | None:
        """Take note of one end; 0 when there is none now, None when there are no children."""
        try:
            pid, status, used = os.wait4(-1, flags)
        except ChildProcessError:
            return None
        child = self._children.pop(pid, None)
        if child is not None:
            self._end(child, os.waitstatus_to_exitcode(status), used)
        return pid

    def _end(self, child: Child, code: int, used: resource.struct_rusage) -> None:
        del self._pids[child.task_id]
        _signal_group(child.pid, signal.SIGKILL)
        for handle in list(child.outputs):
            # What is read now was written before the end: no more than a pipe holds.
            for _ in range(16):
                if not self._read(child, handle):
                    break
        for handle, lines in child.outputs.items():  # held open by a process that got away
            if told := lines.finish():
                self._to_tell.append(["wrote", child.task_id, told])
            self._selector.unregister(handle)
            os.close(handle)
        self._to_tell.append(["ended", child.task_id, outcome_of(child, code, used.ru_maxrss)])
        self._remove(child.folder)

    def _remove(self, folder: Path) -> None:
        try:
            folder.rmdir()
        except OSError:  # it is not empty, and that may take time
            self._sweepers = [sweeper for sweeper in self._sweepers if sweeper.is_alive()]
            sweeper = threading.Thread(target=_remove_tree, args=(folder,))
            sweeper.start()
            self._sweepers.append(sweeper)

    def _kill_strays(self) -> bool:
        """Kill what left its task's session and outlived it; return whether there was any.

        Such a process has become a child of this one. It is spared while a task lives that it may belong to:
        one whose session it is in, or whose folder stands in its environment.
        """
        try:
            pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        except OSError:
            return False
        strays = [int(pid) for pid in pids if int(pid) not in self._children]
        strays = [pid for pid in strays if not self._is_of_living(pid)]
        for pid in strays:
            os.kill(pid, signal.SIGKILL)
        return bool(strays)

    def _is_of_living(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            if os.getsid(pid) in self._children:
                return True
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            return any(bytes(child.folder) in environment for child in self._children.values())
        return False

    def _look(self) -> None:
        """Kill the tasks that use more memory than they may."""
        now = time.monotonic()
        if now < self._next_look or not self._children:
            return
        self._next_look = now + _LOOK_S
        for pid, usage in measure(self._children).items():
            child = self._children[pid]
            child.files_kib = max(child.files_kib, usage.files_kib)
            if _is_too_much(usage, child.memory_kib):
                child.is_out_of_memory = True
                _signal_group(pid, signal.SIGKILL)


def _is_too_much(usage: Usage, limit_kib: int) -> bool:
    # The exact number costs the kernel a walk over all pages: it is asked for only when it may matter.
    return usage.resident_kib > limit_kib and unshared_kib(usage.pids) > limit_kib


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only zombies are left
        os.killpg(pid, number)


def _remove_tree(folder: Path) -> None:
    # Folders may have been made read-only by the task; what is in them could then not be removed.
    for parent, folders, _ in os.walk(folder):
        for path in (Path(parent, name) for name in folders):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _wake_on_child_end() -> int:
    wakes, writes = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wakes


def main(folder: str) -> None:
    """Keep tasks for the box at the other end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the box says when it is over
        signal.signal(number, lambda *_: None)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _Keeper(socket.socket(fileno=0), Path(folder)).run()
