"""The container image of a function, made by hand: to look at, to make beforehand, or to give to others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from cloudknot.baking import bake as make_baked
from cloudknot.baking import repository_of
from cloudknot.checks import check_name
from cloudknot.config import load_settings
from cloudknot.context import Context
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import build_image, find_image, images_with, remove_image, tag_image
from cloudknot.errors import InputError
from cloudknot.images import prepare_image, render_image
from cloudknot.progress import make_build_line
from cloudknot.requirements import capture
from cloudknot.runner.pickles import loads
from cloudknot.shipping import knot_name_of, local_files, name_of, pack
from cloudknot.specs import Image, extend_image

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:-]*")
_LABEL = "cloudknot.digest"


class DockerImage:
    """The container image of a function.

    A `Knot` makes its image by itself; this is for making it beforehand, for looking at what is in it, and
    for an image that runs the function by itself, on any machine.

    Parameters
    ----------
    func : callable
        Any callable: a function from a module, script or notebook, a lambda, closure, partial, bound
        method or callable object.
    name : str, optional
        Names the image; the function's name when not given.
    image : Image, optional
        What it is made from, beside what the function imports.
    base_image : str, optional
        The image that it stands on; the same as ``image=Image(base=...)``.
    github_installs : str or sequence of str, optional
        Addresses of git repositories to install in it.
    username : str, optional
        The unprivileged user that runs the function; the same as ``image=Image(user=...)``.

    Raises
    ------
    InputError
        An argument will not do, or something that the function needs cannot be had in an image. Nothing
        was started.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        name: str | None = None,
        image: Image | None = None,
        base_image: str | None = None,
        github_installs: str | Iterable[str] = (),
        username: str | None = None,
    ) -> None:
        self._shipment = pack(func)
        self.func = func
        self.name = check_name(knot_name_of(func) if name is None else name)
        self.image = extend_image(image, base_image=base_image, github_installs=github_installs)
        if username is not None:
            if self.image.user not in (Image().user, username):
                raise InputError("username and image.user say the same thing twice: give one of them")
            self.image = replace(self.image, user=username)
        self._needs = capture(self._shipment.imports, platform=self.image.platform)
        self._settings = load_settings()
        self._made: list[str] = []

    @property
    def requirements(self) -> tuple[str, ...]:
        """What is installed for the function, a line each as pip takes them."""
        own = self.image.requirements
        if own is None:
            own = () if self.image.environment else tuple(pin.line() for pin in self._needs.pins)
        return (*own, *self.image.packages)

    @property
    def dockerfile(self) -> str:
        """The Dockerfile of its environment. The engine is asked what the base image holds."""
        return self._render().files["Dockerfile"].decode()

    @property
    def digest(self) -> str:
        """The digest of all that decides what its environment holds: equal for equal content."""
        return self._render().digest

    def build(self, tags: str | Iterable[str] = (), *, bake: bool = False) -> str:
        """Make the image, unless it is there already.

        Parameters
        ----------
        tags : str or sequence of str
            Further names: a tag such as ``"1.0"``, or a whole name such as ``"ghcr.io/lab/mean-fa:1.0"``.
        bake : bool, default False
            False: the environment alone, in which a Knot runs this and any other function with the same
            needs. True: with the function in it, so that ``docker run IMAGE 3`` runs it.

        Returns
        -------
        str
            The image's name.

        Raises
        ------
        InputError
            A tag will not do. Nothing was started.
        ImageError
            The image could not be made. Nothing half-made is left.
        EngineError
            No engine answers, or it failed.
        """
        further = [self._whole_name(tag) for tag in ([tags] if isinstance(tags, str) else tags)]
        with contextlib.closing(Engine()) as engine:
            before = images_with(engine, _LABEL)
            name = self._prepare(engine)
            self._made.extend({name}.difference(before))
            if bake:
                name = self._bake(engine, name)
            for other in further:
                tag_image(engine, name, other)
        self._made.extend(further)
        return name

    def clobber(self) -> tuple[str, ...]:
        """Remove what was built under this name, by earlier sessions too.

        The environment's image is removed where this object has made it; others may run in it otherwise.

        Returns
        -------
        tuple of str
            The names of the images that were removed.
        """
        own = f"{repository_of(self.name)}:"
        with contextlib.closing(Engine()) as engine:
            names = {name for name in images_with(engine, _LABEL) if name.startswith(own)} | {*self._made}
            self._made.clear()
            # What stands on another image goes before it.
            return tuple(
                name
                for name in sorted(names, key=lambda name: (not name.startswith(own), name))
                if remove_image(engine, name)
            )

    def __repr__(self) -> str:
        return f"<DockerImage {self.name}: {name_of(self.func)}, {len(self.requirements)} requirements>"

    def _render(self) -> Context:
        with contextlib.closing(Engine()) as engine:
            return render_image(engine, self.image, self._needs, default_base=self._settings.base_image)

    def _prepare(self, engine: Engine) -> str:
        tell = make_build_line(self._settings.progress)
        try:
            return prepare_image(
                engine, self.image, self._needs, default_base=self._settings.base_image, tell=tell
            )
        finally:
            tell("")

    def _bake(self, engine: Engine, environment: str) -> str:
        sources, _ = loads(self._shipment.function)
        context = make_baked(
            self.func,
            name=self.name,
            environment=environment,
            sources=sources,
            modules=local_files(self._shipment.modules, self._needs.by_value),
        )
        name = f"{repository_of(self.name)}:{context.digest}"
        if find_image(engine, name) is None:
            build_image(engine, context.files, name, platform=self.image.platform, tell=lambda line: None)
        return name

    def _whole_name(self, tag: object) -> str:
        if isinstance(tag, str) and _TAG.fullmatch(tag):
            return f"{repository_of(self.name)}:{tag}"
        repository, _, last = str(tag).rpartition(":")
        if not (isinstance(tag, str) and _NAME.fullmatch(repository) and _TAG.fullmatch(last)):
            raise InputError(
                f"tag {tag!r} will not do: use one such as '1.0', or a whole name with a tag such as "
                "'ghcr.io/lab/mean-fa:1.0'"
            )
        return tag
