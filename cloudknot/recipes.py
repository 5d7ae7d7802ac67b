"""What an image will hold, the digest of that, and how it is installed: pure."""

from __future__ import annotations

import functools
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement

from cloudknot.bases import Base
from cloudknot.environments import EnvironmentFile
from cloudknot.installed import normalise
from cloudknot.requirements import Pin
from cloudknot.specs import Image
from cloudknot.templates import image_templates

UV = "0.13.9"
_DIGEST_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what an image will hold.

    Parameters
    ----------
    image : Image
        What was asked for.
    base : Base
        The image that it stands on.
    python : str
        The minor version of Python, such as ``"3.11"``.
    pins : tuple of Pin
        Distributions to install; none where the person's own lines or file stand in their place.
    runner_pins : tuple of Pin
        Those that the runner needs.
    is_closed : bool
        Whether the pins are all that they depend on: they are if they were read on Linux.
    environment : EnvironmentFile, optional
        The person's own file, in place of the pins.
    runner : dict of str to bytes
        Cloudknot's own files: the path below ``cloudknot/`` and what they hold.
    """

    image: Image
    base: Base
    python: str
    pins: tuple[Pin, ...] = ()
    runner_pins: tuple[Pin, ...] = ()
    is_closed: bool = True
    environment: EnvironmentFile | None = None
    runner: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def is_conda(self) -> bool:
        """Whether conda makes the environment, with a Python of its own."""
        return self.environment is not None and self.environment.kind == "conda"

    @property
    def _own_pins(self) -> tuple[Pin, ...]:
        """What the runner needs beside the pins; where both name a distribution, the pin counts."""
        named = {pin.name for pin in self.pins}
        return tuple(pin for pin in self.runner_pins if pin.name not in named)

    @property
    def all_pins(self) -> frozenset[Pin]:
        """The pins, and what the runner needs beside them, but for those that the person's own lines name.

        A pickle is read by the version of cloudpickle that wrote it: that one stays.
        """
        named = set(map(name_in, self.image.packages)) - {"cloudpickle"}
        return frozenset(pin for pin in (*self.pins, *self._own_pins) if pin.name not in named)

    @functools.cached_property
    def digest(self) -> str:
        """What the image is known by: the same content has the same on any machine."""
        image, environment = self.image, self.environment
        content = {
            "base": [self.base.digest, self.base.platform],
            "python": self.python,
            "uv": UV,
            "pins": sorted(pin.line() for pin in self.pins),
            "runner_pins": sorted(pin.line() for pin in self._own_pins),
            "is_closed": self.is_closed,
            "packages": sorted(image.packages),
            "apt": sorted(image.apt),
            "requirements": None if image.requirements is None else sorted(image.requirements),
            "environment": environment and [environment.kind, digests_of(environment.files)],
            "user": image.user,
            # Bytecode follows from its source, and differs with Python's patch version.
            "runner": digests_of({path: text for path, text in self.runner.items() if path.endswith(".py")}),
            "templates": digests_of(image_templates()),
        }
        return shorten(content)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is installed.

    Parameters
    ----------
    commands : tuple of str
        What ``install.py`` is told to do.
    files : dict of str to bytes
        What it reads.
    lower : dict of str to bytes
        Files of pins that have a layer of their own, below the others; the lowest first.
    """

    commands: tuple[str, ...]
    files: Mapping[str, bytes]
    lower: Mapping[str, bytes] = field(default_factory=dict)


def name_in(line: str) -> str:
    """Return the name of the distribution that a line names; empty where it names none.

    Examples
    --------
    >>> name_in("Scikit_Learn[all]>=1.4; python_version > '3'"), name_in("git+https://example.org/lab.git")
    ('scikit-learn', '')
    """
    try:
        return normalise(Requirement(line).name)
    except InvalidRequirement:
        return ""


def plan_installation(recipe: Recipe) -> Plan:
    """Return how the distributions of a recipe are installed."""
    if recipe.environment is not None:
        return _plan_file(recipe, recipe.environment)
    if recipe.image.requirements is not None:
        return Plan(
            commands=("packages lines.txt", "runner runner.txt"),
            files={
                "lines.txt": _as_lines((*recipe.image.requirements, *recipe.image.packages)),
                "runner.txt": _lines_of(recipe.runner_pins),
            },
        )
    return _plan_pins(recipe)


def _plan_pins(recipe: Recipe) -> Plan:
    packages, pins = recipe.image.packages, recipe.all_pins
    if not recipe.is_closed:
        lines = _as_lines((*(pin.line() for pin in pins), *packages))
        return Plan(commands=("packages lines.txt",), files={"lines.txt": lines})
    # The runner's own stand lowest: all functions share them, but for what they have at another version.
    # Nothing is replaced further up, as its bytecode would stay.
    of_runner = pins & {*recipe.runner_pins}
    large = {pin for pin in pins - of_runner if pin.is_large}
    lower = {"runner.txt": _lines_of(of_runner), "large.txt": _lines_of(large)}
    small = {"small.txt": _lines_of(pins - large)}
    layers = {name: content for name, content in lower.items() if content}
    if not packages:
        return Plan(commands=("pins small.txt",), files=small, lower=layers)
    # The packages keep to the pins, those below too.
    return Plan(
        commands=("pins small.txt", "packages packages.txt small.txt large.txt"),
        files={**small, "large.txt": lower["large.txt"], "packages.txt": _as_lines(packages)},
        lower=layers,
    )


def _plan_file(recipe: Recipe, environment: EnvironmentFile) -> Plan:
    packages = recipe.image.packages
    return Plan(
        commands=(
            *_commands_for(environment),
            *(["packages packages.txt"] if packages else []),
            "runner runner.txt",
        ),
        files={
            **({} if recipe.is_conda else below("environment", environment.files)),
            **({"packages.txt": _as_lines(packages)} if packages else {}),
            "runner.txt": _lines_of(recipe.runner_pins),
        },
    )


def _commands_for(environment: EnvironmentFile) -> tuple[str, ...]:
    if environment.kind == "conda":
        return ()
    main = shlex.quote(main_file(environment))
    if environment.kind == "uv":
        return (f"lock {main}",)
    # Only where uv installs the file itself does it check the hashes.
    has_hashes = any(b"--hash" in content for content in environment.files.values())
    return (f"file {main}",) if has_hashes else (f"packages {main}",)


def main_file(environment: EnvironmentFile) -> str:
    """Return where a build finds the file that was named."""
    return f"environment/{next(iter(environment.files))}"


def below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files by their paths as seen from above a folder.

    Examples
    --------
    >>> below("build", {"pins.txt": b""})
    {'build/pins.txt': b''}
    """
    return {f"{folder}/{path}": content for path, content in files.items()}


def digests_of(files: Mapping[str, bytes]) -> list[list[str]]:
    """Return the paths of files and the digests of what they hold, in order."""
    return sorted([path, hashlib.sha256(content).hexdigest()] for path, content in files.items())


def shorten(content: object) -> str:
    """Return a digest of what JSON can say, short enough for a name."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def _lines_of(pins: Iterable[Pin]) -> bytes:
    return _as_lines(pin.line() for pin in pins)


def _as_lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in sorted(set(lines))).encode()
