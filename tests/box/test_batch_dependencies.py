"""Jobs that wait for others."""

from typing import Any

import pytest

from cloudknot.testing.batch.errors import ClientException
from tests.box.fakes import FAILURE, Box

FAILED = ("FAILED", "Dependent Job failed")


@pytest.fixture
def box() -> Box:
    return Box()


def on(*jobs: str, kind: str | None = None) -> list[dict[str, str]]:
    return [{"jobId": job, **({"type": kind} if kind else {})} for job in jobs]


SEQUENTIAL = [{"type": "SEQUENTIAL"}]


def test_a_job_waits_until_all_that_it_depends_on_have_succeeded(box: Box) -> None:
    first, second = box.submit(), box.submit()
    job = box.submit(dependsOn=on(first, second))
    assert box.status(job) == "PENDING"
    box.run(first)
    assert box.status(job) == "PENDING"
    box.run(second)
    assert box.status(job) == "STARTING"
    assert box.job(job)["dependsOn"] == on(first, second)


def test_a_job_fails_with_the_first_that_fails_of_those_it_depends_on(box: Box) -> None:
    first, second = box.submit(), box.submit()
    job = box.submit(dependsOn=on(first, second))
    box.run(second, FAILURE)
    assert box.ending(job) == FAILED
    box.run(first)
    assert box.ending(job) == FAILED


def test_a_failure_reaches_all_that_follow(box: Box) -> None:
    first = box.submit()
    second = box.submit(dependsOn=on(first))
    third = box.submit(dependsOn=on(second))
    box.run(first, FAILURE)
    assert [box.ending(job) for job in (second, third)] == [FAILED, FAILED]


@pytest.mark.parametrize(("is_failing", "status"), [(False, "STARTING"), (True, "FAILED")])
def test_a_job_may_depend_on_one_that_has_ended(box: Box, is_failing: bool, status: str) -> None:
    first = box.submit()
    box.executor.end(first, FAILURE) if is_failing else box.run(first)
    assert box.status(box.submit(dependsOn=on(first))) == status


def test_what_ends_before_a_job_is_looked_at_is_not_missed(box: Box) -> None:
    good, bad = box.submit(), box.submit()
    waits, fails = box.submit_unseen(dependsOn=on(good)), box.submit_unseen(dependsOn=on(bad))
    box.executor.end(good)
    box.executor.end(bad, FAILURE)
    box.settle()
    assert box.status(waits) == "STARTING"
    assert box.ending(fails) == FAILED
    assert box.account.states_told(fails) == ["PENDING", "FAILED"]


def test_a_job_that_is_tried_again_is_still_waited_for(box: Box) -> None:
    first = box.submit(retryStrategy={"attempts": 2})
    job = box.submit(dependsOn=on(first))
    box.run(first, FAILURE)
    assert box.status(job) == "PENDING"
    box.run(first)
    assert box.status(job) == "STARTING"


def test_a_job_may_wait_for_an_array_and_an_array_for_a_job(box: Box) -> None:
    first = box.submit()
    array = box.submit(size=2, dependsOn=on(first))
    last = box.submit(dependsOn=on(array))
    assert (box.status(array), box.counts(array)) == ("PENDING", {})
    assert box.engine.describe([f"{array}:0"]) == []
    box.run(first)
    assert box.counts(array) == {"STARTING": 2}
    box.run(f"{array}:0")
    assert box.status(last) == "PENDING"
    box.run(f"{array}:1")
    assert box.status(last) == "STARTING"


def test_a_job_may_wait_for_one_child(box: Box) -> None:
    array = box.submit(size=2)
    job = box.submit(dependsOn=on(f"{array}:1"))
    box.run(f"{array}:1")
    assert box.status(job) == "STARTING"


