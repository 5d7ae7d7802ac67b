"""The client side of this process: starts runs, follows them, and finds them again."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

from cloudknot.aws.estimating import estimate_on_aws
from cloudknot.backends import Backend, Surroundings, is_remote, make_backend
from cloudknot.backends.prepared import Prepared
from cloudknot.calls import CallFuture
from cloudknot.catalog import Catalog, count_owners, has_ended
from cloudknot.checks import check_budget
from cloudknot.config import Settings, check_home, load_settings
from cloudknot.display import JobRow
from cloudknot.errors import (
    InputError,
    KnotError,
    NotConfiguredError,
    RunOwnedError,
    StoreError,
    UnknownRunError,
)
from cloudknot.events import Observer, RunSubmitted, tell
from cloudknot.futures import MapFuture
from cloudknot.items import Items
from cloudknot.ledger import Counts, Outcomes, read_mark, read_run, write_mark, write_run
from cloudknot.money import Estimate
from cloudknot.owning import OwnersLook
from cloudknot.places import Stacked, settings_on
from cloudknot.progress import make_build_line, make_progress_bar
from cloudknot.runner.keys import Keys
from cloudknot.runner.shards import decode_indices
from cloudknot.runner.stores import FileStore, Store, open_store
from cloudknot.runs import Run, State, Status
from cloudknot.shipping import pack
from cloudknot.specs import Image, Resources
from cloudknot.submission import Request, Submission, check_python, stage, stage_again
from cloudknot.watcher import FAR, HERE, Following, Pace, Watcher

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
        self.catalog = Catalog(settings.home)
        self._watcher = Watcher()
        self._observers: tuple[Observer, ...] = (make_progress_bar(settings.progress), *observers)
        self._backends: dict[tuple[str, str], Backend] = {}
        self._stores: dict[str, Store] = {}
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
        backend = self.backend(request.backend)
        staged = stage(request, items, backend.store, _now(), prepare=backend.prepare)
        run = dataclasses.replace(staged.run, address=backend.address)
        return self._start(backend, staged._replace(run=run))

    def prepare(self, backend: str, func: Callable[..., Any], image: Image, resources: Resources) -> Prepared:
        """Have what a function runs in made, unless it is there.

        Raises
        ------
        InputError
            The place does not have the resources, or the function, or a module that it needs, cannot travel.
        EngineError, ImageError
            There is no docker engine, or the image could not be made.
        """
        if backend == "local":  # nothing is needed there, and packing a function takes time
            return Prepared()
        place = self.backend(backend)
        place.check(resources)
        return place.prepare(image, pack(func).imports)

    def attach(self, run_id: str) -> MapFuture[Any] | CallFuture[Any]:
        """Return the futures of a run; one on AWS that no living process has is taken over."""
        with self._lock:
            known = self._futures.get(run_id)
            is_here = run_id in self._active or (known is not None and known.state is State.DONE)
        run = None if is_here else read_run(self.store_of(run_id), run_id)
        taken = self._take_over(run) if run is not None and self.is_abandoned(run) else None
        future = self.find(run_id) if taken is None else taken
        return future[0] if future.run.is_single else future

    def _take_over(self, run: Run) -> MapFuture[Any] | None:
        """Go on with a run that no living process has; None where another thread or process was faster."""
        try:
            self.catalog.own(self.store_of(run.run_id), run.run_id)
            return self._run(self.backend_of(run), run)
        except RunOwnedError:
            return None

    def find(self, run_id: str) -> MapFuture[Any]:
        """Return the map future of a run; see `attach`."""
        with self._lock:
            future = self._futures.get(run_id)
            is_current = future is not None and future.state in (State.RUNNING, State.DONE)
            if future is not None and (is_current or run_id in self._active):
                return future  # otherwise another process may have resumed it
            store = self.store_of(run_id)
            run = read_run(store, run_id)
            future = self._make_future(run, store)
        following = Following(future, lambda: self._look(store, run), pace=self._pace(run))
        following.advance()  # what has ended already is there at once
        if not following.is_over:
            self._watcher.follow(following)
        return future

    def _look(self, store: Store, run: Run) -> Status:
        """Say where a run stands that this process does not run."""
        status = self.catalog.look(store, run.run_id)
        if status.state is not State.INTERRUPTED or not self.is_abandoned(run):
            return status
        return self.backend_of(run).look(run)

    def is_abandoned(self, run: Run) -> bool:
        """Return whether a run goes on elsewhere while no living process has it, and none has ended it."""
        if not is_remote(run.backend) or self.catalog.generation(run.run_id):
            return False
        store = self.store_of(run.run_id)
        if self.catalog.is_owned(store, run.run_id):
            return False
        return not has_ended(store, run.run_id, count_owners(store, run.run_id))

    def is_going_on(self, run_id: str) -> bool:
        """Return whether a living process has a run, or jobs of it run elsewhere."""
        store = self.store_of(run_id)
        if self.catalog.is_owned(store, run_id):
            return True
        with contextlib.suppress(UnknownRunError, StoreError, NotConfiguredError):
            return self._look(store, read_run(store, run_id)).state is State.RUNNING
        return False

    def _pace(self, run: Run) -> Pace:
        return FAR if is_remote(run.backend) else HERE

    def jobs(self, name: str | None = None) -> list[str]:
        """Return the ids of the known runs, oldest first."""
        return [entry.run_id for entry in self.catalog.entries(name)]

    def cancel(self, run: Run, position: int | None) -> None:
        """Stop a run, or one item, in whichever process it runs."""
        try:
            if run.run_id in self._active or is_remote(run.backend):
                self.backend_of(run).cancel(run, position)
        finally:
            store, keys = self.store_of(run.run_id), Keys(run.run_id)
            if position is None:
                write_mark(store, keys.cancel_run(count_owners(store, run.run_id)), {})
            else:
                write_mark(store, keys.cancel_item(position), {})

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that runs here has written so far."""
        return self.backend_of(run).read_log(run, position)

    def retry_failed(
        self, future: MapFuture[Any], *, func: Callable[..., Any] | None, **resources: Any
    ) -> MapFuture[Any]:
        """Start a run over the items of a map that have no value."""
        if not (future.done() or future.items.outcomes.is_complete):
            raise InputError(f"{future.run_id} is still running: wait for it, or cancel it, first")
        indices = tuple(future.items.not_fine())
        if not indices:
            return future
        run, backend = future.run, self.backend_of(future.run)
        budget_usd = check_budget(resources.pop("budget_usd", run.budget_usd))
        try:
            wanted = dataclasses.replace(run.resources, **resources)
        except TypeError:
            known = ", ".join(field.name for field in dataclasses.fields(run.resources))
            raise InputError(f"retry_failed can change {known}, not {', '.join(resources)}") from None
        if wanted.arch != run.resources.arch:
            raise InputError(
                f"retry_failed cannot change arch: the image of {run.run_id} is for {run.resources.arch}; "
                "make a Knot with the other arch and map the failed inputs again"
            )
        backend.check(wanted)
        again = stage_again(
            run, indices, backend.store, _now(), func=func, resources=wanted, prepare=backend.prepare
        )
        within = dataclasses.replace(again.run, budget_usd=budget_usd)
        return self._start(backend, again._replace(run=within))

    def resume(self, future: MapFuture[Any]) -> MapFuture[Any]:
        """Run what is left of a run, under its own id."""
        run, store = future.run, self.store_of(future.run_id)
        if future.items.outcomes.is_complete:
            return future
        check_python(run)
        ended = self._active.get(run.run_id) if future.done() else None
        if ended is not None:
            ended.wait(_END_S)  # it was cancelled just now, and its workers are on their way out
        self.catalog.own(store, run.run_id)
        return self._run(self.backend_of(run), run)

    def estimate(self, resources: Resources, n_items: int, seconds_per_item: float) -> Estimate:
        """Say what a map would cost on AWS."""
        return estimate_on_aws(self.settings, resources, n_items, seconds_per_item)

    def row(self, run_id: str) -> JobRow:
        """Return a run's line for a table, without reading its items where its end is written down."""
        store = self.store_of(run_id)
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
            self.catalog.add(run, backend.store.uri)
            self.catalog.own(backend.store, run.run_id)
            return self._run(backend, run)
        except BaseException as error:
            try:
                backend.cancel(run)
                self.remove(run.run_id)
            except (KnotError, OSError) as left:  # why it failed matters more
                error.add_note(f"what was written of {run.run_id} could not be removed: {left}")
            raise

    def _run(self, backend: Backend, run: Run) -> MapFuture[Any]:
        with self._lock:
            future = self._make_future(run, backend.store)
            self._active[run.run_id] = threading.Event()
        try:
            backend.submit(run, future.items.outcomes, self.catalog.generation(run.run_id))
        except BaseException:
            self._active.pop(run.run_id).set()
            self._futures.pop(run.run_id, None)
            if backend.is_remote:
                self.catalog.release(backend.store, run.run_id)  # its jobs go on, and another look may do
            raise
        if self.catalog.generation(run.run_id) > 1:
            future.items.outcomes.refresh()  # a resumed run has some already
        tell(self._observers, RunSubmitted(run=run, counts=future.items.counts))
        following = Following(
            future,
            OwnersLook(backend, run, self.catalog, follow=lambda: self._look(backend.store, run)),
            observers=self._observers,
            on_end=self._write_end,
            pace=self._pace(run),
        )
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
        run, store = future.run, self.store_of(future.run_id)
        self.backend_of(run).forget(run)
        end = {"state": status.state, "reason": status.reason, **future.items.counts._asdict()}
        try:
            generation = self.catalog.generation(run.run_id)
            if generation:  # otherwise another process has it, and writes that down
                write_mark(store, Keys(run.run_id).settled(generation), end)
        finally:
            self.catalog.let_go(run.run_id)
            ended = self._active.pop(run.run_id, None)
            if ended is not None:
                ended.set()

    def backend(self, name: str, address: str = "") -> Backend:
        """Return a place, made when it is first asked for."""
        with self._lock:
            if (name, address) not in self._backends:
                around = Surroundings(
                    settings=self.settings,
                    store=self._home_store,
                    wake=self._watcher.wake,
                    tell=make_build_line(self.settings.progress),
                )
                self._backends[name, address] = make_backend(name, around, address)
            return self._backends[name, address]

    def backend_of(self, run: Run) -> Backend:
        """Return the place of a run, which on AWS may be another stack than the one that is set."""
        here = self.backend(run.backend)
        with contextlib.suppress(InputError):  # nothing may be set here at all
            if run.address in ("", here.address):
                return here
        return self.backend(run.backend, run.address)

    def store_of(self, run_id: str) -> Store:
        """Return where a run is; one that this machine does not know may be in the stack's bucket."""
        entry = self.catalog.find(run_id)
        if entry is None:
            # 'cloudknot configure' writes the region down.
            is_set_up = self.settings.region or self.settings.backend == "aws"
            is_far = is_set_up or ("aws", "") in self._backends
            return self.backend("aws").store if is_far else self._home_store
        return self.open_store(entry.store)

    def open_store(self, uri: str) -> Store:
        """Return the store that a URI names; a bucket is opened as the person whose settings are in force."""
        with self._lock:
            if uri not in self._stores:
                is_far = uri.startswith("s3:")
                self._stores[uri] = self.backend("aws").open_store(uri) if is_far else open_store(uri)
            return self._stores[uri]

    def remove(self, run_id: str) -> None:
        """Remove a run that is over, or about to be, with its inputs and results."""
        self.wait_for_end(run_id)  # a worker's last pack must not bring the folder back
        store = self.store_of(run_id)
        self.catalog.let_go(run_id)
        self.catalog.remove(run_id)
        self._futures.pop(run_id, None)
        store.delete(Keys(run_id).prefix)

    def wait_for_end(self, run_id: str) -> None:
        """Wait until nothing of a run runs in this process any more."""
        ended = self._active.get(run_id)
        if ended is not None:
            ended.wait(_END_S)


def current_client(pars: Stacked | None = None) -> Client:
    """Return this process's client for the settings in force, on another stack where one is given."""
    settings = settings_on(load_settings(), pars)
    key = (os.getpid(), settings)
    with _clients_lock:
        if key not in _clients:
            _clients[key] = Client(settings)
        return _clients[key]


# One pool and one watcher a process; a forked child finds its own by its process id.
_clients: dict[tuple[int, Settings], Client] = {}
_clients_lock = threading.Lock()


def _items_of(store: Store, run: Run) -> Items:
    outcomes = Outcomes(store, run.run_id, run.orders.count, has_news=is_remote(run.backend))
    if not run.orders.is_selection:
        return Items(outcomes, run.length)
    before = _items_of(store, read_run(store, run.parent))
    before.outcomes.refresh()
    indices = decode_indices(store.get(Keys(run.run_id).indices))
    return Items(outcomes, run.length, indices=indices, before=before)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
