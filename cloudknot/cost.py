"""What a run has cost, from the times of its jobs; kept in its ledger, for Batch forgets jobs."""

from __future__ import annotations

import datetime
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from cloudknot.aws.planning import job_slices
from cloudknot.aws.prices import price_of
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import DISK_GIB
from cloudknot.aws.times import JobTime, job_times
from cloudknot.ledger import read_mark, write_mark
from cloudknot.money import Price
from cloudknot.runner.envelopes import seconds_in
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store
from cloudknot.runner.waves import Wave, read_wave
from cloudknot.runs import Run

_DAY_S = 86_400
_HOUR_S = 3600
NOT_IN_IT = "the minutes in which machines start and are idle, S3, logs, data that leaves the region, taxes"


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """What one submitted job, or all children of one array, has cost.

    Parameters
    ----------
    seconds, usd : float
        All attempts of all children.
    cut_s, cut_usd : float
        Of these, attempts that ended otherwise than well, such as with a lost machine.
    storage_usd : float
        Their share of the machines' disks.
    children, attempts : int
        Children, and attempts that began to run.
    forgotten : int
        Children that Batch has forgotten: of them the seconds of their items are counted.
    is_over : bool
        Whether nothing more will come.
    source : str
        Where the price is from, and of which day.
    """

    seconds: float
    usd: float
    cut_s: float = 0.0
    cut_usd: float = 0.0
    storage_usd: float = 0.0
    children: int = 1
    attempts: int = 0
    forgotten: int = 0
    is_over: bool = True
    source: str = ""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> JobCost:
        """Return what a ledger has kept; fields of newer versions are passed over."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run has cost so far.

    Parameters
    ----------
    run_id, place : str
        Which, and where it runs.
    ended : int
        Items of it that have ended.
    jobs : tuple of JobCost
        Those that were submitted; none where it runs on this machine.
    unconfirmed : int
        Waves of jobs that are planned and not written down as submitted: their jobs are not counted.
    """

    run_id: str
    place: str
    ended: int
    jobs: tuple[JobCost, ...] = ()
    unconfirmed: int = 0

    @property
    def usd(self) -> float:
        """Return what its jobs have cost in USD, with their disks."""
        return sum(job.usd + job.storage_usd for job in self.jobs)

    @property
    def cut_usd(self) -> float:
        """Return what attempts have cost that ended otherwise than well."""
        return sum(job.cut_usd for job in self.jobs)

    @property
    def storage_usd(self) -> float:
        """Return what disks have cost."""
        return sum(job.storage_usd for job in self.jobs)

    @property
    def seconds(self) -> float:
        """Return how long its jobs have run together."""
        return sum(job.seconds for job in self.jobs)

    @property
    def usd_per_item(self) -> float | None:
        """Return what an item has cost; None while none has ended."""
        return self.usd / self.ended if self.ended else None

    @property
    def sources(self) -> tuple[str, ...]:
        """Return where the prices are from, and of which days."""
        return tuple(dict.fromkeys(job.source for job in self.jobs if job.source))

    @property
    def is_final(self) -> bool:
        """Return whether all of its jobs are over."""
        return all(job.is_over for job in self.jobs) and not self.unconfirmed

    def count(self, name: str) -> int:
        """Return how many ``children``, ``attempts`` or ``forgotten`` there are in all."""
        return sum(getattr(job, name) for job in self.jobs)

    def to_json(self) -> dict[str, Any]:
        """Return it for another program."""
        return {
            "run_id": self.run_id,
            "backend": self.place,
            "usd": self.usd,
            "compute_usd": self.usd - self.storage_usd,
            "cut_usd": self.cut_usd,
            "storage_usd": self.storage_usd,
            "usd_per_item": self.usd_per_item,
            "ended": self.ended,
            "hours": self.seconds / _HOUR_S,
            "jobs": self.count("children"),
            "attempts": self.count("attempts"),
            "forgotten": self.count("forgotten"),
            "unconfirmed": self.unconfirmed,
            "is_final": self.is_final,
            "prices": list(self.sources),
            "left_out": NOT_IN_IT if self.jobs else None,
        }


class _Submitted(NamedTuple):
    """A job as the ledger names it."""

    job_id: str
    wave: Wave
    offset: int
    size: int

    def positions(self, index: int | None) -> Iterator[tuple[int, int]]:
        """Yield first and last (exclusive) of a child's items; of all children for None."""
        for number in range(self.size) if index is None else (index,):
            chunk = self.wave.chunk(self.offset + number)
            yield chunk.first, chunk.last


class _Ran(NamedTuple):
    """What is known of the children of a job."""

    times: list[JobTime]
    forgotten: int
    item_s: float


