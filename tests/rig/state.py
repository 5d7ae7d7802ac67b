"""What the rig keeps on a machine between sessions: logs and locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATE = Path(f"/var/tmp/cloudknot-test-rig-{os.getuid()}")
_TAIL_LINES = 30


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process at a time of this machine do what is named."""
    with state_file(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def state_file(name: str) -> Path:
    """Return the path of a file in the state folder, which is there."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    return STATE / name


def tail(path: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
