"""Whether the kernel killed for lack of memory, told by the control group's own counter."""

from __future__ import annotations

from pathlib import Path


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
