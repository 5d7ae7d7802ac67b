"""What all Knots of an account and region share, as its stack tells in one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from cloudknot.aws.pools import PURCHASES, Pool, logical_name, pool_of, queue_key
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError, InputError, NotConfiguredError
from cloudknot.specs import Resources

__all__ = [
    "DISK_GIB",
    "MAX_VCPUS",
    "STACK_TAG",
    "Pool",
    "Substrate",
    "find_substrate",
    "is_usable",
    "pool_of",
    "read_stack",
    "read_substrate",
    "substrate_of",
]

# On everything of a stack: what removes it finds it by this.
STACK_TAG = "cloudknot:stack"
# What a stack's machines have, and how many processors they may have at once, where nothing else is said.
DISK_GIB, MAX_VCPUS = 100, 256
# In these the stack has its outputs and what they name.
_USABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)


@dataclass(frozen=True, kw_only=True)
class Substrate:
    """What jobs need of a stack.

    Parameters
    ----------
    stack : str
        Its name.
    account_id, region : str
        Where it is.
    bucket : str
        Holds the runs.
    repository_uri : str
        Where images are pushed to.
    job_role_arn, execution_role_arn : str
        What the function may do, and what starting it needs.
    log_group : str
        Where jobs write.
    assigns_public_ip : bool
        Whether Fargate's containers need an address of their own to reach AWS.
    queues : mapping
        The name of a queue, such as ``"x86-prefer"``, to its ARN.
    pools : tuple of Pool
        The kinds of machines.
    tags : mapping
        On all that the stack has; for job definitions too.
    max_vcpus : int
        The most processors of each kind of machine at once.
    volume_gib : int
        The disk of a machine, where its pool says nothing else.
    secret_arns : tuple of str, optional
        Patterns of the secrets that jobs may be given; None where the stack's role was made by somebody else.
    """

    stack: str
    account_id: str
    region: str
    bucket: str
    repository_uri: str
    job_role_arn: str
    execution_role_arn: str
    log_group: str
    assigns_public_ip: bool = True
    queues: Mapping[str, str] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    max_vcpus: int = MAX_VCPUS
    volume_gib: int = DISK_GIB
    secret_arns: tuple[str, ...] | None = None

    def check(self, resources: Resources) -> None:
        """Refuse what jobs of this stack cannot have: they would wait for ever, or fail when they start.

        Raises
        ------
        InputError
            There are no such machines, or jobs may not be given a secret; the message names the command that
            adds it.
        """
        self.queue_for(resources)
        if resources.vcpus > self.max_vcpus:
            raise InputError(
                f"vcpus={resources.vcpus:g} is more than all machines of the stack {self.stack} may have "
                f"at once, {self.max_vcpus}: ask for less, or '{self._configure} --max-vcpus N' allows more"
            )
        for name, arn in sorted(dict(resources.secrets).items()):
            if self.secret_arns is not None and not any(_names(given, arn) for given in self.secret_arns):
                raise InputError(
                    f"jobs of the stack {self.stack} may not be given the secret {name} ({arn}): "
                    f"'{self._configure} --secret {_secret_of(arn)}' allows it"
                )

    @property
    def _configure(self) -> str:
        return "cloudknot configure" + ("" if self.stack == "cloudknot" else f" --stack {self.stack}")

    def queue_for(self, resources: Resources) -> str:
        """Return the ARN of the queue whose machines run jobs of these resources.

        Raises
        ------
        InputError
            The stack has no such machines; the message names the command that adds them.
        """
        pool = pool_of(resources)
        key = queue_key(pool, resources.spot)
        if key in self.queues:
            return self.queues[key]
        have = ", ".join(sorted(self.queues)) or "none"
        raise InputError(
            f"the stack {self.stack} has no queue {key} (it has {have}): "
            f"'{self._configure} --pool {pool.describe()}' adds it"
        )


def read_stack(aws: Aws, stack: str) -> dict[str, Any] | None:
    """Return what CloudFormation says of a stack, by its name or id; None where there is none."""
    try:
        reply = aws.call("cloudformation", "describe_stacks", StackName=stack)
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    found: dict[str, Any] = reply["Stacks"][0]
    return found


def is_usable(described: Mapping[str, Any]) -> bool:
    """Return whether a stack has what jobs need."""
    return described["StackStatus"] in _USABLE


def read_substrate(aws: Aws, stack: str) -> Substrate:
    """Return what a stack offers to jobs; asks AWS once.

    Raises
    ------
    NotConfiguredError
        It is not there, or not ready.
    """
    found = read_stack(aws, stack)
    status = "" if found is None else str(found["StackStatus"])
    if found is not None and is_usable(found):
        return substrate_of(found)
    option = "" if stack == "cloudknot" else f" --stack {stack}"
    cure = f"'cloudknot configure --region {aws.region}{option}' makes it"
    state = f"is {status}" if status else "is not there"
    raise NotConfiguredError(f"the stack {stack} in {aws.region} {state}: {cure}", code=status or "NoStack")


def find_substrate(aws: Aws, stack: str) -> Substrate | None:
    """Return what a stack offers to jobs, or None where there is none or it cannot be asked."""
    try:
        return read_substrate(aws, stack)
    except (AwsError, InputError):  # without a region, say
        return None


def substrate_of(described: Mapping[str, Any]) -> Substrate:
    """Return what CloudFormation's description of a stack says.

    Raises
    ------
    NotConfiguredError
        It is no stack of cloudknot's.
    """
    outputs = _pairs(described.get("Outputs"), "OutputKey", "OutputValue")
    wanted = read_parameters(described)
    pools = read_pools(described)
    _, _, _, region, account_id, _ = str(described["StackId"]).split(":", 5)
    try:
        return Substrate(
            stack=str(described["StackName"]),
            account_id=account_id,
            region=region,
            bucket=outputs["Bucket"],
            repository_uri=outputs["RepositoryUri"],
            job_role_arn=outputs["JobRoleArn"],
            execution_role_arn=outputs["ExecutionRoleArn"],
            log_group=outputs["LogGroup"],
            assigns_public_ip=outputs["AssignPublicIp"] == "ENABLED",
            queues=_queues(pools, outputs),
            pools=pools,
            tags=read_tags(described),
            max_vcpus=int(wanted.get("MaxvCpus") or MAX_VCPUS),
            volume_gib=int(wanted.get("VolumeGib") or DISK_GIB),
            secret_arns=_secrets_in(wanted),
        )
    except KeyError as error:
        raise NotConfiguredError(
            f"the stack {described['StackName']} has no {error}, so it is not cloudknot's: "
            "name another one with --stack",
            code="ForeignStack",
        ) from None


def read_pools(described: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Return the pools of a stack."""
    listed = json.loads(read_parameters(described).get("Pools") or "[]")
    return tuple(Pool.from_json(record) for record in listed)


