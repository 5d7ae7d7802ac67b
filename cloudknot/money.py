"""What jobs cost: the price of one, what a map will cost, and the budget that may stop it. Pure."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import NamedTuple

from cloudknot.errors import InputError

_HOUR_S = 3600
# S3 Standard in us-east-1, 2025-06: a PUT (a LIST too), and a GET.
PUT_USD, GET_USD = 5e-6, 4e-7
# A job reads what it runs and its arguments: run, wave, function, modules, a slice or two, and looks at
# what is committed. For each pack it puts the pack and the news of it; the client lists that and reads it.
_GETS_A_JOB = 8
_PUTS_A_PACK, _GETS_A_PACK = 3, 1
# A machine is paid from its start to its end: about so long it boots, and waits for more when all is done.
BOOT_S, IDLE_S = 90.0, 300.0
# Where no machine is there, Batch takes some minutes to have the first (not documented).
_FIRST_MACHINE_S = 300.0
# A budget looks ahead when so many items, and such a part of them, have ended.
_SURE_ITEMS, _SURE_SHARE = 10, 0.01
# Items whose times scatter as much as their mean: two standard errors of the mean of n are 2 / sqrt(n).
_MARGIN = 2.0


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one job costs.

    Parameters
    ----------
    usd_per_hour : float
        USD an hour of one job: the share that it asks for of its machine, or its size on Fargate.
    source : str
        Where that is from, and of which day.
    usd_per_hour_high : float, optional
        The most that it may be: what does not fit beside other jobs is lost, and Spot that is only
        preferred may be on demand. None: no more than ``usd_per_hour``.
    storage_usd_per_hour : float
        The same share of the machine's disk.
    machine : str
        The kind of machine, such as ``"c6i.large"``; empty on Fargate.
    machine_usd_per_hour : float
        USD an hour of all of it.
    jobs_per_machine : int
        How many such jobs it holds.
    """

    usd_per_hour: float
    source: str
    usd_per_hour_high: float | None = None
    storage_usd_per_hour: float = 0.0
    machine: str = ""
    machine_usd_per_hour: float = 0.0
    jobs_per_machine: int = 1

    def usd(self, seconds: float) -> float:
        """Return the USD of one job for so many seconds, without its disk."""
        return self.usd_per_hour * seconds / _HOUR_S


