"""From an envelope to a value or an exception. Never raises: what cannot be rebuilt is an error itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

from cloudknot.errors import (
    CallError,
    CallLostError,
    CallTimeoutError,
    NotPicklableError,
    NotRebuiltError,
    RemoteTraceback,
)
from cloudknot.runner.envelopes import SUCCESSES, Envelope, Outcome
from cloudknot.runner.pickles import loads


class Answer(NamedTuple):
    """What an item's future is settled with: a value, unless there is an exception."""

    value: Any = None
    exception: BaseException | None = None


def open_envelope(envelope: Envelope, index: int, read_stored: Callable[[Envelope], bytes]) -> Answer:
    """Return what an envelope holds.

    Parameters
    ----------
    envelope : Envelope
        The item's.
    index : int
        The item's place in the map, for messages.
    read_stored : callable
        Returns the pickle, which may be an object of its own.
    """
    if envelope.outcome in SUCCESSES:
        try:
            return Answer(value=loads(read_stored(envelope)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the value's own code runs here
            broken = NotRebuiltError(
                f"item {index} returned a value that cannot be rebuilt in this process: "
                f"{type(error).__name__}: {error}"
            )
            broken.__cause__ = error
            return Answer(exception=broken)
    if envelope.outcome is Outcome.RAISED and envelope.payload:
        return Answer(exception=_rebuild_exception(envelope, index))
    return Answer(exception=_describe(envelope, index))


def _rebuild_exception(envelope: Envelope, index: int) -> BaseException:
    detail = envelope.detail
    try:
        error: BaseException = loads(envelope.payload)
        if not isinstance(error, BaseException):
            raise TypeError(f"its pickle holds {type(error).__name__}, not an exception")  # noqa: TRY301
    except KeyboardInterrupt:
        raise
    except BaseException as broken:  # as above
        error = NotRebuiltError(
            f"item {index} raised {_said(detail)}, an exception that cannot be rebuilt in this process: "
            f"{type(broken).__name__}: {broken}"
        )
    error.__cause__ = RemoteTraceback(detail.get("traceback", ""))
    return error


def _describe(envelope: Envelope, index: int) -> BaseException:
    detail = envelope.detail
    reason = detail.get("reason", "")
    error: CallError
    if envelope.outcome is Outcome.CANCELLED:
        return CancelledError(f"item {index} was cancelled")
    if envelope.outcome is Outcome.RAISED:
        error = NotPicklableError(
            f"item {index} raised {_said(detail)}, an exception that cannot be pickled: {reason}"
        )
    elif envelope.outcome is Outcome.NOT_PICKLABLE:
        error = NotPicklableError(
            f"item {index} returned a value of type {detail.get('type')}, which cannot be pickled: {reason}"
        )
    elif envelope.outcome is Outcome.TIMED_OUT:
        error = CallTimeoutError(f"item {index} was killed: {reason}")
    else:
        again = f", {envelope.tries} times" if envelope.tries > 1 else ""
        error = CallLostError(f"the process of item {index} was lost{again}: {reason}")
    if "traceback" in detail:
        error.__cause__ = RemoteTraceback(detail["traceback"])
    return error


def _said(detail: dict[str, str]) -> str:
    return f"{detail.get('type', 'an exception')}({detail.get('message', '')!r})"
