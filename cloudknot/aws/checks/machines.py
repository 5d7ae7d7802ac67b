"""Whether the stack is there, and whether its queues and compute environments work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudknot.aws.findings import MAKE_ANEW, Check, failed, passed, warned
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate, read_stack, substrate_of
from cloudknot.errors import NotConfiguredError

Reply = Mapping[str, Any]

_DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
_STUCK = ("UPDATE_ROLLBACK_FAILED",)
# What the describing requests take.
_AT_ONCE = 100
_ENABLE = "'cloudknot configure' switches it on again"


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The queues of a stack and what is behind them.

    Parameters
    ----------
    wanted : mapping
        The names of the queues that the stack should have, to their ARNs.
    queues, environments : sequence of mapping
        As Batch describes them.
    """

    wanted: Mapping[str, str]
    queues: Sequence[Reply]
    environments: Sequence[Reply]


def check_stack(aws: Aws, stack: str, use: Callable[[Substrate], None]) -> Iterator[Check]:
    """Yield whether the stack is there; ``use`` is given what it offers, if it offers something."""
    option = "" if stack == "cloudknot" else f" --stack {stack}"
    configure = f"'cloudknot configure{option}'"
    described = read_stack(aws, stack)
    if described is None:
        yield failed("stack", f"there is no stack {stack} in {aws.region}", f"{configure} makes it")
        return
    status = str(described["StackStatus"])
    if status in _DEAD:
        cure = f"'cloudknot down{option}' removes what is left, then {configure} makes it anew"
        yield failed("stack", f"{stack} is {status}: it could not be made, or not removed", cure)
        return
    try:
        substrate = substrate_of(described)
    except NotConfiguredError as error:
        yield failed("stack", str(error), configure)
        return
    if status in _STUCK:
        cure = (
            "have CloudFormation continue the rollback (console, stack actions), then 'cloudknot configure'"
        )
        yield failed("stack", f"{stack} is {status}: no change of it works", cure)
    elif status == "UPDATE_ROLLBACK_COMPLETE":
        yield warned("stack", f"{stack}: its last change failed and was undone", f"{configure} tries again")
    elif status.endswith("_IN_PROGRESS"):
        yield warned("stack", f"{stack} is being changed ({status})", "wait until that is done")
    else:
        yield passed("stack", f"{stack}, with {len(substrate.queues)} queues")
    use(substrate)


def read_machines(aws: Aws, substrate: Substrate) -> Machines:
    """Return the stack's queues and compute environments as Batch describes them."""
    queues = _describe(aws, "describe_job_queues", "jobQueues", sorted(set(substrate.queues.values())))
    behind = {one["computeEnvironment"] for queue in queues for one in queue["computeEnvironmentOrder"]}
    environments = _describe(aws, "describe_compute_environments", "computeEnvironments", sorted(behind))
    return Machines(wanted=substrate.queues, queues=queues, environments=environments)


def check_machines(machines: Machines) -> Iterator[Check]:
    """Yield what is wrong with queues and compute environments, else that all is well."""
    there = {queue["jobQueueArn"] for queue in machines.queues}
    checks = [
        failed("queues", f"the queue {name} of the stack is gone", MAKE_ANEW)
        for name, arn in machines.wanted.items()
        if arn not in there
    ]
    for queue in machines.queues:
        checks += _check_state("queues", f"the queue {queue['jobQueueName']}", queue)
    for one in machines.environments:
        checks += _check_state(
            "environments", f"the compute environment {one['computeEnvironmentName']}", one
        )
    checks += _check_behind(machines)
    yield from checks or [
        passed(
            "queues",
            f"{len(machines.queues)} queues and {len(machines.environments)} compute environments are valid",
        )
    ]


def _check_state(name: str, what: str, thing: Reply) -> Iterator[Check]:
    said = f" ({thing['statusReason']})" if thing.get("statusReason") else ""
    if thing["status"] == "INVALID":
        yield failed(name, f"{what} is INVALID{said}", MAKE_ANEW)
    elif thing["state"] == "DISABLED":
        yield failed(name, f"{what} is DISABLED", _ENABLE)
    elif thing["status"] != "VALID":
        yield warned(name, f"{what} is {thing['status']}{said}", "wait a minute, and look again")


def _check_behind(machines: Machines) -> Iterator[Check]:
    known = {one["computeEnvironmentArn"] for one in machines.environments}
    for queue in machines.queues:
        missing = [
            one["computeEnvironment"]
            for one in queue["computeEnvironmentOrder"]
            if one["computeEnvironment"] not in known
        ]
        if missing:
            names = ", ".join(arn.rpartition("/")[2] for arn in missing)
            sentence = f"{names} behind the queue {queue['jobQueueName']} is gone"
            yield failed("environments", sentence, MAKE_ANEW)


def _describe(aws: Aws, operation: str, key: str, names: Sequence[str]) -> list[Reply]:
    found: list[Reply] = []
    for first in range(0, len(names), _AT_ONCE):
        some: dict[str, Any] = {key: list(names[first : first + _AT_ONCE])}
        found += aws.call("batch", operation, **some)[key]
    return found
