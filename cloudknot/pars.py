"""`Pars`: the shared resources on AWS, by the name that cloudknot has always had for them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from cloudknot.aws.bootstrap import Bootstrap, Wishes, make
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate, is_usable, read_stack, substrate_of
from cloudknot.aws.teardown import Removed, Teardown
from cloudknot.config import load_settings
from cloudknot.errors import InputError


class Pars:
    """What all Knots of an account and region share on AWS: network, roles, bucket, queues.

    One is found by its name, or made. A hundred Knots share it; ``Knot(pars=...)`` uses it.

    Parameters
    ----------
    name : str, optional
        The name of the stack; None goes by the settings, where it is ``"cloudknot"``.
    profile, region : str, optional
        Of AWS; None goes by the settings, then by AWS's own order.
    bucket : str, optional
        Holds the runs; one is made where none is named.
    policies : sequence of str, optional
        ARNs of policies: what functions may do beside reading and writing runs.
    vpc_id : str, optional
        The network. None takes the default one.
    subnet_ids, security_group_ids : sequence of str
        In that network.
    use_default_vpc : bool, default True
        False makes a network.
    aws_resource_tags : mapping, or sequence of ``{"Key": ..., "Value": ...}``, optional
        On all that is made.
    aws : Aws, optional
        The account and region, instead of ``profile`` and ``region``.
    tell : callable, optional
        Hears a line of what is made.

    Raises
    ------
    InputError
        Something named cannot be used.
    AwsError
        AWS refused. Nothing half-made is left.
    """

    def __init__(  # noqa: PLR0913  # each is an option of its own, and keyword-only
        self,
        name: str | None = None,
        *,
        profile: str | None = None,
        region: str | None = None,
        bucket: str | None = None,
        policies: Iterable[str] | None = None,
        vpc_id: str | None = None,
        subnet_ids: Iterable[str] = (),
        security_group_ids: Iterable[str] = (),
        use_default_vpc: bool = True,
        aws_resource_tags: Mapping[str, str] | Iterable[Mapping[str, str]] | None = None,
        aws: Aws | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        said: dict[str, Any] = {"stack": name, "profile": profile, "region": region}
        settings = replace(
            load_settings(), **{key: value for key, value in said.items() if value is not None}
        )
        self.profile = settings.profile
        self._aws = Aws(profile=settings.profile, region=settings.region) if aws is None else aws
        self._tell = tell
        self._wishes = Wishes(
            stack=settings.stack,
            bucket=bucket,
            vpc_id=vpc_id,
            subnet_ids=_listed("subnet_ids", subnet_ids),
            security_group_ids=_listed("security_group_ids", security_group_ids),
            new_vpc=not use_default_vpc,
            job_policy_arns=None if policies is None else _listed("policies", policies),
            tags=None if aws_resource_tags is None else _tags(aws_resource_tags),
        )
        self.substrate = self._find_or_make()

    @property
    def name(self) -> str:
        """Return the name of the stack."""
        return self._wishes.stack

    @property
    def region(self) -> str:
        """Return the region."""
        return self.substrate.region

    @property
    def bucket(self) -> str:
        """Return the bucket that holds the runs."""
        return self.substrate.bucket

    @property
    def queues(self) -> dict[str, str]:
        """Return the queues: what their machines are, and their ARN."""
        return dict(self.substrate.queues)

    def plan(self) -> list[str]:
        """Return in words what making it as asked for would change; none where nothing would.

        Raises
        ------
        AwsError
            AWS refused.
        """
        bootstrap = Bootstrap(self._aws, tell=self._tell)
        proposal = bootstrap.propose(self._wishes)
        bootstrap.drop(proposal)
        return [] if proposal.is_idle else proposal.describe()

    def clobber(self) -> Removed:
        """Remove it with all runs, images and queues, as ``cloudknot down`` does.

        Returns
        -------
        Removed
            What was removed, and what AWS still has with its tag.

        Raises
        ------
        AwsError
            Something could not be removed; it may be tried again.
        """
        teardown = Teardown(self._aws, tell=self._tell)
        return teardown.remove(teardown.look(self.name))

    def _find_or_make(self) -> Substrate:
        described = read_stack(self._aws, self.name)
        is_bare = self._wishes == Wishes(stack=self.name)
        if is_bare and described is not None and is_usable(described):
            return substrate_of(described)
        return make(self._aws, self._wishes, tell=self._tell)

    def _rows(self) -> dict[str, Any]:
        found = self.substrate
        return {
            "stack": found.stack,
            "account": found.account_id,
            "region": found.region,
            "bucket": found.bucket,
            "images": found.repository_uri,
            "job role": found.job_role_arn,
            "execution role": found.execution_role_arn,
            "logs": found.log_group,
            "queues": ", ".join(sorted(found.queues)),
        }

    def __repr__(self) -> str:
        return f"<Pars {self.name}: {self.substrate.account_id} in {self.region}>"

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self._rows().items()
        ]
        return f"<table>{''.join(rows)}</table>"


def _listed(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return several values; a single string would be read letter by letter."""
    if isinstance(values, str):
        raise InputError(f"{name} must be a list, not the string {values!r}: write [{values!r}]")
    return tuple(values)


def _tags(given: Mapping[str, str] | Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return tags, which cloudknot 0.6 took as AWS lists them."""
    if isinstance(given, Mapping):
        return dict(given)
    try:
        return {one["Key"]: one["Value"] for one in given}
    except (KeyError, TypeError):
        raise InputError(f"aws_resource_tags must be such as {{'owner': 'ada'}}, not {given!r:.80}") from None
