"""The quotas of AWS Batch, and what is said when one is passed."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.refusals import TooManyRequestsException, refusal
from cloudknot.testing.clock import Clock

__all__ = [
    "ARRAY_SIZES",
    "COMPUTE_ENVIRONMENTS",
    "DEFINITION_BYTES",
    "DEPENDENCIES",
    "DESCRIBED_JOBS",
    "ENVIRONMENTS_OF_QUEUE",
    "JOB_QUEUES",
    "OVERRIDES_CHARACTERS",
    "OVERRIDES_TOO_LONG",
    "SCHEDULING_POLICIES",
    "STOPPED_JOBS",
    "SUBMITS_PER_S",
    "SUBMIT_BYTES",
    "TokenBucket",
    "are_overrides_too_long",
    "check_array_size",
    "check_count",
    "check_definition_size",
    "check_job_ids",
    "check_job_name",
    "check_name",
    "check_submit_size",
]

# "Service quotas", AWS Batch user guide.
COMPUTE_ENVIRONMENTS = 50
JOB_QUEUES = 50
ENVIRONMENTS_OF_QUEUE = 3
DEPENDENCIES = 20
ARRAY_SIZES = range(2, 10_001)
SUBMIT_BYTES = 30 * 1024
DEFINITION_BYTES = 24 * 1024
SUBMITS_PER_S = 50
# Not confirmed on that page.
SCHEDULING_POLICIES = 500

# The API's reference.
DESCRIBED_JOBS = 100
STOPPED_JOBS = 50
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")

# ECS's limit, on the overrides that Batch hands to it. AWS does not refuse the SubmitJob: the job fails, with
# this as its status reason (metaflow#1482, metaflow#977, hyp3#3041).
OVERRIDES_CHARACTERS = 8192
OVERRIDES_TOO_LONG = "Container Overrides length must be at most 8192"


class TokenBucket:
    """Lets through so many calls a second of the box's time, and as many at once.

    Parameters
    ----------
    clock : Clock
        The box's time.
    per_s : float, optional
        None lets all through.
    """

    def __init__(self, clock: Clock, per_s: float | None) -> None:
        self._clock = clock
        self._per_s = per_s
        self._left = per_s or 0.0
        self._at = clock.now()

    def take(self) -> None:
        """Count a call.

        Raises
        ------
        TooManyRequestsException
            When there were too many.
        """
        if self._per_s is None:
            return
        now = self._clock.now()
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            raise TooManyRequestsException
        self._left -= 1


def check_submit_size(size: int) -> None:
    """Refuse a SubmitJob of so many bytes if it is too long."""
    if size > SUBMIT_BYTES:
        raise refusal(f"Job size must be less than 30 KiB, got {_kib(size)} KiB")


def check_definition_size(size: int) -> None:
    """Refuse a RegisterJobDefinition of so many bytes if it is too long; the words are not confirmed."""
    if size > DEFINITION_BYTES:
        raise refusal(f"Job definition size must be less than 24 KiB, got {_kib(size)} KiB")


def check_array_size(size: int) -> None:
    """Refuse an array that is too small or too large; the words are not confirmed."""
    if size not in ARRAY_SIZES:
        raise refusal(f"Array size must be between {ARRAY_SIZES[0]} and {ARRAY_SIZES[-1]}, got {size}")


def check_job_ids(ids: Sequence[str], most: int) -> None:
    """Refuse more ids than are taken at once; both spaces are AWS's."""
    if len(ids) > most:
        raise refusal(f"Maximum number of jobs supported is  {most} .")


def check_job_name(name: str) -> None:
    """Refuse a job's name that is not one."""
    if not _JOB_NAME.fullmatch(name):
        raise refusal("Job name should match valid pattern")


def check_name(name: str) -> None:
    """Refuse the name of a queue, an environment, a definition, if it is not one."""
    if not _NAME.fullmatch(name):
        # Seen for SubmitJob (boto3#1330, aws-sdk-js#4280); where things are made, not confirmed.
        raise ClientException(f"Provided name {name} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")


def check_count(what: str, count: int, most: int) -> None:
    """Refuse one more when there are `count` of `most`; the words are not confirmed."""
    if count >= most:
        raise ClientException(f"Limit exceeded: the maximum number of {what} is {most}")


def are_overrides_too_long(overrides: Mapping[str, Any]) -> bool:
    """Say whether ECS would refuse the overrides of a task: command, environment and resources as JSON."""
    return len(json.dumps(overrides, separators=(",", ":"))) > OVERRIDES_CHARACTERS


def _kib(size: int) -> int:
    return -(-size // 1024)
