"""From what an image is built from to the image: the layers that an engine has already are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cloudknot.bases import Base
from cloudknot.context import COMMAND, OPENING, PLACE, TOOLS, Context, Step
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import build_image, find_image
from cloudknot.docker_engine.layers import Command, Workplace, add_files, add_layer, run_command
from cloudknot.recipes import below

LAYERS = "cloudknot-layer"


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """How images are built on one engine.

    Parameters
    ----------
    engine : Engine
        Where.
    settings : dict of str to bytes
        How packages are had, as files below ``/mnt``.
    platform : str, optional
        None: the engine's own.
    tell : callable
        Told, line by line, how it goes on.
    """

    engine: Engine
    settings: Mapping[str, bytes] = field(repr=False)
    platform: str | None
    tell: Callable[[str], None]

    def make(self, context: Context, base: Base, name: str) -> None:
        """Make what is not there yet of an image's layers, and then the image.

        Raises
        ------
        ImageError
            A step failed. Nothing is left of it; the layers below stay for the next try.
        EngineError
            The engine failed.
        """
        top = self._add_system(context, base)
        tools = f"cloudknot-tools-{base.platform.replace('/', '-')}"
        place = Workplace(folder=PLACE, tools=TOOLS, volume=tools)
        # To remove a container of many files takes seconds, and nobody need wait for it.
        cleaner = ThreadPoolExecutor(max_workers=1)
        try:
            for step in context.steps:
                top = self._add_step(step, top, place, cleaner)
        finally:
            cleaner.shutdown(wait=False)
        add_files(
            self.engine,
            top,
            context.runner,
            name=name,
            command=COMMAND,
            changes=context.changes,
            platform=self.platform,
        )

    def _add_system(self, context: Context, base: Base) -> str:
        if not context.system:
            return base.id
        name = f"{LAYERS}:{Step(script='', files=context.system).key(base.id)}"
        with self.engine.lock(name):
            found = find_image(self.engine, name)
            if found is None:
                build_image(
                    self.engine, context.system, name, platform=self.platform, is_layer=True, tell=self.tell
                )
                found = find_image(self.engine, name)
        return found.id if found else name

    def _add_step(self, step: Step, below_it: str, place: Workplace, cleaner: ThreadPoolExecutor) -> str:
        name = f"{LAYERS}:{step.key(below_it)}"
        with self.engine.lock(name):
            found = find_image(self.engine, name)
            if found is not None:
                return found.id
            self.tell(f"running {step.script}")
            for loan in step.loans:
                fetch = Command(script=f"test -e {loan.target} || cp -r {loan.source} {loan.target}")
                run_command(self.engine, loan.image.id, fetch, place, platform=self.platform, tell=self.tell)
            # The settings are read and then gone, whatever becomes of the container.
            command = Command(
                script=step.script,
                files={**below("build", step.files), **self.settings},
                opening=f"{OPENING} && rm {PLACE}/settings",
            )
            return add_layer(
                self.engine,
                below_it,
                command,
                place,
                name=name,
                platform=self.platform,
                cleaner=cleaner,
                tell=self.tell,
            )
