"""``cloudknot resume``: runs what is left of a run, in this process."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

import click

from cloudknot.cli import INTERRUPTED
from cloudknot.cli.choosing import find_run, run_argument
from cloudknot.cli.messages import say
from cloudknot.cli.wording import count
from cloudknot.client import current_client
from cloudknot.display import describe_counts
from cloudknot.futures import MapFuture


@click.command("resume")
@run_argument
def command(run: str) -> int:
    """Run what a run has not finished, and wait for it.

    The exit code is 0 when every item of the run has succeeded in the end, and else 1.
    """
    future = find_run(current_client(), run)
    is_complete, so_far = future.items.outcomes.is_complete, _ended(future)
    try:
        future = future.resume()
        say("nothing was left to run" if is_complete else f"resuming {future.run_id}: {so_far}")
        wait([future])
    except KeyboardInterrupt:
        future.items.outcomes.refresh()
        click.echo(err=True)  # behind ^C
        say(f"interrupted, {_ended(future)}: 'cloudknot resume {future.run_id}' goes on")
        return INTERRUPTED
    counts = future.items.counts
    click.echo(f"{future.run_id} is {describe_counts(future.state, counts, len(future))}")
    if counts.done == len(future):
        return 0
    say(f"'cloudknot show {future.run_id}' tells more")
    return 1


def _ended(future: MapFuture[Any]) -> str:
    return f"{future.items.counts.ended} of {count(len(future), 'item')} ended"
