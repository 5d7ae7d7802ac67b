"""The kinds of machine that EC2 offers, from moto's copy of its catalogue."""

from functools import cache

from moto.ec2.models.instance_types import INSTANCE_TYPES

from cloudknot.testing.batch.account import InstanceType

__all__ = ["instance_types"]


@cache
def instance_types() -> tuple[InstanceType, ...]:
    """Return every kind, by name.

    Returns
    -------
    tuple of InstanceType
        A kind that runs on two architectures is listed with the newer one.
    """
    return tuple(
        InstanceType(
            name=name,
            vcpus=int(facts["VCpuInfo"]["DefaultVCpus"]),
            memory_mib=int(facts["MemoryInfo"]["SizeInMiB"]),
            architecture=str(facts["ProcessorInfo"]["SupportedArchitectures"][-1]),
            gpus=sum(int(gpu["Count"]) for gpu in facts.get("GpuInfo", {}).get("Gpus", [])),
        )
        for name, facts in sorted(INSTANCE_TYPES.items())
        if facts.get("ProcessorInfo", {}).get("SupportedArchitectures")
    )
