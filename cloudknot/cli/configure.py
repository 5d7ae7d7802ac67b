"""``cloudknot configure``: makes what Knots need on AWS, and shows that it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from cloudknot.aws.bootstrap import Bootstrap, Proposal, Wishes
from cloudknot.aws.session import Aws
from cloudknot.cli.asking import ask, confirm
from cloudknot.cli.messages import say
from cloudknot.cli.proving import prove
from cloudknot.cli.wishing import read_wishes, wish_options
from cloudknot.config import Settings, config_file, load_settings
from cloudknot.errors import InputError
from cloudknot.settings_file import write_settings

_FALLBACK_REGION = "us-east-1"


@click.command("configure")
@wish_options
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
@click.option("--proof/--no-proof", default=True, help="Whether to run one job at the end.")
def command(
    *, profile: str | None, region: str | None, stack: str | None, yes: bool, proof: bool, **options: Any
) -> int:
    """Make what Knots need on AWS, or change it, and run one job as proof.

    It asks for the profile, the region and the bucket, shows what would be made, and makes it when you
    agree. While no job runs it costs what you store, and nothing else. Run it again at any time: what no
    option names stays as it is.
    """
    settings = load_settings()
    profile = profile or _choose_profile(settings.profile, is_asking=not yes)
    region = region or _choose_region(profile, settings.region, is_asking=not yes)
    settings = replace(settings, profile=profile, region=region, stack=stack or settings.stack)
    aws = Aws(profile=profile, region=region)
    say(f"you are {aws.identity['Arn']}, in {region}")
    bootstrap = Bootstrap(aws, tell=say)
    proposal = _propose(bootstrap, read_wishes(settings.stack, options), is_asking=not yes)
    if proposal is None:
        say("nothing was changed")
        return 1
    substrate = bootstrap.carry_out(proposal)
    write_settings(config_file(), profile=profile, region=region, stack=settings.stack)
    say(f"{substrate.stack} is ready in {region}; Knot(..., backend='aws') uses it from now on")
    return _prove(settings) if proof else 0


def _propose(bootstrap: Bootstrap, wishes: Wishes, *, is_asking: bool) -> Proposal | None:
    """Return what the person has agreed to; None for nothing."""
    proposal = bootstrap.propose(wishes)
    if is_asking and proposal.is_new and wishes.bucket is None:
        with _dropping(bootstrap, proposal):
            bucket = ask("bucket for the runs", proposal.blueprint.bucket)
        if bucket != proposal.blueprint.bucket:
            bootstrap.drop(proposal)
            proposal = bootstrap.propose(replace(wishes, bucket=bucket))
    for line in proposal.describe():
        click.echo(line)
    if not is_asking or proposal.is_idle:
        return proposal
    with _dropping(bootstrap, proposal):
        is_agreed = confirm("go on?", default=True)
    if is_agreed:
        return proposal
    bootstrap.drop(proposal)
    return None


@contextmanager
def _dropping(bootstrap: Bootstrap, proposal: Proposal) -> Iterator[None]:
    """Forget a proposal where nobody answers."""
    try:
        yield
    except (click.Abort, InputError):
        bootstrap.drop(proposal)
        raise


def _choose_profile(default: str | None, *, is_asking: bool) -> str | None:
    """Return the profile; None for AWS's own order."""
    profiles = Aws().profiles
    if not is_asking or not profiles:
        return default
    question = f"profile ({', '.join(profiles)}; empty: as AWS's tools choose)"
    return ask(question, default or "") or None


def _choose_region(profile: str | None, default: str | None, *, is_asking: bool) -> str:
    if profile is not None and profile not in (profiles := Aws().profiles):
        raise InputError(f"there is no profile {profile!r} here: choose from {', '.join(profiles) or 'none'}")
    default = default or _region_of(profile)
    if is_asking:
        return ask("region", default or _FALLBACK_REGION)
    if default is None:
        raise InputError("no region is set: use --region, such as --region us-east-1")
    return default


def _region_of(profile: str | None) -> str | None:
    try:
        return Aws(profile=profile).region
    except InputError:
        return None


def _prove(settings: Settings) -> int:
    """Run a job, and say how it went; what was made stays in any case."""
    say("running one job as proof: a machine has to start, which takes some minutes")
    proof = prove(settings)
    say(proof.words)
    return 0 if proof.is_proved or proof.is_skipped else 1
