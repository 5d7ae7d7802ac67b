"""The prices that travel with cloudknot, for where AWS cannot be asked: of one day and some regions."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One kind of machine of EC2.

    Parameters
    ----------
    name : str
        Such as ``"c6i.large"``.
    arch : str
        ``"x86_64"`` or ``"arm64"``.
    vcpus, memory_mib, gpus : int
        What it has.
    usd_per_hour : float, optional
        On demand, by the table; None for one that is not in it.
    """

    name: str
    arch: str
    vcpus: int
    memory_mib: int
    gpus: int = 0
    usd_per_hour: float | None = None

    @property
    def family(self) -> str:
        """Return such as ``"c6i"``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class FargateRates:
    """USD an hour of a vCPU, of a GiB of memory, and of a GiB of disk above 20."""

    vcpu_hour: float
    gib_hour: float
    storage_gib_hour: float


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """What things cost in USD, as somebody wrote it down.

    Parameters
    ----------
    date : str
        When, as year and month.
    regions : tuple of str
        Where; the first one stands for all others.
    machines : mapping of str
        Kinds of machine by name.
    fargate : mapping of str
        Rates by architecture.
    spot_share, fargate_spot_share : float
        What Spot costs of the price on demand, as a rule of thumb.
    ebs_gib_month : float
        A GiB of gp3 for a month.
    """

    date: str
    regions: tuple[str, ...]
    machines: Mapping[str, Machine]
    fargate: Mapping[str, FargateRates]
    spot_share: float
    fargate_spot_share: float
    ebs_gib_month: float

    def describe(self, region: str) -> str:
        """Say whose prices these are, for one who asks for a region's."""
        where = region if region in self.regions else f"those of {self.regions[0]} for want of {region}'s"
        return f"cloudknot's own table of {self.date}, {where}"


@functools.cache
def read_price_table() -> PriceTable:
    """Return the table that travels with cloudknot."""
    fields: dict[str, Any] = json.loads((resources.files("cloudknot.aws") / "prices.json").read_text())
    machines = (Machine(**dict(zip(fields["columns"], row, strict=True))) for row in fields["machines"])
    return PriceTable(
        date=fields["date"],
        regions=tuple(fields["regions"]),
        machines={machine.name: machine for machine in machines},
        fargate={arch: FargateRates(**rates) for arch, rates in fields["fargate"].items()},
        spot_share=fields["spot_share"],
        fargate_spot_share=fields["fargate_spot_share"],
        ebs_gib_month=fields["ebs_gib_month"],
    )
