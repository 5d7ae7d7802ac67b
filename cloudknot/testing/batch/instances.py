"""Which kinds of machine a compute environment may launch, and which of them a job gets."""

from collections.abc import Iterable, Sequence

from cloudknot.testing.batch.account import InstanceType
from cloudknot.testing.batch.containers import Requirements

__all__ = ["IN_ORDER", "does_fit", "expand", "offered_memory", "preferred"]

# API reference, ComputeResource.instanceTypes: "optimal" is "semantically equivalent to default_x86_64".
_X86_64 = ("m6i", "c6i", "r6i", "c7i")
_BUNDLES = {
    "optimal": _X86_64,
    "default_x86_64": _X86_64,
    "default_arm64": ("m6g", "c6g", "r6g", "c7g"),
}
# User guide, memory-management: an m4.large of 8,192 MiB has 7,985 MiB for its system, of which 32 are kept
# back. That the part which the kernel takes is the same on all types is not confirmed.
_SEEN_MIB, _NOMINAL_MIB, _RESERVED_MIB = 7985, 8192, 32

IN_ORDER = frozenset({"BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"})
"""Allocation strategies that take the types in the order in which they are named."""


def expand(names: Iterable[str], offered: Iterable[InstanceType]) -> list[InstanceType]:
    """Return the kinds of machine that `computeResources.instanceTypes` names, in that order.

    Parameters
    ----------
    names : iterable of str
        Types, families, `optimal`, `default_x86_64`, `default_arm64`.
    offered : iterable of InstanceType
        What the region has.
    """
    by_name = {one.name: one for one in offered}
    families: dict[str, list[InstanceType]] = {}
    for one in by_name.values():
        families.setdefault(one.name.partition(".")[0], []).append(one)
    names = list(names)
    explicit = {name for name in names if name in by_name}
    found: dict[str, InstanceType] = {}
    for name in names:
        if name in by_name:
            found[name] = by_name[name]
            continue
        family = [one for part in _BUNDLES.get(name, (name,)) for one in families.get(part, ())]
        for one in sorted(family, key=_size):
            # Bare metal is launched when it is named, not for a family (not confirmed).
            if one.name not in explicit and not one.name.partition(".")[2].startswith("metal"):
                found[one.name] = one
    return list(found.values())


def preferred(types: Sequence[InstanceType], strategy: str, needs: Requirements) -> list[InstanceType]:
    """Return the types that hold such a job, the one to launch first (the smallest, or as named) first."""
    fitting = [one for one in types if does_fit(one, needs)]
    return fitting if strategy in IN_ORDER else sorted(fitting, key=_size)


def does_fit(kind: InstanceType, needs: Requirements) -> bool:
    """Say whether an empty machine of this kind holds such a job."""
    return needs.vcpus <= kind.vcpus and needs.memory_mib <= offered_memory(kind) and needs.gpus <= kind.gpus


def offered_memory(kind: InstanceType) -> int:
    """Return how many MiB a machine offers to jobs: fewer than it has.

    >>> offered_memory(InstanceType(name="m4.large", vcpus=2, memory_mib=8192, architecture="x86_64"))
    7953
    """
    return kind.memory_mib * _SEEN_MIB // _NOMINAL_MIB - _RESERVED_MIB


def _size(kind: InstanceType) -> tuple[int, int, int, str]:
    return kind.vcpus, kind.gpus, kind.memory_mib, kind.name
