"""``cloudknot show``: one run, for the person who wants to know what became of it."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudknot.cli.choosing import find_run, run_argument
from cloudknot.cli.record import Record, read_record
from cloudknot.cli.wording import count, describe_bytes, describe_indices, describe_seconds
from cloudknot.client import current_client
from cloudknot.display import (
    describe_age,
    describe_counts,
    describe_time,
    make_console,
    status_of,
    style_of,
)
from cloudknot.runs import State

# No more than this for a person; --json has all.
_SHOWN_CAUSES = 10
_SHOWN_INDICES = 8


@click.command("show")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def command(run: str, as_json: bool) -> None:
    """Show how far a run is, what failed and why, and how to go on."""
    client = current_client()
    future = find_run(client, run)
    record = replace(read_record(future), is_abandoned=client.is_abandoned(future.run))
    if as_json:
        click.echo(json.dumps(record.to_json(), indent=2))
        return
    console = make_console()
    _print_head(console, record)
    _print_causes(console, record)
    if record.traceback:
        console.print(Text(f"\nItem {record.first_failed}, where it ran", style="bold"))
        # Its lines are left as they are, to be read and copied.
        console.print(Text(record.traceback.rstrip()), soft_wrap=True)
    steps = list(next_steps(record))
    if steps:
        console.print(Text("\nHow to go on", style="bold"))
    for what, how in steps:
        console.print(Text.assemble(f"  {what}:\n    ", (how, "cyan")), soft_wrap=True)


def next_steps(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what can be done with a run, and the line that does it."""
    run_id, failed = record.run.run_id, record.first_failed
    attached = f'cloudknot.attach("{run_id}")'
    if record.state is State.RUNNING:
        yield "stop it", f"cloudknot cancel {run_id}"
        if record.is_abandoned:
            what = "follow it, and submit what is left of it: no process does"
            yield f"{what}; in Python {attached}", f"cloudknot resume {run_id}"
    if failed is not None:
        yield f"what item {failed} wrote", f"cloudknot logs {run_id} {failed}"
    if record.state is State.RUNNING:
        return
    if record.unfinished:
        yield "run what has not finished, here", f"cloudknot resume {run_id}"
    if failed is not None and not record.run.is_single:
        what = "run what has no value again, perhaps with a mended function, in Python"
        yield what, f"{attached}.retry_failed()"
    if record.counts.done == record.run.length:
        yield f"the value{'' if record.run.is_single else 's'}, in Python", f"{attached}.result()"
    elif record.counts.done:
        yield "what there is, in Python", f"{attached}.result(return_exceptions=True)"


def _print_head(console: Console, record: Record) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in _facts(record):
        grid.add_row(label, text if isinstance(text, Text) else Text(text))
    console.print(Text(record.run.run_id, style="bold"), soft_wrap=True)
    console.print(grid)


def _facts(record: Record) -> Iterator[tuple[str, str | Text]]:
    run, orders = record.run, record.run.orders
    created = datetime.datetime.fromisoformat(run.created)
    age = describe_age(created, datetime.datetime.now(datetime.UTC))
    yield "Function", run.function
    yield "Place", run.backend
    status = Text(describe_counts(record.state, record.counts, run.length))
    word = status_of(record.state, record.counts)
    status.stylize(style_of(word), 0, len(word))
    yield "Status", status
    if record.why_unfinished:
        yield "Not finished", f"{count(len(record.unfinished), 'item')}: {record.why_unfinished}"
    yield "Started", f"{describe_time(created)} ({age})"
    if run.parent:
        yield "Runs again", f"what had failed in {run.parent}"
    if record.seconds is not None:
        yield "Time", _describe_time_taken(record)
    if record.peak_memory_bytes:
        yield "Peak memory", describe_bytes(record.peak_memory_bytes)
    yield "Resources", _describe_resources(record)
    yield (
        "Retries",
        f"{orders.raised_retries} after an exception, {orders.lost_retries} after a lost process",
    )
    yield "On error", orders.on_error
    if orders.env_vars:
        yield "Environment", ", ".join(sorted(orders.env_vars))


def _describe_time_taken(record: Record) -> str:
    if record.seconds is None:
        return ""
    if record.run.length == 1:
        return describe_seconds(record.seconds.total)
    total, median, longest = map(describe_seconds, record.seconds[:3])
    return f"{total} in all items; median {median}, longest {longest} (item {record.seconds.longest_index})"


def _describe_resources(record: Record) -> str:
    wanted = record.run.resources
    memory = "memory not set" if wanted.memory_mib is None else f"{wanted.memory_mib:g} MiB"
    limit = "no time limit" if wanted.timeout_s is None else f"at most {describe_seconds(wanted.timeout_s)}"
    return f"{wanted.vcpus:g} vCPU, {memory}, {limit} an item"


def _print_causes(console: Console, record: Record) -> None:
    if not record.causes:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Failed", justify="right", no_wrap=True)
    table.add_column("Items", max_width=24 if sys.stdout.isatty() else None)
    table.add_column("Cause", overflow="fold")
    causes = list(record.causes.items())
    # Another program may look for a cause that a person has no patience for.
    for cause, indices in causes[:_SHOWN_CAUSES] if sys.stdout.isatty() else causes:
        table.add_row(
            str(len(indices)), describe_indices(indices, most=_SHOWN_INDICES), Text(" ".join(cause.split()))
        )
    console.print()
    console.print(table)
    more = len(causes) - table.row_count
    if more:
        console.print(Text(f"... and {count(more, 'more cause')}: --json has all"))
