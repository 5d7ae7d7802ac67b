"""A run: one map or submit, as it stands in the ledger, and the rule that may stop it."""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cloudknot.reach import Imports
from cloudknot.runner.orders import OnError, Orders
from cloudknot.specs import Image, Resources, Retry

# "auto" stops a map when this many first items all failed alike.
CANARY_ITEMS = 20

FORMAT = 1


class State(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Chunk(NamedTuple):
    """Consecutive positions of a run: first to last (exclusive)."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a run stands, as its place or its ledger tells.

    Parameters
    ----------
    state : State
        ``RUNNING`` while more may come.
    reason : str
        Why it ended, unless all is done.
    """

    state: State
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether nothing more of the run will come."""
        return self.state is not State.RUNNING


@dataclass(frozen=True, kw_only=True)
class Run:
    """One map or submit: all that is known of it before anything is started.

    Parameters
    ----------
    run_id : str
        Unique; starts with the Knot's name and the time.
    name : str
        The Knot's name.
    backend : str
        The place.
    created : str
        When, ISO 8601 in UTC.
    is_single : bool
        Whether it came from ``submit``.
    length : int
        Items that the user's future has; more than the run's own where only failed items run again.
    orders : Orders
        What the far side must know.
    parent : str
        The run whose failed items it runs again; empty for most.
    is_rerun : bool
        Whether it runs what another run shipped, rather than what this process holds.
    resources : Resources
        What one item may use.
    sys_path, cwd
        Where the client found its modules, and its working directory.
    function : str
        The function's qualified name, for people.
    code : str
        Names the state of the person's own modules; another state needs other workers.
    python : str
        The version of Python, such as ``"3.11"``: a function's code fits no other.
    image : str
        The name of the container image that it runs in; empty where there is none.
    made_from : Image
        What the person asked of that image.
    imports : Imports
        The modules that function and arguments need in it.
    volumes : tuple of str
        Folders of this machine that containers see.
    retry : Retry
        How often an item is tried again.
    budget_usd : float, optional
        What it may cost.
    address : str
        Which of several places of its kind; empty where there is one only.
    """

    run_id: str
    name: str
    backend: str
    created: str
    is_single: bool
    length: int
    orders: Orders
    parent: str = ""
    is_rerun: bool = False
    resources: Resources = field(default_factory=Resources)
    sys_path: tuple[str, ...] = ()
    cwd: str = ""
    function: str = ""
    code: str = ""
    python: str = ""
    image: str = ""
    made_from: Image = field(default_factory=Image)
    imports: Imports = field(default_factory=Imports)
    volumes: tuple[str, ...] = ()
    retry: Retry = field(default_factory=Retry)
    budget_usd: float | None = None
    address: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the run's record."""
        record = {"format": FORMAT, **asdict(self), "orders": self.orders.to_json()}
        return {**record, "made_from": self.made_from.to_json(), "imports": _imports_to_json(self.imports)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Run:
        """Return the run that a record holds; fields of newer versions are passed over."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        known["orders"] = Orders.from_json(record["orders"])
        known["resources"] = Resources(**record["resources"])
        known["retry"] = Retry(**record.get("retry", {}))
        known["sys_path"] = tuple(record["sys_path"])
        known["volumes"] = tuple(record.get("volumes", ()))
        known["imports"] = Imports(
            **{name: frozenset(modules) for name, modules in record.get("imports", {}).items()}
        )
        known["made_from"] = Image.from_json(record.get("made_from", {}))
        return cls(**known)


def _imports_to_json(imports: Imports) -> dict[str, list[str]]:
    return {name: sorted(modules) for name, modules in asdict(imports).items()}


def new_run_id(name: str, now: datetime.datetime) -> str:
    """Return an id that no other run has: the name, the time in UTC, 40 random bits."""
    token = base64.b32encode(os.urandom(5)).decode().lower()
    return f"{name}-{now.astimezone(datetime.UTC):%Y%m%dt%H%M%S}-{token}"


class FailureRule:
    """Decides from the items that have ended whether the map goes on.

    Parameters
    ----------
    on_error : {"auto", "continue", "stop"}
        ``"stop"`` stops at the first failure; ``"auto"`` when the first 20 items all failed by the
        same type at the same line; ``"continue"`` never.
    canaries : sequence of int
        The positions that ``"auto"`` looks at; fewer than 20 never stop a map.
    """

    def __init__(self, on_error: OnError, canaries: range | tuple[int, ...]) -> None:
        self._on_error = on_error
        self._waiting = set(canaries) if on_error == "auto" and len(canaries) >= CANARY_ITEMS else set()
        self._signature: tuple[str, str] | None = None
        self._alike = 0
        self.reason = ""

    @property
    def is_open(self) -> bool:
        """Return whether ``"auto"`` has yet to see an item that does not fail like the others."""
        return bool(self._waiting) and not self.reason

    def holds(self, position: int) -> bool:
        """Return whether an item behind the first ones should wait until these have ended."""
        return self.is_open and position not in self._waiting and self._alike >= CANARY_ITEMS // 2

    @property
    def is_watching(self) -> bool:
        """Return whether it still matters how items end."""
        return (self._on_error == "stop" or bool(self._waiting)) and not self.reason

    def observe_success(self) -> None:
        """Take note of an item that did not fail."""
        self._waiting.clear()

    def forget(self, position: int) -> None:
        """Wait no more for an item: it was cancelled, which is no failure."""
        if position in self._waiting:
            self._waiting.clear()  # fewer than all first items can fail now

    def observe_failure(self, position: int, signature: tuple[str, str]) -> None:
        """Take note of an item that failed; ``reason`` is set when the map must stop."""
        if self._on_error == "stop":
            self.reason = self.reason or f"item {position} failed ({signature[0]}) and on_error is 'stop'"
        elif position in self._waiting:
            if self._signature not in (None, signature):
                self._waiting.clear()
                return
            self._signature = signature
            self._alike += 1
            self._waiting.discard(position)
            if not self._waiting:
                self.reason = (
                    f"the first {CANARY_ITEMS} items all failed with {signature[0]}"
                    f"{f' at {signature[1]}' if signature[1] else ''}; on_error='continue' goes on regardless"
                )
