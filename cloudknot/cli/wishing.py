"""The options by which ``configure`` and ``plan`` are told what a stack shall be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cloudknot.aws.blueprint import LOG_DAYS
from cloudknot.aws.bootstrap import Wishes
from cloudknot.aws.pools import Pool, parse_pool
from cloudknot.aws.session import Aws
from cloudknot.config import Settings
from cloudknot.errors import InputError

_ACCESS = (
    click.option("--profile", help="A profile of AWS's configuration files."),
    click.option("--region", help="A region of AWS, such as us-east-1."),
    click.option("--stack", help="The stack's name: cloudknot, where none is set."),
)
_MANY = "; may be given several times"
_WISHES = (
    click.option("--bucket", help="Holds the runs. One that is there is used, else it is made."),
    click.option("--keep-bucket/--remove-bucket", "keeps_bucket", default=None, help="When the stack goes."),
    click.option("--keep-days", type=click.IntRange(0), help="Days that runs are kept; 0 for ever."),
    click.option("--log-days", type=click.Choice([str(days) for days in LOG_DAYS]), help="Of log lines."),
    click.option("--vpc", "vpc_id", help="The network; the default one, or a new one where there is none."),
    click.option("--new-vpc", is_flag=True, help="Make a network of public subnets."),
    click.option("--subnet", "subnet_ids", multiple=True, help=f"A subnet of the network{_MANY}."),
    click.option("--security-group", "security_group_ids", multiple=True, help=f"Of machines{_MANY}."),
    click.option("--max-vcpus", type=click.IntRange(1), help="The most processors of each kind of machine."),
    click.option("--volume-gib", type=click.IntRange(30, 16384), help="The disk of a machine."),
    click.option("--gpu", is_flag=True, help="Add machines with GPUs."),
    click.option(
        "--pool", "pools", multiple=True, help=f"Add machines: instance_types=c5+m5,volume_gib=200{_MANY}."
    ),
    click.option(
        "--remove-pool", "remove_pools", multiple=True, help=f"Remove machines, by their name{_MANY}."
    ),
    click.option("--job-role", "job_role_arn", help="The ARN of a role for functions; none is made then."),
    click.option("--execution-role", "execution_role_arn", help="The ARN of a role for starting jobs."),
    click.option("--instance-profile", "instance_profile_arn", help="The ARN of a profile for machines."),
    click.option("--permissions-boundary", help="The ARN of a policy, for roles that are made."),
    click.option(
        "--job-policy", "job_policy_arns", multiple=True, help=f"The ARN of what functions may do{_MANY}."
    ),
    click.option("--secret", "secret_arns", multiple=True, help=f"The ARN of what jobs may be given{_MANY}."),
    click.option("--tag", "tags", multiple=True, help=f"NAME=VALUE, on all that is made{_MANY}."),
)


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where on AWS."""
    return _give(command, _ACCESS)


def wish_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what a stack shall be, and where."""
    return _give(command, (*_ACCESS, *_WISHES))


def open_aws(settings: Settings, *, profile: str | None, region: str | None) -> Aws:
    """Return access to what the options say, or else the settings."""
    return Aws(profile=profile or settings.profile, region=region or settings.region)


def read_wishes(stack: str, options: dict[str, Any]) -> Wishes:
    """Return what the options say of a stack.

    Raises
    ------
    InputError
        An option cannot be read.

    Examples
    --------
    >>> read_wishes("lab", {"gpu": True, "tags": ("owner=ada",), "keep_days": 30}).tags
    {'owner': 'ada'}
    """
    said = {name: value for name, value in options.items() if value not in (None, ())}
    pools = [parse_pool(text) for text in said.pop("pools", ())]
    if said.pop("gpu", False):
        pools.append(Pool(gpu=True))
    if "log_days" in said:
        said["log_days"] = int(said["log_days"])
    if "tags" in said:
        said["tags"] = dict(_read_tag(text) for text in said["tags"])
    return Wishes(stack=stack, add_pools=tuple(pools), **said)


def _read_tag(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError(f"tag {text!r} will not do: write NAME=VALUE")
    return name, value


def _give(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command
