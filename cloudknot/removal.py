"""What is removed when it is asked for: a Knot's jobs and what was made to run them, and old runs."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cloudknot.backends import Backend, is_remote
from cloudknot.client import Client
from cloudknot.errors import KnotError, StoreError, UnknownRunError
from cloudknot.ledger import read_run
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import FileStore
from cloudknot.runs import Run, State

# AWS kills a job half a minute after it was told to end.
_GONE_S = 60.0
_LOOK_S = 1.0


class Clobbered(NamedTuple):
    """What `Knot.clobber` did.

    Parameters
    ----------
    stopped, removed : int
        How many jobs it stopped, and how many it removed from the ledger.
    containers : int
        How many containers it removed.
    images, definitions : tuple of str
        Which images and job definitions it removed; those that another Knot's jobs have too are kept.
    running : int
        How many jobs on AWS had been told to stop and were still running after a minute.
    """

    stopped: int
    removed: int
    containers: int = 0
    images: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    running: int = 0


def clobber(client: Client, name: str, *, backend: str, image: str, results: bool) -> Clobbered:
    """Stop a Knot's jobs and remove what was made to run them, with ``results`` the jobs too.

    Parameters
    ----------
    client : Client
        Knows the jobs.
    name : str
        The Knot's.
    backend, image : str
        Its place, and the image that was made for it; empty where there is none.
    results : bool
        Whether to remove inputs and results.
    """
    run_ids = client.jobs(name)
    unfinished = [run_id for run_id in run_ids if not client.find(run_id).done()]
    stopped = [run_id for run_id in unfinished if client.find(run_id).cancel()]
    runs = list(_runs(client, run_ids))
    others = {run.image for run in _runs(client, set(client.jobs()) - set(run_ids))}
    for run_id in run_ids:
        client.wait_for_end(run_id)  # a container that is still at an item cannot be removed
    running = sum(not _has_ended(client, run) for run in _runs(client, stopped))
    images: dict[Backend, set[str]] = {client.backend(backend): {image} if image else set()}
    for run in runs:
        images.setdefault(client.backend_of(run), set()).update({run.image} if run.image else ())
    removed = [place.remove(names - others, name) for place, names in images.items() if names]
    for run_id in run_ids if results else ():
        client.remove(run_id)
    return Clobbered(
        stopped=len(stopped),
        removed=len(run_ids) if results else 0,
        containers=sum(one.containers for one in removed),
        images=tuple(name for one in removed for name in one.images),
        definitions=tuple(name for one in removed for name in one.definitions),
        running=running,
    )


def _has_ended(client: Client, run: Run) -> bool:
    """Wait until nothing of a run that was stopped runs elsewhere; return whether it came to that."""
    until = time.monotonic() + _GONE_S
    while is_remote(run.backend) and client.backend_of(run).look(run).state is State.RUNNING:
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_S)
    return True


def prune(client: Client, before: datetime.datetime) -> list[str]:
    """Remove the runs that were made before a time, unless they go on, or a later one needs them."""
    entries = client.catalog.entries()
    old = [
        entry.run_id
        for entry in entries
        if datetime.datetime.fromisoformat(entry.created) < before and not client.is_going_on(entry.run_id)
    ]
    kept = {entry.run_id for entry in entries} - set(old)
    needed = {needed for run_id in kept for needed in _ancestors(client, run_id)}
    removed = [run_id for run_id in old if run_id not in needed]
    for run_id in removed:
        client.remove(run_id)
    _sweep(client, before)
    return removed


def _runs(client: Client, run_ids: Iterable[str]) -> Iterator[Run]:
    for run_id in run_ids:
        # Another process may just remove it, a bucket may be gone, and AWS out of reach.
        with contextlib.suppress(KnotError, OSError):
            yield read_run(client.store_of(run_id), run_id)


def _ancestors(client: Client, run_id: str) -> Iterator[str]:
    """Yield the runs that a run reads from, as far as their records are there."""
    while run_id:
        try:
            run = read_run(client.store_of(run_id), run_id)
        except (UnknownRunError, StoreError):
            return
        yield run.orders.inputs_run
        yield run.parent
        run_id = run.parent


def _sweep(client: Client, before: datetime.datetime) -> None:
    """Remove inputs of maps that were never begun, and modules that no run names any more."""
    home = client.settings.home
    store = FileStore(home)
    known = {entry.run_id for entry in client.catalog.entries()}
    bundles = {run.orders.bundle for run in _runs(client, known)}
    for folder in (home / "runs").glob("*"):
        if folder.name not in known and folder.stat().st_mtime < before.timestamp():
            store.delete(Keys(folder.name).prefix)
    for key in list(store.list("bundles/")):
        if key not in bundles:
            store.delete(key)
            shutil.rmtree(home / "code" / Path(key).stem, ignore_errors=True)
