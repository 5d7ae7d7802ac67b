"""The faults of the box: what they may say, and when they strike."""

import json
import threading
from typing import Any

import pytest

from cloudknot.testing import faults
from cloudknot.testing.batch.account import Trouble
from cloudknot.testing.faults.kinds import KINDS
from tests.box.fault_stand import PERSON, with_rules

EXAMPLES: list[faults.Fault] = [
    faults.Throttle(service="batch", operation="Describe*", share=0.3, times=2, after=1),
    faults.ServerError(service="s3", status=503, code="X", message="y", is_carried_out=True),
    faults.SlowConnection(service="s3", delay_s=0.1, bytes_per_s=1000),
    faults.ResetConnection(service="s3", moment="upload", after_bytes=10),
    faults.TruncateAnswer(service="s3", principal="*:assumed-role/*", after_bytes=10),
    faults.Stale(service="iam", seconds=10),
    faults.DuplicateEvents(copies=3),
    faults.LaunchFailure(environment="spot*", instance_type="m5.*", reason="none left"),
    faults.PullFailure(image="*/name:*", reason="CannotPullContainerError: no space left on device"),
    faults.SpotReclaim(environment="spot", after_s=5, spread_s=10),
]


@pytest.mark.parametrize("fault", EXAMPLES, ids=lambda fault: type(fault).__name__)
def test_a_fault_goes_through_json(fault: faults.Fault) -> None:
    assert faults.from_json(json.loads(json.dumps(faults.to_json(fault)))) == fault


def test_every_kind_is_public_and_can_be_written_down() -> None:
    assert {type(fault).__name__ for fault in EXAMPLES} == set(KINDS)
    assert set(KINDS) <= set(faults.__all__)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("Throttle", {"service": "batch", "share": 0}, "share must be a number above 0 to 1, not 0"),
        ("Throttle", {"service": "batch", "share": 1.5}, "share must be"),
        ("Throttle", {"service": "batch", "share": True}, "share must be"),
        ("Throttle", {"service": "batch", "share": float("nan")}, "share must be"),
        ("Throttle", {"service": "batch", "times": 0}, "times must be a whole number from 1, not 0"),
        ("Throttle", {"service": "batch", "times": 1.5}, "times must be"),
        ("Throttle", {"service": "batch", "after": -1}, "after must be a whole number from 0, not -1"),
        ("Throttle", {"service": "S3"}, "such as 's3', not 'S3'"),
        ("Throttle", {"service": ""}, "service must be a name"),
        ("Throttle", {"service": "s3", "operation": None}, "operation must be a name"),
        ("Throttle", {"service": "s3", "principal": ""}, "principal must be a name"),
        ("Throttle", {}, "service"),
        ("ServerError", {"service": "s3", "status": 429}, "status must be from 500 to 599, not 429"),
        ("ServerError", {"service": "s3", "status": "500"}, "status must be"),
        ("ServerError", {"service": "s3", "code": ""}, "code must be words"),
        ("ServerError", {"service": "s3", "message": 5}, "message must be words"),
        ("ServerError", {"service": "s3", "is_carried_out": 1}, "is_carried_out must be true or false"),
        ("SlowConnection", {"service": "s3"}, "needs delay_s, bytes_per_s or both"),
        ("SlowConnection", {"service": "s3", "delay_s": -1}, "delay_s must be a number from 0, not -1"),
        ("SlowConnection", {"service": "s3", "bytes_per_s": 0}, "bytes_per_s must be a number above 0"),
        ("SlowConnection", {"service": "s3", "delay_s": float("inf")}, "delay_s must be"),
        ("ResetConnection", {"service": "s3", "moment": "after"}, "moment must be one of before, upload"),
        ("ResetConnection", {"service": "s3", "after_bytes": 5}, "no bytes come before"),
        ("ResetConnection", {"service": "s3", "moment": "upload", "after_bytes": -1}, "after_bytes must be"),
        ("TruncateAnswer", {"service": "s3", "after_bytes": 0.5}, "after_bytes must be"),
        ("Stale", {"service": "s3", "seconds": 1}, "service must be one of batch, iam, not 's3'"),
        ("Stale", {"service": "iam", "seconds": 0}, "seconds must be a number above 0"),
        ("DuplicateEvents", {"copies": 1}, "copies must be a whole number from 2"),
        ("LaunchFailure", {"environment": ""}, "environment must be a name"),
        ("LaunchFailure", {"instance_type": 5}, "instance_type must be a name"),
        ("LaunchFailure", {"reason": ""}, "reason must be words"),
        ("PullFailure", {"image": ""}, "image must be a name"),
        ("PullFailure", {"reason": ""}, "reason must be words"),
        ("SpotReclaim", {"environment": ""}, "environment must be a name"),
        ("SpotReclaim", {"after_s": -1}, "after_s must be"),
        ("SpotReclaim", {"spread_s": "5"}, "spread_s must be"),
        ("SpotReclaim", {"region": "x"}, "SpotReclaim has no field region: it has share, times"),
        ("Flood", {}, "no kind of fault 'Flood': choose from Throttle"),
        (None, {}, "no kind of fault None"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str | None, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        faults.from_json({"kind": kind, **fields})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="a fault is an object"):
        faults.from_json("Throttle")  # type: ignore[arg-type]  # on purpose


