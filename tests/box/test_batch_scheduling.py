"""Where and when jobs are placed, and what is said of those that are not."""

from typing import Any

import pytest

from cloudknot.testing.batch.blocking import Chance, code_of, limit_of, reason_blocked
from cloudknot.testing.batch.containers import Requirements
from cloudknot.testing.batch.instances import expand, preferred
from cloudknot.testing.batch.machines import Pace
from tests.box.fakes import TYPES, Box

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
MAX_RESOURCE = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
REQUIREMENT = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"


def kinds(box: Box) -> list[str]:
    return [host.instance_type for host in box.engine.hosts()]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["m5.large"], ["m5.large"]),
        (["m6i"], ["m6i.large", "m6i.xlarge"]),
        (["m6i.metal"], ["m6i.metal"]),
        (["optimal"], ["c6i.large", "m6i.large", "m6i.xlarge"]),
        (["default_x86_64"], ["c6i.large", "m6i.large", "m6i.xlarge"]),
        (["default_arm64"], ["m6g.large"]),
        (["m5.24xlarge", "m5"], ["m5.24xlarge", "m5.large"]),
        (["m6i", "m6i.large"], ["m6i.xlarge", "m6i.large"]),
        (["unknown"], []),
    ],
)
def test_types_families_and_bundles_name_kinds_of_machine(names: list[str], found: list[str]) -> None:
    assert [kind.name for kind in expand(names, TYPES)] == found


@pytest.mark.parametrize(
    ("names", "strategy", "needs", "first"),
    [
        (["m6i", "c6i"], "BEST_FIT", Requirements(vcpus=1, memory_mib=1024), "c6i.large"),
        (["m6i", "c6i"], "BEST_FIT_PROGRESSIVE", Requirements(vcpus=1, memory_mib=7953), "m6i.large"),
        (["m6i", "c6i"], "BEST_FIT_PROGRESSIVE", Requirements(vcpus=1, memory_mib=7954), "m6i.xlarge"),
        (["m6i", "c6i"], "BEST_FIT_PROGRESSIVE_ORDERED", Requirements(vcpus=1, memory_mib=1024), "m6i.large"),
        (["m5", "g4dn"], "BEST_FIT", Requirements(vcpus=1, memory_mib=1, gpus=1), "g4dn.xlarge"),
        (["g4dn", "m5"], "BEST_FIT", Requirements(vcpus=8, memory_mib=1), "m5.24xlarge"),
        (["g4dn", "m6i"], "BEST_FIT", Requirements(vcpus=4, memory_mib=1), "m6i.xlarge"),
    ],
)
def test_the_smallest_machine_that_holds_a_job_is_preferred_or_the_one_named_first(
    names: list[str], strategy: str, needs: Requirements, first: str
) -> None:
    assert preferred(expand(names, TYPES), strategy, needs)[0].name == first


def test_several_jobs_share_a_machine_until_it_is_full() -> None:
    box = Box(maxvCpus=8)
    jobs = [box.submit() for _ in range(3)]
    hosts = box.engine.hosts()
    assert [(host.instance_type, host.job_ids) for host in hosts] == [
        ("m6i.large", (jobs[0], jobs[1])),
        ("m6i.large", (jobs[2],)),
    ]
    assert (hosts[0].environment, hosts[0].vcpus, hosts[0].memory_mib) == ("ce", 2, 7953)
    assert hosts[0].instance_id.startswith("i-0")


def test_memory_fills_a_machine_too() -> None:
    box = Box()
    box.catalogue.add_definition(memory="5000")
    box.submit(size=2)
    assert len(box.engine.hosts()) == 2


def test_jobs_wait_when_the_machines_have_as_many_vcpus_as_they_may() -> None:
    box = Box(maxvCpus=4)
    array = box.submit(size=6)
    assert box.counts(array) == {"STARTING": 4, "RUNNABLE": 2}
    assert sum(host.vcpus for host in box.engine.hosts()) == 4
    box.run(f"{array}:1")
    assert box.counts(array) == {"STARTING": 4, "RUNNABLE": 1, "SUCCEEDED": 1}
    assert box.reason(f"{array}:5") is None


