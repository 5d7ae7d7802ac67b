"""Batch in every region that is asked for, with one clock, one executor and one set of faults."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cloudknot.testing.batch.account import Account, Trouble
from cloudknot.testing.batch.api import BatchApi
from cloudknot.testing.batch.catalogue import Catalogue
from cloudknot.testing.batch.engine import Engine
from cloudknot.testing.clock import Clock
from cloudknot.testing.executors import Executor

__all__ = ["Region", "Regions"]


@dataclass(frozen=True, kw_only=True)
class Region:
    """Batch in one region."""

    name: str
    catalogue: Catalogue
    engine: Engine
    api: BatchApi


class Regions:
    """Makes a region's Batch when it is first asked for.

    Parameters
    ----------
    account_id : str
        Whose.
    clock : Clock
        The box's time.
    executor : Executor
        Runs the containers of jobs.
    trouble : Trouble
        What shall go wrong.
    account_in : callable
        Gives the account of a region.
    """

    def __init__(
        self,
        *,
        account_id: str,
        clock: Clock,
        executor: Executor,
        trouble: Trouble,
        account_in: Callable[[str], Account],
    ) -> None:
        self._account_id = account_id
        self._clock = clock
        self._executor = executor
        self._trouble = trouble
        self._account_in = account_in
        self._lock = threading.Lock()
        self._regions: dict[str, Region] = {}

    def __getitem__(self, name: str) -> Region:
        with self._lock:
            if name not in self._regions:
                self._regions[name] = self._make(name)
            return self._regions[name]

    def all(self) -> list[Region]:
        """Return those that were asked for."""
        with self._lock:
            return list(self._regions.values())

    def close(self) -> None:
        """End every job, and forget all."""
        for region in self.all():
            region.engine.close()

    def _make(self, name: str) -> Region:
        lock = threading.RLock()
        account = self._account_in(name)
        catalogue = Catalogue(
            account_id=self._account_id,
            region=name,
            clock=self._clock,
            lock=lock,
            account=account,
            trouble=self._trouble,
        )
        engine = Engine(
            catalogue=catalogue,
            clock=self._clock,
            lock=lock,
            account=account,
            trouble=self._trouble,
            executor=self._executor,
        )
        return Region(name=name, catalogue=catalogue, engine=engine, api=BatchApi(catalogue, engine))
