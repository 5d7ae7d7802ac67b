"""Runs tasks as processes of this machine: no containers, so that thousands can run in a test."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudknot.testing.executors import Observer, Outcome, Task
from cloudknot.testing.executors.keeping import Link
from cloudknot.testing.executors.telling import Channel, Teller

__all__ = ["ProcessExecutor", "environment_of"]

_NOT_STARTED = "Task failed to start"
_NO_COMMAND = (
    "CannotStartContainerError: the job has no command. Its image's own is not known here, as the process "
    "executor runs no image: give the job definition a command, or use the docker executor"
)
_KILLED = Outcome(exit_code=128 + signal.SIGKILL)


@dataclass(eq=False, kw_only=True)
class _Run:
    task: Task
    channel: Channel


class ProcessExecutor:
    """Runs a task's command as a process of this machine.

    The image is left aside: the command is looked for in the folder of this Python first, then in the `PATH`
    of the job or else of the box; one at a path that only the image has by its name. Each task has a session
    of its own and a working folder of its own, which is its `HOME` and `TMPDIR` too and is removed with it.
    Of the box's variables it has `LANG` alone. What still runs of it when its first process ends is killed,
    as in a container.

    Memory is looked at five times a second, and a peak that is shorter is found at the end: on Linux only,
    elsewhere it is not limited. `vcpus`, `user`, volumes and other container properties are left aside.

    Parameters
    ----------
    folder : Path
        Where the working folders are made.
    at_once : int, default 64
        Tasks that run side by side; others wait.
    """

    def __init__(self, *, folder: Path, at_once: int = 64) -> None:
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {at_once}")
        self._folder = folder
        self._at_once = at_once
        self._lock = threading.Lock()
        self._waiting: dict[str, _Run] = {}
        self._running: dict[str, _Run] = {}
        self._link: Link | None = None
        self._is_closed = False
        self._teller = Teller()

    def start(self, task: Task, observer: Observer) -> None:
        """Run a task when there is a place for it.

        Raises
        ------
        RuntimeError
            The executor is closed.
        """
        run = _Run(task=task, channel=Channel(self._teller, task.id, observer))
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the process executor is closed: it starts no more tasks")
            if not task.command:
                run.channel.ended(_failure(_NO_COMMAND))
                return
            self._waiting[task.id] = run
            self._fill()

    def stop(self, task_id: str) -> None:
        """Send SIGTERM to a task's first process; one that waits is not started any more."""
        self._signal(task_id, signal.SIGTERM)

    def kill(self, task_id: str) -> None:
        """Send SIGKILL to all processes of a task; one that waits is not started any more."""
        self._signal(task_id, signal.SIGKILL)

    def close(self) -> None:
        """Kill all tasks, tell how they ended, and return when no process, folder or thread is left."""
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            waiting, self._waiting = list(self._waiting.values()), {}
            link = self._link
        for run in waiting:
            run.channel.ended(Outcome(exit_code=None))
        if link is not None:
            link.close()
        if is_first:
            self._teller.close()

    def _signal(self, task_id: str, number: signal.Signals) -> None:
        with self._lock:
            if run := self._waiting.pop(task_id, None):
                run.channel.ended(Outcome(exit_code=None))
            elif task_id in self._running and self._link is not None:
                self._link.send("signal", task_id, number)

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._at_once and not self._is_closed:
            run = self._waiting.pop(next(iter(self._waiting)))
            try:
                link = self._link = self._link or Link(self._folder, hear=self._hear, lost=self._lose)
            except OSError as error:
                run.channel.ended(_failure(f"CannotStartContainerError: {error}"))
                continue
            self._running[run.task.id] = run
            link.send("start", run.task.id, _order(run.task, link.folder / run.task.id))

    def _hear(self, message: list[Any]) -> None:
        kind, task_id, value = message
        with self._lock:
            run = self._running.pop(task_id) if kind == "ended" else self._running[task_id]
            self._fill()
        if kind == "started":
            run.channel.started()
        elif kind == "wrote":
            run.channel.wrote([(at, text) for at, text in value])
        else:
            run.channel.ended(Outcome(**{"exit_code": None, **value}))

    def _lose(self) -> None:
        with self._lock:
            lost, self._running = list(self._running.values()), {}
            self._link = None
            self._fill()
        for run in lost:  # the keeper was killed, and the link has killed them
            run.channel.ended(_KILLED)


def environment_of(task: Task, folder: Path, surroundings: Mapping[str, str]) -> dict[str, str]:
    """Return all variables of a task's process.

    Parameters
    ----------
    task : Task
        The task; what it sets itself stays as it is.
    folder : Path
        Its working folder.
    surroundings : mapping
        The variables of the box.
    """
    own = task.environment
    path = own.get("PATH") or surroundings.get("PATH") or os.defpath
    return {
        "LANG": surroundings.get("LANG", "C.UTF-8"),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        **own,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
    }


def _order(task: Task, folder: Path) -> dict[str, Any]:
    environment = environment_of(task, folder, os.environ)
    return {
        "command": _command_here(task.command, environment["PATH"]),
        "environment": environment,
        "memory_kib": task.memory_mib << 10,
    }


def _command_here(command: Sequence[str], path: str) -> list[str]:
    """Return a command; a program at a path that only its image has is the one of that name that is here."""
    program = Path(command[0])
    is_elsewhere = program.is_absolute() and not program.exists()
    found = shutil.which(program.name, path=path) if is_elsewhere else None
    return [found or command[0], *command[1:]]


def _failure(reason: str) -> Outcome:
    return Outcome(exit_code=None, reason=reason, status_reason=_NOT_STARTED)
