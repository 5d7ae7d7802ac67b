"""The future of one item."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any, Protocol, TypeVar, cast

from cloudknot.errors import KnotError
from cloudknot.opening import Answer

logger = logging.getLogger(__name__)

R = TypeVar("R")


class CallParent(Protocol):
    """What an item's future asks of its map's."""

    run_id: str

    def cancel_item(self, index: int) -> None:
        """Stop one item."""

    def read_log(self, index: int) -> str:
        """Return what an item has written."""

    def resume(self) -> Any:
        """Run what has not finished; return the items' futures."""


class CallFuture(Future[R]):
    """The future of one item.

    Attributes
    ----------
    index : int
        The item's place in the map.
    run_id : str
        The run that it belongs to.
    """

    def __init__(self, parent: CallParent, index: int) -> None:
        super().__init__()
        self._parent = parent
        self._notify_once = threading.Lock()
        self.index = index
        self.run_id = parent.run_id

    def cancel(self) -> bool:
        """Stop the item, also while it runs; the map's other items go on.

        Returns
        -------
        bool
            False when it had ended before.
        """
        if cancel_and_notify(self, self._notify_once):
            self._parent.cancel_item(self.index)
        return self.cancelled()

    def result(self, timeout: float | None = None) -> R:
        """Wait for the item and return its value, or raise its exception."""
        check_may_wait(self)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the item and return its exception, or None."""
        check_may_wait(self)
        return super().exception(timeout)

    def settle(self, answer: Answer) -> None:
        """Settle it, unless it was cancelled meanwhile. Never raises. For its map's future."""
        try:
            if isinstance(answer.exception, CancelledError):
                cancel_and_notify(self, self._notify_once)
            elif answer.exception is not None:
                self.set_exception(answer.exception)
            else:
                self.set_result(answer.value)
        except InvalidStateError:
            return
        except BaseException:  # a callback's SystemExit; futures log the other exceptions themselves
            logger.exception("a callback of item %d of %s failed", self.index, self.run_id)

    def logs(self) -> str:
        """Return what the item wrote to standard output and standard error so far.

        Of a running item only the process that runs it can tell.
        """
        return self._parent.read_log(self.index)

    def resume(self) -> CallFuture[R]:
        """Run the call again if it was interrupted; see `MapFuture.resume`."""
        return cast("CallFuture[R]", self._parent.resume()[self.index])

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled() else "done" if self.done() else "running"
        if self.done() and not self.cancelled() and (error := self.exception()) is not None:
            state = f"failed: {type(error).__name__}"
        return f"<CallFuture {self.run_id}[{self.index}] {state}>"


class SettlingThread(threading.Thread):
    """A thread that settles futures and so calls their callbacks."""


def check_may_wait(future: Future[Any]) -> None:
    """Refuse to wait in a callback for a future that only the callback's own thread can settle.

    Raises
    ------
    KnotError
        It would wait for ever.
    """
    if isinstance(threading.current_thread(), SettlingThread) and not future.done():
        raise KnotError(
            "a done-callback cannot wait for another result, because its own thread is the one that brings "
            "results: start maps here, and wait for them elsewhere or by callbacks of their own"
        )


def cancel_and_notify(future: Future[Any], once: threading.Lock) -> bool:
    """Cancel a future and tell who waits for it; return whether this call was the one that did."""
    if not Future.cancel(future) or not once.acquire(blocking=False):
        return False
    future.set_running_or_notify_cancel()
    return True
