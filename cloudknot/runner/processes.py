"""A worker process, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cloudknot.runner.cgroups import count_oom_kills
from cloudknot.runner.logs import read_log

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from cloudknot.runner.worker import main; main(*map(int, sys.argv[2:]))"
)
_READ_BYTES = 1 << 20
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker process is started with; equal specs can share one.

    Parameters
    ----------
    sys_path : tuple of str
        Where the worker looks for modules.
    cwd : str
        Its working directory.
    environment : dict
        Its whole environment.
    code : str
        Names the state of the person's own modules: another state needs another process.
    """

    sys_path: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


class Exit(NamedTuple):
    """How a worker came to its end: its exit code, negative for a signal."""

    code: int
    was_out_of_memory: bool = False
    where: str = ""

    @property
    def is_out_of_memory(self) -> bool:
        """Return whether the kernel took it for lack of memory: then it was a kill, and one was counted."""
        return self.code == -signal.SIGKILL and self.was_out_of_memory


class WorkerProcess:
    """Starts a worker in a session of its own, gives it chunks and reads its envelopes.

    Parameters
    ----------
    spec : WorkerSpec
        What it is started with.
    lent : tuple of int
        Descriptors that it has too, under the same numbers.
    """

    def __init__(self, spec: WorkerSpec, *, lent: tuple[int, ...] = ()) -> None:
        control, self._control = os.pipe()
        self._envelopes, envelopes = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # lives as long as the worker
        # The worker empties it after each item: what is written next must begin at its start.
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        theirs = (control, envelopes, lifeline)
        # -P: what lies in the working directory must not stand in for the standard library.
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps(spec.sys_path), *map(str, theirs)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                cwd=spec.cwd,
                env=dict(spec.environment),
                pass_fds=(*theirs, *lent),
                start_new_session=True,
            )
        except BaseException:
            self._close()
            raise
        finally:
            for handle in theirs:
                os.close(handle)
        os.set_blocking(self._envelopes, False)
        widen(self._envelopes)
        self._oom_kills = count_oom_kills()

    @property
    def pid(self) -> int:
        """Return the process id, which is also its session's and its group's."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that envelopes come from."""
        return self._envelopes

    def order(self, number: int, store: str, run: str, first: int, last: int) -> None:
        """Ask for a chunk."""
        self.expect_kills()
        self.say({"number": number, "store": store, "run": run, "first": first, "last": last})

    def expect_kills(self) -> None:
        """Count the kernel's kills for lack of memory from now on."""
        self._oom_kills = count_oom_kills()

    def stop(self, number: int) -> None:
        """Ask to end a chunk after its present item."""
        self.say({"stop": number})

    def say(self, order: Mapping[str, int | str]) -> None:
        """Write one line for the worker to read."""
        with contextlib.suppress(BrokenPipeError):  # its end is seen where envelopes are read
            os.write(self._control, json.dumps(order).encode() + b"\n")

    def read(self) -> bytes | None:
        """Return what has come; None when nothing has, empty when nothing will."""
        try:
            return os.read(self._envelopes, _READ_BYTES)
        except BlockingIOError:
            return None

    def has_ended(self) -> bool:
        """Return whether the process is no more."""
        # It is not reaped yet: its number stays reserved until the group has been killed.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._process.pid, flags) is not None
        return True

    def read_log(self) -> bytes:
        """Return what the present item has written so far."""
        return read_log(self._log.fileno())

    def read_log_behind(self, offset: int, most_bytes: int) -> bytes:
        """Return what the present item has written behind an offset."""
        return os.pread(self._log.fileno(), most_bytes, offset)

    def kill(self) -> Exit:
        """Kill it with all that it started; say how it came to its end."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return Exit(self._process.wait(), count_oom_kills() > self._oom_kills)

    def close(self) -> None:
        """Kill it and give its files back."""
        self.kill()
        self._close()

    def _close(self) -> None:
        for handle in (self._control, self._envelopes, self._lifeline):
            os.close(handle)
        self._log.close()


def widen(pipe: int) -> None:
    """Let a pipe hold more, where the system can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # an unprivileged user may be out of pipe pages
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


def describe_exit(end: Exit, *, log: bytes = b"") -> str:
    """Say in words how a worker came to its end.

    Examples
    --------
    >>> describe_exit(Exit(-9))
    'killed by signal 9 (SIGKILL)'
    >>> describe_exit(Exit(3))
    'ended by itself with exit code 3'
    """
    if end.where:
        return end.where
    if end.is_out_of_memory:
        return (
            "killed for lack of memory (the control group counted an out-of-memory kill): "
            "give it more with memory_mib"
        )
    if end.code < 0:
        return f"killed by signal {-end.code} ({_signal_name(-end.code)})"
    last_words = log.decode(errors="replace").strip().rpartition("\n")[2]
    said = f"; its last words: {last_words[:300]}" if end.code and last_words else ""
    return f"ended by itself with exit code {end.code}{said}"


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return "unknown"
    return f"{name}, a segmentation fault" if name == "SIGSEGV" else name
