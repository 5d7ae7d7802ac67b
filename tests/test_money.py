"""What a map will cost, and when a budget stops one: against figures worked out by hand."""

from __future__ import annotations

import pytest

from cloudknot.errors import InputError
from cloudknot.money import Budget, Estimate, Meter, Price, describe_usd, estimate

# A job for one USD a 1000 s, so that figures can be worked out in the head.
PRICE = Price(usd_per_hour=3.6, source="worked out by hand")


def estimate_map(
    price: Price = PRICE, n_items: int = 1000, seconds_per_item: float = 10.0, **options
) -> Estimate:
    return estimate(
        price, n_items, seconds_per_item, **{"start_s": 20, "max_parallel": 4, "chunk_s": 100, **options}
    )


def usd_of(estimated: Estimate, what: str) -> float:
    [usd] = [line.usd for line in estimated.lines if line.what == what]
    return usd


def test_jobs_cost_their_items_and_their_starts() -> None:
    made = estimate_map()
    assert made.n_jobs == 100
    assert made.hours == pytest.approx((1000 * 10 + 100 * 20) / 3600)
    assert usd_of(made, "Compute") == pytest.approx(12.0)


def test_a_job_holds_at_least_one_item() -> None:
    assert estimate_map(n_items=7, seconds_per_item=1e4).n_jobs == 7


def test_the_time_is_that_of_jobs_one_after_the_other_on_each_machine() -> None:
    made = estimate_map()
    assert made.wall_s == 25 * (20 + 100)  # 100 jobs, 4 side by side
    assert made.wall_s_high > made.wall_s


def test_a_single_short_map_takes_no_longer_than_its_items() -> None:
    assert estimate_map(n_items=3, max_parallel=100).wall_s == 20 + 3 * 10


def test_disks_cost_the_share_of_the_machine() -> None:
    made = estimate_map(Price(usd_per_hour=3.6, source="", storage_usd_per_hour=0.36))
    assert usd_of(made, "Disks") == pytest.approx(1.2)


def test_s3_is_asked_for_each_job_and_each_pack() -> None:
    # 100 jobs of 10 items; an item longer than a commit's time is a pack of its own: 1,000 packs.
    made = estimate_map(commit_s=3)
    assert usd_of(made, "S3") == pytest.approx(100 * 8 * 4e-7 + 1000 * (3 * 5e-6 + 4e-7))
    # 1,000 items of 0.1 s are one job of 100 s, and so 10 packs.
    made = estimate_map(seconds_per_item=0.1, commit_s=10)
    assert usd_of(made, "S3") == pytest.approx(8 * 4e-7 + 10 * (3 * 5e-6 + 4e-7))


def test_at_most_it_costs_what_does_not_fit_on_machines_and_their_idle_minutes() -> None:
    price = Price(
        usd_per_hour=3.6,
        usd_per_hour_high=5.0,
        source="",
        machine="m",
        machine_usd_per_hour=10.0,
        jobs_per_machine=2,
    )
    made = estimate_map(price)
    two_machines_idle = 2 * 390 / 3600 * 10.0
    assert made.usd_high == pytest.approx(made.hours * 5.0 + usd_of(made, "S3") + two_machines_idle)


def test_an_estimate_is_readable() -> None:
    text = str(estimate_map(Price(usd_per_hour=3.6, source="a price list of <today>")))
    assert "12.02 USD, at most about" in text
    assert "100 jobs for 1,000 items, 3.33 h in all" in text
    assert "50 min to 55 min" in text
    assert "a price list of <today>" in text
    assert "CloudWatch" in text


def test_an_estimate_in_a_notebook_is_a_table() -> None:
    shown = estimate_map(Price(usd_per_hour=3.6, source="a price list of <today>"))._repr_html_()
    assert shown.startswith("<table><tr><th")
    assert "a price list of &lt;today&gt;" in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_items", 0), ("n_items", True), ("seconds_per_item", -1.0), ("max_parallel", 0)],
)
def test_a_number_that_cannot_be_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be a number above 0, not {value}"):
        estimate_map(**{name: value})


def test_a_meter_adds_up_what_runs() -> None:
    meter = Meter(seconds=100.0)
    meter.observe(running=0, elapsed_s=0)
    meter.observe(running=10, elapsed_s=10)  # from none to ten: five at a mean
    meter.observe(running=10, elapsed_s=10)
    meter.observe(running=0, elapsed_s=4)
    assert meter.seconds == 100 + 50 + 100 + 20