# When they strike.

THROTTLE = faults.Throttle(service="batch", share=0.3)


def strikes(rules: faults.Faults, times: int = 200) -> list[bool]:
    return [rules.on_request("batch", "DescribeJobs", PERSON) is not None for _ in range(times)]


def test_the_same_seed_strikes_the_same_occasions() -> None:
    first = strikes(with_rules(THROTTLE))
    assert first == strikes(with_rules(THROTTLE))
    assert first != strikes(with_rules(THROTTLE, seed=2))
    assert 30 < sum(first) < 90


def test_two_rules_alike_strike_apart() -> None:
    rules = with_rules(THROTTLE, THROTTLE)
    strikes(rules)
    alone = sum(strikes(with_rules(THROTTLE)))
    first, second = rules.list()
    assert first.struck == alone
    assert 0 < second.struck < alone


def test_a_rule_is_not_disturbed_by_others_that_strike_the_same_requests() -> None:
    """Where the other does not strike, it decides as it would alone."""
    other = faults.ServerError(service="batch", share=0.5)
    together, alone, others = with_rules(other, THROTTLE), faults.Faults(1), with_rules(other)
    alone.remove(alone.add(other))
    alone.add(THROTTLE)
    for _ in range(200):
        by_other, by_itself, now = (
            rules.on_request("batch", "ListJobs", PERSON) for rules in (others, alone, together)
        )
        assert now == (by_other or by_itself)


def test_after_and_times_bound_the_strikes() -> None:
    rules = with_rules(faults.Throttle(service="batch", after=2, times=3))
    assert strikes(rules, 8) == [False, False, True, True, True, False, False, False]
    [rule] = rules.list()
    assert (rule.occasions, rule.struck) == (8, 3)


@pytest.mark.parametrize(
    ("asked", "is_struck"),
    [
        (("batch", "DescribeJobs", PERSON), True),
        (("batch", "SubmitJob", PERSON), False),
        (("s3", "DescribeJobs", PERSON), False),
        (("batch", None, PERSON), False),
        (("batch", "DescribeJobs", "arn:aws:sts::123456789012:assumed-role/job/1"), False),
    ],
)
def test_a_fault_of_requests_strikes_those_that_fit(
    asked: tuple[str, str | None, str], *, is_struck: bool
) -> None:
    rules = with_rules(faults.Throttle(service="batch", operation="Describe*", principal="*:user/*"))
    assert (rules.on_request(*asked) is not None) == is_struck
    assert rules.list()[0].occasions == is_struck


def test_a_request_of_an_unknown_operation_is_struck_by_a_fault_of_all() -> None:
    assert with_rules(faults.Throttle(service="*")).on_request("batch", None, "") is not None


def test_a_request_can_be_slow_and_end_badly_but_ends_once() -> None:
    slow, other = (faults.SlowConnection(service="s3", delay_s=delay) for delay in (1, 2))
    throttle, reset = faults.Throttle(service="s3"), faults.ResetConnection(service="s3")
    rules = with_rules(throttle, slow, reset, other)
    assert rules.on_request("s3", "GetObject", "") == faults.WireFault(slow=slow, ending=throttle)
    assert [(rule.occasions, rule.struck) for rule in rules.list()] == [(1, 1), (1, 1), (1, 0), (1, 0)]


