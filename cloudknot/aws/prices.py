"""What one job costs an hour: its share of the cheapest machine of its pool, or its size on Fargate."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path

from cloudknot.aws.market import Market
from cloudknot.aws.pools import pool_of
from cloudknot.aws.price_table import Machine
from cloudknot.aws.session import Aws
from cloudknot.aws.shares import jobs_per_machine, share_of, smallest_fitting, wanted_types
from cloudknot.aws.substrate import DISK_GIB
from cloudknot.errors import AwsError, InputError
from cloudknot.money import Price, describe_usd
from cloudknot.sizes import size_on_batch
from cloudknot.specs import Resources

_HOURS_A_MONTH = 730
# The disk that Fargate gives without pay.
_FREE_FARGATE_GIB = 20
_MIB_A_GIB = 1024


def price_of(
    aws: Aws | None,
    resources: Resources,
    *,
    region: str,
    disk_gib: int = DISK_GIB,
    home: Path | None = None,
    at: datetime.datetime | None = None,
    clock: Callable[[], float] = time.time,
) -> Price:
    """Return what one job of these resources costs an hour.

    Batch packs jobs on machines, so a job costs its share of one: the largest of its parts of vCPUs, usable
    memory and GPUs. The machine is the one among the smallest of each of the pool's families that hold
    the job on which its share is cheapest; Batch may choose others.

    Parameters
    ----------
    aws : Aws or None
        None goes by the table that travels with cloudknot.
    resources : Resources
        What the job asks for.
    region : str
        Where.
    disk_gib : int
        The disk of a stack's machines where the job asks for no other.
    home : Path, optional
        The folder of the ledger, where prices are remembered for a day.
    at : datetime, optional
        Spot prices of when; EC2 keeps them for 90 days. None: of now.
    clock : callable
        Seconds since 1970.

    Raises
    ------
    InputError
        No machine of the pool holds such a job.
    AwsError
        No price is known of the machines that do.
    """
    market = Market(aws, region, home=home, at=at, clock=clock)
    if resources.fargate:
        return _price_on_fargate(market, resources)
    wanted = wanted_types(pool_of(resources))
    machines = smallest_fitting(market.machines(wanted), resources)
    if not machines:
        size = size_on_batch(resources.vcpus, resources.memory_mib)
        raise InputError(
            f"none of {', '.join(wanted)} is known to hold a job of {size.vcpus:g} vCPUs, "
            f"{size.memory_mib:,} MiB and {resources.gpus} GPUs: ask for less, or name other instance_types"
        )
    prices = market.spot(machines) if resources.spot else market.on_demand(machines)
    offered = [machine for machine in machines if machine.name in prices]
    if not offered:
        raise AwsError(
            f"no price is known of {', '.join(machine.name for machine in machines)} in {region}: "
            "your user needs pricing:GetProducts, and for Spot ec2:DescribeSpotPriceHistory",
            code="PriceUnknown",
        )
    machine = min(offered, key=lambda one: (prices[one.name] * share_of(one, resources), one.name))
    return _price_on(market, machine, prices[machine.name], resources, disk_gib)


def _price_on(market: Market, machine: Machine, usd: float, resources: Resources, disk_gib: int) -> Price:
    highest, remark = usd, ""
    if resources.spot == "prefer" or resources.bid_percentage is not None:
        on_demand = market.on_demand([machine]).get(machine.name, usd)
        if resources.bid_percentage is not None:
            usd = highest = min(usd, on_demand * resources.bid_percentage / 100)
        if resources.spot == "prefer":
            highest = on_demand
    share, fitting = share_of(machine, resources), jobs_per_machine(machine, resources)
    if resources.spot == "prefer":
        remark = f"; counted as Spot, up to {describe_usd(highest * share)} an hour where it is on demand"
    disk_gib = resources.volume_gib or disk_gib
    return Price(
        usd_per_hour=usd * share,
        usd_per_hour_high=highest / fitting,
        storage_usd_per_hour=share * disk_gib * market.table.ebs_gib_month / _HOURS_A_MONTH,
        machine=machine.name,
        machine_usd_per_hour=highest,
        jobs_per_machine=fitting,
        source=f"{'; '.join(market.sources)} ({share:.0%} of {machine.name}{remark})",
    )


def _price_on_fargate(market: Market, resources: Resources) -> Price:
    rates = market.fargate(resources.arch or "x86_64")
    size = size_on_batch(resources.vcpus, resources.memory_mib, is_fargate=True)
    extra_gib = max(0, (resources.volume_gib or 0) - _FREE_FARGATE_GIB)
    usd = size.vcpus * rates.vcpu_hour + size.memory_mib / _MIB_A_GIB * rates.gib_hour
    highest, remark = usd, "Fargate"
    if resources.spot:
        usd *= market.table.fargate_spot_share
        remark = f"Fargate Spot taken as {market.table.fargate_spot_share:.0%} of it, a rule of thumb"
    if resources.spot == "prefer":
        remark += f"; up to {describe_usd(highest)} an hour where it is on demand"
    storage_usd = extra_gib * rates.storage_gib_hour
    return Price(
        usd_per_hour=usd + storage_usd,
        usd_per_hour_high=(highest if resources.spot == "prefer" else usd) + storage_usd,
        source=f"{'; '.join(market.sources)} ({remark})",
    )