def test_a_machine_without_jobs_vanishes_after_a_minute_and_its_vcpus_can_be_used() -> None:
    box = Box(maxvCpus=4)
    box.catalogue.add_definition("large", vcpus="4")
    box.run(box.submit())
    job = box.submit(definition="large")
    box.clock.advance(59)
    assert (kinds(box), box.status(job)) == (["m6i.large"], "RUNNABLE")
    box.clock.advance(1)
    assert (kinds(box), box.status(job)) == (["m6i.xlarge"], "STARTING")


def test_a_machine_that_gets_a_job_in_time_is_kept() -> None:
    box = Box()
    box.run(box.submit())
    box.clock.advance(50)
    job = box.submit()
    box.clock.advance(50)
    assert [host.job_ids for host in box.engine.hosts()] == [(job,)]


def test_minvcpus_keeps_machines_that_have_nothing_to_do() -> None:
    box = Box(minvCpus=4)
    box.settle()
    assert kinds(box) == ["m6i.large", "m6i.large"]
    kept = [host.instance_id for host in box.engine.hosts()]
    box.submit(size=4)
    box.executor.run_all()
    box.clock.advance(300)
    assert [host.instance_id for host in box.engine.hosts()] == kept
    (environment,) = box.catalogue.environments()
    environment.resources["minvCpus"] = 0
    box.catalogue.on_change()
    box.clock.advance(60)
    assert kinds(box) == []


def test_the_machines_of_an_environment_that_is_gone_are_gone() -> None:
    box = Box(minvCpus=2)
    box.settle()
    box.catalogue.remove_environment("ce")
    box.catalogue.on_change()
    box.catalogue.add_queue("q")
    box.settle()
    assert kinds(box) == []


def test_one_machine_may_pass_maxvcpus_where_nothing_else_would_run() -> None:
    progressive, best_fit = Box(maxvCpus=1), Box(maxvCpus=1, allocationStrategy="BEST_FIT")
    assert progressive.status(progressive.submit()) == "STARTING"
    assert best_fit.status(best_fit.submit()) == "RUNNABLE"


def test_a_queue_of_higher_priority_goes_first() -> None:
    box = Box(maxvCpus=2)
    box.catalogue.add_queue("urgent", "ce", priority=10)
    low, high = box.submit_unseen(size=2), box.submit_unseen(queue="urgent")
    box.settle()
    assert box.status(high) == "STARTING"
    assert box.counts(low) == {"STARTING": 1, "RUNNABLE": 1}


def test_the_second_environment_takes_what_the_first_cannot() -> None:
    box = Box(maxvCpus=2)
    box.catalogue.add_environment("more", maxvCpus=2)
    box.catalogue.add_queue("q", "ce", "more")
    box.submit(size=3)
    assert [(host.environment, len(host.job_ids)) for host in box.engine.hosts()] == [("ce", 2), ("more", 1)]


@pytest.mark.parametrize("values", [{"state": "DISABLED"}, {"status": "CREATING"}])
def test_an_environment_is_not_used_before_it_is_valid_and_enabled(values: dict[str, str]) -> None:
    box = Box()
    (environment,) = box.catalogue.environments()
    before = {name: getattr(environment, name) for name in values}
    for name, value in values.items():
        setattr(environment, name, value)
    job = box.submit()
    assert box.ending(job) == ("RUNNABLE", None)
    for name, value in before.items():
        setattr(environment, name, value)
    box.catalogue.on_change()
    box.settle()
    assert box.status(job) == "STARTING"


def test_fargate_has_no_machines_and_as_many_vcpus_as_it_may() -> None:
    box = Box(type="FARGATE", maxvCpus=1)
    box.catalogue.add_definition(vcpus="0.25", memory="512")
    array = box.submit(size=5)
    assert box.counts(array) == {"STARTING": 4, "RUNNABLE": 1}
    assert box.engine.hosts() == []
    box.run(f"{array}:0")
    assert box.counts(array) == {"STARTING": 4, "SUCCEEDED": 1}


