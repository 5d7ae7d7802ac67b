"""What docker is asked for, for a task: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docker.types import DeviceRequest, Ulimit

from cloudknot.testing.executors import Task

__all__ = ["BOX_LABEL", "JOB_LABEL", "TASK_LABEL", "config_of", "host_of"]

BOX_LABEL = "cloudknot.testing.box"
JOB_LABEL = "cloudknot.testing.job"
TASK_LABEL = "cloudknot.testing.task"

# As ECS has it: shares of a processor that is wanted by several, and no limit while it is not.
_SHARES = 1024
_FEWEST_SHARES = 2
_PERMISSIONS = {"READ": "r", "WRITE": "w", "MKNOD": "m"}


def config_of(task: Task, *, label: str) -> dict[str, Any]:
    """Return the arguments of the SDK's ``create_container``, without the ``host_config``.

    Raises
    ------
    ValueError
        A volume is on a file system that the box does not have.
    """
    anonymous = [path for path, source, _ in _mounts(task.container) if source is None]
    return {
        "image": task.image,
        # Without a command docker takes that of the image.
        "command": list(task.command) or None,
        "user": task.container.get("user") or None,
        "environment": dict(task.environment),
        "labels": {BOX_LABEL: label, JOB_LABEL: task.job_id, TASK_LABEL: task.id},
        "volumes": anonymous,
    }


def host_of(task: Task) -> dict[str, Any]:
    """Return the arguments of the SDK's ``create_host_config``."""
    container = task.container
    memory = task.memory_mib << 20
    return {
        # There the box has the same address as outside.
        "network_mode": "host",
        "cpu_shares": max(_FEWEST_SHARES, round(_SHARES * task.vcpus)),
        "mem_limit": memory,
        "privileged": bool(container.get("privileged")),
        "read_only": bool(container.get("readonlyRootFilesystem")),
        "ulimits": [
            Ulimit(name=limit["name"], soft=limit["softLimit"], hard=limit["hardLimit"])
            for limit in container.get("ulimits") or ()
        ],
        "binds": [
            f"{source}:{path}:{'ro' if is_read_only else 'rw'}"
            for path, source, is_read_only in _mounts(container)
            if source is not None
        ],
        "device_requests": [DeviceRequest(count=task.gpus, capabilities=[["gpu"]])] if task.gpus else None,
        # What it writes goes to CloudWatch alone.
        "log_config": {"Type": "none"},
        **_linux(container.get("linuxParameters") or {}, memory),
    }


def _linux(parameters: Mapping[str, Any], memory: int) -> dict[str, Any]:
    swap = parameters.get("maxSwap")
    options: dict[str, Any] = {
        # Equal to the memory: no swap, where the job does not ask for some.
        "memswap_limit": memory + ((swap or 0) << 20),
        "init": bool(parameters.get("initProcessEnabled")) or None,
        "devices": [_device(device) for device in parameters.get("devices") or ()],
        "tmpfs": {
            mount["containerPath"]: ",".join([f"size={mount['size']}m", *mount.get("mountOptions", ())])
            for mount in parameters.get("tmpfs") or ()
        },
    }
    if parameters.get("sharedMemorySize"):
        options["shm_size"] = parameters["sharedMemorySize"] << 20
    if (
        swap is not None and parameters.get("swappiness") is not None
    ):  # ignored without `maxSwap`, as on Batch
        options["mem_swappiness"] = parameters["swappiness"]
    return options


def _device(device: Mapping[str, Any]) -> str:
    allowed: Sequence[str] = device.get("permissions") or tuple(_PERMISSIONS)
    source = device["hostPath"]
    return f"{source}:{device.get('containerPath') or source}:{''.join(_PERMISSIONS[one] for one in allowed)}"


def _mounts(container: Mapping[str, Any]) -> Iterator[tuple[str, str | None, bool]]:
    """Yield path, source and whether it is read-only; no source: docker finds a place for it."""
    for volume in container.get("volumes") or ():
        if elsewhere := [kind for kind in volume if kind.endswith("VolumeConfiguration")]:
            raise ValueError(
                f"volume {volume.get('name')!r} has {elsewhere[0]}: the box has no file systems of AWS; "
                "give it a host sourcePath"
            )
    sources = {
        volume.get("name"): (volume.get("host") or {}).get("sourcePath")
        for volume in container.get("volumes") or ()
    }
    for mount in container.get("mountPoints") or ():
        source = sources.get(mount.get("sourceVolume")) or None
        yield mount["containerPath"], source, bool(mount.get("readOnly"))
