"""What items write goes to the job's own standard output while they write it, and so into its log."""

from __future__ import annotations

from collections.abc import Callable

from cloudknot.runner.cgroups import expose_to_oom_kills
from cloudknot.runner.envelopes import log_at
from cloudknot.runner.logs import WHOLE_BYTES, unshown
from cloudknot.runner.packs import Reports
from cloudknot.runner.processes import WorkerProcess, WorkerSpec
from cloudknot.runner.streams import encode, header


class LiveLog:
    """Passes on what items write; satisfies a supervisor's listener.

    Of an item that writes more than is kept of it, the rest comes at its end, as it is kept.

    Parameters
    ----------
    write : callable
        Takes lines of the job's stream.
    index_of : callable
        Returns the index in the user's map of the item at a position.
    start : callable
        Starts a worker.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        index_of: Callable[[int], int],
        *,
        start: Callable[[WorkerSpec], WorkerProcess] = WorkerProcess,
    ) -> None:
        self._start = start
        self._write = write
        self._index_of = index_of
        self._worker: WorkerProcess | None = None
        self._shown = 0

    def start(self, spec: WorkerSpec) -> WorkerProcess:
        """Start the worker to listen to."""
        self._worker = self._start(spec)
        self._shown = 0
        expose_to_oom_kills(self._worker.pid)
        return self._worker

    def listen(self) -> bytes:
        """Return what the present item has written since it was last heard."""
        if self._worker is None:
            return b""
        return self._worker.read_log_behind(self._shown, WHOLE_BYTES - self._shown)

    def hear(self, position: int, part: bytes) -> None:
        """Pass on what an item has written since."""
        if not part:
            return
        first = b"" if self._shown else header(self._index_of(position))
        self._shown += len(part)
        self._write(first + encode(part))

    def end(self, position: int, log: bytes) -> None:
        """Pass on what is left of what an item wrote, in a try that has ended."""
        self.hear(position, unshown(log, self._shown))
        self._shown = 0

    def observe(self, reports: Reports) -> None:
        """Pass on what is left of what items wrote that have ended."""
        for _, position, offset in reports.entries:
            self.end(position, log_at(reports.data, offset))