def test_a_job_is_runnable_until_its_machine_has_come_up() -> None:
    box = Box(pace=Pace(launch_s=90))
    job = box.submit()
    assert len(box.engine.hosts()) == 1
    box.clock.advance(89)
    assert box.status(job) == "RUNNABLE"
    box.clock.advance(1)
    assert box.status(job) == "STARTING"


def test_a_job_that_is_cancelled_while_its_machine_comes_up_gives_back_its_place() -> None:
    box = Box(pace=Pace(launch_s=90), maxvCpus=2)
    first, _, third = (box.submit() for _ in range(3))
    box.engine.cancel(first, "r")
    box.settle()
    box.clock.advance(90)
    assert box.status(third) == "STARTING"
    assert len(box.executor.tasks) == 2


def needs(vcpus: float = 1, gpus: int = 0) -> Requirements:
    return Requirements(vcpus=vcpus, memory_mib=1, gpus=gpus)


def chance(**values: Any) -> Chance:
    return Chance(**{"is_valid": True, "is_usable": True, "max_vcpus": 4, "has_type": True, **values})


@pytest.mark.parametrize(
    ("chances", "vcpus", "code"),
    [
        ([chance()], 1, None),
        ([chance(is_usable=False)], 1, None),
        ([chance(is_valid=False, is_usable=False)], 1, "ACTION_REQUIRED"),
        ([chance(is_valid=False, is_usable=False), chance()], 1, None),
        ([chance(max_vcpus=2)], 4, MAX_RESOURCE),
        ([chance(max_vcpus=2), chance(max_vcpus=8)], 4, None),
        ([chance(has_type=False)], 1, REQUIREMENT),
        ([chance(has_type=False), chance(max_vcpus=0)], 1, REQUIREMENT),
        ([chance(failed_launch=("m5.large", "none left"))], 1, CAPACITY),
        ([chance(failed_launch=("m5.large", "none left")), chance()], 1, None),
        ([chance(failed_launch=("m5.large", "UNDETERMINED - x"))], 1, "UNDETERMINED"),
    ],
)
def test_a_reason_is_what_holds_for_all_environments(
    chances: list[Chance], vcpus: float, code: str | None
) -> None:
    reason = reason_blocked(needs(vcpus), chances)
    assert (reason and code_of(reason)) == code


def test_the_reasons_are_worded_as_the_user_guide_has_them() -> None:
    box = Box(instanceTypes=["m6i.large"])
    box.catalogue.add_definition("large", vcpus="4")
    box.catalogue.add_definition("huge", vcpus="64")
    assert box.reason(box.submit(definition="large")) == (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is "
        "higher than that can be met by the CE(s) attached to the job queue."
    )
    box.catalogue.add_queue("other", "ce")
    assert box.reason(box.submit(definition="huge", queue="other")) == (
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet "
        "the CPU requirement of the job."
    )


def test_a_job_that_can_never_be_placed_blocks_those_behind_it_until_it_is_cancelled() -> None:
    box = Box()
    box.catalogue.add_definition("gpu", gpus="1")
    stuck, behind = box.submit(definition="gpu"), box.submit()
    assert (box.status(behind), box.reason(behind)) == ("RUNNABLE", None)
    box.engine.cancel(stuck, "r")
    box.settle()
    assert box.status(behind) == "STARTING"


def test_a_reason_vanishes_when_the_job_can_be_placed() -> None:
    box = Box(maxvCpus=2)
    box.catalogue.add_definition("large", vcpus="4")
    job = box.submit(definition="large")
    assert (box.reason(job) or "").startswith(MAX_RESOURCE)
    (environment,) = box.catalogue.environments()
    environment.resources["maxvCpus"] = 4
    box.catalogue.on_change()
    box.settle()
    assert box.ending(job) == ("STARTING", None)


def test_a_launch_that_fails_is_tried_again_after_a_while() -> None:
    box = Box(instanceTypes=["m6i.large"], pace=Pace(retry_s=10))
    box.trouble.launches.append("none left")
    job = box.submit()
    assert box.ending(job) == (
        "RUNNABLE",
        f"{CAPACITY} - Service cannot fulfill the capacity requested for instance type [m6i.large]",
    )
    box.clock.advance(9)
    assert box.status(job) == "RUNNABLE"
    box.clock.advance(1)
    assert box.ending(job) == ("STARTING", None)


