"""What a place must have for a function to find what it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from cloudknot.arches import PLATFORMS, Arch, arch_of_instance_types
from cloudknot.config import Settings
from cloudknot.errors import InputError
from cloudknot.sizes import size_on_batch
from cloudknot.specs import Image, Resources


class Stacked(Protocol):
    """A stack on AWS, such as `Pars`."""

    profile: str | None

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def region(self) -> str:
        """Return where it is."""


def settings_on(settings: Settings, pars: Stacked | None) -> Settings:
    """Return settings that name a stack, where one is given.

    Raises
    ------
    InputError
        It is no stack.
    """
    if pars is None:
        return settings
    if not all(hasattr(pars, name) for name in ("name", "region", "profile")):
        raise InputError(f"pars must be a cloudknot.Pars, not {type(pars).__name__} {pars!r:.80}")
    return replace(settings, stack=pars.name, region=pars.region, profile=pars.profile)


def check_place(
    backend: str,
    resources: Resources,
    env_vars: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Refuse what the function would miss in a place.

    What only says how AWS runs it (Spot, machines, disks) is passed over elsewhere, so that the same script
    runs in all places.

    Parameters
    ----------
    backend : str
        The place.
    resources : Resources
        What one item may use.
    env_vars : mapping
        Its environment variables.
    environ : mapping
        This process's own, which workers on this machine have too.

    Raises
    ------
    InputError
        The place has no such size, or does not have the secrets.
    """
    if backend == "aws":
        size_on_batch(resources.vcpus, resources.memory_mib, is_fargate=resources.fargate)
    for name in sorted(dict(resources.secrets)):
        if name in env_vars:
            raise InputError(f"{name} is in secrets and in env_vars: take it out of one of them")
        if backend == "docker":
            raise InputError(
                f"secrets names {name}, and containers on this machine have no secrets: "
                "use backend='aws', or backend='local', where it is read from your environment"
            )
        if backend == "local" and name not in environ:
            raise InputError(
                f"secrets names {name}, which only AWS fills in: "
                f"set the environment variable {name} before a run on this machine"
            )


def fit_arch(resources: Resources, image: Image, backend: str) -> Resources:
    """Return the resources with the processors that instance types or the image's platform imply on AWS.

    Raises
    ------
    InputError
        They contradict each other.

    Examples
    --------
    >>> fit_arch(Resources(instance_types=("c7g.large",)), Image(), "aws").arch
    'arm64'
    """
    if backend != "aws":
        return resources
    arches = {platform: arch for arch, platform in PLATFORMS.items()}
    types = resources.instance_types
    said: dict[str, Arch | None] = {
        "arch": resources.arch,
        "instance_types": arch_of_instance_types(types) if types else None,
        "image.platform": arches.get(image.platform or ""),
    }
    if len({arch for arch in said.values() if arch}) > 1:
        words = ", ".join(f"{name} says {arch}" for name, arch in said.items() if arch)
        raise InputError(f"{words}: leave all but one of them out")
    return replace(resources, arch=next((arch for arch in said.values() if arch), None))


def fit_image(image: Image, backend: str, resources: Resources) -> Image:
    """Return the image that is asked for, for the processors that are asked for.

    Examples
    --------
    >>> fit_image(Image(), "aws", Resources(arch="arm64")).platform
    'linux/arm64'
    """
    if backend != "aws" or resources.arch is None:
        return image
    return replace(image, platform=PLATFORMS[resources.arch])
