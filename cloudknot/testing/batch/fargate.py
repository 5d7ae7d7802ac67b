"""What Fargate takes: sizes of its grid, and no word of machines. Pure."""

from collections.abc import Mapping
from typing import Any

__all__ = ["GRID", "is_size", "machine_words"]

# The docs of `ResourceRequirement` in botocore's model: memory in MiB by vCPU.
GRID: Mapping[float, frozenset[int]] = {
    0.25: frozenset({512, 1024, 2048}),
    0.5: frozenset(range(1024, 4096 + 1, 1024)),
    1: frozenset(range(2048, 8192 + 1, 1024)),
    2: frozenset(range(4096, 16384 + 1, 1024)),
    4: frozenset(range(8192, 30720 + 1, 1024)),
    8: frozenset(range(16384, 61440 + 1, 4096)),
    16: frozenset(range(32768, 122880 + 1, 8192)),
    32: frozenset({61440, 122880, 249856}),
}

_CONTAINER_WORDS = ("instanceType", "ulimits")
_LINUX_WORDS = ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness")


def is_size(vcpus: float, memory_mib: int) -> bool:
    """Say whether Fargate has a task of this size.

    Examples
    --------
    >>> is_size(1, 4096), is_size(1, 4000)
    (True, False)
    """
    return memory_mib in GRID.get(vcpus, frozenset())


def machine_words(container: Mapping[str, Any]) -> list[str]:
    """Return those properties of a container that only a machine of one's own can have."""
    linux = container.get("linuxParameters", {})
    return [
        *(name for name in _CONTAINER_WORDS if container.get(name)),
        *(["privileged"] if container.get("privileged") else []),
        *(name for name in _LINUX_WORDS if name in linux),
    ]
