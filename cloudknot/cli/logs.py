"""``cloudknot logs``: what an item wrote."""

from __future__ import annotations

import sys

import click

from cloudknot.cli.choosing import find_run, run_argument
from cloudknot.cli.messages import say
from cloudknot.client import current_client
from cloudknot.errors import InputError


@click.command("logs")
@run_argument
@click.argument("index", type=int)
def command(run: str, index: int) -> int:
    """Print what one item of a run wrote.

    It goes to standard output as the item wrote it to its standard output and standard error. INDEX is
    the item's place in the map, from 0 up.
    """
    future = find_run(current_client(), run)
    if not 0 <= index < len(future):
        items = f"its items are 0 to {len(future) - 1}" if len(future) else "it has none"
        raise InputError(f"no item {index} in {future.run_id}: {items}")
    if future.items.outcome(index) is None:
        why = "was not run to its end" if future.done() else "has not ended: its output comes with its end"
        say(f"item {index} of {future.run_id} {why}")
        return 1
    log = future.items.envelope(index).log
    if not log:
        say(f"item {index} of {future.run_id} wrote nothing")
    sys.stdout.buffer.write(log)
    return 0
