"""The kernel's kills for lack of memory: whom it takes first, and the control group's own count of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

_WORKER_OOM_SCORE = "500"


def expose_to_oom_kills(pid: int) -> None:
    """Have the kernel take a worker before its supervisor, so that the supervisor can say what happened."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(_WORKER_OOM_SCORE)


def count_oom_kills(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processes of this control group were killed for lack of memory.

    0 where there is no control group that counts (version 1 and 2 are read).
    """
    try:
        memberships = proc.read_text().splitlines()
    except OSError:
        return 0
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _read_count(root / "memory", path, "memory.oom_control")
    for line in memberships:
        if line.startswith("0::"):
            return _read_count(root, line[3:], "memory.events")
    return 0


def _read_count(mount: Path, path: str, name: str) -> int:
    # Inside a container the path is the host's, while the mount's root is the container's own group.
    for folder in (mount / path.lstrip("/"), mount):
        try:
            fields = dict(line.split() for line in (folder / name).read_text().splitlines())
        except (OSError, ValueError):
            continue
        return int(fields.get("oom_kill", 0))
    return 0


class OomWatch:
    """Tells whether the kernel has killed for lack of memory since it was last asked."""

    def __init__(self, count: Callable[[], int] = count_oom_kills) -> None:
        self._count = count
        self._known = count()

    def has_struck(self) -> bool:
        """Return whether it has."""
        before, self._known = self._known, self._count()
        return self._known > before
