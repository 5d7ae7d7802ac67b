"""Which run is meant: its id, or the beginning of one; and where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import click
from click.shell_completion import CompletionItem

from cloudknot.aws.session import Aws
from cloudknot.cli.messages import say
from cloudknot.client import Client, current_client
from cloudknot.config import Settings
from cloudknot.errors import UnknownRunError
from cloudknot.futures import MapFuture
from cloudknot.runs import Run

_SHOWN_CANDIDATES = 10


class AmbiguousRunError(click.ClickException):
    """Several known runs begin with what was given."""

    def __init__(self, given: str, candidates: Sequence[str]) -> None:
        shown = candidates[-_SHOWN_CANDIDATES:]
        count = f"{len(candidates)} runs begin"
        newest = f"; the newest {len(shown)}" if len(shown) < len(candidates) else ""
        super().__init__("\n  ".join((f"{count} with {given!r}: give more of the id{newest}", *shown)))

    def show(self, file: IO[Any] | None = None) -> None:
        """Say which runs there are, a line each."""
        say(self.message)


def choose_run(given: str, known: Sequence[str]) -> str:
    """Return the one run that is meant.

    Raises
    ------
    UnknownRunError
        No known run's id begins so.
    AmbiguousRunError
        Several do.

    Examples
    --------
    >>> choose_run("fit-2", ["fit-1a", "fit-2b", "fit-2b-x"][:2])
    'fit-2b'
    """
    if given in known:
        return given
    # An empty variable of a shell script begins every id, and must not cancel the only run there is.
    candidates = [run_id for run_id in known if given and run_id.startswith(given)]
    if not candidates:
        raise UnknownRunError(f"no run {given!r} is known here: 'cloudknot runs' lists those that are")
    if len(candidates) > 1:
        raise AmbiguousRunError(given, candidates)
    return candidates[0]


def find_run(client: Client, given: str) -> MapFuture[Any]:
    """Return the futures of the run that is meant; by its whole id also of one in the stack's bucket."""
    try:
        run_id = choose_run(given, client.jobs())
    except UnknownRunError as unknown:
        try:
            return client.find(given)
        except UnknownRunError:
            raise unknown from None
    return client.find(run_id)


def aws_of(run: Run, settings: Settings) -> Aws:
    """Return the person's access to the region in which a run is, which need not be the one that is set."""
    region, _, _ = run.address.partition("/")
    return Aws(profile=settings.profile, region=region or settings.region)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(known) for known in current_client().jobs() if known.startswith(incomplete)]


# The argument RUN of a verb; find_run takes it.
run_argument = click.argument("run", shell_complete=_complete)
