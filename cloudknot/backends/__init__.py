"""The places where a run can run, each behind one Protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cloudknot.backends.prepared import Prepared, Removed
from cloudknot.config import Settings
from cloudknot.errors import InputError
from cloudknot.ledger import Outcomes
from cloudknot.reach import Imports
from cloudknot.runner.stores import Store
from cloudknot.runs import Run, Status
from cloudknot.specs import Image, Resources


class Backend(Protocol):
    """A place that runs runs."""

    name: str
    is_remote: bool  # whether its runs go on when this process ends

    @property
    def store(self) -> Store:
        """Return the ledger."""

    @property
    def address(self) -> str:
        """Say which of several such places it is; empty where there is one only."""

    def check(self, resources: Resources) -> None:
        """Refuse resources that this place does not have, before anything is made."""

    def prepare(self, image: Image, imports: Imports) -> Prepared:
        """Make what a function runs in, unless it is there; a repeat is a look-up."""

    def submit(self, run: Run, outcomes: Outcomes, generation: int) -> None:
        """Start a run for the n-th time, or what is left of it; its record and inputs are in the store."""

    def poll(self, run: Run) -> Status:
        """Say where a run stands, in a number of requests that does not grow with its items."""

    def open_store(self, uri: str) -> Store:
        """Return the store that a URI names."""

    def look(self, run: Run) -> Status:
        """Say where a run stands that no living process has."""

    def forget(self, run: Run) -> None:
        """Let go of a run that is over."""

    def cancel(self, run: Run, position: int | None = None) -> None:
        """Stop a run, or one item of it; what runs is killed."""

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that has not ended has written so far."""

    def remove(self, images: Collection[str], name: str) -> Removed:
        """Remove these images of a Knot, unless others use them, and what was made of them."""

    def teardown(self) -> None:
        """Remove what was made to run runs."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a backend is made with.

    Parameters
    ----------
    settings : Settings
        What the person has set.
    store : Store
        This machine's ledger.
    wake : callable
        Called when a run has moved.
    tell : callable
        Told, line by line, how the build of an image goes on; an empty line at its end.
    """

    settings: Settings
    store: Store
    wake: Callable[[], None]
    tell: Callable[[str], None]


def _make_local(around: Surroundings) -> Backend:
    from cloudknot.backends.local import LocalBackend  # noqa: PLC0415  # loaded when it is used

    settings = around.settings
    return LocalBackend(around.store, home=settings.home, workers=settings.local_workers, wake=around.wake)


def _make_docker(around: Surroundings) -> Backend:
    from cloudknot.backends.docker import DockerBackend  # noqa: PLC0415  # as above
    from cloudknot.docker_engine.connection import Engine  # noqa: PLC0415

    return DockerBackend(
        around.store,
        engine=Engine(),
        workers=around.settings.local_workers,
        default_base=around.settings.base_image,
        wake=around.wake,
        tell=around.tell,
    )


def _make_aws(around: Surroundings) -> Backend:
    from cloudknot.aws.session import Aws  # noqa: PLC0415  # as above
    from cloudknot.backends.aws import AwsBackend  # noqa: PLC0415
    from cloudknot.docker_engine.connection import Engine  # noqa: PLC0415

    settings = around.settings
    return AwsBackend(
        Aws(profile=settings.profile, region=settings.region),
        stack=settings.stack,
        home=settings.home,
        engine=Engine,
        default_base=settings.base_image,
        tell=around.tell,
    )


_BACKENDS: Mapping[str, Callable[[Surroundings], Backend]] = {
    "local": _make_local,
    "docker": _make_docker,
    "aws": _make_aws,
}


_REMOTE = frozenset({"aws"})


def is_remote(name: str) -> bool:
    """Return whether runs in a place go on when the process that started them ends."""
    return name in _REMOTE


def check_backend(name: object) -> str:
    """Return the name if there is a backend of that name."""
    if name not in _BACKENDS:
        raise InputError(f"no backend {name!r}: choose from {', '.join(sorted(_BACKENDS))}")
    return str(name)


def make_backend(name: str, around: Surroundings, address: str = "") -> Backend:
    """Make a backend by its name, and its address where it is not the one that is set."""
    if address:
        region, _, stack = address.partition("/")
        around = replace(around, settings=replace(around.settings, region=region, stack=stack))
    return _BACKENDS[check_backend(name)](around)
