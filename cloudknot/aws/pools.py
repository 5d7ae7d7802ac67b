"""Pools: the kinds of machines that a stack has queues for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cloudknot.arches import ARM, X86, arch_of_instance_type, arch_of_instance_types
from cloudknot.errors import InputError
from cloudknot.specs import Resources

# What a pool's machines cost: on demand, Spot, or Spot while there is some and then on demand.
PURCHASES = ("", "spot", "prefer")
_SHORT: dict[str, str] = {X86: "x86", ARM: "arm64"}
_ARCHES = {"x86": X86, "x86_64": X86, "amd64": X86, "arm64": ARM, "aarch64": ARM}
# EBS gives a volume of type gp3 from 1 to 16,384 GiB; ECS's own image needs 30 of them.
_MIN_VOLUME_GIB, _MAX_VOLUME_GIB = 30, 16384
_MAX_BID = 100


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One kind of machines, with a queue for each way to pay for them.

    Parameters
    ----------
    arch : {"x86_64", "arm64"}
        The processors.
    gpu : bool
        Whether the machines have GPUs.
    fargate : bool
        Whether AWS runs the containers without machines of ours.
    instance_types : tuple of str
        EC2's types or families; none leaves the choice to Batch.
    volume_gib : int, optional
        The machines' disk; None goes by the stack's.
    bid_percentage : int, optional
        The most that a Spot machine may cost, of the price on demand; None sets no limit.

    Raises
    ------
    InputError
        These do not go together.
    """

    arch: str = X86
    gpu: bool = False
    fargate: bool = False
    instance_types: tuple[str, ...] = ()
    volume_gib: int | None = None
    bid_percentage: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "instance_types", tuple(sorted(set(self.instance_types))))
        if self.arch not in _SHORT:
            raise InputError(f"arch must be one of {', '.join(_SHORT)}, not {self.arch!r}")
        for name in self.instance_types:
            arch = arch_of_instance_type(name)
            if arch != self.arch:
                raise InputError(f"instance type {name} is {arch}, and {self.arch} is asked for")
        if self.gpu and self.arch == ARM and not self.instance_types:
            raise InputError("GPUs beside arm64 processors need instance_types, such as g5g")
        if self.fargate and (self.gpu or self.instance_types or self.volume_gib or self.bid_percentage):
            raise InputError("Fargate has no GPUs, instance types, volumes and bids: leave one of them out")
        _check_range("volume_gib", self.volume_gib, _MIN_VOLUME_GIB, _MAX_VOLUME_GIB)
        _check_range("bid_percentage", self.bid_percentage, 1, _MAX_BID)

    @property
    def is_special(self) -> bool:
        """Return whether it is none of those that every stack may have."""
        return bool(self.instance_types or self.volume_gib or self.bid_percentage)

    @property
    def key(self) -> str:
        """Return its name among the stack's queues.

        Examples
        --------
        >>> Pool(arch="arm64").key, Pool(gpu=True).key, Pool(instance_types=("c5.large",)).key
        ('arm64', 'gpu', 'x86-29a18f78')
        """
        if self.fargate:
            return "fargate"
        if not self.gpu:
            base = _SHORT[self.arch]
        else:
            base = "gpu" if self.arch == X86 else f"gpu-{_SHORT[self.arch]}"
        if not self.is_special:
            return base
        text = json.dumps([self.instance_types, self.volume_gib, self.bid_percentage])
        return f"{base}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the plainest pool, as a stack's parameter holds it."""
        plain = asdict(Pool())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Pool:
        """Return what a stack's parameter says; fields of later versions are passed over."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        return cls(**{**known, "instance_types": tuple(known.get("instance_types", ()))})

    def describe(self) -> str:
        """Return it as ``cloudknot configure --pool`` takes it.

        Examples
        --------
        >>> Pool(instance_types=("m5", "c5"), volume_gib=200).describe()
        'instance_types=c5+m5,volume_gib=200'
        """
        said = {name: _write_value(value) for name, value in self.to_json().items()}
        return ",".join(f"{name}={value}" for name, value in said.items()) or f"arch={X86}"


def parse_pool(text: str) -> Pool:
    """Return the pool that a person has written.

    Raises
    ------
    InputError
        It cannot be read.

    Examples
    --------
    >>> parse_pool("instance_types=c7g+m7g,bid_percentage=60").arch
    'arm64'
    """
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or name not in Pool.__dataclass_fields__:
            known = ", ".join(Pool.__dataclass_fields__)
            raise InputError(f"pool {text!r} has {part!r}: write NAME=VALUE, with NAME one of {known}")
        values[name] = _read_value(text, name, value)
    types = values.get("instance_types", ())
    if types and "arch" not in values:
        values["arch"] = arch_of_instance_types(types)
    return Pool(**values)


def pool_of(resources: Resources) -> Pool:
    """Return the pool whose machines can run jobs of these resources.

    Raises
    ------
    InputError
        They contradict each other.

    Examples
    --------
    >>> pool_of(Resources(vcpus=2)).key
    'x86'
    """
    if resources.fargate:  # its storage is asked for in the job definition
        return Pool(fargate=True)
    types = tuple(resources.instance_types)
    return Pool(
        arch=resources.arch or (arch_of_instance_types(types) if types else X86),
        gpu=bool(resources.gpus),
        instance_types=types,
        volume_gib=resources.volume_gib,
        bid_percentage=resources.bid_percentage,
    )


def queue_key(pool: Pool, spot: bool | str) -> str:
    """Return the name of a pool's queue.

    Examples
    --------
    >>> queue_key(Pool(), "prefer"), queue_key(Pool(), True), queue_key(Pool(), False)
    ('x86-prefer', 'x86-spot', 'x86')
    """
    purchase = "prefer" if spot == "prefer" else "spot" if spot else ""
    return f"{pool.key}-{purchase}" if purchase else pool.key


def logical_name(pool: Pool, purchase: str = "") -> str:
    """Return the name of what a pool has in the template, which takes letters and digits only.

    Examples
    --------
    >>> logical_name(Pool(), "prefer"), logical_name(Pool(arch="arm64", gpu=True, instance_types=("g5g",)))
    ('X86Prefer', 'GpuArm6420aea6c5')
    """
    return "".join(part[:1].upper() + part[1:] for part in [*pool.key.split("-"), purchase] if part)


def _read_value(text: str, name: str, value: str) -> Any:
    if name == "instance_types":
        return tuple(one for one in value.split("+") if one)
    if name in ("gpu", "fargate"):
        if value.lower() not in ("true", "false", "yes", "no"):
            raise InputError(f"pool {text!r} has {name}={value}: write yes or no")
        return value.lower() in ("true", "yes")
    if name == "arch":
        return _ARCHES.get(value, value)
    if not value.isdigit():
        raise InputError(f"pool {text!r} has {name}={value}: write a whole number")
    return int(value)


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _check_range(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InputError(f"{name} must be from {least} to {most}, not {value}")
