"""What a supervisor is asked to do, and with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from cloudknot.runner.control import Control
from cloudknot.runner.orders import Orders
from cloudknot.runner.packs import Reports
from cloudknot.runner.processes import Exit

S = TypeVar("S")


class Worker(Protocol):
    """A process that runs items, on this machine or in a container."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when envelopes have come."""

    def order(self, number: int, store: str, run: str, first: int, last: int) -> None:
        """Ask for a chunk."""

    def stop(self, number: int) -> None:
        """Ask to end a chunk after its present item."""

    def read(self) -> bytes | None:
        """Return what has come; None when nothing has, empty when nothing will."""

    def has_ended(self) -> bool:
        """Return whether the process is no more."""

    def read_log(self) -> bytes:
        """Return what the present item has written so far."""

    def kill(self) -> Exit:
        """Kill it with all that it started; say how it came to its end."""

    def close(self) -> None:
        """Kill it and give back what it holds here."""


class Listener(Protocol):
    """Hears what items write while they write it."""

    def listen(self) -> bytes:
        """Return what the present item has written since it was last heard."""

    def hear(self, position: int, part: bytes) -> None:
        """Take note that the item at a position, which still runs, has written this since."""

    def end(self, position: int, log: bytes) -> None:
        """Take note of all that was written in a try of an item that is not its last."""


class _Deaf:
    """Hears nothing."""

    def listen(self) -> bytes:
        return b""

    def hear(self, position: int, part: bytes) -> None:
        pass

    def end(self, position: int, log: bytes) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Assignment(Generic[S]):
    """A chunk to run.

    Parameters
    ----------
    run_id : str
        The run.
    orders : Orders
        How its items are run.
    first, last : int
        The positions, last exclusive.
    spec : object
        What the worker is started with; one that was started with an equal one will do.
    control : Control
        What others may ask meanwhile.
    observe : callable
        Told of each group of items as they end, before they are committed.
    committed : callable
        Called after each commit.
    give_back : callable
        Told of the positions (first, last) that this chunk will not run after all.
    yield_s : float, optional
        Seconds after which the chunk gives back what it has not begun.
    lost : int
        How often the first item was lost before.
    defer : callable, optional
        Told of the position of an item that ran out of memory, which then gets no envelope.
    announce : callable
        Told of the first position of each pack that was committed.
    listener : Listener
        Hears what items write.
    """

    run_id: str
    orders: Orders
    first: int
    last: int
    spec: S
    control: Control
    observe: Callable[[Reports], None] = lambda reports: None
    committed: Callable[[], None] = lambda: None
    give_back: Callable[[int, int], None] = lambda first, last: None
    yield_s: float | None = None
    lost: int = 0
    defer: Callable[[int], None] | None = None
    announce: Callable[[int], None] = lambda first: None
    listener: Listener = field(default_factory=_Deaf)
