"""What of a stack is switched off, such as by a removal that was broken off; and switching it on again.

CloudFormation does not see it: to its template nothing has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate

# One that is being changed or removed cannot be switched on.
_FREE = ("VALID", "INVALID")
_WAIT_S, _LOOKS = 0.5, 60


@dataclass(frozen=True, kw_only=True)
class SwitchedOff:
    """What takes no jobs, or starts no machines, because somebody has switched it off.

    Parameters
    ----------
    queues, environments : tuple of str
        Their ARNs.
    """

    queues: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Return in words what switching it on comes to, a line each.

        Examples
        --------
        >>> SwitchedOff(queues=("arn:aws:batch:us-east-1:1:job-queue/lab",)).describe()
        ['switch on job queues: lab']
        """
        kinds = {"compute environments": self.environments, "job queues": self.queues}
        return [f"switch on {what}: {', '.join(map(_name, arns))}" for what, arns in kinds.items() if arns]


def find_switched_off(aws: Aws, substrate: Substrate) -> SwitchedOff:
    """Return what of a stack is switched off.

    Raises
    ------
    AwsError
        AWS refused.
    """
    arns = sorted(set(substrate.queues.values()))
    if not arns:  # Batch would tell of all the queues that there are
        return SwitchedOff()
    queues = list(aws.pages("batch", "describe_job_queues", "jobQueues", jobQueues=arns))
    behind = sorted({one["computeEnvironment"] for each in queues for one in each["computeEnvironmentOrder"]})
    key = "computeEnvironments"
    listing = aws.pages("batch", "describe_compute_environments", key, **{key: behind}) if behind else ()
    return SwitchedOff(
        queues=_off(queues, "jobQueueArn"), environments=_off(listing, "computeEnvironmentArn")
    )


def switch_on(aws: Aws, off: SwitchedOff, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Switch on what is off, and wait until Batch has done so.

    Raises
    ------
    AwsError
        AWS refused.
    """
    for arn in off.environments:
        aws.call("batch", "update_compute_environment", computeEnvironment=arn, state="ENABLED")
    for arn in off.queues:
        aws.call("batch", "update_job_queue", jobQueue=arn, state="ENABLED")
    for _ in range(_LOOKS if off.queues else 0):
        found = aws.pages("batch", "describe_job_queues", "jobQueues", jobQueues=list(off.queues))
        if all(queue["status"] != "UPDATING" for queue in found):
            return
        sleep(_WAIT_S)


def _off(found: Iterable[Mapping[str, Any]], key: str) -> tuple[str, ...]:
    return tuple(str(one[key]) for one in found if one["state"] == "DISABLED" and one["status"] in _FREE)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
