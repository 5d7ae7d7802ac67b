"""The pinned distributions that a function needs: from what is installed, not from guessed names."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from cloudknot.errors import InputError


@dataclass(frozen=True, kw_only=True, order=True)
class Pin:
    """One distribution at the version that is installed here.

    Parameters
    ----------
    name : str
        Its normalised name.
    version : str
        Its version.
    address : str
        Where it was installed from, with the commit, if that was a version control system.
    """

    name: str
    version: str
    address: str = ""

    def line(self) -> str:
        """Return the pin as a line of a requirements file.

        Examples
        --------
        >>> Pin(name="numpy", version="2.4.6").line()
        'numpy==2.4.6'
        """
        return f"{self.name} @ {self.address}" if self.address else f"{self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a function's modules need on the far side.

    Parameters
    ----------
    pins : tuple of Pin
        Distributions to install, dependencies too, sorted by name.
    by_value : frozenset of str
        Top-level modules of local installs, editable or not: no index has them, so they travel.
    """

    pins: tuple[Pin, ...]
    by_value: frozenset[str]


def find_needs(modules: Iterable[str], *, optional: Iterable[str] = ()) -> Needs:
    """Return the pins of the distributions that provide these modules, with all that they depend on.

    Parameters
    ----------
    modules : iterable of str
        Names that the function's code imports, dotted or not; those of the standard library may be among
        them, those of the person's own modules may not: they travel.
    optional : iterable of str
        Names that may be missing, because the code says so itself.

    Raises
    ------
    InputError
        A module is not installed here, or belongs to no distribution.
    """
    installed = {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}
    may_be_missing = frozenset(optional)
    roots: set[str] = set()
    for module in sorted(installed):
        found = _distributions_of(module)
        if not found and module not in may_be_missing:
            raise InputError(
                f"the function imports {module.partition('.')[0]!r}, which is not installed here: "
                "install what provides it, so that its version can be pinned"
            )
        roots.update(found)
    pins: dict[str, Pin] = {}
    by_value: set[str] = set()
    for name in _close(roots):
        distribution = importlib.metadata.distribution(name)
        origin = _origin_of(distribution)
        if origin.is_local:
            by_value.update(_modules_of(distribution))
        else:
            pins[name] = Pin(name=name, version=distribution.version, address=origin.address)
    return Needs(pins=tuple(sorted(pins.values())), by_value=frozenset(by_value))


@dataclass(frozen=True, kw_only=True)
class _Origin:
    address: str = ""
    is_local: bool = False


def _origin_of(distribution: Distribution) -> _Origin:
    """Read where a distribution came from (PEP 610); an index leaves no record."""
    record = distribution.read_text("direct_url.json")
    if record is None:
        return _Origin()
    origin: Mapping[str, Any] = json.loads(record)
    version_control = origin.get("vcs_info")
    if version_control is not None:
        part = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        address = f"{version_control['vcs']}+{origin['url']}@{version_control['commit_id']}{part}"
        return _Origin(address=address)
    if origin["url"].startswith("file:"):
        return _Origin(is_local=True)
    return _Origin(address=origin["url"])


def _close(roots: Iterable[str]) -> list[str]:
    """Return the distributions and all that they depend on, as it is installed here."""
    seen: set[tuple[str, str]] = set()
    waiting = [(normalise(name), "") for name in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except PackageNotFoundError:
            continue  # an optional dependency, or one that another distribution stands in for
        seen.add((name, extra))
        for requirement in _requirements_of(distribution, extra):
            needed = normalise(requirement.name)
            waiting.extend((needed, wanted) for wanted in ("", *requirement.extras))
    return sorted({name for name, _ in seen})


def _requirements_of(distribution: Distribution, extra: str) -> list[Requirement]:
    found = []
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # of a kind that pip has dropped; it is installed all the same
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found.append(requirement)
    return found


def _distributions_of(module: str) -> set[str]:
    top = module.partition(".")[0]
    names = {normalise(name) for name in _by_module().get(top, ())}
    if len(names) <= 1:
        return names
    # A namespace that several distributions share: those that hold the very module.
    inner = module.replace(".", "/")
    holders = {name for name in names if _holds(name, inner)}
    return holders or names


def _holds(distribution: str, inner: str) -> bool:
    paths = {f"{inner}.py", f"{inner}/__init__.py"}
    files = importlib.metadata.distribution(distribution).files or ()
    return any(file.as_posix() in paths for file in files)


def _modules_of(distribution: Distribution) -> set[str]:
    name = normalise(distribution.name)
    return {module for module, owners in _by_module().items() if name in map(normalise, owners)}


def _by_module() -> Mapping[str, list[str]]:
    return _by_module_on(tuple(sys.path))


@functools.lru_cache(maxsize=4)
def _by_module_on(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Read it once for each state of ``sys.path``: it takes a tenth of a second."""
    return importlib.metadata.packages_distributions()


def normalise(name: str) -> str:
    """Return a distribution's name as an index knows it.

    Examples
    --------
    >>> normalise("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
