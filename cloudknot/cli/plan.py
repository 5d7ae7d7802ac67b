"""``cloudknot plan``: what would change on AWS."""

from __future__ import annotations

from typing import Any

import click

from cloudknot.aws.bootstrap import Bootstrap
from cloudknot.cli.messages import say
from cloudknot.cli.wishing import open_aws, read_wishes, wish_options
from cloudknot.config import load_settings

# Not 1 or 2, which are errors and wrong usage.
WOULD_CHANGE = 3


@click.command("plan")
@wish_options
def command(profile: str | None, region: str | None, stack: str | None, **options: Any) -> int:
    """Show what 'cloudknot configure' with the same options would change on AWS.

    The exit code is 0 when nothing would change, and 3 when something would.
    """
    settings = load_settings()
    aws = open_aws(settings, profile=profile, region=region)
    bootstrap = Bootstrap(aws, tell=say)
    proposal = bootstrap.propose(read_wishes(stack or settings.stack, options))
    bootstrap.drop(proposal)
    for line in proposal.describe():
        click.echo(line)
    return 0 if proposal.is_idle else WOULD_CHANGE
