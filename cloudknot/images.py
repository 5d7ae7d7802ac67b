"""The image that a function runs in: looked up by the digest of what it holds, else built."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

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
from cloudknot.recipes import Recipe, shorten
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
    recipe = find_recipe(engine, image, needs, default_base=default_base, tell=tell)
    return make_image(engine, recipe, indexes=indexes, environ=environ, tell=tell)


def find_recipe(
    engine: Engine, image: Image, needs: Needs, *, default_base: str | None = None, tell: Tell
) -> Recipe:
    """Return all that decides what an image will hold; its base is fetched, or made, where it must be.

    The parameters and errors are those of `prepare_image`.
    """
    return _recipe_for(_base_of(engine, image, default_base, tell), image, needs)


def make_image(
    engine: Engine,
    recipe: Recipe,
    *,
    indexes: IndexSettings | None = None,
    environ: Mapping[str, str] = os.environ,
    tell: Tell,
) -> str:
    """Build the image of a recipe unless it is there, and return its name; see `prepare_image`."""
    name = name_of_digest(recipe.digest)
    with engine.lock(name):
        if find_image(engine, name) is None:
            tell(f"building {name} on {recipe.base.name}")
            context = _context_of(engine, recipe, tell)
            settings = settings_files(read_index_settings(environ) if indexes is None else indexes, proxies())
            assembly = Assembly(engine=engine, settings=settings, platform=recipe.image.platform, tell=tell)
            assembly.make(context, recipe.base, name)
    return name


def name_of_digest(digest: str) -> str:
    """Return what an image of that digest is called on an engine."""
    return f"{REPOSITORY}:{digest}"


def look_up_recipe(
    engine: Engine, image: Image, needs: Needs, *, default_base: str | None = None
) -> Recipe | None:
    """Return all that decides what an image will hold, where its base is on the engine already.

    Nothing is fetched or made: what stands on a person's own Dockerfile is not known like this.

    Raises
    ------
    InputError
        The person's own environment file will not do.
    EngineError
        No engine answers, or it failed.
    """
    name = _name_of_base(image, default_base)
    found = None if image.dockerfile else find_image(engine, name)
    if found is None or not found.is_for(image.platform):
        return None
    return _recipe_for(_as_base(name, found), image, needs)


def digest_request(image: Image, needs: Needs, *, default_base: str | None = None) -> str:
    """Return what a request is known by, without an engine.

    Equal requests give the same image for as long as the base's name means the same base.

    Raises
    ------
    InputError
        The person's own environment file will not do.
    ImageError
        The Dockerfile's folder cannot be read.
    """
    name = _name_of_base(image, default_base)
    content = _state_of_folder(image.dockerfile) if image.dockerfile else name
    return _recipe_for(
        Base(name=name, id="", digest=content, platform=image.platform or ""), image, needs
    ).digest


def render_image(
    engine: Engine,
    image: Image,
    needs: Needs,
    *,
    default_base: str | None = None,
    tell: Tell = lambda line: None,
) -> Context:
    """Return what an image would be built from, and its digest, without building it; see `prepare_image`."""
    recipe = find_recipe(engine, image, needs, default_base=default_base, tell=tell)
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
    name = _name_of_base(image, default_base)
    if image.dockerfile is not None:
        build_folder(engine, image.dockerfile, name, platform=image.platform, tell=tell)
        return _as_base(str(image.dockerfile), _have_image(engine, name, image.platform, tell))
    return _as_base(name, _have_image(engine, name, image.platform, tell))


def _name_of_base(image: Image, default_base: str | None) -> str:
    if image.dockerfile is not None:
        # The folder it lies in tells it from others; a new build takes the name over.
        return f"{REPOSITORY}-base:{hashlib.sha256(str(image.dockerfile).encode()).hexdigest()[:20]}"
    return image.base or default_base or python_images(_PYTHON, "")[0]


def _state_of_folder(dockerfile: Path) -> str:
    """Return what changes with any file of a build context; their content is not read."""
    try:
        entries = sorted((path, path.lstat()) for path in dockerfile.parent.rglob("*"))
    except OSError as error:
        raise ImageError(f"could not read the folder of {dockerfile} as a build context: {error}") from error
    states = [[str(path), entry.st_mode, entry.st_size, entry.st_mtime_ns] for path, entry in entries]
    return shorten([str(dockerfile), states])


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
