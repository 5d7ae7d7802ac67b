"""The places where a run can run, each behind one Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from cloudknot.config import Settings
from cloudknot.errors import InputError
from cloudknot.runner.stores import Store
from cloudknot.runs import Run, Status


class Backend(Protocol):
    """A place that runs runs."""

    name: str
    store: Store

    def submit(self, run: Run) -> None:
        """Start a run, or what is left of it. Its record and inputs are in the store already."""

    def poll(self, run: Run) -> Status:
        """Say where a run stands, in a number of requests that does not grow with its items."""

    def forget(self, run: Run) -> None:
        """Let go of a run that is over."""

    def cancel(self, run: Run, position: int | None = None) -> None:
        """Stop a run, or one item of it; what runs is killed."""

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that has not ended has written so far."""

    def teardown(self) -> None:
        """Remove what was made to run runs."""


def _make_local(settings: Settings, store: Store, wake: Callable[[], None]) -> Backend:
    from cloudknot.backends.local import LocalBackend  # noqa: PLC0415  # loaded when it is used

    return LocalBackend(store, home=settings.home, workers=settings.local_workers, wake=wake)


_BACKENDS: Mapping[str, Callable[[Settings, Store, Callable[[], None]], Backend]] = {"local": _make_local}


def check_backend(name: object) -> str:
    """Return the name if there is a backend of that name."""
    if name not in _BACKENDS:
        raise InputError(f"no backend {name!r}: choose from {', '.join(sorted(_BACKENDS))}")
    return str(name)


def make_backend(name: str, settings: Settings, store: Store, wake: Callable[[], None]) -> Backend:
    """Make a backend by its name.

    Parameters
    ----------
    name : str
        One of the table's.
    settings : Settings
        What the person has set.
    store : Store
        This machine's ledger.
    wake : callable
        Called when a run has moved.
    """
    return _BACKENDS[check_backend(name)](settings, store, wake)
