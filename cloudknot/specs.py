"""What a user may ask for: frozen values, checked when they are made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from cloudknot.arches import Arch
from cloudknot.checks import (
    as_number,
    as_whole_number,
    check_file,
    check_lines,
    check_match,
    check_secrets,
)
from cloudknot.errors import InputError
from cloudknot.sizes import size_on_batch

Spot = bool | Literal["prefer"]
OnOom = Literal["fail", "double"]

# A family such as "m5", or one of its sizes such as "m5.large".
_INSTANCE_TYPE = re.compile(
    r"[a-z][a-z0-9-]*\d[a-z0-9-]*(\.(nano|micro|small|medium|\d*x?large|metal(-\d+xl)?))?"
)
# The volume of a machine holds the image of ECS's machines, which needs 30 GiB; 16 TiB is EBS's largest.
_EC2_VOLUME_GIB = (30, 16384)
# Fargate gives 20 GiB where nothing is asked.
_FARGATE_VOLUME_GIB = (20, 200)
_APT_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLATFORM = re.compile(r"linux/[a-z0-9]+(/[a-z0-9]+)?")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one item may use, and on which machines of AWS.

    Parameters
    ----------
    vcpus : float, default 1
        Processors. Numerical libraries are told to use that many threads, and this machine runs
        as many items side by side as its processors allow. Whole numbers on AWS, but for Fargate.
    memory_mib : int, optional
        Memory in MiB. None leaves it to the place; this machine runs no more items side by side
        than its memory allows.
    timeout_s : float, optional
        Seconds after which an item is killed. None sets no limit.
    gpus : int, default 0
        GPUs, on AWS.
    spot : bool or "prefer", default False
        Whether AWS runs it on Spot, which is cheaper and may be taken away; "prefer": on demand
        where there is no Spot to be had.
    arch : {"x86_64", "arm64"}, optional
        The processors of the machines on AWS. None leaves it to the place.
    fargate : bool, default False
        Whether AWS runs it on Fargate rather than on machines of EC2.
    instance_types : tuple of str
        Kinds of machine on AWS, such as ``"m5"`` or ``"m5.large"``; none: AWS chooses.
    volume_gib : int, optional
        Size of the disk in GiB: of a machine from 30 to 16,384, on Fargate from 20 to 200.
    bid_percentage : int, optional
        The most to pay for Spot, in percent of the price on demand, from 1 to 100; sets ``spot``.
    secrets : mapping of str
        Environment variables that AWS fills in, by name: the ARN of a secret in Secrets Manager or
        of a parameter in SSM. Kept as sorted pairs.

    Raises
    ------
    InputError
        A value will not do, or two of them exclude each other.
    """

    vcpus: float = 1
    memory_mib: int | None = None
    timeout_s: float | None = None
    gpus: int = 0
    spot: Spot = False
    arch: Arch | None = None
    fargate: bool = False
    instance_types: tuple[str, ...] = ()
    volume_gib: int | None = None
    bid_percentage: int | None = None
    secrets: Mapping[str, str] | tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("vcpus", "memory_mib", "timeout_s"):
            value = getattr(self, name)
            if value is None and name != "vcpus":
                continue
            number = as_number(name, value)
            if not (number > 0 and math.isfinite(number)):
                raise InputError(f"{name} must be positive, not {value!r}")
            if name == "memory_mib" and number != int(number):
                raise InputError(f"memory_mib must be a whole number, not {value!r}: use {math.ceil(number)}")
            self._set(name, int(number) if name == "memory_mib" else number)
        self._set("gpus", _check_range("gpus", self.gpus, (0, None)))
        self._check_machines()
        self._set("secrets", check_secrets(self.secrets))

    def _check_machines(self) -> None:
        if self.arch not in (None, *get_args(Arch)):
            raise InputError(f"arch must be 'x86_64', 'arm64' or None, not {self.arch!r}")
        if not isinstance(self.fargate, bool):
            raise InputError(f"fargate must be True or False, not {self.fargate!r}")
        if not (isinstance(self.spot, bool) or self.spot == "prefer"):
            raise InputError(f"spot must be True, False or 'prefer', not {self.spot!r}")
        self._set("instance_types", _check_instance_types(self.instance_types))
        if self.bid_percentage is not None:
            self._set("bid_percentage", _check_range("bid_percentage", self.bid_percentage, (1, 100)))
            self._set("spot", self.spot or True)
        if self.fargate:
            self._check_fargate()
        if self.volume_gib is not None:
            self._check_volume()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_fargate(self) -> None:
        for name in ("gpus", "instance_types", "bid_percentage"):
            if getattr(self, name):
                raise InputError(f"Fargate has no {name}: leave out {name} or fargate")
        size_on_batch(self.vcpus, self.memory_mib, is_fargate=True)

    def _check_volume(self) -> None:
        limits = _FARGATE_VOLUME_GIB if self.fargate else _EC2_VOLUME_GIB
        reason = "on Fargate" if self.fargate else "the image of ECS's machines needs 30"
        gib = _check_range("volume_gib", self.volume_gib, limits, reason)
        # Fargate refuses to be asked for the 20 GiB that it gives.
        self._set("volume_gib", None if self.fargate and gib == _FARGATE_VOLUME_GIB[0] else gib)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often an item is tried again.

    Parameters
    ----------
    raised : int, default 0
        Further tries after the function raised.
    lost : int, default 2
        Further tries after the item's process was killed. What AWS takes away (Spot) does not count.
    on_oom : {"fail", "double"}, default "fail"
        What becomes of an item that needed more memory than it has: "double" runs it again with
        twice as much, on AWS.
    max_memory_mib : int, optional
        With "double", the most memory in MiB that an item is given.

    Raises
    ------
    InputError
        A value will not do.
    """

    raised: int = 0
    lost: int = 2
    on_oom: OnOom = "fail"
    max_memory_mib: int | None = None

    def __post_init__(self) -> None:
        for name in ("raised", "lost"):
            value = getattr(self, name)
            whole = as_whole_number(value)
            if whole is None or whole < 0:
                raise InputError(f"retries must be a whole number from 0 up, not {value!r} ({name})")
            object.__setattr__(self, name, whole)
        if self.on_oom not in get_args(OnOom):
            raise InputError(f"on_oom must be 'fail' or 'double', not {self.on_oom!r}")
        if self.max_memory_mib is None:
            return
        if self.on_oom == "fail":
            raise InputError("max_memory_mib says how far on_oom='double' goes: say on_oom='double' too")
        most = _check_range("max_memory_mib", self.max_memory_mib, (1, None))
        object.__setattr__(self, "max_memory_mib", most)

    def check_memory(self, memory_mib: int | None) -> None:
        """Refuse a largest memory that the first try has already.

        Raises
        ------
        InputError
            ``max_memory_mib`` is no more than the memory.
        """
        if self.max_memory_mib is not None and memory_mib is not None and self.max_memory_mib <= memory_mib:
            raise InputError(
                f"max_memory_mib={self.max_memory_mib} is no more than memory_mib={memory_mib}, so no item "
                "would get more: give a larger one, or leave on_oom out"
            )


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the container image of a function is made from. Nothing needs to be said.

    Parameters
    ----------
    base : str, optional
        The image that it stands on, such as ``"python:3.11-slim"``, which is the default with the
        minor version of this Python. One that has no Python of that version gets it.
    packages : sequence of str
        Python packages beside those that the function imports, as pip takes them.
    apt : sequence of str
        Debian packages, where the base is Debian's or Ubuntu's.
    requirements : sequence of str, optional
        Python packages *instead of* those that the function imports.
    dockerfile : path, optional
        A Dockerfile of your own, whose image is the base. Its folder is its build context.
    environment : path, optional
        A ``uv.lock``, ``requirements.txt`` or ``environment.yml`` that says what is installed
        *instead of* what the function imports.
    user : str, default "cloudknot"
        The unprivileged user that runs the function.
    platform : str, optional
        Such as ``"linux/arm64"``; the engine's own when not given.

    Raises
    ------
    InputError
        A value will not do, or a file is not there.
    """

    base: str | None = None
    packages: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    requirements: tuple[str, ...] | None = None
    dockerfile: Path | None = None
    environment: Path | None = None
    user: str = "cloudknot"
    platform: str | None = None

    def __post_init__(self) -> None:
        check_match("base", self.base, _REFERENCE, "use the name of an image, such as 'python:3.11-slim'")
        check_match("user", self.user, _USER_NAME, "use lower-case letters, digits, '-' and '_'")
        check_match("platform", self.platform, _PLATFORM, "use 'linux/amd64' or 'linux/arm64'")
        if self.user == "root":
            raise InputError("user must not be 'root': the function runs as an unprivileged user")
        for name in ("packages", "apt", "requirements"):
            lines = getattr(self, name)
            if name != "requirements" or lines is not None:
                object.__setattr__(self, name, check_lines(name, lines))
        for package in self.apt:
            check_match("apt", package, _APT_NAME, "use the names of Debian packages")
        for name in ("dockerfile", "environment"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_file(name, getattr(self, name)))
        for one, other in (("base", "dockerfile"), ("requirements", "environment")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise InputError(f"{one} and {other} say the same thing twice: give one of them")

    def to_json(self) -> dict[str, Any]:
        """Return what is said, as it stands in a run's record."""
        said = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: str(value) if isinstance(value, Path) else value for name, value in said.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Image:
        """Return what a record says; its files are not looked for."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        image = cls.__new__(cls)
        for name, field in cls.__dataclass_fields__.items():
            value = known.get(name, field.default)
            if isinstance(value, list):
                value = tuple(value)
            if name in ("dockerfile", "environment") and value is not None:
                value = Path(value)
            object.__setattr__(image, name, value)
        return image


def extend_image(
    image: Image | None,
    *,
    base_image: str | None = None,
    github_installs: str | Iterable[str] = (),
    user: str | None = None,
) -> Image:
    """Return an image with a base, with git repositories to install and with a user.

    Raises
    ------
    InputError
        It is no image, or has a base already, or an address will not do.

    Examples
    --------
    >>> extend_image(None, github_installs="https://github.com/nipy/nibabel").packages
    ('git+https://github.com/nipy/nibabel',)
    """
    image = Image() if image is None else image
    if not isinstance(image, Image):
        raise InputError(f"image must be a cloudknot.Image, not {type(image).__name__} {image!r:.80}")
    if base_image is not None:
        if image.base is not None:
            raise InputError("base_image and image.base say the same thing twice: give one of them")
        image = replace(image, base=base_image)
    if user is not None:
        image = replace(image, user=user)
    addresses = [github_installs] if isinstance(github_installs, str) else github_installs
    lines = [address if str(address).startswith("git+") else f"git+{address}" for address in addresses]
    return replace(image, packages=(*image.packages, *lines))


def _check_range(name: str, value: object, limits: tuple[int, int | None], reason: str = "") -> int:
    whole, (least, most) = as_whole_number(value), limits
    if whole is None or whole < least or (most is not None and whole > most):
        upto = "up" if most is None else f"to {most}"
        raise InputError(
            f"{name} must be a whole number from {least} {upto}, not {value!r}{reason and f' ({reason})'}"
        )
    return whole


def _check_instance_types(wanted: object) -> tuple[str, ...]:
    kinds = (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(kinds, Iterable):
        raise InputError(f"instance_types must be a list of strings, not {type(wanted).__name__} {wanted!r}")
    kinds = {*kinds} - {"optimal"}  # AWS's word for its own choice
    for kind in kinds:
        check_match("instance_types", kind, _INSTANCE_TYPE, "use kinds such as 'm5' or 'm5.large'")
    return tuple(sorted(kinds))
