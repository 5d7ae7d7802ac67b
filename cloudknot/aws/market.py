"""The prices of one region: from AWS, remembered for a day, and else from the table of the package."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudknot.aws.price_sources import fargate_rates, find_machines, on_demand_prices, spot_prices
from cloudknot.aws.price_table import FargateRates, Machine, PriceTable, read_price_table
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError
from cloudknot.runner.stores import FileStore

# The Pricing API answers for all regions, but only in a few of them.
_PRICING_REGION = "us-east-1"
_DAY_S = 86_400
# So long the Pricing API is left alone that could not be reached: each try may take a minute.
_UNREACHED_S = 3600
_UNREACHED = "unreached"


class PriceCache:
    """What AWS has said, for a day.

    Parameters
    ----------
    home : Path or None
        The folder of the ledger; None remembers nothing.
    region : str
        The region.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, home: Path | None, region: str, clock: Callable[[], float]) -> None:
        self._store = FileStore(home) if home is not None else None
        self._key = f"prices/{region}.json"
        self._clock = clock

    def get(self, name: str, *, for_s: float = _DAY_S) -> tuple[Any, float] | None:
        """Return what was put and when, unless it is too old."""
        try:
            value, put_at = self._read()[name]
        except (KeyError, ValueError, TypeError):
            return None
        return (value, put_at) if 0 <= self._clock() - put_at < for_s else None

    def put(self, values: Mapping[str, Any]) -> None:
        """Remember values by name."""
        if self._store is not None and values:
            now = self._clock()
            kept = {**self._read(), **{name: (value, now) for name, value in values.items()}}
            self._store.put(self._key, json.dumps(kept).encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._store.get(self._key)) if self._store is not None else {}
        except (KeyError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class Market:
    """The prices of one region.

    Parameters
    ----------
    aws : Aws or None
        None goes by the table alone.
    region : str
        The region.
    home : Path or None
        Where prices are remembered.
    at : datetime, optional
        Spot prices of when; None: of now.
    clock : callable
        Seconds since 1970.

    Attributes
    ----------
    sources : list of str
        Where what was asked for is from.
    """

    def __init__(
        self,
        aws: Aws | None,
        region: str,
        *,
        home: Path | None = None,
        at: datetime.datetime | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._aws = aws
        self._region = region
        self._cache = PriceCache(home, region, clock)
        self._at = at
        self._clock = clock
        self.sources: list[str] = []

    @property
    def table(self) -> PriceTable:
        """Return the table of the package."""
        return read_price_table()

    def machines(self, wanted: Iterable[str]) -> list[Machine]:
        """Return the kinds of machine that types and families name."""
        known = self.table.machines.values()
        found = [machine for machine in known if {machine.name, machine.family} & set(wanted)]
        seen = {name for machine in found for name in (machine.name, machine.family)}
        unknown = [name for name in wanted if name not in seen]
        if unknown and self._aws is not None:
            found += find_machines(self._here(self._aws), unknown)
        return found

    def on_demand(self, machines: Sequence[Machine]) -> dict[str, float]:
        """Return what machines cost on demand, in USD an hour; those not to be had are missing."""
        names = [machine.name for machine in machines]
        found = self._ask(
            "on-demand", names, lambda pricing, some: on_demand_prices(pricing, self._region, some)
        )
        if found:
            return found
        self._tell(self.table.describe(self._region))
        return {machine.name: usd for machine in machines if (usd := machine.usd_per_hour) is not None}

    def spot(self, machines: Sequence[Machine]) -> dict[str, float]:
        """Return the Spot prices of machines, in USD an hour; those not to be had are missing."""
        found = self._ask_spot([machine.name for machine in machines])
        if found:
            return found
        share = self.table.spot_share
        self._tell(f"Spot taken as {share:.0%} of on demand, a rule of thumb")
        return {name: usd * share for name, usd in self.on_demand(machines).items()}

    def fargate(self, arch: str) -> FargateRates:
        """Return Fargate's rates on demand."""

        def ask(pricing: Aws, _: Sequence[str]) -> dict[str, dict[str, float]]:
            return {name: vars(rates) for name, rates in fargate_rates(pricing, self._region).items()}

        found = self._ask("fargate", [arch], ask)
        if arch in found:
            return FargateRates(**found[arch])
        self._tell(self.table.describe(self._region))
        return self.table.fargate[arch]

    def _ask(
        self, kind: str, names: Sequence[str], ask: Callable[[Aws, Sequence[str]], dict[str, Any]]
    ) -> dict[str, Any]:
        kept = self._kept(kind, names)
        missing = [name for name in names if name not in kept]
        if missing and self._aws is not None and self._cache.get(_UNREACHED, for_s=_UNREACHED_S) is None:
            try:
                answered = ask(self._aws.at(_PRICING_REGION), missing)
            except AwsError as error:
                self._cache.put({_UNREACHED: str(error)})
                return {}
            self._cache.put({f"{kind}/{name}": answered.get(name) for name in {*missing, *answered}})
            kept = self._kept(kind, names) or {name: (one, self._clock()) for name, one in answered.items()}
        found = {name: one for name, (one, _) in kept.items() if one is not None}
        if found:
            self._tell(f"AWS's Pricing API, {self._region}, {_day(min(at for _, at in kept.values()))}")
        return found

    def _ask_spot(self, names: Sequence[str]) -> dict[str, float]:
        kept = self._kept("spot", names) if self._at is None else {}
        if len(kept) < len(names) and self._aws is not None:
            at = self._at or datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
            try:
                answered = spot_prices(self._here(self._aws), names, at)
            except AwsError:
                return {}
            kept = {name: (answered.get(name), at.timestamp()) for name in names}
            if self._at is None:
                self._cache.put({f"spot/{name}": one for name, (one, _) in kept.items()})
        found = {name: one for name, (one, _) in kept.items() if one is not None}
        if found:
            day = _day(min(at for _, at in kept.values()))
            self._tell(f"EC2's Spot price history, {self._region}, {day}")
        return found

    def _kept(self, kind: str, names: Iterable[str]) -> dict[str, tuple[Any, float]]:
        found = {name: self._cache.get(f"{kind}/{name}") for name in names}
        return {name: kept for name, kept in found.items() if kept is not None}

    def _tell(self, source: str) -> None:
        if source not in self.sources:
            self.sources.append(source)

    def _here(self, aws: Aws) -> Aws:
        return aws if aws.region == self._region else aws.at(self._region)


def _day(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d}"
