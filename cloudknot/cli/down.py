"""``cloudknot down``: removes what Knots have on AWS."""

from __future__ import annotations

import click

from cloudknot.aws.teardown import Removed, Teardown
from cloudknot.cli.asking import confirm
from cloudknot.cli.messages import say
from cloudknot.cli.wishing import access_options, open_aws
from cloudknot.config import load_settings


@click.command("down")
@access_options
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
def command(*, profile: str | None, region: str | None, stack: str | None, yes: bool) -> int:
    """Remove a stack: its jobs, runs, images, queues and roles.

    Only what the stack itself has made is removed: a bucket, a network or roles that were there before
    stay. It ends with a list of what AWS still has with the stack's tag. It may be run again.
    """
    settings = load_settings()
    aws = open_aws(settings, profile=profile, region=region)
    teardown = Teardown(aws, tell=say)
    name = stack or settings.stack
    holding = teardown.look(name)
    lines = holding.describe()
    for line in lines:
        click.echo(line)
    if lines and not yes:
        where = f"account {aws.identity['Account']}, {aws.region}"
        if not confirm(f"remove all this from {where}?", default=False):
            say("nothing was removed")
            return 1
    return _report(name, aws.region, teardown.remove(holding))


def _report(stack: str, region: str, removed: Removed) -> int:
    if removed.left is None:
        say(f"the stack is gone; whether anything is left cannot be told: {removed.why_unknown}")
        return 0
    if not removed.left:
        click.echo(f"nothing of {stack} is left in {region}")
        return 0
    click.echo(f"AWS still has this with the tag cloudknot:stack={stack} in {region}:")
    for arn in removed.left:
        click.echo(f"  {arn}")
    return 0
