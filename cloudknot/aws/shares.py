"""Which part of which machine a job takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudknot.aws.pools import Pool, pool_of
from cloudknot.aws.price_table import Machine
from cloudknot.sizes import size_on_batch
from cloudknot.specs import Resources

# The families of Batch's bundles (API reference, ComputeResource.instanceTypes: "optimal" is semantically
# equivalent to default_x86_64).
_X86_64, _ARM64 = ("m6i", "c6i", "r6i", "c7i"), ("m6g", "c6g", "r6g", "c7g")
BUNDLES: Mapping[str, tuple[str, ...]] = {
    "optimal": _X86_64,
    "default_x86_64": _X86_64,
    "default_arm64": _ARM64,
}
GPU_FAMILIES: Mapping[str, tuple[str, ...]] = {"x86_64": ("g4dn", "g5", "g6"), "arm64": ("g5g",)}
# User guide, memory-management: an m4.large of 8,192 MiB has 7,985 MiB for its system, of which 32 are kept.
_SEEN_MIB, _NOMINAL_MIB, _RESERVED_MIB = 7985, 8192, 32


def wanted_types(pool: Pool) -> tuple[str, ...]:
    """Return the families and types of a pool's machines.

    Examples
    --------
    >>> wanted_types(Pool(arch="arm64"))
    ('m6g', 'c6g', 'r6g', 'c7g')
    >>> wanted_types(Pool(instance_types=("optimal", "m5.large")))
    ('m5.large', 'm6i', 'c6i', 'r6i', 'c7i')
    """
    if pool.instance_types:
        return tuple(name for given in pool.instance_types for name in BUNDLES.get(given, (given,)))
    return GPU_FAMILIES[pool.arch] if pool.gpu else BUNDLES[f"default_{pool.arch}"]


def usable_mib(machine: Machine) -> int:
    """Return how many MiB a machine offers to jobs: fewer than it has."""
    return machine.memory_mib * _SEEN_MIB // _NOMINAL_MIB - _RESERVED_MIB


def jobs_per_machine(machine: Machine, resources: Resources) -> int:
    """Return how many such jobs a machine holds side by side; 0 where it is too small.

    Examples
    --------
    >>> machine = Machine(name="c6i.large", arch="x86_64", vcpus=2, memory_mib=4096)
    >>> jobs_per_machine(machine, Resources(memory_mib=500)), jobs_per_machine(machine, Resources(vcpus=4))
    (2, 0)
    """
    size = size_on_batch(resources.vcpus, resources.memory_mib)
    fitting = min(int(machine.vcpus // size.vcpus), usable_mib(machine) // size.memory_mib)
    return min(fitting, machine.gpus // resources.gpus) if resources.gpus else fitting


def share_of(machine: Machine, resources: Resources) -> float:
    """Return the part of a machine that a job takes: the largest of its parts of vCPUs, memory and GPUs.

    Examples
    --------
    >>> machine = Machine(name="c6i.large", arch="x86_64", vcpus=2, memory_mib=4096)
    >>> share_of(machine, Resources(vcpus=1, memory_mib=500))
    0.5
    >>> share_of(machine, Resources(vcpus=1, memory_mib=2970))
    0.75
    """
    size = size_on_batch(resources.vcpus, resources.memory_mib)
    gpus = resources.gpus / machine.gpus if resources.gpus else 0.0
    return max(size.vcpus / machine.vcpus, size.memory_mib / usable_mib(machine), gpus)


def smallest_fitting(machines: Iterable[Machine], resources: Resources) -> list[Machine]:
    """Return the smallest machine of each family that holds such a job."""
    arch = pool_of(resources).arch
    found: dict[str, Machine] = {}
    for machine in sorted(machines, key=lambda machine: (machine.vcpus, machine.memory_mib, machine.name)):
        if machine.arch == arch and machine.family not in found and jobs_per_machine(machine, resources):
            found[machine.family] = machine
    return list(found.values())
