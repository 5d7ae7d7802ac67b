"""Removes containers: those that have ended, and those of a box that was killed."""

from __future__ import annotations

import logging
from typing import Any

import docker
from docker.errors import NotFound

from cloudknot.testing.executors.docker_options import BOX_LABEL
from cloudknot.testing.executors.docker_outcomes import FAILURES, words

__all__ = ["remove", "sweep"]

_LOG = logging.getLogger(__name__)


def sweep(label: str) -> int:
    """Remove the containers that a box of this name left when it was killed; return how many they were.

    Parameters
    ----------
    label : str
        The box's name, as `DockerExecutor` has it.
    """
    client = docker.from_env()
    try:
        left = client.api.containers(all=True, filters={"label": f"{BOX_LABEL}={label}"})
        for container in left:
            remove(client.api, container["Id"])
    finally:
        client.close()
    return len(left)


def remove(api: Any, container: str) -> None:
    """Remove a container and the volumes that have no name, whether it runs or not."""
    try:
        api.remove_container(container, force=True, v=True)
    except NotFound:
        _LOG.debug("container %s of the box was removed by somebody else", container)
    except FAILURES as error:
        _LOG.warning("container %s of the box cannot be removed: %s", container, words(error))