def test_a_sequential_array_runs_child_by_child(box: Box) -> None:
    array = box.submit(size=3, dependsOn=SEQUENTIAL)
    for index in range(3):
        assert [task.job_id for task, _ in box.executor.tasks.values()] == [f"{array}:{index}"]
        box.run(f"{array}:{index}")
    assert box.status(array) == "SUCCEEDED"


def test_a_sequential_array_of_thousands_fails_from_the_first_on(box: Box) -> None:
    array = box.submit(size=5000, dependsOn=SEQUENTIAL)
    box.run(f"{array}:0", FAILURE)
    assert box.ending(array) == ("FAILED", "Array Child Job failed")
    assert box.counts(array) == {"FAILED": 5000}
    assert box.ending(f"{array}:4999") == FAILED


def test_n_to_n_waits_index_by_index(box: Box) -> None:
    first = box.submit(size=3)
    second = box.submit(size=3, dependsOn=on(first, kind="N_TO_N"))
    assert box.counts(second) == {"PENDING": 3}
    box.run(f"{first}:1")
    box.run(f"{first}:2", FAILURE)
    assert box.status(f"{second}:0") == "PENDING"
    assert box.status(f"{second}:1") == "STARTING"
    assert box.ending(f"{second}:2") == FAILED
    assert box.status(second) == "PENDING"


def test_n_to_n_waits_for_children_that_are_still_to_be_made(box: Box) -> None:
    zeroth = box.submit()
    first = box.submit(size=2, dependsOn=on(zeroth))
    second = box.submit(size=2, dependsOn=on(first, kind="N_TO_N"))
    box.run(zeroth)
    box.run(f"{first}:0")
    assert (box.status(f"{second}:0"), box.status(f"{second}:1")) == ("STARTING", "PENDING")


def test_n_to_n_fails_with_an_array_that_never_had_children(box: Box) -> None:
    zeroth = box.submit()
    first = box.submit(size=2, dependsOn=on(zeroth))
    second = box.submit(size=2, dependsOn=on(first, kind="N_TO_N"))
    box.run(zeroth, FAILURE)
    assert box.ending(first) == FAILED
    assert box.ending(second) == ("FAILED", "Array Child Job failed")
    assert box.ending(f"{second}:1") == FAILED


def test_n_to_n_of_an_array_that_has_ended_begins_where_it_succeeded(box: Box) -> None:
    first = box.submit(size=2)
    box.run(f"{first}:0", FAILURE)
    box.run(f"{first}:1")
    second = box.submit(size=2, dependsOn=on(first, kind="N_TO_N"))
    assert (box.status(f"{second}:0"), box.status(f"{second}:1")) == ("FAILED", "STARTING")


def test_stages_chain_with_n_to_n_and_sequential_together(box: Box) -> None:
    first = box.submit(size=2)
    second = box.submit(size=2, dependsOn=[*on(first, kind="N_TO_N"), *SEQUENTIAL])
    box.run(f"{first}:1")
    assert box.status(f"{second}:1") == "PENDING"
    box.run(f"{first}:0")
    box.run(f"{second}:0")
    assert box.status(f"{second}:1") == "STARTING"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"dependsOn": on("unknown")}, "unknown does not exist"),
        ({"dependsOn": SEQUENTIAL}, "only for array jobs"),
        ({"size": 2, "dependsOn": [{}]}, "must have a jobId"),
        ({"size": 3, "dependsOn": on("ARRAY", kind="N_TO_N")}, "same size 3"),
        ({"size": 2, "dependsOn": on("JOB", kind="N_TO_N")}, "same size 2"),
    ],
)
def test_a_dependency_that_cannot_be_is_refused(box: Box, params: dict[str, Any], words: str) -> None:
    known = {"JOB": box.submit(), "ARRAY": box.submit(size=2)}
    asked = [
        {**one, "jobId": known.get(one["jobId"], one["jobId"])} if "jobId" in one else one
        for one in params["dependsOn"]
    ]
    with pytest.raises(ClientException, match=words):
        box.submit(**{**params, "dependsOn": asked})
