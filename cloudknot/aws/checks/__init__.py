"""Looks whether runs on AWS can run, one check after the other; what may not be looked at is said as such."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cloudknot.aws.checks.access import check_credentials, check_region, check_versions
from cloudknot.aws.checks.bucket import check_bucket
from cloudknot.aws.checks.images import check_engine, check_repository
from cloudknot.aws.checks.machines import Machines, check_machines, check_stack, read_machines
from cloudknot.aws.checks.network import check_network
from cloudknot.aws.checks.quotas import check_counts, check_vcpus
from cloudknot.aws.checks.roles import check_roles
from cloudknot.aws.findings import Check, Level, unknown
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import AwsError

__all__ = ["Doctor"]

_TO_SEE = (
    "'cloudknot policy --for admin' prints what one must be allowed to see all, and 'cloudknot policy' to run"
)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Makes all checks.

    Parameters
    ----------
    aws : Aws
        Whom to ask.
    stack : str
        The stack that Knots use.
    profile : str, optional
        The profile in use, for the cures.
    engine : callable
        Returns the docker engine.
    clock : callable
        Seconds since the epoch.
    """

    aws: Aws
    stack: str
    profile: str | None = None
    engine: Callable[[], Engine] = Engine
    clock: Callable[[], float] = time.time

    def examine(self) -> Iterator[Check]:
        """Yield each check as it is made."""
        yield from check_engine(self.engine)
        yield from check_versions()
        region = check_region(lambda: self.aws.region)
        yield region
        if region.level is Level.FAILED:
            return
        made = list(check_credentials(self.aws, profile=self.profile, clock=self.clock))
        yield from made
        if any(check.level is Level.FAILED for check in made):
            yield unknown("all else", "nothing can be asked of AWS before that is mended")
            return
        yield from self._examine_stack()

    def _examine_stack(self) -> Iterator[Check]:
        found: list[Substrate] = []
        yield from _guarded("stack", lambda: check_stack(self.aws, self.stack, found.append))
        yield from _guarded("quotas", lambda: check_counts(self.aws))
        if not found:
            return
        [substrate] = found
        machines: list[Machines] = []

        def look_at_machines() -> Iterable[Check]:
            machines.append(read_machines(self.aws, substrate))
            return check_machines(machines[0])

        yield from _guarded("queues", look_at_machines)
        environments = machines[0].environments if machines else ()
        yield from _guarded("quotas", lambda: check_vcpus(self.aws, environments))
        if environments:
            yield from _guarded("network", lambda: check_network(self.aws, environments, substrate))
        yield from _guarded("roles", lambda: check_roles(self.aws, substrate, environments))
        yield from _guarded("bucket", lambda: check_bucket(self.aws, substrate.bucket))
        yield from _guarded("images", lambda: check_repository(self.aws, substrate))


def _guarded(name: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except AwsError as error:
        yield unknown(name, str(error), _TO_SEE)
