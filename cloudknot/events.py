"""What observers hear of a run. An observer that raises is logged and cannot hurt the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cloudknot.ledger import Counts
from cloudknot.runs import Run, State

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunSubmitted:
    """A run was handed to its place."""

    run: Run
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class ItemsSettled:
    """Some items of a run have ended; ``counts`` are of all so far."""

    run: Run
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class RunSettled:
    """Nothing more of a run will come."""

    run: Run
    counts: Counts
    state: State


Event = RunSubmitted | ItemsSettled | RunSettled
Observer = Callable[[Event], None]


def tell(observers: Iterable[Observer], event: Event) -> None:
    """Tell each observer, whatever the others do."""
    for observer in observers:
        try:
            observer(event)
        except Exception:  # observers must not hurt the run
            logger.exception("an observer failed on %s", type(event).__name__)
