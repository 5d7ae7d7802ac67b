"""Which processors a machine has, by the name of its type. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from cloudknot.errors import InputError

Arch = Literal["x86_64", "arm64"]
X86: Arch = "x86_64"
ARM: Arch = "arm64"
PLATFORMS: dict[Arch, str] = {X86: "linux/amd64", ARM: "linux/arm64"}
_INSTANCE_TYPE = re.compile(r"([a-z]+)(?:-[0-9]+tb)?([0-9]+)([a-z0-9-]*)(\.[a-z0-9-]+)?")


def arch_of_instance_types(names: Iterable[str]) -> Arch:
    """Return the processors that all of EC2's types or families have.

    Raises
    ------
    InputError
        They differ: Batch takes one architecture a queue.
    """
    arches = {name: arch_of_instance_type(name) for name in names}
    if len(set(arches.values())) > 1:
        said = ", ".join(f"{name} is {arch}" for name, arch in sorted(arches.items()))
        raise InputError(f"instance_types must be of one architecture, and {said}")
    return next(iter(arches.values()))


def arch_of_instance_type(name: str) -> Arch:
    """Return the processors of one of EC2's types or families.

    A ``g`` behind the generation says Graviton (EC2 user guide, "Amazon EC2 instance type naming").

    Raises
    ------
    InputError
        It is no name of a type.

    Examples
    --------
    >>> [arch_of_instance_type(name) for name in ("c7gn.large", "g4dn", "a1.medium", "g5g", "optimal")]
    ['arm64', 'x86_64', 'arm64', 'arm64', 'x86_64']
    """
    if name in ("optimal", "default_x86_64", "default_arm64"):
        return ARM if name == "default_arm64" else X86
    found = _INSTANCE_TYPE.fullmatch(name)
    if found is None:
        raise InputError(f"instance_types has {name!r}: use EC2's names, such as c5.large, or families: c5")
    family, _, options, _ = found.groups()
    return ARM if family == "a" or "g" in options.partition("-")[0] else X86
