"""The runs that this machine knows, and which of them a living process has.

One small file a run, and one locked file a process: nothing is shared by two writers, so any number
of processes can come and go, also by force. The kernel gives a lock back when its process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from cloudknot.errors import RunOwnedError
from cloudknot.ledger import read_mark, write_mark
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store
from cloudknot.runs import Run, State, Status


class TakenOverError(Exception):
    """Another process has taken a run over, and goes on with it."""


class Entry(NamedTuple):
    """One known run."""

    created: str
    run_id: str
    name: str
    store: str


class Catalog:
    """The runs known to this machine.

    Parameters
    ----------
    home : Path
        The ledger's folder.
    """

    def __init__(self, home: Path) -> None:
        self._entries = home / "catalog"
        self._owners = home / "owners"
        self._lock: TextIO | None = None
        self._running: dict[str, int] = {}

    def add(self, run: Run, store_uri: str) -> None:
        """Make a run known."""
        self._entries.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = Entry(created=run.created, run_id=run.run_id, name=run.name, store=store_uri)
        handle, temporary = tempfile.mkstemp(prefix=".", dir=self._entries)
        with os.fdopen(handle, "w") as file:
            json.dump(entry._asdict(), file)
        Path(temporary).replace(self._entries / run.run_id)

    def find(self, run_id: str) -> Entry | None:
        """Return a run's entry, or None."""
        try:
            return Entry(**json.loads((self._entries / run_id).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        (self._entries / run_id).unlink(missing_ok=True)

    def entries(self, name: str | None = None) -> list[Entry]:
        """Return the known runs, oldest first; only those of one Knot's name if it is given."""
        found = (self.find(run_id) for run_id in self._run_ids(name))
        return sorted(entry for entry in found if entry is not None and name in (None, entry.name))

    def own(self, store: Store, run_id: str) -> int:
        """Make this process the one that runs a run; return how often it is run with that.

        Raises
        ------
        RunOwnedError
            A living process has it, or another one took it just now.
        """
        keys = Keys(run_id)
        generation = count_owners(store, run_id)
        if self._is_live(store, run_id, generation):
            mark = read_mark(store, keys.owner(generation)) or {}
            raise RunOwnedError(
                f"run {run_id} is being run by process {mark.get('pid')} on {mark.get('host')}: "
                "attach follows it; resume is for runs whose process has ended"
            )
        mark = {"lock": self._own_lock(), "pid": os.getpid(), "host": socket.gethostname()}
        # Only one of many takers writes this key.
        if not store.put(keys.owner(generation + 1), json.dumps(mark).encode(), if_absent=True):
            raise RunOwnedError(f"run {run_id} was taken by another process just now: attach follows it")
        self._running[run_id] = generation + 1
        return generation + 1

    def is_owned(self, store: Store, run_id: str) -> bool:
        """Return whether a living process has the run and has not brought it to its end."""
        return self._is_live(store, run_id, count_owners(store, run_id))

    def look(self, store: Store, run_id: str) -> Status:
        """Say where a run stands, as its record and its owner's life tell."""
        keys, generation = Keys(run_id), count_owners(store, run_id)
        if self._is_live(store, run_id, generation):
            return Status(state=State.RUNNING)
        end = read_mark(store, keys.settled(generation))
        if end is not None:
            return Status(state=State(end["state"]), reason=end["reason"])
        if read_mark(store, keys.cancel_run(generation)) is not None:
            return Status(state=State.CANCELLED)
        stopped = read_mark(store, keys.stopped(generation))
        if stopped is not None:
            return Status(state=State.STOPPED, reason=stopped["reason"])
        return Status(state=State.INTERRUPTED, reason="the process that ran it has ended")

    def generation(self, run_id: str) -> int:
        """Return for the how manieth time a run is run, where it is this process that runs it; else 0."""
        return self._running.get(run_id, 0)

    def release(self, store: Store, run_id: str) -> None:
        """Give a run back that is not at its end, so that this or another process may have it."""
        generation = self._running.pop(run_id, 0)
        if generation:
            write_mark(store, Keys(run_id).released(generation), {})

    def let_go(self, run_id: str) -> None:
        """Take note that this process has brought a run to its end."""
        self._running.pop(run_id, None)

    def _is_live(self, store: Store, run_id: str, generation: int) -> bool:
        keys = Keys(run_id)
        mark = read_mark(store, keys.owner(generation)) if generation else None
        if mark is None or read_mark(store, keys.settled(generation)) is not None:
            return False
        if read_mark(store, keys.released(generation)) is not None:
            return False
        if self._lock is not None and mark["lock"] == Path(self._lock.name).name:
            return run_id in self._running
        return self._is_locked(str(mark["lock"]))

    def _own_lock(self) -> str:
        if self._lock is None:
            self._owners.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self._owners / f"{os.getpid()}-{os.urandom(8).hex()}").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # A forked child must not keep the lock when this process has ended.
            os.register_at_fork(after_in_child=self._lock.close)
            self._remove_dead_locks()
        return Path(self._lock.name).name

    def _is_locked(self, name: str) -> bool:
        try:
            file = (self._owners / name).open()
        except FileNotFoundError:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _remove_dead_locks(self) -> None:
        for path in self._owners.iterdir():
            # A lock that was never taken may belong to a process that is just about to take it.
            if self._lock is not None and path != Path(self._lock.name) and not self._is_locked(path.name):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < Path(self._lock.name).stat().st_mtime - 60:
                        path.unlink()

    def _run_ids(self, name: str | None) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._entries) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and (name is None or entry.name.startswith(f"{name}-")):
                    yield entry.name


def count_owners(store: Store, run_id: str) -> int:
    """Return how often a run was run: 1 when it was begun, and 1 more for each time it was resumed."""
    return sum(1 for _ in store.list(Keys(run_id).owners))


def has_ended(store: Store, run_id: str, generation: int) -> bool:
    """Return whether the n-th time that a run was run is written down as over, cancelled or stopped."""
    keys = Keys(run_id)
    ends = (keys.settled(generation), keys.cancel_run(generation), keys.stopped(generation))
    return any(read_mark(store, key) is not None for key in ends)