def cost_of(
    run: Run,
    store: Store,
    aws: Aws,
    *,
    ended: int,
    now: float,
    disk_gib: int = DISK_GIB,
    home: Path | None = None,
) -> Cost:
    """Return what a run has cost so far, and keep in its ledger what is final.

    Parameters
    ----------
    run : Run
        The run.
    store : Store
        Where it is.
    aws : Aws
        Of the region in which its jobs are; not asked where the run is on this machine.
    disk_gib : int
        The disk of its stack's machines, where it asks for no other.
    ended : int
        Items that have ended.
    now : float
        Seconds since 1970, for jobs that still run.
    home : Path, optional
        Where prices are remembered.

    Raises
    ------
    AwsError
        Batch could not be asked, or no price is known.
    """
    submitted = list(_submitted(store, run.run_id))
    keys = Keys(run.run_id)
    kept = (read_mark(store, keys.cost) or {"jobs": {}})["jobs"]
    costs = {job_id: JobCost.from_json(record) for job_id, record in kept.items()}
    missing = [job for job in submitted if job.job_id not in costs]
    if missing:
        pricer = _Pricer(run, aws, disk_gib, home, now)
        ran = _ask(run, store, aws, missing)
        found = {job.job_id: pricer.cost(job, ran[job.job_id]) for job in missing}
        # What Batch does not know may be too new for it; what it has forgotten can be read again.
        is_final = {job_id: cost.is_over and not cost.forgotten for job_id, cost in found.items()}
        final = {job_id: asdict(cost) for job_id, cost in found.items() if is_final[job_id]}
        if final:
            write_mark(store, keys.cost, {"jobs": {**kept, **final}})
        costs |= found
    unconfirmed = sum(1 for _ in store.list(keys.waves)) - len({job.wave.number for job in submitted})
    return Cost(
        run_id=run.run_id,
        place=run.backend,
        ended=ended,
        jobs=tuple(costs.values()),
        unconfirmed=max(0, unconfirmed),
    )


def _submitted(store: Store, run_id: str) -> Iterator[_Submitted]:
    keys = Keys(run_id)
    for key in store.list(keys.submitted(0).rpartition("/")[0] + "/"):
        number = int(key.rpartition("/")[2])
        wave, mark = read_wave(store, run_id, number), read_mark(store, key) or {"jobs": {}}
        sizes = {part.offset: part.size for part in job_slices(wave.n_chunks)}
        for offset, job_id in mark["jobs"].items():
            yield _Submitted(job_id, wave, int(offset), sizes[int(offset)])


def _ask(run: Run, store: Store, aws: Aws, jobs: list[_Submitted]) -> dict[str, _Ran]:
    times: dict[str, list[JobTime]] = defaultdict(list)
    for one in job_times(aws, [job.job_id for job in jobs]):
        times[one.job_id.partition(":")[0]].append(one)
    lost = {
        job.job_id: [span for one in times[job.job_id] if not one.is_known for span in _positions(job, one)]
        for job in jobs
    }
    item_s = _item_seconds(store, run, lost) if any(lost.values()) else defaultdict(float)
    return {
        job.job_id: _Ran(
            [one for one in times[job.job_id] if one.is_known], len(lost[job.job_id]), item_s[job.job_id]
        )
        for job in jobs
    }


def _positions(job: _Submitted, one: JobTime) -> Iterator[tuple[int, int]]:
    index = one.job_id.partition(":")[2]
    return job.positions(int(index) if index else None)


def _item_seconds(
    store: Store, run: Run, spans: Mapping[str, Iterable[tuple[int, int]]]
) -> Mapping[str, float]:
    """Return how long the items took that each job had; one that was planned again is its last job's."""
    job_ids = list(spans)
    owners = array("l", [-1]) * run.orders.count
    for number, job_id in enumerate(job_ids):
        for first, last in spans[job_id]:
            owners[first:last] = array("l", [number]) * (last - first)
    found: dict[str, float] = defaultdict(float)
    for key in store.list(Keys(run.run_id).packs):
        for position, seconds in seconds_in(store.get(key)):
            if owners[position] >= 0:
                found[job_ids[owners[position]]] += seconds
    return found


class _Pricer:
    """Prices jobs: each at the price of the middle of its time."""

    def __init__(self, run: Run, aws: Aws, disk_gib: int, home: Path | None, now: float) -> None:
        self._run = run
        self._aws = aws
        self._disk_gib = disk_gib
        self._home = home
        self._now = now
        self._prices: dict[tuple[int, int | None], Price] = {}

    def cost(self, job: _Submitted, ran: _Ran) -> JobCost:
        """Return what a job has cost."""
        attempts = [attempt for one in ran.times for attempt in one.attempts]
        seconds = sum(attempt.seconds(self._now) for attempt in attempts) + ran.item_s
        cut_s = sum(attempt.seconds(self._now) for attempt in attempts if attempt.is_cut)
        starts = [attempt.started_s for attempt in attempts]
        created = datetime.datetime.fromisoformat(self._run.created).timestamp()
        ends = [attempt.stopped_s or self._now for attempt in attempts]
        middle = (min(starts) + max(ends)) / 2 if attempts else created
        price = self._price(job.wave.memory_mib, middle)
        return JobCost(
            seconds=seconds,
            usd=price.usd(seconds),
            cut_s=cut_s,
            cut_usd=price.usd(cut_s),
            storage_usd=price.storage_usd_per_hour * seconds / _HOUR_S,
            children=job.size,
            attempts=len(attempts),
            forgotten=ran.forgotten,
            is_over=all(one.is_over for one in ran.times),
            source=price.source if seconds else "",
        )

    def _price(self, memory_mib: int, middle: float) -> Price:
        # Today's prices are remembered; those of an earlier hour are asked for.
        hour = None if self._now - middle < _DAY_S else int(middle // _HOUR_S)
        if (memory_mib, hour) not in self._prices:
            resources = replace(self._run.resources, memory_mib=memory_mib)
            at = None if hour is None else datetime.datetime.fromtimestamp(hour * _HOUR_S, datetime.UTC)
            self._prices[memory_mib, hour] = price_of(
                self._aws, resources, region=self._aws.region, disk_gib=self._disk_gib, home=self._home, at=at
            )
        return self._prices[memory_mib, hour]
