"""The image that a function runs in: looked up by the digest of what it holds, else built."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping

from cloudknot.assembly import Assembly
from cloudknot.bases import Base, Contents, probe_script, python_images, read_contents, why_not_copied
from cloudknot.context import HOME, Context, render, settings_files
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import ImageFacts, build_folder, find_image, run_probe
from cloudknot.docker_engine.layers import proxies
from cloudknot.docker_engine.pulling import pull_image
from cloudknot.environments import read_environment
from cloudknot.errors import ImageError
from cloudknot.indexes import IndexSettings, read_index_settings
from cloudknot.own_files import read_own_files
from cloudknot.recipes import Recipe
from cloudknot.requirements import Needs, runner_pins
from cloudknot.specs import Image

REPOSITORY = "cloudknot"
_MICROMAMBA_IMAGE = "mambaorg/micromamba:2"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

Tell = Callable[[str], None]


def prepare_image(
    engine: Engine,
    image: Image,
    needs: Needs,
    *,
    indexes: IndexSettings | None = None,
    environ: Mapping[str, str] = os.environ,
    default_base: str | None = None,
    tell: Tell = lambda line: None,
) -> str:
    """Return the name of the image that holds what is asked for; build it unless it is there.

    Parameters
    ----------
    engine : Engine
        Where it is built.
    image : Image
        What the person asked for.
    needs : Needs
        What the function needs.
    indexes : IndexSettings, optional
        How packages are had; None: as this machine is set.
    environ : dict of str to str
        Where those settings are read from.
    default_base : str, optional
        The base of images that name none; None: the official Python image.
    tell : callable
        Told, line by line, how it goes on.

    Returns
    -------
    str
        Its name, ``cloudknot:`` and the digest of what it holds.

    Raises
    ------
    InputError
        The person's own environment file will not do.
    ImageError
        It could not be made. Nothing half-made is left.
    EngineError
        No engine answers, or it failed.
    """
    recipe = _recipe_for(_base_of(engine, image, default_base, tell), image, needs)
    name = f"{REPOSITORY}:{recipe.digest}"
    with engine.lock(name):
        if find_image(engine, name) is None:
            tell(f"building {name} on {recipe.base.name}")
            context = _context_of(engine, recipe, tell)
            settings = settings_files(read_index_settings(environ) if indexes is None else indexes, proxies())
            assembly = Assembly(engine=engine, settings=settings, platform=image.platform, tell=tell)
            assembly.make(context, recipe.base, name)
    return name


def render_image(
    engine: Engine,
    image: Image,
    needs: Needs,
    *,
    default_base: str | None = None,
    tell: Tell = lambda line: None,
) -> Context:
    """Return what an image would be built from, and its digest, without building it; see `prepare_image`."""
    recipe = _recipe_for(_base_of(engine, image, default_base, tell), image, needs)
    return _context_of(engine, recipe, tell)


def _recipe_for(base: Base, image: Image, needs: Needs) -> Recipe:
    has_own = image.requirements is not None or image.environment is not None
    return Recipe(
        image=image,
        base=base,
        python=_PYTHON,
        pins=() if has_own else needs.pins,
        runner_pins=runner_pins(),
        is_closed=sys.platform == "linux",
        environment=read_environment(image.environment) if image.environment else None,
        runner=read_own_files(
            "" if needs.uses_cloudknot else "runner", f"{HOME}/lib/python{_PYTHON}/site-packages/cloudknot"
        ),
    )


def _base_of(engine: Engine, image: Image, default_base: str | None, tell: Tell) -> Base:
    if image.dockerfile is not None:
        # The folder it lies in tells it from others; a new build takes the name over.
        place = hashlib.sha256(str(image.dockerfile).encode()).hexdigest()[:20]
        name = f"{REPOSITORY}-base:{place}"
        build_folder(engine, image.dockerfile, name, platform=image.platform, tell=tell)
        return _as_base(str(image.dockerfile), _have_image(engine, name, image.platform, tell))
    name = image.base or default_base or python_images(_PYTHON, "")[0]
    return _as_base(name, _have_image(engine, name, image.platform, tell))


def _as_base(name: str, facts: ImageFacts) -> Base:
    return Base(name=name, id=facts.id, digest=facts.digest, platform=facts.platform)


def _have_image(engine: Engine, name: str, platform: str | None, tell: Tell) -> ImageFacts:
    """Return an image that this engine has or can fetch."""
    found = find_image(engine, name)
    if found is None or not found.is_for(platform):
        pull_image(engine, name, platform=platform, tell=tell)
        found = find_image(engine, name)
    if found is None or not found.is_for(platform):
        raise ImageError(
            f"the image {name} is for {found.platform if found else 'no platform'}, not for {platform}: "
            "choose another base or platform"
        )
    return found


def _context_of(engine: Engine, recipe: Recipe, tell: Tell) -> Context:
    """Look into the base, fetch the images that lend it what it lacks, and render what is to be built."""
    contents = _look_into(engine, recipe.base)
    if recipe.image.apt and not contents.has_apt:
        raise ImageError(
            f"the base image {recipe.base.name} has no apt-get, so apt={list(recipe.image.apt)} cannot be "
            "installed: choose a base of Debian or Ubuntu, or install it with dockerfile="
        )
    if recipe.is_conda:
        return render(
            recipe,
            contents,
            conda_image=None if contents.conda else _lender(engine, _MICROMAMBA_IMAGE, recipe, tell),
        )
    if contents.interpreter:
        [name] = python_images(recipe.python, "")
        return render(
            recipe, contents, python_image=None if contents.has_pip else _lender(engine, name, recipe, tell)
        )
    return render(recipe, contents, python_image=_donor_for(engine, recipe, contents, tell))


def _lender(engine: Engine, name: str, recipe: Recipe, tell: Tell) -> Base:
    return _as_base(name, _have_image(engine, name, recipe.image.platform, tell))


def _donor_for(engine: Engine, recipe: Recipe, contents: Contents, tell: Tell) -> Base:
    """Return the official image whose Python runs in the base, which has none of that version."""
    reasons = []
    for name in python_images(recipe.python, contents.libc):
        try:
            donor = _lender(engine, name, recipe, tell)
        except ImageError as error:
            reasons.append(str(error))
            continue
        reason = why_not_copied(contents, _look_into(engine, donor))
        if not reason:
            return donor
        reasons.append(f"{reason}, which the Python of {name} needs")
    raise ImageError(
        f"the base image {recipe.base.name} has no Python {recipe.python}, and none could be copied into it: "
        f"{'; '.join(reasons)}. Choose a newer base, or install Python {recipe.python} in it with dockerfile="
    )


def _look_into(engine: Engine, base: Base) -> Contents:
    """Return what is in an image; it is looked into once."""

    def look() -> Contents:
        code, output = run_probe(engine, base.id, probe_script(_PYTHON), platform=base.platform)
        if code == 0:
            return read_contents(output)
        if "exec format error" in output:
            raise ImageError(
                f"the image {base.name} is for {base.platform}, which this engine ({engine.platform}) does "
                "not run: leave platform out, choose another base, or use an engine of that architecture"
            )
        raise ImageError(
            f"could not look into the base image {base.name}: {output.strip() or f'exit code {code}'}. "
            "It must have a shell, /bin/sh"
        )

    return engine.once(f"contents of {base.id}", look)
