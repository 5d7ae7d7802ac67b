"""``cloudknot policy``: what a person must be allowed to do."""

from __future__ import annotations

import json

import click

from cloudknot.aws.policies import Audience, Scope, make_policy
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate, read_substrate
from cloudknot.cli.messages import say
from cloudknot.cli.wishing import access_options, open_aws
from cloudknot.config import load_settings
from cloudknot.errors import AwsError


@click.command("policy")
@access_options
@click.option(
    "--for",
    "audience",
    type=click.Choice(["user", "admin"]),
    default="user",
    show_default=True,
    help="Who runs Knots; or who also makes, changes and removes the stack.",
)
@click.option("--account", help="The account's number; that of your credentials where none is given.")
@click.option("--bucket", help="The stack's bucket, where it is not made yet and shall have its own name.")
def command(
    *,
    profile: str | None,
    region: str | None,
    stack: str | None,
    audience: Audience,
    account: str | None,
    bucket: str | None,
) -> None:
    """Print the least IAM policy for a person, as JSON.

    It is narrowed to this account, region and stack. What it allows is what cloudknot's own tests have
    asked AWS for.
    """
    settings = load_settings()
    aws = open_aws(settings, profile=profile, region=region)
    scope = find_scope(aws, stack or settings.stack, account=account, bucket=bucket)
    click.echo(json.dumps(make_policy(audience, scope), indent=2))


def find_scope(aws: Aws, stack: str, *, account: str | None, bucket: str | None) -> Scope:
    """Return what a policy is for: the stack as it is, else as it will be."""
    try:
        return scope_of(read_substrate(aws, stack))
    except AwsError as error:
        say(f"{error}; the policy goes by the names that a stack of that name would have")
    identity = {} if account else aws.identity
    account_id = account or identity["Account"]
    return Scope(
        partition=identity["Arn"].split(":")[1] if identity else _partition_of(aws.region),
        region=aws.region,
        account_id=account_id,
        stack=stack,
        bucket=bucket or f"{stack}-{account_id}-{aws.region}",
        repository=stack,
        log_group=f"/cloudknot/{stack}",
    )


def scope_of(substrate: Substrate) -> Scope:
    """Return what a policy for a stack is for."""
    return Scope(
        partition=substrate.job_role_arn.split(":")[1],
        region=substrate.region,
        account_id=substrate.account_id,
        stack=substrate.stack,
        bucket=substrate.bucket,
        repository=substrate.repository_uri.partition("/")[2],
        log_group=substrate.log_group,
        queue_arns=tuple(sorted(set(substrate.queues.values()))),
        role_arns=tuple(sorted({substrate.job_role_arn, substrate.execution_role_arn})),
    )


def _partition_of(region: str) -> str:
    """Return the partition of a region.

    Examples
    --------
    >>> _partition_of("cn-north-1"), _partition_of("us-gov-west-1"), _partition_of("eu-west-1")
    ('aws-cn', 'aws-us-gov', 'aws')
    """
    starts = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((partition for start, partition in starts.items() if region.startswith(start)), "aws")
