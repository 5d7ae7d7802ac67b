"""The client side of this process: starts runs, follows them, and finds them again."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from cloudknot.backends import Backend, make_backend
from cloudknot.calls import CallFuture
from cloudknot.catalog import Catalog, count_owners
from cloudknot.config import Settings, check_home, load_settings
from cloudknot.display import JobRow
from cloudknot.errors import InputError, StoreError, UnknownRunError
from cloudknot.events import Observer, RunSubmitted, tell
from cloudknot.futures import MapFuture
from cloudknot.items import Items
from cloudknot.ledger import Counts, Outcomes, cancelled_positions, read_mark, read_run, write_mark, write_run
from cloudknot.progress import make_progress_bar
from cloudknot.runner.keys import Keys
from cloudknot.runner.shards import decode_indices
from cloudknot.runner.stores import FileStore, Store, open_store
from cloudknot.runs import Run, State, Status
from cloudknot.submission import Request, Submission, check_python, stage, stage_again
from cloudknot.watcher import Following, Watcher

# How often the process that runs a run looks whether another one asks to cancel it.
_LOOK_FOR_CANCEL_S = 1.0
# So long is waited for the workers of a run that was cancelled.
_END_S = 30.0


class Client:
    """Starts and follows the runs of this process.

    Parameters
    ----------
    settings : Settings
        What the person has set.
    observers : iterable of callable
        Told of what happens to runs, beside the progress bar.
    """

    def __init__(self, settings: Settings, *, observers: Iterable[Observer] = ()) -> None:
        check_home(settings.home)
        self.settings = settings
        self._home_store = FileStore(settings.home)
        self._catalog = Catalog(settings.home)
        self._watcher = Watcher()
        self._observers: tuple[Observer, ...] = (make_progress_bar(settings.progress), *observers)
        self._backends: dict[str, Backend] = {}
        self._active: dict[str, threading.Event] = {}
        self._futures: WeakValueDictionary[str, MapFuture[Any]] = WeakValueDictionary()
        self._lock = threading.RLock()

    def launch(self, request: Request, items: Iterable[Any]) -> MapFuture[Any]:
        """Start a run over items; return when all of them are in the ledger.

        Raises
        ------
        InputError
            Something cannot travel. Nothing was started, and nothing is left behind.
        """
        backend = self._backend(request.backend)
        return self._start(backend, stage(request, items, backend.store, _now()))

    def attach(self, run_id: str) -> MapFuture[Any] | CallFuture[Any]:
        """Return the futures of a run that this machine knows."""
        future = self.find(run_id)
        return future[0] if future.run.is_single else future

    def find(self, run_id: str) -> MapFuture[Any]:
        """Return the map future of a run; see `attach`."""
        with self._lock:
            future = self._futures.get(run_id)
            is_current = future is not None and future.state in (State.RUNNING, State.DONE)
            if future is not None and (is_current or run_id in self._active):
                return future  # otherwise another process may have resumed it
            store = self._store_of(run_id)
            run = read_run(store, run_id)
            future = self._make_future(run, store)
        following = Following(future, lambda: self._catalog.look(store, run_id))
        following.advance()  # what has ended already is there at once
        if not following.is_over:
            self._watcher.follow(following)
        return future

    def jobs(self, name: str | None = None) -> list[str]:
        """Return the ids of the known runs, oldest first."""
        return [entry.run_id for entry in self._catalog.entries(name)]

    def cancel(self, run: Run, position: int | None) -> None:
        """Stop a run, or one item, in whichever process it runs."""
        try:
            if run.run_id in self._active:
                self._backend(run.backend).cancel(run, position)
        finally:
            store, keys = self._store_of(run.run_id), Keys(run.run_id)
            if position is None:
                write_mark(store, keys.cancel_run(count_owners(store, run.run_id)), {})
            else:
                write_mark(store, keys.cancel_item(position), {})

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that runs here has written so far."""
        return self._backend(run.backend).read_log(run, position)

    def retry_failed(
        self, future: MapFuture[Any], *, func: Callable[..., Any] | None, **resources: Any
    ) -> MapFuture[Any]:
        """Start a run over the items of a map that have no value."""
        if not (future.done() or future.items.outcomes.is_complete):
            raise InputError(f"{future.run_id} is still running: wait for it, or cancel it, first")
        indices = tuple(future.items.not_fine())
        if not indices:
            return future
        run, backend = future.run, self._backend(future.run.backend)
        try:
            wanted = dataclasses.replace(run.resources, **resources)
        except TypeError:
            known = ", ".join(field.name for field in dataclasses.fields(run.resources))
            raise InputError(f"retry_failed can change {known}, not {', '.join(resources)}") from None
        again = stage_again(run, indices, backend.store, _now(), func=func, resources=wanted)
        return self._start(backend, again)

    def resume(self, future: MapFuture[Any]) -> MapFuture[Any]:
        """Run what is left of a run, under its own id."""
        run, store = future.run, self._store_of(future.run_id)
        if future.items.outcomes.is_complete:
            return future
        check_python(run)
        ended = self._active.get(run.run_id) if future.done() else None
        if ended is not None:
            ended.wait(_END_S)  # it was cancelled just now, and its workers are on their way out
        self._catalog.own(store, run.run_id)
        return self._run(self._backend(run.backend), run)

    def clobber(self, name: str, *, results: bool) -> tuple[int, int]:
        """Stop a Knot's jobs, and with ``results`` remove them from the ledger.

        Returns
        -------
        stopped, removed : int
            How many runs.
        """
        run_ids = self.jobs(name)
        stopped = sum(self.find(run_id).cancel() for run_id in run_ids if not self.find(run_id).done())
        for run_id in run_ids if results else ():
            self._remove(run_id)
        return stopped, len(run_ids) if results else 0

    def prune(self, before: datetime.datetime) -> list[str]:
        """Remove the runs that were made before a time, unless they run or a later one needs them."""
        entries = self._catalog.entries()
        old = [
            entry.run_id
            for entry in entries
            if datetime.datetime.fromisoformat(entry.created) < before
            and not self._catalog.is_owned(open_store(entry.store), entry.run_id)
        ]
        kept = {entry.run_id for entry in entries} - set(old)
        needed = {needed for run_id in kept for needed in self._ancestors(run_id)}
        removed = [run_id for run_id in old if run_id not in needed]
        for run_id in removed:
            self._remove(run_id)
        self._sweep(before)
        return removed

    def row(self, run_id: str) -> JobRow:
        """Return a run's line for a table, without reading its items where its end is written down."""
        store = self._store_of(run_id)
        end = read_mark(store, Keys(run_id).settled(count_owners(store, run_id)))
        if end is None or run_id in self._active:
            future = self.find(run_id)
            run, state, counts = future.run, future.state, future.items.counts
        else:
            run, state = read_run(store, run_id), State(end["state"])
            counts = Counts(end["done"], end["failed"], end["cancelled"])
        return JobRow(run_id, run.name, state, counts, run.length, run.created)

    def _start(self, backend: Backend, submission: Submission) -> MapFuture[Any]:
        run, function, indices = submission
        try:
            write_run(backend.store, run, function=function, indices=indices)
            self._catalog.own(backend.store, run.run_id)
            self._catalog.add(run, backend.store.uri)
            return self._run(backend, run)
        except BaseException:
            backend.cancel(run)
            self._remove(run.run_id)
            raise

    def _run(self, backend: Backend, run: Run) -> MapFuture[Any]:
        with self._lock:
            future = self._make_future(run, backend.store)
            self._active[run.run_id] = threading.Event()
        try:
            backend.submit(run)
        except BaseException:
            self._active.pop(run.run_id).set()
            raise
        future.items.outcomes.refresh()  # a resumed run has some already
        tell(self._observers, RunSubmitted(run=run, counts=future.items.counts))
        look = _OwnersLook(backend, run)
        following = Following(future, look, observers=self._observers, on_end=self._write_end)
        if not run.orders.count:
            following.advance()  # a map of nothing is done at once
        if not following.is_over:
            self._watcher.follow(following)
        return future

    def _make_future(self, run: Run, store: Store) -> MapFuture[Any]:
        future: MapFuture[Any] = MapFuture(run, _items_of(store, run), self)
        self._futures[run.run_id] = future
        return future

    def _write_end(self, future: MapFuture[Any], status: Status) -> None:
        run, store = future.run, self._store_of(future.run_id)
        self._backend(run.backend).forget(run)
        end = {"state": status.state, "reason": status.reason, **future.items.counts._asdict()}
        try:
            write_mark(store, Keys(run.run_id).settled(count_owners(store, run.run_id)), end)
        finally:
            self._catalog.let_go(run.run_id)
            ended = self._active.pop(run.run_id, None)
            if ended is not None:
                ended.set()

    def _backend(self, name: str) -> Backend:
        with self._lock:
            if name not in self._backends:
                self._backends[name] = make_backend(name, self.settings, self._home_store, self._watcher.wake)
            return self._backends[name]

    def _store_of(self, run_id: str) -> Store:
        entry = self._catalog.find(run_id)
        return open_store(entry.store) if entry is not None else self._home_store

    def _ancestors(self, run_id: str) -> Iterator[str]:
        """Yield the runs that a run reads from, as far as their records are there."""
        while run_id:
            try:
                run = read_run(self._store_of(run_id), run_id)
            except (UnknownRunError, StoreError):
                return
            yield run.orders.inputs_run
            yield run.parent
            run_id = run.parent

    def _sweep(self, before: datetime.datetime) -> None:
        """Remove inputs of maps that were never begun, and modules that no run names any more."""
        known = {entry.run_id for entry in self._catalog.entries()}
        bundles = {read_run(self._store_of(run_id), run_id).orders.bundle for run_id in known}
        for folder in (self.settings.home / "runs").glob("*"):
            if folder.name not in known and folder.stat().st_mtime < before.timestamp():
                self._home_store.delete(Keys(folder.name).prefix)
        for key in list(self._home_store.list("bundles/")):
            if key not in bundles:
                self._home_store.delete(key)
                shutil.rmtree(self.settings.home / "code" / Path(key).stem, ignore_errors=True)

    def _remove(self, run_id: str) -> None:
        ended = self._active.get(run_id)
        if ended is not None:
            ended.wait(_END_S)  # a worker's last pack must not bring the folder back
        store = self._store_of(run_id)
        self._catalog.let_go(run_id)
        self._catalog.remove(run_id)
        self._futures.pop(run_id, None)
        store.delete(Keys(run_id).prefix)


