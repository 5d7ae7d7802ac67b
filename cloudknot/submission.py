"""From what a person asks for to a run in the ledger, ready to be started."""

from __future__ import annotations

import dataclasses
import datetime
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cloudknot.backends.prepared import Prepared
from cloudknot.errors import InputError
from cloudknot.ledger import write_inputs
from cloudknot.reach import Imports
from cloudknot.runner.bundles import bundle_key, read_bundle, write_bundle
from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import OnError, Orders, Style
from cloudknot.runner.pickles import Pickler
from cloudknot.runner.stores import Store
from cloudknot.runs import Run, new_run_id
from cloudknot.shipping import ModuleNotes, is_code, local_files, pack
from cloudknot.specs import Image, Resources, Retry

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a map or submit asks for, checked."""

    func: Callable[..., Any]
    name: str
    backend: str
    style: Style = "one"
    is_single: bool = False
    resources: Resources = field(default_factory=Resources)
    retry: Retry = field(default_factory=Retry)
    env_vars: dict[str, str] = field(default_factory=dict)
    on_error: OnError = "auto"
    chunk_size: int | None = None
    image: Image = field(default_factory=Image)
    volumes: tuple[str, ...] = ()
    budget_usd: float | None = None


Prepare = Callable[[Image, Imports], Prepared]


class Submission(NamedTuple):
    """A run whose inputs are in the ledger, and the function that it runs."""

    run: Run
    function: bytes
    indices: tuple[int, ...] = ()


def stage(
    request: Request, items: Iterable[Any], store: Store, now: datetime.datetime, *, prepare: Prepare
) -> Submission:
    """Write a run's inputs and modules into the store, and have what it runs in prepared.

    Raises
    ------
    InputError
        Something cannot travel. Nothing is left behind.
    """
    shipment = pack(request.func)
    run_id = new_run_id(request.name, now)
    notes = ModuleNotes()
    try:
        shards = write_inputs(store, run_id, _pickle_items(items, request.style, notes))
        imports = shipment.imports | notes.imports
        prepared = prepare(request.image, imports)
    except BaseException:
        store.delete(Keys(run_id).prefix)
        raise
    files = local_files(shipment.modules | notes.modules, prepared.by_value)
    orders = Orders(
        count=shards[-1],
        style=request.style,
        inputs_run=run_id,
        shards=shards,
        chunk_size=request.chunk_size,
        on_error=request.on_error,
        raised_retries=request.retry.raised,
        lost_retries=request.retry.lost,
        timeout_s=request.resources.timeout_s,
        bundle=write_bundle(store, files),
        env_vars=request.env_vars,
        threads=_threads(request.resources),
    )
    cwd = os.getcwd()  # noqa: PTH109  # the way Python resolves an empty entry of sys.path
    run = Run(
        run_id=run_id,
        name=request.name,
        backend=request.backend,
        created=now.isoformat(),
        is_single=request.is_single,
        length=shards[-1],
        orders=orders,
        resources=request.resources,
        # Python's own import passes over entries that are no strings.
        sys_path=tuple(entry or cwd for entry in sys.path if isinstance(entry, str)),
        cwd=cwd,
        function=shipment.name,
        code=_name_code(files),
        python=PYTHON,
        image=prepared.image,
        made_from=request.image,
        imports=imports,
        volumes=request.volumes,
        retry=request.retry,
        budget_usd=request.budget_usd,
    )
    return Submission(run, shipment.function)


def stage_again(
    run: Run,
    indices: tuple[int, ...],
    store: Store,
    now: datetime.datetime,
    *,
    func: Callable[..., Any] | None,
    resources: Resources,
    prepare: Prepare,
) -> Submission:
    """Make a run of some of another run's items, on the inputs that are in the store.

    Parameters
    ----------
    run : Run
        The run whose items they are.
    indices : tuple of int
        The items.
    store : Store
        Where the run is.
    now : datetime
        When.
    func : callable, optional
        Runs in place of the run's own function.
    resources : Resources
        What one item may use now.
    prepare : callable
        Has what another function runs in prepared.

    Raises
    ------
    InputError
        The run's function is of another version of Python.
    """
    if func is None:
        check_python(run)
    function, bundle, name = store.get(Keys(run.run_id).function), run.orders.bundle, run.function
    code, image, imports = run.code, run.image, run.imports
    if func is not None:
        shipment = pack(func)
        function, name = shipment.function, shipment.name
        # The arguments may still need modules of the first run.
        imports |= shipment.imports
        prepared = prepare(run.made_from, imports)
        image = prepared.image
        files = {**read_bundle(store, bundle), **local_files(shipment.modules, prepared.by_value)}
        bundle, code = write_bundle(store, files), _name_code(files)
    orders = dataclasses.replace(
        run.orders,
        count=len(indices),
        is_selection=True,
        bundle=bundle,
        timeout_s=resources.timeout_s,
        threads=_threads(resources),
    )
    again = dataclasses.replace(
        run,
        run_id=new_run_id(run.name, now),
        created=now.isoformat(),
        parent=run.run_id,
        is_rerun=func is None,
        resources=resources,
        function=name,
        code=code,
        python=PYTHON,
        image=image,
        imports=imports,
        orders=orders,
    )
    return Submission(again, function, indices)


def check_python(run: Run) -> None:
    """Refuse to run a function that another version of Python has pickled.

    Raises
    ------
    InputError
        It is another version.
    """
    if run.python != PYTHON:
        raise InputError(
            f"run {run.run_id} was started with Python {run.python} and this is {PYTHON}: "
            f"go on with Python {run.python}"
        )


def _name_code(files: dict[str, bytes]) -> str:
    """Name the state of the modules among files: a result written beside them is no other code."""
    return bundle_key({name: content for name, content in files.items() if is_code(Path(name))})


def _threads(resources: Resources) -> int:
    return max(1, int(resources.vcpus))


def _pickle_items(items: Iterable[Any], style: Style, notes: ModuleNotes) -> Iterator[bytes]:
    pickler = Pickler(notes)
    for index, item in enumerate(items):
        argument = _spread(item, index) if style == "star" else item
        try:
            yield pickler.dumps(argument)
        except Exception as error:
            what = "the arguments" if style == "call" else f"the argument of item {index}"
            raise InputError(
                f"{what} cannot be pickled: {type(error).__name__}: {error} ({argument!r:.80})"
            ) from error


def _spread(item: Any, index: int) -> tuple[Any, ...]:
    try:
        return tuple(item)
    except TypeError:
        raise InputError(
            f"with starmap=True item {index} must be a tuple of arguments, "
            f"not {type(item).__name__} {item!r:.80}"
        ) from None
