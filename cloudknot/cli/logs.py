"""``cloudknot logs``: what an item wrote, or writes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from cloudknot.cli.choosing import find_run, run_argument
from cloudknot.cli.messages import say
from cloudknot.client import Client, current_client
from cloudknot.errors import AwsError, InputError
from cloudknot.futures import MapFuture

_LOOK_S = 1.0
# Where an output has grown so long that its middle is left out, its end is found by so many of its bytes.
_MATCHED_BYTES = 4096


@click.command("logs")
@run_argument
@click.argument("index", type=int)
@click.option("--follow", "-f", is_flag=True, help="Go on until the item has ended.")
def command(run: str, index: int, follow: bool) -> int:
    """Print what one item of a run wrote.

    It goes to standard output as the item wrote it to its standard output and standard error. INDEX is
    the item's place in the map, from 0 up. Of an item that still runs, it is what it has written so far,
    where the place can tell.
    """
    client = current_client()
    future = find_run(client, run)
    if not 0 <= index < len(future):
        items = f"its items are 0 to {len(future) - 1}" if len(future) else "it has none"
        raise InputError(f"no item {index} in {future.run_id}: {items}")
    seen = b""
    if future.items.outcome(index) is None and not future.done():
        seen = _follow(client, future, index, once=not follow)
    if future.items.outcome(index) is None:
        is_over = future.done()
        why = "was not run to its end" if is_over else "has not ended"
        silent = "" if is_over or seen else ": its output comes with its end"
        say(f"item {index} of {future.run_id} {why}{silent}")
        return 0 if seen and not is_over else 1
    log = future.items.envelope(index).log
    if not log:
        say(f"item {index} of {future.run_id} wrote nothing")
    _print(unseen(seen, log))
    return 0


def _follow(client: Client, future: MapFuture[Any], index: int, *, once: bool) -> bytes:
    """Print what a running item writes; return it."""

    def read() -> bytes:
        position = future.items.position(index)
        return b"" if position is None else client.read_log(future.run, position)

    return follow_log(
        read,
        has_ended=lambda: once or future.items.outcome(index) is not None or future.done(),
        show=_print,
    )


def follow_log(
    read: Callable[[], bytes],
    *,
    has_ended: Callable[[], bool],
    show: Callable[[bytes], None],
    sleep: Callable[[float], object] = time.sleep,
) -> bytes:
    """Show what is new in a log until its item has ended; return all that was seen of it.

    Parameters
    ----------
    read : callable
        Returns the log so far.
    has_ended : callable
        Whether the item has ended.
    show : callable
        Takes what is new.
    sleep : callable
        Waits so many seconds.
    """
    seen = b""
    while True:
        try:
            log = read()
        except AwsError as error:
            if not (error.is_throttle or error.is_unsure):
                raise
            log = b""  # the next look may do better
        show(unseen(seen, log))
        seen = log if len(log) > len(seen) or not seen.startswith(log) else seen
        if has_ended():
            return seen
        sleep(_LOOK_S)


def unseen(seen: bytes, log: bytes) -> bytes:
    """Return what is new in a log.

    Parameters
    ----------
    seen : bytes
        The log as it was before.
    log : bytes
        The log now. It may have been left out in the middle since, or be of another try of the item.

    Examples
    --------
    >>> unseen(b"epoch 1", b"epoch 1, epoch 2")
    b', epoch 2'
    >>> unseen(b"epoch 1, epoch 2", b"epoch 1")  # a second try: it writes the same again
    b''
    """
    if log.startswith(seen):
        return log[len(seen) :]
    if seen.startswith(log):
        return b""
    if len(seen) >= _MATCHED_BYTES and (place := log.rfind(seen[-_MATCHED_BYTES:])) >= 0:
        return log[place + _MATCHED_BYTES :]
    return log[_common(seen, log) :]


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes at the beginning are equal."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _print(log: bytes) -> None:
    sys.stdout.buffer.write(log)
    sys.stdout.buffer.flush()
