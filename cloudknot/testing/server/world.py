"""All that one box holds, put together; and put back to nothing."""

import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudknot.testing.batch.account import Account
from cloudknot.testing.clock import Clock
from cloudknot.testing.ecr.installing import Installed as Registry
from cloudknot.testing.executors import Executor
from cloudknot.testing.faults import Faults
from cloudknot.testing.server import moto_account
from cloudknot.testing.server.account import RegionalAccount
from cloudknot.testing.server.journal import Journal
from cloudknot.testing.server.regions import Regions
from cloudknot.testing.server.roles import TaskRoles

__all__ = ["EXECUTORS", "Settings", "World"]

EXECUTORS = ("docker", "process")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What stays the same as long as the box is up."""

    name: str
    folder: Path
    port: int
    region: str
    access_key: str
    secret_key: str
    token: str
    """The key to the box's own controls."""
    account_id: str = moto_account.ACCOUNT_ID


class World:
    """The account in the box: its clock, its faults, its Batch, its registry; moto holds the rest.

    Parameters
    ----------
    settings : Settings
        Where the box is.
    registry : Registry
        ECR and its images.
    make_executor : mapping of callables
        What makes an executor for this world, by its name.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        make_executor: Mapping[str, Callable[["World"], Executor]],
    ) -> None:
        self.settings = settings
        self.registry = registry
        self._make_executor = make_executor
        self._resetting = threading.Lock()
        self._executor: Executor | None = None
        self._is_removed = False
        self.executor_name = ""

    def reset(self, *, executor: str, seed: int = 0, ticking: bool = True) -> None:
        """End every job and begin with an empty account.

        Parameters
        ----------
        executor : str
            `docker` or `process`: what runs the jobs from now on.
        seed : int
            Of the faults.
        ticking : bool
            Whether the box's time goes on by itself.

        Raises
        ------
        ValueError
            When that executor cannot be had, or the box goes down; then nothing has changed.
        """
        with self._resetting:
            if self._is_removed:
                raise ValueError("the box is going down")
            runner = self._make_executor[executor](self)  # before anything ends: it may not be there
            self._close()
            moto_account.reset(self.settings.access_key, self.settings.secret_key)
            self.registry.clear()
            self._executor, self.executor_name = runner, executor
            self.clock = Clock(ticking=ticking)
            self.faults = Faults(seed)
            self.journal = Journal()
            endpoint = f"http://127.0.0.1:{self.settings.port}"
            self.roles = TaskRoles(self.settings.account_id, endpoint, self._is_seen)
            self.regions = Regions(
                account_id=self.settings.account_id,
                clock=self.clock,
                executor=runner,
                trouble=self.faults,
                account_in=self._account_in,
            )

    def remove(self) -> None:
        """End every job, and remove the box's files; returns when nothing is left."""
        with self._resetting:
            self._is_removed = True
            self._close()
            shutil.rmtree(self.settings.folder / "registry", ignore_errors=True)

    def _close(self) -> None:
        if self._executor is not None:
            self.regions.close()
            self._executor.close()
            self.clock.close()
            self._executor = None

    def call_batch(self, region: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do an operation of Batch for CloudFormation."""
        reply = self.regions[region].api.handle(operation, params, size=0)
        # CloudFormation waits until what it has begun is there, or gone.
        self.regions[region].catalogue.settle()
        return reply

    def _is_seen(self, made_at: float) -> bool:
        return self.clock.now() - self.clock.at(made_at) >= self.faults.lag_s("iam")

    def tagged_in_batch(self, region: str) -> list[tuple[str, dict[str, str]]]:
        """Return the ARNs and tags of all that Batch has in a region."""
        batch = self.regions[region]
        return [*batch.catalogue.tagged(), *batch.engine.tagged()]

    def _account_in(self, region: str) -> Account:
        return RegionalAccount(self.settings.account_id, region, port=self.settings.port, roles=self.roles)
