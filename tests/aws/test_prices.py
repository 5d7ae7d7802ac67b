"""What one job costs an hour: in the box, which has no Pricing API, and by price lists made here."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudknot.aws.price_table import Machine, read_price_table
from cloudknot.aws.prices import price_of
from cloudknot.aws.session import Aws
from cloudknot.aws.shares import smallest_fitting, usable_mib
from cloudknot.errors import AwsError, InputError
from cloudknot.specs import Resources
from cloudknot.testing import Box

SMALL = Resources(vcpus=1, memory_mib=1024)
NOON = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)


class PriceLists:
    """Answers as EC2 and the Pricing API do, from figures given here."""

    def __init__(
        self,
        *,
        on_demand: Mapping[str, float] = {},
        fargate: Mapping[str, float] = {},
        spot: Mapping[str, list[tuple[str, int, float]]] = {},
        region: str = "eu-west-1",
    ) -> None:
        self.region = region
        self.on_demand = on_demand
        self.fargate = fargate
        self.spot = spot
        self.asked: list[str] = []
        self.regions: list[str] = []

    def at(self, region: str) -> PriceLists:
        self.regions.append(region)
        return self

    def call(self, service: str, operation: str, *, retries: bool = True, **asked: Any) -> Any:
        assert (service, operation, retries) == ("pricing", "get_products", False)
        terms = {one["Field"]: one["Value"] for one in asked["Filters"]}
        self.asked.append(terms.get("instanceType", asked["ServiceCode"]))
        assert terms["regionCode"] == "eu-west-1"
        if asked["ServiceCode"] == "AmazonECS":
            # Two pages, as a token asks for the second.
            rows = list(self.fargate.items())
            if "NextToken" not in asked:
                return {"PriceList": [_product(*row) for row in rows[:2]], "NextToken": "more"}
            return {"PriceList": [_product(*row) for row in rows[2:]]}
        assert terms["operatingSystem"] == "Linux"
        usd = self.on_demand.get(terms["instanceType"])
        return {
            "PriceList": [] if usd is None else [_product("EU-BoxUsage", 0.0), _product("EU-BoxUsage", usd)]
        }

    def pages(self, service: str, operation: str, key: str, **asked: Any) -> Iterator[Any]:
        assert (service, operation) == ("ec2", "describe_spot_price_history")
        assert asked["StartTime"] == asked["EndTime"]
        self.asked.append(f"spot at {asked['StartTime']:%Y-%m-%d %H:%M}")
        for name in asked["InstanceTypes"]:
            for zone, minute, usd in self.spot.get(name, ()):
                yield {
                    "InstanceType": name,
                    "AvailabilityZone": zone,
                    "Timestamp": NOON + datetime.timedelta(minutes=minute),
                    "SpotPrice": f"{usd:.6f}",
                }


def _product(usage: str, usd: float) -> str:
    dimension = {"pricePerUnit": {"USD": f"{usd:.10f}"}}
    terms = {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def clock() -> float:
    return NOON.timestamp()


# -- the share -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "machine", "share"),
    [
        (Resources(vcpus=1, memory_mib=1024), "c6i.large", 1 / 2),
        (Resources(vcpus=3, memory_mib=1024), "c6i.xlarge", 3 / 4),
        # 4,096 MiB are not on a machine of 4 GiB; of an m6i.large (8 GiB, 7,953 usable) they are half.
        (Resources(vcpus=1, memory_mib=4096), "m6i.large", 4096 / 7953),
        (Resources(vcpus=1, memory_mib=12_000), "r6i.large", 12_000 / 15_938),
        (Resources(vcpus=2, memory_mib=3000, arch="arm64"), "c6g.large", 1.0),
        (Resources(vcpus=1, memory_mib=4096, gpus=1), "g4dn.xlarge", 1.0),
        (Resources(vcpus=4, memory_mib=30_000, gpus=4), "g4dn.12xlarge", 1.0),
        (Resources(vcpus=9, memory_mib=1024, instance_types=("c5",)), "c5.4xlarge", 9 / 16),
    ],
    ids=str,
)
def test_a_job_costs_its_share_of_the_cheapest_machine_that_holds_it(
    resources: Resources, machine: str, share: float
) -> None:
    price = price_of(None, resources, region="us-east-1")
    assert price.machine == machine
    assert price.usd_per_hour == pytest.approx(read_price_table().machines[machine].usd_per_hour * share)


def test_what_does_not_fit_beside_other_jobs_is_in_the_upper_bound() -> None:
    price = price_of(None, Resources(vcpus=3, memory_mib=1024), region="us-east-1")
    assert price.jobs_per_machine == 1
    assert price.usd_per_hour_high == price.machine_usd_per_hour == 0.17


def test_the_disk_costs_the_same_share() -> None:
    price = price_of(None, Resources(memory_mib=1024, volume_gib=730), region="us-east-1")
    assert price.storage_usd_per_hour == pytest.approx(0.5 * 730 * 0.08 / 730)


def test_a_machine_offers_less_memory_than_it_has() -> None:
    assert usable_mib(Machine(name="m4.large", arch="x86_64", vcpus=2, memory_mib=8192)) == 7953


def test_a_family_gives_its_smallest_machine_that_fits() -> None:
    machines = read_price_table().machines.values()
    found = smallest_fitting(machines, Resources(vcpus=5, memory_mib=1024, instance_types=("c5", "m5")))
    assert {"c5.2xlarge", "m5.2xlarge"} <= {machine.name for machine in found}
    assert len({machine.family for machine in found}) == len(found)


def test_a_job_that_no_machine_holds_is_refused() -> None:
    resources = Resources(vcpus=64, memory_mib=1024, instance_types=("c5.large", "c5.xlarge"))
    with pytest.raises(InputError, match=r"none of c5\.large, c5\.xlarge is known to hold a job of 64 vCPUs"):
        price_of(None, resources, region="us-east-1")


# -- the table -----------------------------------------------------------------------------------------------


def test_the_table_tells_its_date_and_its_region() -> None:
    table = read_price_table()
    here = price_of(None, SMALL, region="us-west-2").source
    assert here.startswith(f"cloudknot's own table of {table.date}, us-west-2 (50% of c6i.large")
    elsewhere = price_of(None, SMALL, region="eu-north-1").source
    assert f"table of {table.date}, those of us-east-1 for want of eu-north-1's" in elsewhere


def test_spot_without_the_history_is_a_rule_of_thumb_and_says_so() -> None:
    price = price_of(None, Resources(memory_mib=1024, spot=True), region="us-east-1")
    assert price.usd_per_hour == pytest.approx(0.085 / 2 * 0.4)
    assert "Spot taken as 40% of on demand, a rule of thumb" in price.source


def test_machines_of_the_table_are_of_one_family_and_price_a_vcpu() -> None:
    for machine in read_price_table().machines.values():
        assert machine.usd_per_hour is not None
        assert 0.01 < machine.usd_per_hour / machine.vcpus < (0.6 if machine.gpus else 0.08)


# -- Fargate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "usd"),
    [
        ({}, 2 * 0.04048 + 4 * 0.004445),
        ({"arch": "arm64"}, 2 * 0.03238 + 4 * 0.00356),
        ({"volume_gib": 50}, 2 * 0.04048 + 4 * 0.004445 + 30 * 0.000111),
        ({"spot": True}, 0.33 * (2 * 0.04048 + 4 * 0.004445)),
    ],
    ids=str,
)
def test_fargate_costs_vcpus_memory_and_disk_above_20_gib(options: dict[str, Any], usd: float) -> None:
    price = price_of(None, Resources(vcpus=2, memory_mib=4096, fargate=True, **options), region="us-east-1")
    assert price.usd_per_hour == pytest.approx(usd)
    assert price.machine_usd_per_hour == 0  # nothing stays idle


def test_fargates_rates_are_the_regions_own_and_no_other_kinds() -> None:
    lists = PriceLists(
        fargate={
            "EU-Fargate-vCPU-Hours:perCPU": 0.05,
            "EU-Fargate-Windows-vCPU-Hours:perCPU": 9.0,
            "EU-Fargate-GB-Hours": 0.005,
            "EU-Fargate-GB-Hours-SpotDiscount": 9.0,
            "EU-SpotUsage-Fargate-GB-Hours": 9.0,
            "EU-Fargate-EphemeralStorage-GB-Hours": 0.0002,
        }
    )
    resources = Resources(vcpus=1, memory_mib=2048, fargate=True, volume_gib=30)
    price = price_of(lists, resources, region="eu-west-1", clock=clock)  # type: ignore[arg-type]
    assert price.usd_per_hour == pytest.approx(0.05 + 2 * 0.005 + 10 * 0.0002)
    assert price.source == "AWS's Pricing API, eu-west-1, 2026-03-04 (Fargate)"


# -- AWS's own word ------------------------------------------------------------------------------------------


def test_on_demand_is_what_the_pricing_api_says_of_the_region() -> None:
    lists = PriceLists(on_demand={"m6i.large": 0.3, "c6i.large": 0.4, "r6i.large": 0.5})
    price = price_of(lists, SMALL, region="eu-west-1", clock=clock)  # type: ignore[arg-type]
    assert price.usd_per_hour == pytest.approx(0.15)  # not the table's cheapest; c7i is not to be had there
    assert price.source == "AWS's Pricing API, eu-west-1, 2026-03-04 (50% of m6i.large)"
    assert lists.regions == ["us-east-1"]  # only there does it answer


def test_spot_is_the_median_of_the_zones_latest_prices() -> None:
    zones = [("a", 0, 0.9), ("a", 5, 0.02), ("b", 0, 0.04), ("c", 0, 0.05), ("c", -9, 0.001)]
    lists = PriceLists(spot={"c6i.large": zones, "m6i.large": [("a", 0, 0.06)]})
    price = price_of(lists, Resources(memory_mib=1024, spot=True), region="eu-west-1", clock=clock)  # type: ignore[arg-type]
    assert price.machine == "c6i.large"
    assert price.usd_per_hour == pytest.approx(0.04 / 2)
    assert price.usd_per_hour_high == pytest.approx(0.04 / 2)
    assert price.source == "EC2's Spot price history, eu-west-1, 2026-03-04 (50% of c6i.large)"
    assert lists.asked == ["spot at 2026-03-04 12:00"]


def test_spot_of_an_earlier_day_is_that_days_and_not_remembered(tmp_path: Path) -> None:
    lists = PriceLists(spot={"c6i.large": [("a", 0, 0.04)]})
    at = NOON - datetime.timedelta(days=3)
    options: dict[str, Any] = {"region": "eu-west-1", "home": tmp_path, "clock": clock}
    resources = Resources(memory_mib=1024, spot=True)
    assert "2026-03-01" in price_of(lists, resources, at=at, **options).source  # type: ignore[arg-type]
    price_of(lists, resources, **options)  # type: ignore[arg-type]
    assert lists.asked == ["spot at 2026-03-01 12:00", "spot at 2026-03-04 12:00"]


def test_preferred_spot_may_be_up_to_on_demand() -> None:
    lists = PriceLists(spot={"c6i.large": [("a", 0, 0.04)]}, on_demand={"c6i.large": 0.1})
    price = price_of(lists, Resources(memory_mib=1024, spot="prefer"), region="eu-west-1", clock=clock)  # type: ignore[arg-type]
    assert price.usd_per_hour == pytest.approx(0.02)
    assert price.usd_per_hour_high == pytest.approx(0.05)
    assert "counted as Spot, up to 0.050 USD an hour where it is on demand" in price.source


@pytest.mark.parametrize(("bid", "usd"), [(20, 0.02 / 2), (90, 0.04 / 2)])
def test_a_bid_caps_the_price(bid: int, usd: float) -> None:
    lists = PriceLists(spot={"c6i.large": [("a", 0, 0.04)]}, on_demand={"c6i.large": 0.1})
    resources = Resources(memory_mib=1024, bid_percentage=bid)
    price = price_of(lists, resources, region="eu-west-1", clock=clock)  # type: ignore[arg-type]
    assert price.usd_per_hour == pytest.approx(usd)


def test_prices_are_asked_for_once_a_day(tmp_path: Path) -> None:
    lists = PriceLists(on_demand={"m6i.large": 0.3})
    now = [NOON.timestamp()]

    def price() -> float:
        found = price_of(lists, SMALL, region="eu-west-1", home=tmp_path, clock=lambda: now[0])  # type: ignore[arg-type]
        assert "2026-03-04" in found.source
        return found.usd_per_hour

    assert price() == price() == pytest.approx(0.15)
    assert sorted(lists.asked) == ["c6i.large", "c7i.large", "m6i.large", "r6i.large"]
    now[0] += 12 * 3600 - 1
    price()
    assert len(lists.asked) == 4
    now[0] += 12 * 3600 + 1
    assert (
        "2026-03-05"
        in price_of(
            lists,
            SMALL,
            region="eu-west-1",
            home=tmp_path,
            clock=lambda: now[0],  # type: ignore[arg-type]
        ).source
    )
    assert len(lists.asked) == 8


@pytest.mark.parametrize("content", [b"", b"[]", b'{"on-demand/m6i.large": 3}', b"\xff"])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "eu-west-1.json").write_bytes(content)
    lists = PriceLists(on_demand={"m6i.large": 0.3})
    price = price_of(lists, SMALL, region="eu-west-1", home=tmp_path, clock=clock)  # type: ignore[arg-type]
    assert price.usd_per_hour == pytest.approx(0.15)


# -- in the box ----------------------------------------------------------------------------------------------


def services_asked(box: Box) -> list[str]:
    return [call.service for call in box.calls() if call.service in ("pricing", "ec2")]


@pytest.mark.aws_box(executor="process")
def test_without_the_pricing_api_the_table_is_used_and_said(aws_box: Box, tmp_path: Path) -> None:
    price = price_of(Aws(), SMALL, region="us-east-1", home=tmp_path)
    assert price.usd_per_hour == pytest.approx(0.0425)
    assert price.source.startswith("cloudknot's own table of ")
    price_of(Aws(), SMALL, region="us-east-1", home=tmp_path)
    assert services_asked(aws_box) == [
        "pricing"
    ]  # it is left alone for an hour, and no failure is tried again


@pytest.mark.aws_box(executor="process")
def test_spot_prices_are_from_the_history(aws_box: Box, tmp_path: Path) -> None:
    resources = Resources(memory_mib=1024, spot=True)
    for _ in range(2):
        price = price_of(Aws(), resources, region="us-east-1", home=tmp_path)
        assert price.usd_per_hour == pytest.approx(0.00001 / 2)
        assert price.source.startswith("EC2's Spot price history, us-east-1, 20")
    assert services_asked(aws_box) == ["ec2"]


@pytest.mark.aws_box(executor="process")
def test_a_user_who_may_not_ask_for_spot_prices_gets_the_rule_of_thumb(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = aws_box.user("ada").get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    price = price_of(Aws(), Resources(memory_mib=1024, spot=True), region="us-east-1")
    assert "rule of thumb" in price.source


@pytest.mark.aws_box(executor="process")
def test_machines_that_the_table_does_not_know_are_looked_up(aws_box: Box) -> None:
    resources = Resources(vcpus=3, memory_mib=20_000, instance_types=("x2iedn",), spot=True)
    price = price_of(Aws(), resources, region="us-east-1")
    assert price.machine == "x2iedn.xlarge"
    assert price.usd_per_hour == pytest.approx(0.00001 * 3 / 4)


@pytest.mark.aws_box(executor="process")
def test_a_machine_whose_price_nobody_knows_is_an_error_that_says_what_to_do(aws_box: Box) -> None:
    resources = Resources(vcpus=3, memory_mib=20_000, instance_types=("x2iedn",))
    with pytest.raises(AwsError, match=r"no price is known of x2iedn\.xlarge .* needs pricing:GetProducts"):
        price_of(Aws(), resources, region="us-east-1")
