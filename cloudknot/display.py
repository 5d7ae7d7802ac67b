"""What people see of runs: lines, tables, and HTML for the notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import NamedTuple

from cloudknot.ledger import Counts
from cloudknot.runs import Run, State


class JobRow(NamedTuple):
    """One run in a table."""

    run_id: str
    name: str
    state: State
    counts: Counts
    total: int

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of ``COLUMNS``."""
        status = status_of(self.state, self.counts)
        return (self.run_id, self.name, status, *map(str, (self.counts.done, self.counts.failed, self.total)))


COLUMNS = ("Job ID", "Name", "Status", "Done", "Failed", "Total")


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
    return f"{status_of(state, counts)}: {', '.join(parts)} of {total}"


def print_jobs(rows: Iterable[JobRow]) -> None:
    """Print a table of runs on standard output."""
    from rich.console import Console  # noqa: PLC0415  # loaded when it is used
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        is_number = column in ("Done", "Failed", "Total")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row.cells())
    console = Console()
    # Where nobody looks at a terminal, ids must stay whole on one line.
    console.print(table, width=None if console.is_terminal else 160, highlight=False, markup=False)


def html_of_future(run: Run, state: State, counts: Counts) -> str:
    """Return a map's state for the notebook."""
    return _html_table(
        f"Map {run.run_id}",
        [
            ("function", run.function),
            ("place", run.backend),
            ("status", status_of(state, counts)),
            ("done", f"{counts.done} of {run.length}"),
            ("failed", str(counts.failed)),
        ],
    )


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
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(cell)}</td></tr>" for name, cell in rows
    )
    return f"<table><caption>{html.escape(title)}</caption>{lines}</table>"
