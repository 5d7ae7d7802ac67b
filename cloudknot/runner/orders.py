"""What the far side must know of a run: read from the run's own record in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store

Style = Literal["one", "star", "call"]
OnError = Literal["auto", "continue", "stop"]


@dataclass(frozen=True, kw_only=True)
class Orders:
    """How to run the items of one run.

    Parameters
    ----------
    count : int
        Positions in the run.
    style : {"one", "star", "call"}
        How an argument is given to the function: ``f(x)``, ``f(*x)``, ``f(*x[0], **x[1])``.
    inputs_run : str
        The run whose shards hold the arguments; its own, except where items are run again.
    shards : tuple of int
        The first item index of each argument shard, then the number of items in all.
    is_selection : bool
        Whether the run covers only some items of ``inputs_run``, named in its ``indices`` object.
    chunk_size : int, optional
        Items a chunk; None lets the place decide as it goes.
    on_error : {"auto", "continue", "stop"}
        When the map stops.
    raised_retries, lost_retries : int
        Further tries after the function raised, or after its process was killed.
    timeout_s : float, optional
        Seconds that one item may take.
    bundle : str
        The key of the archive with the person's own modules; empty where there are none.
    env_vars : dict
        Environment variables of the worker.
    threads : int
        Threads that numerical libraries should use.
    """

    count: int
    style: Style = "one"
    inputs_run: str
    shards: tuple[int, ...]
    is_selection: bool = False
    chunk_size: int | None = None
    on_error: OnError = "auto"
    raised_retries: int = 0
    lost_retries: int = 2
    timeout_s: float | None = None
    bundle: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the orders as they stand in the run's record."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Orders:
        """Return the orders that a record holds; fields of newer versions are passed over."""
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**{**known, "shards": tuple(known["shards"])})

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return a worker's whole environment: what the person set goes before what is inherited."""
        return worker_environment(inherited, env_vars=self.env_vars, threads=self.threads)


_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def worker_environment(
    inherited: Mapping[str, str], *, env_vars: Mapping[str, str], threads: int
) -> dict[str, str]:
    """Return a worker's environment; see `Orders.environment`."""
    return {**dict.fromkeys(_THREAD_VARIABLES, str(threads)), **inherited, **env_vars}


def read_orders(store: Store, run_id: str) -> Orders:
    """Read a run's orders from its record."""
    return Orders.from_json(json.loads(store.get(Keys(run_id).run))["orders"])
