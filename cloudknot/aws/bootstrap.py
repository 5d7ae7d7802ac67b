"""The stack that all Knots share: what a person wishes, what would change, and the change."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cloudknot.aws.blueprint import STANDARD_POOLS, Blueprint, blueprint_of, with_pools
from cloudknot.aws.buckets import choose_bucket
from cloudknot.aws.networks import choose_network, find_gpu_types
from cloudknot.aws.pools import Pool
from cloudknot.aws.quotas import check_quotas
from cloudknot.aws.session import Aws
from cloudknot.aws.stacks import Change, ChangeSet, Sleep, Stacks, Tell, silent
from cloudknot.aws.substrate import Substrate, is_usable, read_stack, substrate_of
from cloudknot.aws.switches import SwitchedOff, find_switched_off, switch_on
from cloudknot.errors import InputError

# What a person may say of a blueprint's fields, word by word.
_PLAIN = (
    *("keeps_bucket", "max_vcpus", "volume_gib", "keep_days", "log_days"),
    *("job_role_arn", "execution_role_arn", "instance_profile_arn", "permissions_boundary"),
    *("job_policy_arns", "secret_arns", "tags"),
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person says of a stack. None leaves it as it is, or to us where there is none yet.

    Parameters
    ----------
    stack : str
        Its name.
    bucket : str, optional
        One that is there already is used, and never removed; else it is made.
    vpc_id : str, optional
        The network; the default one, or a new one where there is none.
    subnet_ids, security_group_ids : tuple of str, optional
        In that network.
    new_vpc : bool
        Whether to make a network even where there is a default one.
    add_pools : tuple of Pool
        Kinds of machines to add.
    remove_pools : tuple of str
        The keys of those to remove.
    keeps_bucket, max_vcpus, volume_gib, keep_days, log_days, job_role_arn, execution_role_arn, \
    instance_profile_arn, job_policy_arns, secret_arns, permissions_boundary, tags : optional
        As in `Blueprint`.
    """

    stack: str = "cloudknot"
    bucket: str | None = None
    vpc_id: str | None = None
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    new_vpc: bool = False
    add_pools: tuple[Pool, ...] = ()
    remove_pools: tuple[str, ...] = ()
    keeps_bucket: bool | None = None
    max_vcpus: int | None = None
    volume_gib: int | None = None
    keep_days: int | None = None
    log_days: int | None = None
    job_role_arn: str | None = None
    execution_role_arn: str | None = None
    instance_profile_arn: str | None = None
    job_policy_arns: tuple[str, ...] | None = None
    secret_arns: tuple[str, ...] | None = None
    permissions_boundary: str | None = None
    tags: Mapping[str, str] | None = None

    @property
    def says_network(self) -> bool:
        """Return whether anything is said of the network."""
        return bool(self.vpc_id or self.subnet_ids or self.security_group_ids or self.new_vpc)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a stack shall be, and what that would change.

    Parameters
    ----------
    blueprint : Blueprint
        What it shall be.
    is_new : bool
        Whether there is no such stack yet.
    change_set : ChangeSet, optional
        None where nothing would change.
    switched_off : SwitchedOff
        What would be switched on again.
    """

    blueprint: Blueprint
    is_new: bool
    change_set: ChangeSet | None
    switched_off: SwitchedOff = field(default_factory=SwitchedOff)

    @property
    def is_idle(self) -> bool:
        """Return whether nothing would be done."""
        return self.change_set is None and self.switched_off == SwitchedOff()

    def describe(self) -> list[str]:
        """Return in words what would be done, a line each."""
        if self.is_idle:
            return [f"the stack {self.blueprint.stack} is so already: nothing would change"]
        lines = self.switched_off.describe()
        if self.change_set is None:
            return lines
        if not self.change_set.changes:
            return [f"the stack {self.blueprint.stack}: its tags or settings of its own would change", *lines]
        return [*describe_changes(self.change_set.changes), *lines, *self._notes()]

    def _notes(self) -> list[str]:
        plan = self.blueprint
        if not self.is_new:
            changes = self.change_set.changes if self.change_set else ()
            return [_ENDS] if any(change.ends_jobs for change in changes) else []
        vpc = plan.network.vpc_id or "a new one, of public subnets"
        days = f"for {plan.keep_days} days" if plan.keep_days else "until somebody removes them"
        if not plan.makes_bucket:
            days = "until somebody or a rule of its own removes them"
        return [
            f"network: {vpc}; nothing can reach the machines from outside",
            f"bucket: {plan.bucket}{'' if plan.makes_bucket else ', which is there'}; runs are kept {days}",
            f"machines: {', '.join(pool.key for pool in plan.pools)}, each on demand and Spot, "
            f"up to {plan.max_vcpus} processors; none while nothing runs",
        ]


class Bootstrap:
    """Makes and changes stacks.

    Parameters
    ----------
    aws : Aws
        The account and region.
    tell : callable
        Hears what comes about.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, aws: Aws, *, tell: Tell = silent, sleep: Sleep = time.sleep) -> None:
        self._aws = aws
        self._sleep = sleep
        self._stacks = Stacks(aws, tell=tell, sleep=sleep)

    def propose(self, wishes: Wishes) -> Proposal:
        """Return what a person's wishes come to. It must then be carried out or dropped.

        Raises
        ------
        InputError
            They cannot be had.
        AwsError
            AWS refused.
        """
        described = self._stacks.settle(wishes.stack)
        old = blueprint_of(described) if described is not None and is_usable(described) else None
        blueprint = design(self._aws, wishes, old)
        check_quotas(self._aws, blueprint, old)
        change_set = self._stacks.propose(blueprint)
        off = SwitchedOff()
        if old is not None and described is not None:
            off = find_switched_off(self._aws, substrate_of(described))
        return Proposal(blueprint=blueprint, is_new=old is None, change_set=change_set, switched_off=off)

    def drop(self, proposal: Proposal) -> None:
        """Forget a proposal."""
        if proposal.change_set is not None:
            self._stacks.drop(proposal.change_set)

    def carry_out(self, proposal: Proposal) -> Substrate:
        """Do what was proposed.

        Raises
        ------
        AwsError
            It failed, and was undone.
        """
        if proposal.change_set is None:
            described = read_stack(self._aws, proposal.blueprint.stack)
            assert described is not None  # nothing changes in a stack that is there
        else:
            described = self._stacks.carry_out(proposal.change_set)
        substrate = substrate_of(described)
        if not proposal.is_new:  # the change may have removed some of what was off
            switch_on(self._aws, find_switched_off(self._aws, substrate), sleep=self._sleep)
        return substrate


