"""``cloudknot cancel``: stops a run, also one of another process."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

import click

from cloudknot.cli.choosing import find_run, run_argument
from cloudknot.cli.messages import say
from cloudknot.client import current_client
from cloudknot.display import describe_counts
from cloudknot.futures import MapFuture

# The process that has the run looks once a second, and then kills what runs.
_ANSWER_S = 30


@click.command("cancel")
@run_argument
def command(run: str) -> int:
    """Stop a run, in whichever process it runs.

    What runs is killed, and what waits never runs. What has ended keeps its result.
    """
    client = current_client()
    future = find_run(client, run)
    if future.done():
        click.echo(f"nothing to cancel: {_describe(future)}")
        return 0
    # Not future.cancel(), which is done at once: what became of the run is the other process's to say.
    client.cancel(future.run, None)
    if not wait([future], timeout=_ANSWER_S).done:
        say(f"{future.run_id} was asked to stop, but its process has not answered in {_ANSWER_S} s")
        return 1
    click.echo(_describe(future))
    return 0


def _describe(future: MapFuture[Any]) -> str:
    return f"{future.run_id} is {describe_counts(future.state, future.items.counts, len(future))}"
