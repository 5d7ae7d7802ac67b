"""Real futures: one for a whole map, and one for each of its items, made when it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any, Generic, Literal, Protocol, cast, overload
from weakref import WeakValueDictionary

from cloudknot.calls import CallFuture, R, cancel_and_notify, check_may_wait
from cloudknot.display import describe_counts, html_of_future
from cloudknot.errors import StoreError
from cloudknot.failures import LOOKED_AT, Failed
from cloudknot.items import Items
from cloudknot.opening import Answer, open_envelope
from cloudknot.runner.envelopes import Outcome
from cloudknot.runner.pickles import loads
from cloudknot.runs import Run, State

# Explains why an item has no outcome: a CallError or a CancelledError.
Explain = Callable[[int], BaseException]


class RunControl(Protocol):
    """What futures ask of whoever runs them."""

    def cancel(self, run: Run, position: int | None) -> None:
        """Stop a run, or one item."""

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that has not ended has written so far."""

    def retry_failed(
        self, future: MapFuture[Any], *, func: Callable[..., Any] | None, **resources: Any
    ) -> MapFuture[Any]:
        """Run the failed items again, as a new run."""

    def resume(self, future: MapFuture[Any]) -> MapFuture[Any]:
        """Run what has not finished."""


class MapFuture(Future[list[R]], Sequence[CallFuture[R]], Generic[R]):
    """The future of a whole map, and the sequence of its items' own futures.

    It is done when every item has ended. Iteration is by index; `concurrent.futures.as_completed`
    gives the items by finish.

    Attributes
    ----------
    run : Run
        The run as it stands in the ledger.
    run_id : str
        Its id: ``cloudknot.attach(run_id)`` gives these futures in another process.
    """

    def __init__(self, run: Run, items: Items, control: RunControl) -> None:
        super().__init__()
        self.run = run
        self.run_id = run.run_id
        self.items = items
        self.state = State.RUNNING
        self._control = control
        self._lock = threading.RLock()
        self._notify_once = threading.Lock()
        self._awaited: dict[int, CallFuture[R]] = {}
        self._cancelled: dict[int, CallFuture[R]] = {}
        self._made: WeakValueDictionary[int, CallFuture[R]] = WeakValueDictionary()
        self._explain: Explain | None = None

    def __len__(self) -> int:
        return self.run.length

    def __bool__(self) -> bool:
        return True

    __hash__ = Future.__hash__

    def __iter__(self) -> Iterator[CallFuture[R]]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> CallFuture[R]: ...
    @overload
    def __getitem__(self, index: slice) -> list[CallFuture[R]]: ...
    def __getitem__(self, index: int | slice) -> CallFuture[R] | list[CallFuture[R]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index.__index__()
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"item {index} of a map of {len(self)} items")
        return self._item(place)

    @overload
    def result(
        self, timeout: float | None = None, *, return_exceptions: Literal[False] = False
    ) -> list[R]: ...
    @overload
    def result(self, timeout: float | None = None, *, return_exceptions: bool) -> list[R | BaseException]: ...
    def result(
        self, timeout: float | None = None, *, return_exceptions: bool = False
    ) -> list[R] | list[R | BaseException]:
        """Wait for all items and return their values, in order.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; None waits as long as it takes.
        return_exceptions : bool, default False
            Give a failed item's exception in its place, instead of raising the first one.

        Raises
        ------
        BaseException
            The first failed item's own exception, with a note that counts the rest.
        concurrent.futures.CancelledError
            The map was cancelled.
        TimeoutError
            The time is over; the run goes on.
        """
        check_may_wait(self)
        if return_exceptions:
            self._wait(timeout)
            answers = (self._answer(index) for index in range(len(self)))
            return [answer.value if answer.exception is None else answer.exception for answer in answers]
        super().result(timeout)
        first = next(self.items.not_fine(), None)
        if first is not None:
            raise self._failure(first)
        values: list[R] = []
        try:
            for data in self.items.pickles():
                values.append(loads(data))
        except (StoreError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._failure(len(values)) from error
        return values

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for all items and return the first failed one's exception, or None."""
        check_may_wait(self)
        super().exception(timeout)
        first = next(self.items.not_fine(), None)
        if first is not None:
            return self._failure(first)
        for index, data in enumerate(self.items.pickles()):
            try:
                loads(data)
            except BaseException:  # the value's own code runs here
                return self._failure(index)
        return None

    def cancel(self) -> bool:
        """Stop the map: what runs is killed, what waits never runs. What has ended keeps its result.

        Returns
        -------
        bool
            False when it was done before.
        """
        with self._lock:
            if self._explain is not None:  # its end is decided already
                return self.state is State.CANCELLED
            self.state, self._explain = State.CANCELLED, _cancelled
            awaited, self._awaited = self._awaited, {}
        cancel_and_notify(self, self._notify_once)
        try:
            self._control.cancel(self.run, None)
        finally:
            for item in awaited.values():
                item.settle(Answer(exception=CancelledError()))
        return True

    def running(self) -> bool:
        """Return whether items are still to come."""
        return not self.done()

    @property
    def failed(self) -> Failed[R]:
        """The futures of the items that have failed so far."""
        indices = [index for index in self.items.not_fine() if self._has_failed(index)]
        return Failed(indices, self._item, self.items, self._explain or _not_yet)

    def retry_failed(self, func: Callable[..., R] | None = None, **resources: Any) -> MapFuture[R]:
        """Run the items that have no value again, and only those, on the inputs that the ledger holds.

        Parameters
        ----------
        func : callable, optional
            A mended function; None takes the one that the map was started with.
        **resources
            ``vcpus``, ``memory_mib``, ``timeout_s`` and what else a Knot takes of resources, and
            ``budget_usd``: what to change.

        Returns
        -------
        MapFuture
            Of all items, as a new run: what had succeeded keeps its value.

        Raises
        ------
        InputError
            The map is still running.
        """
        return cast("MapFuture[R]", self._control.retry_failed(self, func=func, **resources))

    def resume(self) -> MapFuture[R]:
        """Run what had not finished, under the same id, with the function as it was.

        Raises
        ------
        RunOwnedError
            The process that runs it is alive.
        """
        return cast("MapFuture[R]", self._control.resume(self))

    def settle(self, indices: Iterable[int]) -> None:
        """Settle the futures of items that have ended. For the watcher."""
        with self._lock:
            if not self._awaited:
                return
            ended = [(index, self._awaited.pop(index, None)) for index in indices]
        for index, item in ended:
            if item is not None:
                item.settle(self._open(index))

    def finish(self, state: State, explain: Explain) -> None:
        """Settle what is left: nothing more will come. For the watcher."""
        with self._lock:
            is_decided = self._explain is not None
            if not is_decided:
                self.state, self._explain = state, explain
            awaited, self._awaited = self._awaited, {}
        for index, item in awaited.items():
            item.settle(self._answer(index))
        if is_decided:
            return
        if state is State.CANCELLED:
            cancel_and_notify(self, self._notify_once)
        else:
            self.set_result([])  # the values are read when they are asked for

    def __repr__(self) -> str:
        return f"<MapFuture {self.run_id} {describe_counts(self.state, self.items.counts, len(self))}>"

    def _repr_html_(self) -> str:
        return html_of_future(self.run, self.state, self.items.counts, self.failed.causes(limit=LOOKED_AT))

    def _wait(self, timeout: float | None) -> None:
        try:
            super().result(timeout)
        except CancelledError:
            return

    def _item(self, index: int) -> CallFuture[R]:
        with self._lock:
            item = self._made.get(index)
            if item is not None:
                return item
            item = self._made[index] = CallFuture(self, index)
            has_ended = self.items.outcome(index) is not None or self._explain is not None
            if not has_ended:
                self._awaited[index] = item
        if has_ended:
            item.settle(self._answer(index))
        return item

    def _answer(self, index: int) -> Answer:
        """Return what an item ended with; only when it has ended, or will not."""
        if self.items.outcome(index) is not None:
            return self._open(index)
        return Answer(exception=(self._explain or _not_yet)(index))

    def _open(self, index: int) -> Answer:
        try:
            envelope = self.items.envelope(index)
        except Exception as error:  # a damaged ledger fails the item, not the others
            return Answer(exception=error)
        return open_envelope(envelope, index, self.items.read_stored(index))

    def _has_failed(self, index: int) -> bool:
        outcome = self.items.outcome(index)
        if outcome is None:
            return self.state not in (State.RUNNING, State.CANCELLED)
        return outcome is not Outcome.CANCELLED

    def _failure(self, index: int) -> BaseException:
        """Return an item's exception with a note on the other items."""
        error = self._answer(index).exception or InvalidStateError(f"item {index} has not failed")
        counts = self.items.counts
        more = counts.failed - (self.items.outcome(index) is not None)
        parts = [f"item {index} of {len(self)}"]
        parts += [f"{more} more failed"] if more > 0 else []
        parts += [f"{counts.cancelled} were cancelled"] if counts.cancelled else []
        parts += [f"{len(self) - counts.ended} were not run"] if len(self) > counts.ended else []
        parts += [f"{counts.done} succeeded"]
        error.add_note(
            f"cloudknot: {'; '.join(parts)}. In the future: .failed, .retry_failed(), "
            "result(return_exceptions=True)"
        )
        return error

    def cancel_item(self, index: int) -> None:
        """Stop one item. For its own future."""
        with self._lock:
            # The ledger may never hear of it, so the future itself must not be forgotten.
            item = self._awaited.pop(index, None)
            if item is not None:
                self._cancelled[index] = item
        position = self.items.position(index)
        if position is not None:
            self._control.cancel(self.run, position)

    def read_log(self, index: int) -> str:
        """Return what an item has written. For its own future."""
        if self.items.outcome(index) is not None:
            log = self.items.envelope(index).log
        else:
            position = self.items.position(index)
            log = b"" if position is None else self._control.read_log(self.run, position)
        return log.decode(errors="replace")


def _not_yet(index: int) -> BaseException:
    return InvalidStateError(f"item {index} has not ended")


def _cancelled(index: int) -> BaseException:
    return CancelledError(f"item {index} was cancelled with its map")
