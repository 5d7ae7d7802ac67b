"""The pinned distributions that a function needs: from what is installed, not from guessed names."""

from __future__ import annotations

import platform as this_machine
import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution

from cloudknot.errors import InputError
from cloudknot.installed import (
    close,
    find_distribution,
    is_local,
    local_owners_of,
    modules_of,
    normalise,
    origin_of,
    providers_of,
    size_of,
    unpacked_files,
)
from cloudknot.reach import Import, Imports, follow
from cloudknot.whereabouts import find_module, is_extension, is_outside

_LARGE_BYTES = 8 << 20
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}
_RUNNER = ("cloudpickle", "boto3")


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
        Where it was installed from, if not from an index: with the commit, or the hash.
    is_large : bool
        Whether it takes 8 MiB or more. Says nothing of what it is: equal pins may differ in it.
    """

    name: str
    version: str
    address: str = ""
    is_large: bool = field(default=False, compare=False)

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
    uses_cloudknot : bool
        Whether the function uses cloudknot itself, beyond the runner. The pins hold what that needs.
    """

    pins: tuple[Pin, ...] = ()
    by_value: frozenset[str] = frozenset()
    uses_cloudknot: bool = False


def capture(imports: Imports, *, platform: str | None = None) -> Needs:
    """Return what these imports need: the pins of all that is installed, and what must travel.

    A person's own modules are followed to what they import in turn.

    Parameters
    ----------
    imports : Imports
        What the code of a function and of its arguments imports.
    platform : str, optional
        Where the function will run, such as ``"linux/arm64"``; Linux on this machine's processor when not
        given. Compiled modules that are not installed from anywhere travel to no other.

    Raises
    ------
    InputError
        Something that the code cannot do without is not installed here, belongs to no distribution, or
        cannot run there.
    """
    reach = follow(imports, _is_own)
    for name, spec in reach.own.items():
        if is_extension(spec.origin or ""):
            _check_compiled(f"your module {name!r} ({spec.origin})", platform)
    owners = {name: local_owners_of(name, spec) - {"cloudknot"} for name, spec in reach.own.items()}
    by_value = {name.partition(".")[0] for name, found in owners.items() if found}
    roots = set[str]().union(*owners.values(), *map(_providers_for, reach.others))
    installed = close(roots)
    cloudknot = [one for one in installed if one.name == "cloudknot"]
    local = [one for one in installed if origin_of(one).local is not None and one not in cloudknot]
    for one in local:
        by_value |= modules_of(one)
        if any(map(is_extension, unpacked_files(one))):
            _check_compiled(f"{one.name} (installed from {origin_of(one).local})", platform)
    pins = tuple(_pin(one) for one in installed if one not in (*cloudknot, *local))
    return Needs(pins=pins, by_value=frozenset(by_value), uses_cloudknot=bool(cloudknot))


def runner_pins() -> tuple[Pin, ...]:
    """Return the pins of what the runner itself needs: cloudpickle and boto3, at the versions here."""
    return tuple(_pin(distribution) for distribution in close(_RUNNER))


def _pin(distribution: Distribution) -> Pin:
    return Pin(
        name=normalise(distribution.name),
        version=distribution.version,
        address=origin_of(distribution).address,
        is_large=size_of(distribution) >= _LARGE_BYTES,
    )


def _is_own(name: str, spec: ModuleSpec) -> bool:
    if name.partition(".")[0] == "cloudknot":
        return False  # the image has it
    return is_outside(spec) or any(map(is_local, providers_of(name)))


def _providers_for(step: Import) -> set[str]:
    top = step.name.partition(".")[0]
    if top in sys.stdlib_module_names or f"{step.name}.".startswith("cloudknot.runner."):
        return set()
    providers = providers_of(step.name) if top != "cloudknot" else {"cloudknot"}
    if step.is_optional or (providers and all(map(find_distribution, providers))):
        return providers
    importer = step.importer or "the function"
    spec = find_module(step.name)
    if spec is None:
        raise InputError(
            f"{importer} imports {step.name!r}, which is not installed here: install what provides it, so "
            "that its version can be pinned, or import it in try: ... except ImportError: if the code can "
            "do without it"
        )
    raise InputError(
        f"{importer} imports {step.name!r}, which belongs to no installed distribution and is no module of "
        f"your own ({spec.origin or 'made by the program'}): install it with pip, or put it beside your code"
    )


def _check_compiled(what: str, platform: str | None) -> None:
    machine = this_machine.machine()
    here = f"{this_machine.system().lower()}/{_ARCHITECTURES.get(machine, machine)}"
    there = platform or f"linux/{here.partition('/')[2]}"
    if not f"{there}/".startswith(f"{here}/"):
        raise InputError(
            f"{what} is compiled for {here} and cannot run on {there}: publish a wheel for {there}, or "
            "install it in the image with Image(dockerfile=...) or Image(requirements=...)"
        )