class Line(NamedTuple):
    """One part of an estimate: what it is for, and the USD."""

    what: str
    usd: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a map will cost and how long it will take; see `estimate` for the formula.

    Parameters
    ----------
    n_items, n_jobs : int
        Items, and the jobs that run them.
    hours : float
        Hours of jobs in all, their starts among them.
    lines : tuple of Line
        The parts of ``usd``.
    usd_high : float
        The most that is to be expected.
    wall_s, wall_s_high : float
        From the first job's start where machines are there at once, and where they must be started first.
    source : str
        Where the prices are from, and of which day.
    left_out : str
        What is not in it.
    """

    n_items: int
    n_jobs: int
    hours: float
    lines: tuple[Line, ...]
    usd_high: float
    wall_s: float
    wall_s_high: float
    source: str
    left_out: str = "CloudWatch's logs (0.50 USD a GB), data that leaves the region, a NAT gateway, taxes"

    @property
    def usd(self) -> float:
        """Return what it will cost in USD."""
        return sum(line.usd for line in self.lines)

    def __str__(self) -> str:
        return "\n".join(f"{name + ':':<10}{text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<tr><th style="text-align: left">{name}</th>'
            f'<td style="text-align: left">{html.escape(text)}</td></tr>'
            for name, text in self._rows()
        )
        return f"<table>{cells}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        jobs = "1 job" if self.n_jobs == 1 else f"{self.n_jobs:,} jobs"
        return [
            ("Cost", f"{describe_usd(self.usd)}, at most about {describe_usd(self.usd_high)}"),
            *((line.what, describe_usd(line.usd)) for line in self.lines),
            (
                "Jobs",
                f"{jobs} for {self.n_items:,} item{'s' * (self.n_items != 1)}, {self.hours:.3g} h in all",
            ),
            ("Time", f"{_describe_s(self.wall_s)} to {_describe_s(self.wall_s_high)}"),
            ("Prices", self.source),
            ("Without", self.left_out),
        ]


def estimate(
    price: Price,
    n_items: int,
    seconds_per_item: float,
    *,
    start_s: float,
    max_parallel: int,
    chunk_s: float,
    commit_s: float = 3.0,
) -> Estimate:
    r"""Say what a map will cost, and how long it will take.

    Parameters
    ----------
    price : Price
        Of one job.
    n_items : int
        Items.
    seconds_per_item : float
        Wall time of one.
    start_s : float
        Seconds that a job holds its machine before its first item: its image is pulled (once a
        machine), the container starts, the modules are imported.
    max_parallel : int
        Jobs side by side.
    chunk_s : float
        Seconds that a job shall last; it holds at least one item.
    commit_s : float
        Seconds after which a job commits what has ended.

    Raises
    ------
    InputError
        A number will not do.

    Notes
    -----
    With :math:`k = \max(1, \lfloor chunk / item \rfloor)` items a job there are
    :math:`J = \lceil n / k \rceil` jobs, of :math:`H = (n \cdot item + J \cdot start) / 3600` hours in
    all. Jobs cost :math:`H` times the price, disks :math:`H` times the share of a disk, and S3 its
    requests: for a job 8 GET, for each pack (one in ``max(commit_s, seconds_per_item)``) 3 PUT and a GET.
    ``usd_high`` takes the price's upper bound for :math:`H`, which holds what does not fit beside other
    jobs, and adds for each machine 90 s to boot and 300 s idle at the end.

    Examples
    --------
    >>> price = Price(usd_per_hour=0.36, source="an example")
    >>> cheap = estimate(price, 100, 36, start_s=0, max_parallel=10, chunk_s=36)
    >>> cheap.hours, round(cheap.lines[0].usd, 6), cheap.wall_s
    (1.0, 0.36, 360.0)
    """
    _check(n_items=n_items, seconds_per_item=seconds_per_item, max_parallel=max_parallel)
    per_job = max(1, int(chunk_s / seconds_per_item + 1e-9))  # 100 // 0.1 is 999
    n_jobs = math.ceil(n_items / per_job)
    parallel = min(max_parallel, n_jobs)
    hours = (n_items * seconds_per_item + n_jobs * start_s) / _HOUR_S
    job_s = min(per_job, n_items) * seconds_per_item
    packs = min(n_items, n_jobs * math.ceil(job_s / max(commit_s, seconds_per_item)))
    rest = (
        Line("Disks", hours * price.storage_usd_per_hour),
        Line(
            "S3", n_jobs * _GETS_A_JOB * GET_USD + packs * (_PUTS_A_PACK * PUT_USD + _GETS_A_PACK * GET_USD)
        ),
    )
    idle_h = math.ceil(parallel / price.jobs_per_machine) * (BOOT_S + IDLE_S) / _HOUR_S
    highest = price.usd_per_hour if price.usd_per_hour_high is None else price.usd_per_hour_high
    wall_s = float(math.ceil(n_jobs / parallel) * (start_s + job_s))
    return Estimate(
        n_items=n_items,
        n_jobs=n_jobs,
        hours=hours,
        lines=(Line("Compute", hours * price.usd_per_hour), *rest),
        usd_high=hours * highest + sum(line.usd for line in rest) + idle_h * price.machine_usd_per_hour,
        wall_s=wall_s,
        wall_s_high=wall_s + _FIRST_MACHINE_S,
        source=price.source,
    )


class Meter:
    """Adds up the seconds of the jobs that run.

    Parameters
    ----------
    seconds : float
        Those of before: after a crash, what the envelopes of all ended items tell.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._running = 0.0

    def observe(self, *, running: float, elapsed_s: float) -> None:
        """Take note of how many jobs run now; since the last look it is the mean of then and now.

        Parameters
        ----------
        running : float
            Jobs that have a machine. One of another price counts as so many of this one.
        elapsed_s : float
            Seconds since the last look.
        """
        self.seconds += max(0.0, elapsed_s) * (running + self._running) / 2
        self._running = running


