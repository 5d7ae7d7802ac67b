"""How much memory the processes of sessions use: on Linux only, elsewhere nothing is known."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["IS_KNOWN", "Usage", "measure", "own_peak_kib", "unshared_kib"]

IS_KNOWN = sys.platform == "linux"
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") >> 10


@dataclass(kw_only=True)
class Usage:
    """What one session uses."""

    pids: list[int] = field(default_factory=list)
    resident_kib: int = 0
    """Counts a page once for each process that has it, so it is never too low."""
    files_kib: int = 0
    """How much of its leader's is pages of files, which the kernel takes back when it must."""


def measure(sessions: Collection[int]) -> dict[int, Usage]:
    """Return what each of these sessions uses; sessions that are gone are left out.

    It asks for the session of every process of this machine, which is one system call each, and reads two
    numbers of those that are meant.
    """
    used: dict[int, Usage] = {}
    for name in os.listdir("/proc") if IS_KNOWN else ():  # noqa: PTH208  # called often: names will do
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                session = os.getsid(int(name))
                if session in sessions:
                    _, resident, shared, *_ = map(int, Path(f"/proc/{name}/statm").read_bytes().split())
                    usage = used.setdefault(session, Usage())
                    usage.pids.append(int(name))
                    usage.resident_kib += resident * _PAGE_KIB
                    if int(name) == session:
                        usage.files_kib = shared * _PAGE_KIB
    return used


def unshared_kib(pids: Collection[int]) -> int:
    """Return what processes use together: shared pages are counted once, and pages of files not."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
            sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
            # Linux before 5.4 does not tell the kinds of pages apart.
            total += sizes.get(b"Pss_Anon:", sizes[b"Pss:"]) + sizes.get(b"Pss_Shmem:", 0)
    return total


def own_peak_kib() -> int:
    """Return the most memory that this process has had; `getrusage` has what its parent had, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
