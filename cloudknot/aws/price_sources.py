"""What AWS itself says that things cost: the Spot price history, and the Pricing API."""

from __future__ import annotations

import datetime
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudknot.aws.price_table import FargateRates, Machine
from cloudknot.aws.session import Aws

_LINUX = "Linux/UNIX"
_ARCHES = ("x86_64", "arm64")
# The Pricing API names Fargate's rates by usage, behind a prefix for the region: "EUW1-Fargate-GB-Hours".
_RATES: Mapping[str, Mapping[str, str]] = {
    "x86_64": {"vcpu_hour": "Fargate-vCPU-Hours:perCPU", "gib_hour": "Fargate-GB-Hours"},
    "arm64": {"vcpu_hour": "Fargate-ARM-vCPU-Hours:perCPU", "gib_hour": "Fargate-ARM-GB-Hours"},
}
_STORAGE = "Fargate-EphemeralStorage-GB-Hours"


def spot_prices(aws: Aws, names: Sequence[str], at: datetime.datetime) -> dict[str, float]:
    """Return the Spot price that was in force: the median of a region's zones.

    Parameters
    ----------
    aws : Aws
        Of the region.
    names : sequence of str
        Kinds of machine.
    at : datetime
        When.

    Returns
    -------
    dict
        USD an hour by kind; those that are not to be had are missing.

    Raises
    ------
    AwsError
        It could not be asked.
    """
    latest: dict[tuple[str, str], tuple[Any, float]] = {}
    for entry in aws.pages(
        "ec2",
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=list(names),
        ProductDescriptions=[_LINUX],
        StartTime=at,
        EndTime=at,
    ):
        place = entry["InstanceType"], entry["AvailabilityZone"]
        found = entry["Timestamp"], float(entry["SpotPrice"])
        latest[place] = max(latest.get(place, found), found)
    by_name: dict[str, list[float]] = defaultdict(list)
    for (name, _), (_, usd) in latest.items():
        by_name[name].append(usd)
    return {name: statistics.median(prices) for name, prices in by_name.items() if name in names}


def on_demand_prices(aws: Aws, region: str, names: Iterable[str]) -> dict[str, float]:
    """Return what machines cost on demand with Linux, in USD an hour; those not to be had are missing.

    ``aws`` is of a region in which the Pricing API answers: us-east-1.

    Raises
    ------
    AwsError
        It could not be asked.
    """
    found = {}
    for name in names:
        terms = {
            "regionCode": region,
            "instanceType": name,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
        }
        prices = [usd for product in _products(aws, "AmazonEC2", terms) if (usd := _usd_of(product)) > 0]
        if prices:
            found[name] = min(prices)
    return found


def fargate_rates(aws: Aws, region: str) -> dict[str, FargateRates]:
    """Return Fargate's rates in a region by architecture; one that is not to be had is missing.

    ``aws`` is of a region in which the Pricing API answers: us-east-1.

    Raises
    ------
    AwsError
        It could not be asked.
    """
    usages: dict[str, float] = {}
    for product in _products(aws, "AmazonECS", {"regionCode": region}):
        usage = str(product["product"]["attributes"].get("usagetype", ""))
        if "Fargate" in usage and "Spot" not in usage:
            usages[usage[usage.find("Fargate") :]] = _usd_of(product)
    storage = usages.get(_STORAGE)
    return {
        arch: FargateRates(**{rate: usages[usage] for rate, usage in rates.items()}, storage_gib_hour=storage)
        for arch, rates in _RATES.items()
        if storage is not None and all(usage in usages for usage in rates.values())
    }


def find_machines(aws: Aws, wanted: Iterable[str]) -> list[Machine]:
    """Return the kinds of machine that types and families name, as EC2 describes them.

    Raises
    ------
    AwsError
        It could not be asked.
    """
    patterns = [name if "." in name else f"{name}.*" for name in wanted]
    filters = [{"Name": "instance-type", "Values": patterns}]
    return [
        _machine_of(entry)
        for entry in aws.pages("ec2", "describe_instance_types", "InstanceTypes", Filters=filters)
        if not entry["InstanceType"].partition(".")[2].startswith("metal")
    ]


def _machine_of(entry: Mapping[str, Any]) -> Machine:
    arches = entry.get("ProcessorInfo", {}).get("SupportedArchitectures", ())
    gpus = entry.get("GpuInfo", {}).get("Gpus", ())
    return Machine(
        name=entry["InstanceType"],
        arch=next((arch for arch in _ARCHES if arch in arches), ""),
        vcpus=entry["VCpuInfo"]["DefaultVCpus"],
        memory_mib=entry["MemoryInfo"]["SizeInMiB"],
        gpus=sum(gpu.get("Count", 0) for gpu in gpus),
    )


def _products(aws: Aws, service: str, terms: Mapping[str, str]) -> list[dict[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in terms.items()]
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        # Once is enough: where it cannot be reached there is the table.
        reply = aws.call(
            "pricing", "get_products", retries=False, ServiceCode=service, Filters=filters, **token
        )
        found += map(json.loads, reply["PriceList"])
        if not reply.get("NextToken"):
            return found
        token = {"NextToken": reply["NextToken"]}


def _usd_of(product: Mapping[str, Any]) -> float:
    prices = [
        float(dimension["pricePerUnit"].get("USD", 0))
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
    ]
    return min((usd for usd in prices if usd > 0), default=0.0)
