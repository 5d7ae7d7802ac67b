"""One task as a process: how it is started, and what is said of its end."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudknot.testing.executors.lines import Lines
from cloudknot.testing.executors.memory import IS_KNOWN, own_peak_kib

__all__ = ["OUT_OF_MEMORY", "Child", "outcome_of", "start_child"]

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_KILLED = 137
_RUNC = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed"
)


@dataclass(eq=False, kw_only=True)
class Child:
    """A task that runs."""

    task_id: str
    pid: int
    """Also its session's and its group's."""
    folder: Path
    memory_kib: int
    outputs: dict[int, Lines] = field(default_factory=dict)
    """What is open of its output."""
    files_kib: int = 0
    is_out_of_memory: bool = False


def start_child(task_id: str, folder: Path, order: dict[str, Any]) -> Child | str:
    """Start a task in a new folder and a new session; return it, or the reason why it cannot be started."""
    command: list[str] = order["command"]
    ours: list[int] = []
    theirs: list[int] = []
    try:
        folder.mkdir(parents=True)
        for _ in range(2):
            reads, writes = os.pipe()
            ours.append(reads)
            theirs.append(writes)
            os.set_blocking(reads, False)
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            stdout=theirs[0],
            stderr=theirs[1],
            start_new_session=True,
            close_fds=False,  # all that this process has open is closed by exec
        )
    except (OSError, ValueError) as error:
        for handle in ours:
            os.close(handle)
        return _why_not(command[0], error)
    finally:
        for handle in theirs:
            os.close(handle)
    process.returncode = 0  # it is waited for with all others, and not by this object
    return Child(
        task_id=task_id,
        pid=process.pid,
        folder=folder,
        memory_kib=order["memory_kib"],
        outputs={handle: Lines() for handle in ours},
    )


def outcome_of(child: Child, code: int, peak_kib: int) -> dict[str, Any]:
    """Return how a task ended, as `Outcome` has it.

    Parameters
    ----------
    child : Child
        The task.
    code : int
        Its exit code, negative for a signal.
    peak_kib : int
        The most memory that one process of it had, pages of files included. It tells of a peak that was too
        short to be seen while it lasted.
    """
    is_over = IS_KNOWN and peak_kib - child.files_kib > child.memory_kib
    # A process begins with the memory of the one that started it, as the kernel counts.
    if child.is_out_of_memory or (is_over and peak_kib > own_peak_kib()):
        return {"exit_code": _KILLED, "reason": OUT_OF_MEMORY}
    return {"exit_code": code if code >= 0 else 128 - code}


def _why_not(program: str, error: OSError | ValueError) -> str:
    """Return the words that docker and runc have for it."""
    words = str(error)
    if isinstance(error, FileNotFoundError) and "/" in program:
        words = f'exec: "{program}": stat {program}: no such file or directory: unknown'
    elif isinstance(error, FileNotFoundError):
        words = f'exec: "{program}": executable file not found in $PATH: unknown'
    elif isinstance(error, PermissionError):
        words = f'exec: "{program}": permission denied: unknown'
    return (
        f"CannotStartContainerError: Error response from daemon: {_RUNC}: "
        f"unable to start container process: {words}"
    )
