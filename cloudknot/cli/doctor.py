"""``cloudknot doctor``: whether runs on AWS can run, and what to do where they cannot."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.text import Text

from cloudknot.aws.checks import Doctor
from cloudknot.aws.findings import Check, Level
from cloudknot.cli.wishing import access_options, open_aws
from cloudknot.cli.wording import count
from cloudknot.config import load_settings
from cloudknot.display import make_console

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red", Level.UNKNOWN: "dim"}
_WIDTH = max(len(level.value) for level in Level)


@click.command("doctor")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(*, profile: str | None, region: str | None, stack: str | None, as_json: bool) -> int:
    """Look whether runs on AWS can run, and say what to do where they cannot.

    Each check is a line: ok, warning, failed, or not looked at where AWS does not allow to look. The exit
    code is 1 when something failed.
    """
    settings = load_settings()
    profile = profile or settings.profile
    aws = open_aws(settings, profile=profile, region=region)
    console, made = make_console(), []
    for check in Doctor(aws=aws, stack=stack or settings.stack, profile=profile).examine():
        made.append(check)
        if not as_json:
            _print(console, check)
    if as_json:
        click.echo(json.dumps([check.to_json() for check in made], indent=2))
    failures = sum(check.level is Level.FAILED for check in made)
    if failures and not as_json:
        console.print(Text(f"\n{count(failures, 'check')} failed", style="bold red"))
    return 1 if failures else 0


def _print(console: Console, check: Check) -> None:
    level, finding = check.level, check.finding
    head = (f"{level.value:<{_WIDTH}}  ", _STYLES[level])
    console.print(Text.assemble(head, (f"{check.name}: ", "bold"), finding.sentence), soft_wrap=True)
    if finding.cure:
        console.print(Text.assemble(" " * (_WIDTH + 2), ("to do: ", "bold"), finding.cure), soft_wrap=True)
