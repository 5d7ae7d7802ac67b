"""The place on this machine: worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from cloudknot.backends.pool import Berth, Pool
from cloudknot.backends.prepared import Prepared, Removed
from cloudknot.reach import Imports
from cloudknot.runner.bundles import unpack_bundle
from cloudknot.runner.processes import WorkerProcess, WorkerSpec
from cloudknot.runner.stores import Store
from cloudknot.runs import Run
from cloudknot.specs import Image

_MEMORY_MIB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


class LocalBackend(Pool[WorkerSpec]):
    """Runs runs in worker processes on this machine.

    Parameters
    ----------
    store : Store
        The ledger.
    home : Path
        Where a resumed run's modules are unpacked.
    workers : int, optional
        Processes side by side; None: as many as processors.
    wake : callable
        Called when a run has moved.
    """

    name = "local"

    def __init__(
        self,
        store: Store,
        *,
        home: Path,
        workers: int | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(store, workers=workers or _count_processors(), memory_mib=_MEMORY_MIB, wake=wake)
        self._code_folder = home / "code"

    def prepare(self, image: Image, imports: Imports) -> Prepared:
        """Do nothing: what is installed here is there already."""
        return Prepared()

    def remove(self, images: Collection[str], name: str) -> Removed:
        """Do nothing: there are no images."""
        return Removed()

    def open_berth(self) -> Berth[WorkerSpec]:
        """Return this machine."""
        return _ThisMachine()

    def spec_of(self, run: Run, *, as_shipped: bool) -> WorkerSpec:
        """Return a process that finds modules as this one does, or else as they were shipped."""
        path, orders = run.sys_path, run.orders
        if orders.bundle and as_shipped:
            # The person's modules may have been edited since: the run goes on with its own.
            path = (str(unpack_bundle(self.store, orders.bundle, self._code_folder)), *path)
        return WorkerSpec(
            sys_path=path, cwd=run.cwd, environment=orders.environment(os.environ), code=run.code
        )


class _ThisMachine:
    """Starts worker processes."""

    def start(self, spec: WorkerSpec) -> WorkerProcess:
        """Start one."""
        return WorkerProcess(spec)

    def close(self, *, waits: bool) -> None:
        """Do nothing: it holds nothing."""


def _count_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