@pytest.mark.parametrize(
    ("strategy", "asked"),
    [
        ("BEST_FIT", ["m6i.large", "m6i.large", "m6i.large"]),
        ("BEST_FIT_PROGRESSIVE", ["m6i.large", "m6i.xlarge", "m6i.large"]),
    ],
)
def test_best_fit_waits_for_its_type_and_the_others_turn_to_another(strategy: str, asked: list[str]) -> None:
    box = Box(allocationStrategy=strategy, pace=Pace(retry_s=10))
    box.trouble.launches.extend(["none left"] * 2)
    box.submit()
    box.clock.advance(20)
    assert [kind for _, kind in box.trouble.asked_launches] == asked


def test_the_next_environment_is_asked_when_a_launch_fails() -> None:
    box = Box()
    box.catalogue.add_environment("spare")
    box.catalogue.add_queue("q", "ce", "spare")
    box.trouble.launches.append("none left")
    box.submit()
    assert [host.environment for host in box.engine.hosts()] == ["spare"]


def test_a_job_that_only_waits_for_room_is_not_said_to_lack_capacity() -> None:
    box = Box(maxvCpus=2, instanceTypes=["m6i.large"], pace=Pace(retry_s=10))
    box.trouble.launches.append("none left")
    box.submit(size=2)
    waiting = box.submit()
    box.clock.advance(10)
    assert box.ending(waiting) == ("RUNNABLE", None)


def test_no_more_is_started_than_the_machines_hold() -> None:
    box = Box(maxvCpus=8)
    box.submit(size=100)
    while box.executor.run_all():
        box.settle()
    assert box.executor.most_at_once == 8


LIMITS = [{"reason": REQUIREMENT, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}]


@pytest.mark.parametrize(
    ("reason", "limit"), [(REQUIREMENT, 600), (f"{REQUIREMENT} - why", 600), (CAPACITY, None)]
)
def test_a_limit_holds_for_its_own_reason(reason: str, limit: float | None) -> None:
    assert limit_of(LIMITS, reason) == limit


def test_a_job_that_is_stuck_for_too_long_is_cancelled_and_the_next_has_its_turn() -> None:
    box = Box()
    box.catalogue.add_queue("q", "ce", time_limit_actions=LIMITS)
    box.catalogue.add_definition("gpu", gpus="1")
    stuck, next_stuck, behind = box.submit(definition="gpu"), box.submit(definition="gpu"), box.submit()
    box.clock.advance(599)
    assert box.status(stuck) == "RUNNABLE"
    box.clock.advance(1)
    words = f"Canceled by JobStateTimeLimit action due to reason: {REQUIREMENT}"
    assert box.ending(stuck) == ("FAILED", words)
    assert box.status(next_stuck) == "RUNNABLE"
    box.clock.advance(600)
    assert box.ending(next_stuck) == ("FAILED", words)
    assert box.status(behind) == "STARTING"


def test_the_time_that_a_job_is_stuck_goes_on_when_another_type_fails() -> None:
    box = Box(pace=Pace(retry_s=10))
    limit = {**LIMITS[0], "reason": CAPACITY}
    box.catalogue.add_queue("q", "ce", time_limit_actions=[limit])
    box.trouble.launches.extend(["none left"] * 100)
    job = box.submit()
    reasons = set()
    for _ in range(60):
        reasons.add(box.reason(job))
        box.clock.advance(10)
    assert len(reasons) == 2
    assert box.ending(job) == ("FAILED", f"Canceled by JobStateTimeLimit action due to reason: {CAPACITY}")


def test_a_reason_vanishes_when_the_job_only_waits_for_room_any_more() -> None:
    box = Box(maxvCpus=2, instanceTypes=["m6i.large"], pace=Pace(retry_s=10))
    box.catalogue.add_queue("urgent", "ce", priority=10)
    box.trouble.launches.append("none left")
    job = box.submit()
    assert (box.reason(job) or "").startswith(CAPACITY)
    box.submit(queue="urgent", size=2)
    box.clock.advance(10)
    assert box.ending(job) == ("RUNNABLE", None)