def make(aws: Aws, wishes: Wishes, *, tell: Tell = silent, sleep: Sleep = time.sleep) -> Substrate:
    """Make a stack as wished, or change it, and return what it offers.

    Raises
    ------
    InputError
        What is wished cannot be had.
    AwsError
        AWS refused; what was begun is undone.
    """
    bootstrap = Bootstrap(aws, tell=tell, sleep=sleep)
    return bootstrap.carry_out(bootstrap.propose(wishes))


def design(aws: Aws, wishes: Wishes, old: Blueprint | None) -> Blueprint:
    """Return what a stack shall be: the wishes, then what it is, then our defaults.

    Raises
    ------
    InputError
        They cannot be had.
    """
    said: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(wishes, name)) is not None}
    if old is None or wishes.says_network:
        said["network"] = choose_network(
            aws,
            vpc_id=wishes.vpc_id,
            subnet_ids=wishes.subnet_ids,
            security_group_ids=wishes.security_group_ids,
            is_new=wishes.new_vpc,
        )
    if old is None:
        said["bucket"], said["makes_bucket"] = choose_bucket(aws, wishes.stack, wishes.bucket)
        old = Blueprint(stack=wishes.stack, **said, pools=STANDARD_POOLS)
    elif wishes.bucket not in (None, old.bucket):
        raise InputError(
            f"the stack {old.stack} has the bucket {old.bucket}, which holds its runs: "
            f"use another stack for {wishes.bucket}, with --stack"
        )
    wanted = with_pools(replace(old, **said), add=wishes.add_pools, remove=wishes.remove_pools)
    if any(pool.gpu and not pool.instance_types for pool in wishes.add_pools):
        wanted = replace(wanted, gpu_types=find_gpu_types(aws))
    return wanted


def describe_changes(changes: Iterable[Change]) -> list[str]:
    """Return changes in words, those of a kind together.

    Examples
    --------
    >>> describe_changes([Change(action="Add", kind="AWS::Batch::JobQueue", name="X86Queue")])
    ['add job queues: X86Queue']
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        verb = "make anew" if change.is_replaced else _VERBS.get(change.action, change.action.lower())
        noun = _NOUNS.get(change.kind, change.kind)
        grouped.setdefault((verb, noun), []).append(change.name)
    return [f"{verb} {noun}: {', '.join(names)}" for (verb, noun), names in grouped.items()]


_ENDS = "jobs that wait or run in queues that are removed or made anew are ended"
_VERBS = {"Add": "add", "Modify": "change", "Remove": "remove"}
_NOUNS = {
    "AWS::Batch::ComputeEnvironment": "compute environments",
    "AWS::Batch::JobQueue": "job queues",
    "AWS::EC2::InternetGateway": "a way out to the internet",
    "AWS::EC2::LaunchTemplate": "templates of machines",
    "AWS::EC2::Route": "routes",
    "AWS::EC2::RouteTable": "tables of routes",
    "AWS::EC2::SecurityGroup": "a security group",
    "AWS::EC2::Subnet": "subnets",
    "AWS::EC2::SubnetRouteTableAssociation": "routes of subnets",
    "AWS::EC2::VPC": "a network",
    "AWS::EC2::VPCEndpoint": "a way to S3",
    "AWS::EC2::VPCGatewayAttachment": "the network's way out",
    "AWS::ECR::Repository": "an image repository",
    "AWS::IAM::InstanceProfile": "an instance profile",
    "AWS::IAM::Role": "roles",
    "AWS::Logs::LogGroup": "a log group",
    "AWS::S3::Bucket": "a bucket",
    "AWS::S3::BucketPolicy": "the bucket's policy",
}
