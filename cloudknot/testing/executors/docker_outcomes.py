"""How a container ended, or why it did not begin, in the words of ECS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests.exceptions
from docker.errors import DockerException

from cloudknot.testing.executors import Outcome

__all__ = ["FAILURES", "UNWANTED", "NotStartedError", "outcome_of", "words"]

FAILURES = (DockerException, requests.exceptions.RequestException, OSError)
"""What the SDK raises when the engine refuses or is gone."""

UNWANTED = Outcome(exit_code=None)
"""The end of a task that was stopped before its container ran."""

_OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class NotStartedError(Exception):
    """A container does not run, for a reason that ECS has a name for.

    Docker notes exit code 127 or 126 for a command that it cannot run. The ECS agent leaves that aside, as
    such a container has never finished.
    """

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(f"{name}: {words(reason)}")

    @property
    def outcome(self) -> Outcome:
        """Return the end of the task."""
        return Outcome(exit_code=None, reason=str(self), status_reason="Task failed to start")


def outcome_of(state: Mapping[str, Any]) -> Outcome:
    """Return how a container ended, as the ECS agent reads docker's record of it.

    The exit code stays what docker has, also for want of memory: where the kernel killed another process than
    the first, the first may end with any.

    Parameters
    ----------
    state : mapping
        The `State` of the container, as docker shows it.

    Examples
    --------
    >>> outcome_of({"ExitCode": 3, "Error": "", "OOMKilled": False}).exit_code
    3
    """
    reason = f"DockerStateError: {state['Error']}" if state.get("Error") else None
    if state.get("OOMKilled"):
        reason = _OUT_OF_MEMORY
    return Outcome(exit_code=int(state["ExitCode"]), reason=reason)


def words(error: Exception) -> str:
    """Return an engine's own words, as docker's client gives them."""
    explanation = getattr(error, "explanation", None)
    return f"Error response from daemon: {explanation}" if explanation else str(error)
