"""What people see of runs: lines, tables, and HTML for the notebook."""

from __future__ import annotations

import datetime
import html
import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cloudknot.ledger import Counts
from cloudknot.runs import Run, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class JobRow(NamedTuple):
    """One run in a table."""

    run_id: str
    name: str
    state: State
    counts: Counts
    total: int
    created: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of ``COLUMNS``."""
        status = status_of(self.state, self.counts)
        return (self.run_id, self.name, status, *map(str, (self.counts.done, self.counts.failed, self.total)))


_SHOWN_CAUSES = 5
COLUMNS = ("Job ID", "Name", "Status", "Done", "Failed", "Total")
# So wide is a console that is a pipe or a file: nothing is wrapped there, so that ids stay whole.
_UNWRAPPED = 1_000_000
_STYLES = {
    "done": "green",
    "failed": "red",
    "running": "cyan",
    "stopped": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
}


def status_of(state: State, counts: Counts) -> str:
    """Return a run's status in one word; ``failed`` when it is done and an item has failed."""
    if state is State.DONE and counts.failed:
        return "failed"
    return state.value


def describe_counts(state: State, counts: Counts, total: int) -> str:
    """Say in a few words how far a run is.

    Examples
    --------
    >>> describe_counts(State.RUNNING, Counts(3, 1, 0), 10)
    'running: 3 done, 1 failed of 10'
    """
    parts = [f"{counts.done} done"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.cancelled:
        parts.append(f"{counts.cancelled} cancelled")
    if state not in (State.RUNNING, State.DONE) and total > counts.ended:
        parts.append(f"{total - counts.ended} not {'run' if state is State.STOPPED else 'finished'}")
    return f"{status_of(state, counts)}: {', '.join(parts)} of {total}"


def describe_age(moment: datetime.datetime, now: datetime.datetime) -> str:
    """Say how long ago a moment was.

    Examples
    --------
    >>> now = datetime.datetime(2026, 1, 3, 12, tzinfo=datetime.UTC)
    >>> describe_age(now - datetime.timedelta(minutes=150), now)
    '2 h ago'
    """
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and unit == "min"):
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def describe_time(moment: datetime.datetime) -> str:
    """Return a moment as this place's clocks show it, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def style_of(status: str) -> str:
    """Return the colour of a run's status."""
    return _STYLES.get(status, "")


def make_console() -> Console:
    """Return the console of standard output; it wraps at a terminal's width, and nowhere else."""
    from rich.console import Console  # noqa: PLC0415  # loaded when it is used

    width = None if sys.stdout.isatty() else _UNWRAPPED
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_jobs(rows: Iterable[JobRow]) -> None:
    """Print a table of runs on standard output."""
    from rich.measure import Measurement  # noqa: PLC0415  # loaded when it is used

    rows, console = list(rows), make_console()
    unbounded = console.options.update(max_width=_UNWRAPPED)
    # On a narrow terminal ids stay whole, and each begins with the name.
    for left_out in ((), ("Started",), ("Started", "Name")):
        table = _jobs_table(rows, [column for column in (*COLUMNS, "Started") if column not in left_out])
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            break
    console.print(table)


def _jobs_table(rows: Sequence[JobRow], columns: Sequence[str]) -> Table:
    from rich.table import Table  # noqa: PLC0415  # loaded when it is used
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in ("Done", "Failed", "Total")
        # Where even that is too wide, ids are folded before anything else is.
        is_id = column == "Job ID"
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=not is_id)
    for row in rows:
        cells = {name: Text(cell) for name, cell in zip(COLUMNS, row.cells(), strict=True)}
        cells["Status"].stylize(style_of(cells["Status"].plain))
        cells["Started"] = Text(_started(row))
        table.add_row(*(cells[column] for column in columns))
    return table


def _started(row: JobRow) -> str:
    moment = datetime.datetime.fromisoformat(row.created)
    # Where nobody is looking, the table may be read much later.
    return (
        describe_age(moment, datetime.datetime.now(datetime.UTC))
        if sys.stdout.isatty()
        else describe_time(moment)
    )


def html_of_future(run: Run, state: State, counts: Counts, causes: Mapping[str, Sequence[int]]) -> str:
    """Return a map's state for the notebook, with its failures grouped by cause."""
    rows = [
        ("function", run.function),
        ("place", run.backend),
        ("status", status_of(state, counts)),
        ("done", f"{counts.done} of {run.length}"),
        ("failed", str(counts.failed)),
    ]
    table = _html_table(f"Map {run.run_id}", rows)
    if not causes:
        return table
    lines = [
        f"<li>{len(indices)} &times; {html.escape(cause)}</li>"
        for cause, indices in itertools.islice(causes.items(), _SHOWN_CAUSES)
    ]
    return f"{table}<ul>{''.join(lines)}</ul>"


def html_of_knot(name: str, function: str, backend: str, rows: Iterable[JobRow]) -> str:
    """Return a Knot and its latest runs for the notebook."""
    head = _html_table(f"Knot {name}", [("function", function), ("place", backend)])
    lines = [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row.cells())}</tr>" for row in rows]
    if not lines:
        return head
    columns = "".join(f"<th>{column}</th>" for column in COLUMNS)
    return f"{head}<table><tr>{columns}</tr>{''.join(lines)}</table>"


def _html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f'<tr><th style="text-align: left">{html.escape(name)}</th>'
        f'<td style="text-align: left">{html.escape(cell)}</td></tr>'
        for name, cell in rows
    )
    return f"<div><b>{html.escape(title)}</b></div><table>{lines}</table>"
