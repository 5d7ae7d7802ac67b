"""Which sizes of job AWS Batch takes: processors and memory, on machines of EC2 and on Fargate. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloudknot.errors import InputError

# Fargate's memory in MiB by vCPU: `ResourceRequirement` in the API reference of AWS Batch.
FARGATE: Mapping[float, Sequence[int]] = {
    0.25: (512, 1024, 2048),
    0.5: range(1024, 4096 + 1, 1024),
    1: range(2048, 8192 + 1, 1024),
    2: range(4096, 16384 + 1, 1024),
    4: range(8192, 30720 + 1, 1024),
    8: range(16384, 61440 + 1, 4096),
    16: range(32768, 122880 + 1, 8192),
    32: (61440, 122880, 249856),
}
# What a job asks for that names no memory. A host offers less memory than its name promises.
DEFAULT_MEMORY_MIB = 2048


class Size(NamedTuple):
    """What one job asks of Batch."""

    vcpus: float
    memory_mib: int


def size_on_batch(vcpus: float, memory_mib: int | None, *, is_fargate: bool = False) -> Size:
    """Return what one job asks of Batch, where it leaves the memory to the place too.

    Parameters
    ----------
    vcpus : float
        Processors.
    memory_mib : int or None
        Memory in MiB; None: 2,048 MiB, or what Fargate has next to that.
    is_fargate : bool, default False
        Whether it runs on Fargate.

    Raises
    ------
    InputError
        Batch has no such size; the message names the nearest.

    Examples
    --------
    >>> size_on_batch(2, None)
    Size(vcpus=2, memory_mib=2048)
    >>> size_on_batch(4, None, is_fargate=True)
    Size(vcpus=4, memory_mib=8192)
    """
    if is_fargate:
        return _size_on_fargate(vcpus, memory_mib)
    if vcpus != int(vcpus):
        raise InputError(
            f"vcpus={vcpus:g} will not do on AWS: a job on EC2 has whole processors: "
            f"use vcpus={int(vcpus) + 1}, or fargate=True, which has 0.25 and 0.5 too"
        )
    return Size(int(vcpus), memory_mib or DEFAULT_MEMORY_MIB)


def _size_on_fargate(vcpus: float, memory_mib: int | None) -> Size:
    wanted = memory_mib or DEFAULT_MEMORY_MIB
    here = FARGATE.get(vcpus, ())
    if wanted in here:
        return Size(vcpus, wanted)
    if memory_mib is None and here:
        return Size(vcpus, min(size for size in here if size >= wanted))
    sizes = [Size(some, memory) for some, memories in FARGATE.items() for memory in memories]
    fitting = [size for size in sizes if size.vcpus >= vcpus and size.memory_mib >= wanted]
    asked = f"vcpus={vcpus:g}" if memory_mib is None else f"vcpus={vcpus:g} with memory_mib={memory_mib}"
    if not fitting:
        raise InputError(
            f"Fargate has no {asked}: its largest is {_words(sizes[-1])}: leave fargate out for more"
        )
    raise InputError(f"Fargate has no {asked}: the nearest that has as much is {_words(min(fitting))}")


def _words(size: Size) -> str:
    return f"vcpus={size.vcpus:g}, memory_mib={size.memory_mib}"