class Budget:
    """Decides from what a run has spent, and will spend, whether it goes on.

    What is spent is what its jobs have run, at the price. It stops when that is the limit; and
    before that when what is still to be run, at the mean time of the items that have ended,
    would pass the limit. The mean is taken from 10 items and 1 % of all on, and reduced by two
    standard errors, so that a run that will stay within its limit is not stopped for a few slow
    items. Items that run now count for what they have used.

    Parameters
    ----------
    limit_usd : float
        What the run may cost.
    price : Price
        Of one job.
    meter : Meter, optional
        What was used before.

    Attributes
    ----------
    reason : str
        Empty, or why the run must stop.

    Raises
    ------
    InputError
        The limit is no positive number.
    """

    def __init__(self, limit_usd: float, price: Price, *, meter: Meter | None = None) -> None:
        _check(budget_usd=limit_usd)
        self._limit_usd = limit_usd
        self._price = price
        self._meter = meter or Meter()
        self.reason = ""

    @property
    def spent_usd(self) -> float:
        """Return what was spent until it was last looked."""
        return self._price.usd(self._meter.seconds)

    def observe(
        self, *, running: float, elapsed_s: float, ended: int, total: int, item_s: float = 0.0
    ) -> None:
        """Take note of where the run stands; ``reason`` is set when it must stop.

        Parameters
        ----------
        running : float
            Jobs that have a machine.
        elapsed_s : float
            Seconds since the last look.
        ended, total : int
            Items that have ended, and all.
        item_s : float
            The seconds that the ended items took together, as their envelopes tell. Without them only
            what is spent decides: what was spent holds the starts of jobs, which later items do
            not pay again.
        """
        self._meter.observe(running=running, elapsed_s=elapsed_s)
        if self.reason or ended >= total:
            return
        spent, limit = self.spent_usd, describe_usd(self._limit_usd)
        so_far = f"{describe_usd(spent)} spent for {ended:,} of {total:,} items"
        cure = f"give a larger budget_usd for the rest (prices: {self._price.source})"
        if spent >= self._limit_usd:
            self.reason = f"the budget of {limit} is used up: {so_far}; {cure}"
            return
        projected = self._price.usd(self._projected_s(running, ended, total, item_s))
        if projected > self._limit_usd:
            expected = f"at least {describe_usd(projected)} to be expected"
            self.reason = f"the budget of {limit} is too small: {so_far}, {expected}; {cure}"

    def _projected_s(self, running: float, ended: int, total: int, item_s: float) -> float:
        if ended < max(_SURE_ITEMS, _SURE_SHARE * total):
            return 0.0
        mean_s = item_s / ended / (1 + _MARGIN / math.sqrt(ended))
        waiting = max(0.0, total - ended - running)
        return max(self._meter.seconds + waiting * mean_s, item_s + (total - ended) * mean_s)


def describe_usd(usd: float) -> str:
    """Return an amount to the cent, and a small one to two figures.

    Examples
    --------
    >>> describe_usd(1234.5), describe_usd(0.00123), describe_usd(0)
    ('1,234.50 USD', '0.0012 USD', '0.00 USD')
    """
    if usd and abs(usd) < 0.1:  # noqa: PLR2004  # ten cents
        digits = 1 - math.floor(math.log10(abs(usd)))
        return f"{usd:.{digits}f} USD"
    return f"{usd:,.2f} USD"


def _describe_s(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / _HOUR_S:,.1f} h"  # noqa: PLR2004  # two hours


def _check(**numbers: float) -> None:
    for name, number in numbers.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not (is_number and number > 0 and math.isfinite(number)):
            raise InputError(f"{name} must be a number above 0, not {number!r}")
