"""The place in containers on this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from cloudknot.backends.contained import ContainedSpec, ContainerBerth
from cloudknot.backends.pool import Berth, Pool
from cloudknot.backends.prepared import Prepared, Removed
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.containers import Container, ContainerSpec, sweep
from cloudknot.docker_engine.images import find_image, remove_image
from cloudknot.errors import ImageError, InputError
from cloudknot.images import prepare_image
from cloudknot.ledger import Outcomes
from cloudknot.reach import Imports
from cloudknot.requirements import capture
from cloudknot.runner.stores import Store
from cloudknot.runs import Run
from cloudknot.specs import Image

_KNOT = "cloudknot.knot"
_OWNER = "cloudknot.owner"
# Python and its libraries take this much before an item begins.
_LEAST_MIB = 32
_RELAY = ("/opt/cloudknot/bin/python", "-P", "-m", "cloudknot.runner.relay")


class DockerBackend(Pool[ContainedSpec]):
    """Runs runs in containers on this machine.

    Parameters
    ----------
    store : Store
        The ledger.
    workers : int, optional
        Containers side by side; None: as many as the engine has processors.
    wake : callable
        Called when a run has moved.
    engine : Engine
        The docker engine.
    default_base : str, optional
        The base of images that name none.
    tell : callable
        Told, line by line, how a build goes on; an empty line at its end.

    Raises
    ------
    EngineError
        No engine answers, or it may not be used.
    """

    name = "docker"

    def __init__(
        self,
        store: Store,
        *,
        engine: Engine,
        workers: int | None = None,
        default_base: str | None = None,
        wake: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        capacity = engine.capacity()
        super().__init__(store, workers=workers or capacity.vcpus, memory_mib=capacity.memory_mib, wake=wake)
        self._engine = engine
        sweep(engine, _OWNER, is_left_by)
        self._vcpus = capacity.vcpus
        self._default_base = default_base
        self._tell = tell
        self._preparing = threading.Lock()
        self._told: set[str] = set()

    def prepare(self, image: Image, imports: Imports) -> Prepared:
        """Build the image that a function needs, unless it is there already.

        Raises
        ------
        InputError
            A module that the function imports cannot be had in an image.
        ImageError
            The image could not be made.
        """
        needs = capture(imports, platform=image.platform)
        with self._preparing:
            try:
                name = prepare_image(
                    self._engine, image, needs, default_base=self._default_base, tell=self._tell
                )
                if name not in self._told:
                    self._told.add(name)
                    self._tell(f"the image {name} is ready")
            finally:
                self._tell("")
        return Prepared(image=name, by_value=needs.by_value)

    def submit(self, run: Run, outcomes: Outcomes, generation: int) -> None:
        """Queue a run, or what is left of it.

        Raises
        ------
        InputError
            Its memory is too small for a container.
        ImageError
            Its image is no longer there, and what is installed now would give another one.
        """
        memory_mib = run.resources.memory_mib
        if memory_mib is not None and memory_mib < _LEAST_MIB:
            raise InputError(
                f"memory_mib={memory_mib} is too little: a container's Python alone needs {_LEAST_MIB}"
            )
        if find_image(self._engine, run.image) is None:
            made = self.prepare(run.made_from, run.imports).image
            if made != run.image:
                raise ImageError(
                    f"the image {run.image} of run {run.run_id} is no longer here, and from what is "
                    f"installed now another one comes out ({made}): retry_failed(function) runs in that one"
                )
        super().submit(run, outcomes, generation)

    def remove(self, images: Collection[str], name: str) -> Removed:
        """Remove these images with the layers that only they have, and this process's containers of them."""
        containers = self.end_idle(lambda spec: spec.container.image in images)
        with self._preparing:
            removed = [image for image in sorted(images) if remove_image(self._engine, image)]
            self._told.difference_update(removed)
        return Removed(containers=containers, images=tuple(removed))

    def open_berth(self) -> Berth[ContainedSpec]:
        """Return what will hold one container."""
        return ContainerBerth(self._open, self.store)

    def spec_of(self, run: Run, *, as_shipped: bool) -> ContainedSpec:
        """Return a container with the run's limits, and a worker in it with the run's modules."""
        resources, orders = run.resources, run.orders
        as_person = bool(run.volumes)  # files in volumes are the person's own, and must stay it
        is_root = os.geteuid() == 0
        elsewhere = "/tmp" if as_person and not is_root else ""  # the image's home is another user's
        return ContainedSpec(
            container=ContainerSpec(
                image=run.image,
                command=_RELAY,
                vcpus=min(resources.vcpus, self._vcpus),
                memory_mib=resources.memory_mib,
                volumes=run.volumes,
                user=f"{os.geteuid()}:{os.getegid()}" if as_person else "",
                groups=tuple(os.getgroups()) if as_person else (),
                environment={"HOME": elsewhere} if elsewhere else {},
                labels={_KNOT: run.name, _OWNER: f"{socket.gethostname()} {os.getpid()}"},
            ),
            bundle=orders.bundle,
            cwd=run.cwd if is_visible(run.cwd, run.volumes) else elsewhere,
            env_vars=orders.env_vars,
            threads=orders.threads,
        )

    def _open(self, spec: ContainerSpec) -> Container:
        return Container(self._engine, spec)


def is_visible(folder: str, volumes: tuple[str, ...]) -> bool:
    """Return whether a folder of this machine is there in a container with these volumes.

    Examples
    --------
    >>> is_visible("/data/study/code", ("/data/study:ro",))
    True
    """
    return any(Path(folder).is_relative_to(volume.removesuffix(":ro")) for volume in volumes)


def is_left_by(owner: str) -> bool:
    """Return whether a container's owner, "HOST PROCESS", was a process of this machine that is no more."""
    host, _, process = owner.rpartition(" ")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return False