def read_parameters(described: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a stack."""
    return _pairs(described.get("Parameters"), "ParameterKey", "ParameterValue")


def read_tags(described: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a stack."""
    return _pairs(described.get("Tags"), "Key", "Value")


def _secrets_in(parameters: Mapping[str, str]) -> tuple[str, ...] | None:
    if parameters.get("ExecutionRoleArn"):
        return None
    return tuple(filter(None, parameters.get("SecretArns", "").split(",")))


def _secret_of(arn: str) -> str:
    """Return the ARN of a secret without the key and the version that a job names behind it.

    Examples
    --------
    >>> _secret_of("arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-a1b2c3:password::")
    'arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-a1b2c3'
    """
    is_secret = ":secretsmanager:" in arn
    return ":".join(arn.split(":")[:7]) if is_secret else arn


def _names(pattern: str, arn: str) -> bool:
    """Return whether a pattern of ARNs names a secret, which a job may name without its last six letters."""
    secret = _secret_of(arn)
    return fnmatchcase(secret, pattern) or pattern.startswith(f"{secret}-")


def _queues(pools: tuple[Pool, ...], outputs: Mapping[str, str]) -> dict[str, str]:
    names = {
        queue_key(pool, purchase): f"{logical_name(pool, purchase)}Queue"
        for pool in pools
        for purchase in PURCHASES
    }
    return {key: outputs[name] for key, name in names.items() if name in outputs}


def _pairs(listed: Iterable[Mapping[str, Any]] | None, key: str, value: str) -> dict[str, str]:
    return {str(one[key]): str(one.get(value, "")) for one in listed or ()}
