"""``cloudknot why``: why a run waits or failed, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cloudknot.aws.examining import Examination, Examined, Group
from cloudknot.cli.advice import advise
from cloudknot.cli.choosing import aws_of, find_run, run_argument
from cloudknot.cli.record import Record, read_record
from cloudknot.cli.wording import count, describe_indices
from cloudknot.client import current_client
from cloudknot.display import describe_counts, make_console
from cloudknot.errors import AwsError
from cloudknot.ledger import read_mark
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store
from cloudknot.runs import State

_SHOWN_CAUSES = 10
_SHOWN_INDICES = 8


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The jobs of a run on AWS, as its ledger names them.

    Parameters
    ----------
    ids : sequence of str
        Of all jobs that were submitted and written down.
    unconfirmed : int
        Waves that were planned, and whose jobs are not all written down.
    """

    ids: Sequence[str] = ()
    unconfirmed: int = 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Why a run is as it is.

    Parameters
    ----------
    record : Record
        What its ledger tells.
    jobs : Jobs
        Its jobs on AWS; none elsewhere.
    examined : Examined, optional
        What Batch tells of them.
    unseen : sequence of str
        What could not be looked at.
    """

    record: Record
    jobs: Jobs = field(default_factory=Jobs)
    examined: Examined | None = None
    unseen: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report for another program."""
        run, groups = self.record.run, self.examined.groups if self.examined else ()
        return {
            "run_id": run.run_id,
            "backend": run.backend,
            "state": self.record.state.value,
            "why_unfinished": self.record.why_unfinished,
            "jobs": {
                "counts": dict(self.examined.counts) if self.examined else {},
                "forgotten": self.examined.forgotten if self.examined else 0,
                "groups": [asdict(group) for group in groups],
            },
            "items": [
                {"cause": cause, "indices": list(indices), "cure": advise(cause, run, indices[0])}
                for cause, indices in self.record.causes.items()
            ],
            "not_looked_at": list(self.unseen),
        }


@click.command("why")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(run: str, as_json: bool) -> None:
    """Say why a run waits, or why it failed, and what to do about it.

    Jobs and items are grouped by their reason.
    """
    report = read_report(run)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    console, record = make_console(), report.record
    status = describe_counts(record.state, record.counts, record.run.length)
    console.print(Text.assemble((record.run.run_id, "bold"), f"  {status}"), soft_wrap=True)
    said = [*_say_run(report), *_say_jobs(report), *_say_items(record)]
    for sentence, cure in said:
        _print(console, sentence, cure)
    for words in report.unseen:
        console.print(Text(f"not looked at: {words}", style="dim"), soft_wrap=True)
    if not said:
        console.print(Text("nothing is wrong with it"), soft_wrap=True)


def read_report(given: str) -> Report:
    """Gather why a run is as it is."""
    client = current_client()
    future = find_run(client, given)
    record = read_record(future)
    if record.run.backend != "aws":
        return Report(record=record)
    jobs = read_jobs(client.store_of(future.run_id), future.run_id)
    try:
        examined = Examination(aws_of(record.run, client.settings)).look(jobs.ids)
    except AwsError as error:
        return Report(record=record, jobs=jobs, unseen=(str(error),))
    return Report(record=record, jobs=jobs, examined=examined, unseen=examined.unseen)


def read_jobs(store: Store, run_id: str) -> Jobs:
    """Return the jobs that a run's ledger names."""
    keys = Keys(run_id)
    waves, ids, confirmed = sum(1 for _ in store.list(keys.waves)), [], 0
    for number in range(waves):
        mark: Mapping[str, Any] | None = read_mark(store, keys.submitted(number))
        if mark is not None:
            confirmed += 1
            ids += list(mark["jobs"].values())
    return Jobs(ids=ids, unconfirmed=waves - confirmed)


def _say_run(report: Report) -> Iterator[tuple[str, str]]:
    record, jobs = report.record, report.jobs
    go_on = f"'cloudknot resume {record.run.run_id}' runs them"
    if record.why_unfinished:
        yield f"{count(len(record.unfinished), 'item')} not finished: {record.why_unfinished}", go_on
    if jobs.unconfirmed:
        waves = count(jobs.unconfirmed, "wave")
        yield (
            f"{waves} of jobs planned and not submitted: whoever submitted was interrupted, or is at it",
            f"'cloudknot resume {record.run.run_id}' submits what is left, and nothing twice",
        )
    if report.examined and report.examined.forgotten:
        forgotten = count(report.examined.forgotten, "job")
        yield f"{forgotten} not known to Batch any more, which forgets jobs about a week after their end", ""


def _say_jobs(report: Report) -> Iterator[tuple[str, str]]:
    for group in report.examined.groups if report.examined else ():
        yield _describe_group(group), group.finding.cure


def _describe_group(group: Group) -> str:
    number = count(group.count, "job")
    return f"{number} {group.status}: {group.finding.sentence} (such as {group.example})"


def _say_items(record: Record) -> Iterator[tuple[str, str]]:
    causes = list(record.causes.items())
    for cause, indices in causes[:_SHOWN_CAUSES]:
        where = describe_indices(indices, most=_SHOWN_INDICES)
        noun = "item" if len(indices) == 1 else "items"
        sentence = f"{len(indices)} {noun} failed: {' '.join(cause.split())} ({noun} {where})"
        yield sentence, advise(cause, record.run, indices[0])
    more = len(causes) - _SHOWN_CAUSES
    if more > 0:
        yield f"{count(more, 'more cause')}", "--json has all"
    if record.state is State.RUNNING and record.run.backend != "aws" and not causes:
        yield "it runs: nothing has failed so far", ""


def _print(console: Console, sentence: str, cure: str) -> None:
    console.print()
    console.print(Text(sentence), soft_wrap=True)
    if cure:
        console.print(Text.assemble(("  to do: ", "bold"), cure), soft_wrap=True)
