"""The future of one item."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any, Protocol, TypeVar, cast

from cloudknot.opening import Answer

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
        self.index = index
        self.run_id = parent.run_id

    def cancel(self) -> bool:
        """Stop the item, also while it runs; the map's other items go on.

        Returns
        -------
        bool
            False when it had ended before.
        """
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()
        self._parent.cancel_item(self.index)
        return True

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


def settle_call(item: CallFuture[Any], answer: Answer) -> None:
    """Settle an item's future, unless it was cancelled meanwhile."""
    try:
        if isinstance(answer.exception, CancelledError):
            if Future.cancel(item):
                item.set_running_or_notify_cancel()
        elif answer.exception is not None:
            item.set_exception(answer.exception)
        else:
            item.set_result(answer.value)
    except InvalidStateError:
        return
