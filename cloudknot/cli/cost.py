"""``cloudknot cost``: what a run has cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import click
from rich.table import Table

from cloudknot.aws.substrate import DISK_GIB, find_substrate
from cloudknot.cli.choosing import aws_of, find_run, run_argument
from cloudknot.cli.wording import count
from cloudknot.client import current_client
from cloudknot.cost import NOT_IN_IT, Cost, cost_of
from cloudknot.display import make_console
from cloudknot.money import describe_usd

_HOUR_S = 3600


@click.command("cost")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print the cost as JSON.")
def command(run: str, as_json: bool) -> None:
    """Tell what a run has cost.

    It goes by the times of its jobs, and prices of AWS.
    """
    client = current_client()
    future, settings = find_run(client, run), client.settings
    aws, stack = aws_of(future.run, settings), future.run.address.partition("/")[2]
    found = find_substrate(aws, stack) if stack else None
    cost = cost_of(
        future.run,
        client.store_of(future.run_id),
        aws,
        ended=future.items.outcomes.counts.ended,
        now=time.time(),
        disk_gib=found.volume_gib if found else DISK_GIB,
        home=settings.home,
    )
    if as_json:
        click.echo(json.dumps(cost.to_json(), indent=2))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in describe_cost(cost):
        grid.add_row(label, text)
    make_console().print(grid)


def describe_cost(cost: Cost) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of a run's cost: a label, and what it says."""
    if cost.place != "aws":
        yield "Cost", f"nothing: {cost.run_id} is a run of the place {cost.place!r}, on this machine"
        return
    so_far = "" if cost.is_final else " so far"
    yield "Cost", f"{describe_usd(cost.usd)}{so_far}"
    jobs = f"{count(cost.count('children'), 'job')}, {count(cost.count('attempts'), 'attempt')}"
    compute = describe_usd(cost.usd - cost.storage_usd)
    yield "Compute", f"{compute} for {cost.seconds / _HOUR_S:,.3g} h of {jobs}"
    yield (
        "  cut short",
        f"{describe_usd(cost.cut_usd)} of it for attempts that did not end well (Spot, failures)",
    )
    yield "Disks", describe_usd(cost.storage_usd)
    if cost.usd_per_item is not None:
        yield "Per item", f"{describe_usd(cost.usd_per_item)} for each of {count(cost.ended, 'item')}"
    for source in cost.sources:
        yield "Prices", source
    if cost.count("forgotten"):
        forgotten = count(cost.count("forgotten"), "job")
        yield (
            "Note",
            f"Batch has forgotten {forgotten}: of these what their items took, without starts and retries",
        )
    if cost.unconfirmed:
        waves = count(cost.unconfirmed, "wave")
        yield "Note", f"{waves} of jobs not yet written down as submitted: what they cost is not in it"
    yield "Without", NOT_IN_IT