class _OwnersLook:
    """Asks the place, and now and then whether another process wants to cancel."""

    def __init__(self, backend: Backend, run: Run) -> None:
        self._backend = backend
        self._run = run
        self._keys = Keys(run.run_id)
        self._next = 0.0

    def __call__(self) -> Status:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_FOR_CANCEL_S
            store, run_id = self._backend.store, self._run.run_id
            for position in cancelled_positions(store, run_id):
                self._backend.cancel(self._run, position)
            if read_mark(store, self._keys.cancel_run(count_owners(store, run_id))) is not None:
                self._backend.cancel(self._run)
        return self._backend.poll(self._run)


def current_client() -> Client:
    """Return this process's client for the settings in force."""
    settings = load_settings()
    key = (os.getpid(), settings)
    with _clients_lock:
        if key not in _clients:
            _clients[key] = Client(settings)
        return _clients[key]


# One pool and one watcher a process; a forked child finds its own by its process id.
_clients: dict[tuple[int, Settings], Client] = {}
_clients_lock = threading.Lock()


def _items_of(store: Store, run: Run) -> Items:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    if not run.orders.is_selection:
        return Items(outcomes, run.length)
    before = _items_of(store, read_run(store, run.parent))
    before.outcomes.refresh()
    indices = decode_indices(store.get(Keys(run.run_id).indices))
    return Items(outcomes, run.length, indices=indices, before=before)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
