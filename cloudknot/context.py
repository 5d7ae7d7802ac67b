"""What an image is built from: its layers, and the same as a Dockerfile with its context; pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cloudknot.bases import Base, Contents
from cloudknot.indexes import IndexSettings
from cloudknot.recipes import UV, Recipe, below, digests_of, main_file, plan_installation, shorten
from cloudknot.templates import read_templates, render_template

HOME = "/opt/cloudknot"
# What a build needs lies below a folder that images have and do not use.
PLACE = "/mnt"
TOOLS = f"{PLACE}/tools"
OPENING = f". {PLACE}/settings"
COMMAND = ("python",)
_BUILD = f"{PLACE}/build"
_COPIED_PYTHON = "/opt/python/bin/python3"
_CONDA_PYTHON = "/opt/environment/bin/python"
_MICROMAMBA = "/bin/micromamba"
_CERTIFICATES = f"{PLACE}/certificates.pem"
_NAMES_OF_CERTIFICATES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
_PIPS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
_LABEL_OF_INDEX = re.compile(r"(?<!\S)[A-Za-z0-9_.-]+=(?=https?://)")


@dataclass(frozen=True, kw_only=True)
class Loan:
    """What a step takes from an image that it does not stand on.

    Parameters
    ----------
    image : Base
        The image.
    source, target : str
        Where it is there, and where the step finds it.
    """

    image: Base
    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One layer.

    Parameters
    ----------
    script : str
        The shell command that makes it.
    files : dict of str to bytes
        What the command reads: the path below ``/mnt/build``, and what the file holds.
    loans : tuple of Loan
        What it needs of other images.
    """

    script: str
    files: Mapping[str, bytes] = field(repr=False)
    loans: tuple[Loan, ...] = ()

    def key(self, parent: str) -> str:
        """Return what the layer is known by on one engine: the image below, and all that makes it."""
        return shorten([parent, self.script, digests_of(self.files)])


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an image is built from.

    Parameters
    ----------
    files : dict of str to bytes
        All of it as a build context with a Dockerfile: a file's path, and what it holds.
    digest : str
        What the image will be known by.
    system : dict of str to bytes
        The build context of what comes below the first step; empty where that is the base itself.
    steps : tuple of Step
        The layers on top, lowest first.
    runner : dict of str to bytes
        The files of the last layer, by their paths in the image.
    changes : tuple of str
        The settings of the image, as lines of a Dockerfile.
    """

    files: Mapping[str, bytes] = field(repr=False)
    digest: str
    system: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    steps: tuple[Step, ...] = ()
    runner: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    changes: tuple[str, ...] = ()


def render(
    recipe: Recipe,
    contents: Contents,
    *,
    python_image: Base | None = None,
    conda_image: Base | None = None,
) -> Context:
    """Return what a recipe is built from.

    Parameters
    ----------
    recipe : Recipe
        What the image will hold.
    contents : Contents
        What was found in its base.
    python_image : Base, optional
        An official Python image, for a base that lacks Python, or whose Python lacks pip.
    conda_image : Base, optional
        An image of micromamba, where the person's file is conda's and the base has none of its kin.
    """
    donor = None if contents.interpreter or recipe.is_conda else python_image
    steps = tuple(_steps(recipe, contents, python_image=python_image, conda_image=conda_image))
    apt = sorted(recipe.image.apt)
    packages = f"{HOME}/lib/python{recipe.python}/site-packages/cloudknot"
    changes = _changes(recipe)
    dockerfile = render_template(
        "Dockerfile.jinja",
        base=recipe.base.reference,
        python_image=donor.reference if donor else "",
        apt=apt,
        opening=OPENING,
        steps=steps,
        runner=packages,
        changes=changes,
        command=json.dumps(COMMAND),
    )
    lower = render_template(
        "system.jinja", base=recipe.base.id, python_image=donor.id if donor else "", apt=apt
    )
    lent = _scripts("find_libraries.sh", "add_libraries.sh") if donor else {}
    read = {path: content for step in steps for path, content in step.files.items()}
    return Context(
        files={"Dockerfile": dockerfile, **lent, **below("build", read), **below("runner", recipe.runner)},
        digest=recipe.digest,
        system={"Dockerfile": lower, **lent} if donor or apt else {},
        steps=steps,
        runner=below(packages.lstrip("/"), recipe.runner),
        changes=changes,
    )


def settings_files(indexes: IndexSettings, proxies: Mapping[str, str]) -> Mapping[str, bytes]:
    """Return how packages are had, as files below ``/mnt``. They hold passwords, and belong into no image.

    Parameters
    ----------
    indexes : IndexSettings
        As uv is to be told.
    proxies : dict of str to str
        Further variables, where the settings have none of that name.
    """
    told = {**proxies, **indexes.variables}
    # pip is asked once, for uv itself.
    told |= {name: _LABEL_OF_INDEX.sub("", told[source]) for name, source in _PIPS.items() if source in told}
    certificates = {"certificates.pem": indexes.certificates} if indexes.certificates else {}
    if certificates:
        told |= dict.fromkeys(_NAMES_OF_CERTIFICATES, _CERTIFICATES)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(told.items())]
    return {"settings": "".join(lines).encode(), **certificates}


def _changes(recipe: Recipe) -> tuple[str, ...]:
    home = f"/home/{recipe.image.user}"
    path = f"{HOME}/bin:/opt/environment/bin" if recipe.is_conda else f"{HOME}/bin"
    return (
        f'ENV PATH="{path}:$PATH" HOME="{home}"',
        f"WORKDIR {home}",
        f"USER {recipe.image.user}",
        "HEALTHCHECK NONE",
        f'LABEL cloudknot.digest="{recipe.digest}" cloudknot.python="{recipe.python}"',
    )


def _steps(
    recipe: Recipe, contents: Contents, *, python_image: Base | None, conda_image: Base | None
) -> Iterator[Step]:
    python = contents.interpreter or _COPIED_PYTHON
    loans: tuple[Loan, ...] = ()
    if recipe.is_conda:
        python = _CONDA_PYTHON
        yield _conda_step(recipe, contents.conda, conda_image)
    elif contents.interpreter and python_image is not None:
        source = f"/usr/local/lib/python{recipe.python}/site-packages/pip"
        loans = (Loan(image=python_image, source=source, target=f"{TOOLS}/pip"),)
    plan = plan_installation(recipe)
    # Without the packages of the one user who builds, which others do not see.
    install = f"{python} -s {_BUILD}/install.py {UV}"
    for name, lines in plan.lower.items():
        files = {**_scripts("install.py"), name: lines}
        yield Step(script=f"{install} pins {name}", files=files, loans=loans)
    commands = (
        f"sh {_BUILD}/add_user.sh {recipe.image.user}",
        *(f"{install} {command}" for command in plan.commands),
    )
    files = {**_scripts("install.py", "add_user.sh"), **plan.files}
    yield Step(script=" && ".join(commands), files=files, loans=loans)


def _conda_step(recipe: Recipe, program: str, conda_image: Base | None) -> Step:
    assert recipe.environment is not None
    loans: tuple[Loan, ...] = ()
    if conda_image is not None:
        program = f"{TOOLS}/micromamba"
        loans = (Loan(image=conda_image, source=_MICROMAMBA, target=program),)
    file = shlex.quote(main_file(recipe.environment))
    return Step(
        script=f"sh {_BUILD}/make_environment.sh {program} {file} {recipe.python}",
        files={**_scripts("make_environment.sh"), **below("environment", recipe.environment.files)},
        loans=loans,
    )


def _scripts(*names: str) -> dict[str, bytes]:
    return {name: read_templates()[name] for name in names}
