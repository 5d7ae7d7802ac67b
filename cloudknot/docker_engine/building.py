"""What a build says as it goes, and why it failed: pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from cloudknot.docker_engine.explaining import FREE_SPACE, is_disk_full

_STEP = re.compile(r"Step \d+/\d+ : (.*)", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in [0-9a-f]+")
_EXIT_CODE = re.compile(r"returned a non-zero code|ended with exit code")
_CHATTER = re.compile(r" ---> |Removing intermediate container |Successfully (built|tagged) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_KEPT_LINES = 30


class StepLog:
    """Follows the output of one step.

    Parameters
    ----------
    step : str
        What is run.
    """

    def __init__(self, step: str) -> None:
        self.step = step
        self._rest = ""
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)

    def add(self, text: str) -> list[str]:
        """Take in a piece of output; return the lines that it completes."""
        whole = self._rest + _COLOUR.sub("", text)
        *lines, self._rest = whole.replace("\r", "\n").split("\n")
        kept = [line for line in lines if line.strip() and not _CHATTER.match(line)]
        self._said.extend(kept)
        return kept

    def describe_failure(self, error: str) -> str:
        """Return the step, the end of what it said, and a hint where one is to be had."""
        said = [*self._said, *([self._rest] if self._rest.strip() else [])]
        # What a command said is more than the engine's word for its exit code.
        lines = said if said and _EXIT_CODE.search(error) else [*said, error]
        shown = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
        hint = hint_for("\n".join([*said, error]))
        return f"this step failed:\n  {self.step}\n{shown}" + (f"\n{hint}" if hint else "")


class BuildLog:
    """Follows a build from a Dockerfile.

    Attributes
    ----------
    steps_run : int
        Steps that ran a command, so were not in the engine's cache.
    error : str
        The engine's own word for a failure; empty where there was none.
    """

    def __init__(self) -> None:
        self.steps_run = 0
        self.error = ""
        self._step = StepLog("")

    def add(self, event: Mapping[str, Any]) -> list[str]:
        """Take in one of the build's messages; return the lines of output that it completes."""
        if "error" in event:
            self.error = str((event.get("errorDetail") or {}).get("message") or event["error"])
        text = str(event.get("stream", ""))
        if step := _STEP.match(text):
            self._step = StepLog(step[1].strip())
            return [text.strip()]
        self.steps_run += bool(_RUNNING.match(text))
        return self._step.add(text)

    def describe_failure(self) -> str:
        """Return the step that failed, the end of what it said, and a hint where one is to be had."""
        return self._step.describe_failure(self.error)


_HINTS = (
    (
        re.compile(r"exec format error", re.IGNORECASE),
        "the image is of another architecture than this engine runs: leave platform out, or use an engine "
        "of that architecture",
    ),
    (
        re.compile(r"Unable to locate package (\S+)|Version '\S+' for '(\S+)' was not found"),
        "apt has no package {0!r} in this base image: correct its name or version in apt=[...]",
    ),
    (
        re.compile(r"Because there is no version of (\S+?),? |because (\S+) was not found in", re.IGNORECASE),
        "no index that this machine's settings name has {0}: correct its version, or set the index "
        "that has it",
    ),
    (
        re.compile(r"No matching distribution found for (\S+)"),
        "no index that this machine's settings name has {0}: correct its version, or set the index "
        "that has it",
    ),
    (
        re.compile(r"(?:Failed to build|failed to build) `?([^\s`]+)"),
        "{0} has no ready-made wheel for this image and was built from source, which may need a compiler: "
        "try apt=['build-essential']",
    ),
    (
        re.compile(r"(?:dns error|failed to lookup address|Temporary failure in name resolution)"),
        "the build cannot reach the network: see the engine's DNS and proxy settings",
    ),
)


def hint_for(output: str) -> str:
    """Return what to do about a failed step, or nothing where its output is of no known kind.

    Examples
    --------
    >>> hint_for("E: Unable to locate package libgl9")
    "apt has no package 'libgl9' in this base image: correct its name or version in apt=[...]"
    """
    if is_disk_full(output):
        return FREE_SPACE
    for pattern, hint in _HINTS:
        if found := pattern.search(output):
            return hint.format(*(group for group in found.groups() if group))
    return ""
