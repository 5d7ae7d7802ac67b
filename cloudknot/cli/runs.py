"""``cloudknot runs``: the runs that this machine knows, and the removal of old ones."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Iterable, Sequence

import click

from cloudknot.catalog import Catalog, Entry
from cloudknot.cli.messages import say
from cloudknot.cli.wording import count
from cloudknot.client import Client, current_client
from cloudknot.display import JobRow, print_jobs, status_of
from cloudknot.errors import KnotError
from cloudknot.removal import prune
from cloudknot.runs import State

_SHOWN_TO_CONFIRM = 20


def _check_days(ctx: click.Context, param: click.Parameter, days: float | None) -> float | None:
    if days is not None and not (days >= 0 and math.isfinite(days)):
        raise click.BadParameter(f"it must be a number of days from 0 up, not {days:g}")
    return days


@click.command("runs")
@click.option("--name", help="List only the runs of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option(
    "--prune",
    "days",
    type=float,
    metavar="DAYS",
    callback=_check_days,
    help="Remove the runs that were started more than DAYS days ago, with their inputs and results. "
    "0 removes all that are over. A run that is going on, or that a later one needs, stays.",
)
@click.option("--yes", is_flag=True, help="Remove without asking first.")
def command(name: str | None, as_json: bool, days: float | None, yes: bool) -> int:
    """List the runs that this machine knows, or remove old ones."""
    client = current_client()
    catalog = Catalog(client.settings.home)
    if days is not None:
        if name is not None or as_json:
            raise click.UsageError("--prune goes with neither --name nor --json: it looks at every run")
        return _prune(client, catalog, days, is_sure=yes or not sys.stdin.isatty())
    if yes:
        raise click.UsageError("--yes goes with --prune")
    rows = _read_rows(client, catalog.entries(name))
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in rows], indent=2))
    elif rows:
        print_jobs(rows)
    else:
        say(f"no runs are known here{'' if name is None else f' by the name {name!r}'}")
    return 0


def _read_rows(client: Client, entries: Iterable[Entry]) -> list[JobRow]:
    """Return the runs' rows; one that cannot be read is told of and passed over."""
    rows = []
    for entry in entries:
        try:
            rows.append(client.row(entry.run_id)._replace(created=entry.created))
        except (KnotError, OSError) as error:
            say(f"{entry.run_id} is left out: {error}")
    return rows


def _as_json(row: JobRow) -> dict[str, str | int]:
    return {
        "run_id": row.run_id,
        "name": row.name,
        "status": status_of(row.state, row.counts),
        **row.counts._asdict(),
        "total": row.total,
        "created": row.created,
    }


def _prune(client: Client, catalog: Catalog, days: float, *, is_sure: bool) -> int:
    before = _days_ago(days)
    entries = [entry for entry in catalog.entries() if _is_before(entry, before)]
    running = {row.run_id for row in _read_rows(client, entries) if row.state is State.RUNNING}
    old = [entry.run_id for entry in entries if entry.run_id not in running]
    if not old:
        click.echo(f"Nothing to remove: no run that is over is older than {count(days, 'day')}.")
        return 0
    if not is_sure:
        _list_runs("To remove, with inputs and results", old, most=_SHOWN_TO_CONFIRM)
        if not click.confirm("Remove them?", err=True):
            click.echo("Nothing was removed.")
            return 1
    removed = prune(client, before)
    _list_runs("Removed", removed)
    _list_runs("Kept, for a later run needs them", [run_id for run_id in old if run_id not in removed])
    return 0


def _is_before(entry: Entry, moment: datetime.datetime) -> bool:
    return datetime.datetime.fromisoformat(entry.created) < moment


def _days_ago(days: float) -> datetime.datetime:
    now = datetime.datetime.now(datetime.UTC)
    try:
        return now - datetime.timedelta(days=days)
    except OverflowError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _list_runs(what: str, run_ids: Sequence[str], most: int | None = None) -> None:
    more = [f"... and {len(run_ids) - most} more"] if most is not None and len(run_ids) > most else []
    if run_ids:
        click.echo("\n  ".join((f"{what}: {count(len(run_ids), 'run')}", *run_ids[:most], *more)))