class Simulated:
    """A run of equal jobs, looked at once a second, with the budget that watches it."""

    def __init__(
        self, *, total: int, parallel: int, item_s: float, start_s: float, budget_usd: float, per_job: int = 1
    ) -> None:
        self.budget = Budget(budget_usd, PRICE)
        self.stopped_at: int | None = None
        job_s = start_s + per_job * item_s
        n_jobs = -(-total // per_job)
        self.usd = n_jobs * job_s / 1000
        rounds = -(-n_jobs // parallel)
        for now in range(int(rounds * job_s) + 2):
            round_number, within_s = divmod(now, job_s)
            in_job = min(per_job, max(0, int((within_s - start_s) // item_s)))
            before = int(round_number) * parallel
            running = max(0, min(parallel, n_jobs - before))
            ended = min(total, (before * per_job) + running * in_job)
            self.budget.observe(
                running=running, elapsed_s=1 if now else 0, ended=ended, total=total, item_s=ended * item_s
            )
            if self.budget.reason:
                self.stopped_at = now
                return


SHAPES = [
    {"total": 1000, "parallel": 10, "item_s": 20, "start_s": 0},
    {"total": 10_000, "parallel": 1000, "item_s": 1, "start_s": 30, "per_job": 10},
    {"total": 5000, "parallel": 250, "item_s": 7, "start_s": 60, "per_job": 20},
    {"total": 100, "parallel": 100, "item_s": 300, "start_s": 45},
    {"total": 5, "parallel": 1, "item_s": 50, "start_s": 5},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_run_that_will_stay_within_its_budget_is_never_stopped(shape: dict) -> None:
    usd = Simulated(**shape, budget_usd=1e9).usd
    assert Simulated(**shape, budget_usd=usd * 1.02).budget.reason == ""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_run_that_costs_twice_its_budget_is_stopped_before_it_has_spent_much_more(shape: dict) -> None:
    limit = Simulated(**shape, budget_usd=1e9).usd / 2
    run = Simulated(**shape, budget_usd=limit)
    assert run.budget.reason
    assert run.budget.spent_usd <= limit * 1.05 + shape["parallel"] / 1000


def test_a_run_far_beyond_its_budget_is_stopped_long_before_it_is_used_up() -> None:
    run = Simulated(total=10_000, parallel=10, item_s=20, start_s=0, budget_usd=50)  # of 200
    assert run.stopped_at is not None
    assert run.budget.spent_usd < 3
    assert run.budget.reason.startswith("the budget of 50.00 USD is too small: ")
    assert "to be expected" in run.budget.reason
    assert "worked out by hand" in run.budget.reason


def test_the_reason_names_the_figures() -> None:
    budget = Budget(1.0, PRICE)
    budget.observe(running=10, elapsed_s=0, ended=0, total=2000)
    budget.observe(running=10, elapsed_s=110, ended=5, total=2000)
    assert budget.reason == (
        "the budget of 1.00 USD is used up: 1.10 USD spent for 5 of 2,000 items; "
        "give a larger budget_usd for the rest (prices: worked out by hand)"
    )


def test_few_items_say_nothing_about_the_rest() -> None:
    budget = Budget(100.0, PRICE)
    budget.observe(running=1, elapsed_s=0, ended=0, total=1000)
    budget.observe(running=1, elapsed_s=900, ended=9, total=1000, item_s=900)
    assert budget.reason == ""
    budget = Budget(100.0, PRICE)
    budget.observe(running=1, elapsed_s=0, ended=0, total=5000)
    budget.observe(running=1, elapsed_s=900, ended=49, total=5000, item_s=49 * 900)
    assert budget.reason == ""
    budget.observe(running=1, elapsed_s=9, ended=50, total=5000, item_s=50 * 900)
    assert "at least" in budget.reason


def test_a_run_that_has_ended_is_not_stopped() -> None:
    budget = Budget(1.0, PRICE)
    budget.observe(running=10, elapsed_s=0, ended=0, total=20)
    budget.observe(running=0, elapsed_s=1000, ended=20, total=20, item_s=5000)
    assert budget.reason == ""


def test_what_was_spent_before_a_crash_counts() -> None:
    budget = Budget(1.0, PRICE, meter=Meter(seconds=999))
    budget.observe(running=1, elapsed_s=0, ended=0, total=20)
    assert budget.reason == ""
    budget.observe(running=1, elapsed_s=1, ended=0, total=20)
    assert "used up" in budget.reason


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_budget_is_a_positive_number(limit: object) -> None:
    with pytest.raises(InputError, match="budget_usd must be a number above 0"):
        Budget(limit, PRICE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.0999, "0.100 USD"), (0.1, "0.10 USD"), (0.00004, "0.000040 USD"), (2.345, "2.35 USD")],
)
def test_small_amounts_keep_two_figures(usd: float, text: str) -> None:
    assert describe_usd(usd) == text