def test_rules_are_taken_away_one_by_one_all_and_anew() -> None:
    rules = faults.Faults()
    first, second = rules.add(THROTTLE), rules.add(faults.DuplicateEvents())
    rules.remove(first)
    assert [rule.number for rule in rules.list()] == [second]
    with pytest.raises(KeyError, match="no rule 1: in force are 2"):
        rules.remove(first)
    rules.clear()
    assert rules.list() == ()
    assert rules.add(THROTTLE) == second + 1
    rules.reset(1)
    assert rules.list() == ()
    assert rules.add(THROTTLE) == 1
    before = strikes(rules)
    assert before == strikes(with_rules(THROTTLE))
    rules.reset()
    rules.add(THROTTLE)
    assert before == strikes(rules)


def test_only_faults_can_be_added() -> None:
    with pytest.raises(TypeError, match="a fault is such as"):
        faults.Faults().add("Throttle")  # type: ignore[arg-type]  # on purpose


def test_every_occasion_counts_once_whichever_thread_brings_it() -> None:
    rules = with_rules(faults.Throttle(service="batch", share=0.5, times=100))
    struck: list[bool] = []
    threads = [threading.Thread(target=lambda: struck.extend(strikes(rules, 250))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [rule] = rules.list()
    assert (rule.occasions, rule.struck, sum(struck)) == (1000, 100, 100)


def test_batch_is_told_of_its_trouble() -> None:
    trouble: Trouble = with_rules(
        faults.LaunchFailure(environment="spot", instance_type="m5.*", times=1),
        faults.LaunchFailure(environment="spot", instance_type="c5.large", reason="none left"),
        faults.PullFailure(image="*:broken", times=1),
        faults.PullFailure(image="*:other", reason="CannotPullContainerError: other"),
        faults.DuplicateEvents(copies=3, times=1),
        faults.Stale(service="iam", seconds=10, times=1),
        faults.Stale(service="iam", seconds=5, times=1),
    )
    assert trouble.launch("demand", "m5.large") is None
    assert trouble.launch("spot", "m5.large") == (
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
        " for instance type [m5.large]"
    )
    assert trouble.launch("spot", "m5.large") is None
    assert trouble.launch("spot", "c5.large") == "none left"
    assert trouble.pull("a/b:fine") is None
    assert trouble.pull("a/b:broken") == "CannotPullContainerError: context canceled"
    assert trouble.pull("a/b:broken") is None
    assert trouble.pull("a/b:other") == "CannotPullContainerError: other"
    assert [trouble.copies_of_event(), trouble.copies_of_event()] == [3, 1]
    assert trouble.lag_s("batch") == 0
    assert [trouble.lag_s("iam"), trouble.lag_s("iam")] == [10, 0]


def test_without_rules_nothing_goes_wrong() -> None:
    rules = faults.Faults()
    assert rules.on_request("s3", "GetObject", PERSON) is None
    assert rules.launch("spot", "m5.large") is None
    assert rules.pull("a") is None
    assert rules.copies_of_event() == 1
    assert rules.lag_s("iam") == 0
    assert rules.reclaim_after("i-1", "spot") is None


def test_machines_are_reclaimed_by_the_seed_not_by_their_ids() -> None:
    fault = faults.SpotReclaim(environment="spot*", after_s=60, spread_s=30, share=0.5)

    def reclaims(seed: int, name: str) -> list[float | None]:
        rules = with_rules(fault, seed=seed)
        return [rules.reclaim_after(f"i-{name}{number}", "spot-a") for number in range(100)]

    first = reclaims(1, "a")
    assert first == reclaims(1, "b") != reclaims(2, "a")
    times = {seconds for seconds in first if seconds is not None}
    assert 30 < len(times) < 70
    assert min(times) >= 60
    assert max(times) <= 90
    assert with_rules(fault).reclaim_after("i-1", "demand") is None
