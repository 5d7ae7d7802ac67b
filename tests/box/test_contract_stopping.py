"""What CancelJob and TerminateJob do and leave, one by one and many at once, by a client's eyes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.box.lab import Job, Lab, open_lab

WAIT = "echo waiting; sleep 600 & wait"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def narrow(lab: Lab) -> str:
    """A queue with room for one job at a time."""
    return lab.make_queue(lab.make_environment(maxvCpus=2, instanceTypes=["m5.large"]))


@pytest.fixture
def wide_job(lab: Lab) -> str:
    """A definition of a job that fills `narrow`, and waits."""
    return lab.sh(WAIT, vcpus=2)


def stop(lab: Lab, verb: str, *job_ids: str) -> dict[str, list[str]]:
    """Cancel or terminate jobs; returns what a plural form says."""
    operation = getattr(lab.batch, verb)
    if verb.endswith("jobs"):
        return dict(operation(jobs=list(job_ids), reason="enough"))
    for job_id in job_ids:
        operation(jobId=job_id, reason="enough")
    return {}


def assert_stopped(job: Job, *, word: str) -> None:
    assert (job["status"], job["statusReason"]) == ("FAILED", "enough")
    assert (job["isCancelled"], job["isTerminated"]) == (word == "cancel", word == "terminate")


@pytest.mark.parametrize("verb", ["cancel_job", "cancel_jobs"])
def test_cancel_ends_what_has_not_started_and_leaves_what_runs(
    lab: Lab, narrow: str, wide_job: str, verb: str
) -> None:
    running, waiting = (lab.submit(jobDefinition=wide_job, queue=narrow) for _ in range(2))
    lab.wait_until_said(running, "waiting")
    assert lab.states([waiting]) == ["RUNNABLE"]
    stop(lab, verb, running, waiting)
    assert_stopped(lab.finish(waiting), word="cancel")
    shown = lab.describe(running)
    assert (shown["status"], shown["isCancelled"]) == ("RUNNING", False)
    stop(lab, "terminate_job", running)


@pytest.mark.parametrize("verb", ["terminate_job", "terminate_jobs"])
def test_terminate_ends_what_waits_and_what_runs(lab: Lab, narrow: str, wide_job: str, verb: str) -> None:
    options: dict[str, Any] = {"jobDefinition": wide_job, "queue": narrow, "retryStrategy": {"attempts": 5}}
    running, waiting = (lab.submit(**options) for _ in range(2))
    lab.wait_until_said(running, "waiting")
    stop(lab, verb, waiting, running)
    for job_id, attempts in ((waiting, 0), (running, 1)):
        job = lab.finish(job_id)
        assert_stopped(job, word="terminate")
        assert len(job["attempts"]) == attempts


def test_terminate_asks_and_kills_after_30_s(lab: Lab) -> None:
    job_id = lab.submit("trap '' TERM; echo waiting; while :; do sleep 600; done")
    lab.wait_until_said(job_id, "waiting")
    stop(lab, "terminate_job", job_id)
    lab.pass_time(29)
    assert lab.states([job_id]) == ["RUNNING"]
    lab.pass_time(1)
    assert lab.finish(job_id)["container"]["exitCode"] == 137


@pytest.mark.parametrize("verb", ["cancel_job", "terminate_job"])
@pytest.mark.parametrize(("script", "status"), [("exit 0", "SUCCEEDED"), ("exit 1", "FAILED")])
def test_a_job_that_has_ended_stays_as_it_is(lab: Lab, verb: str, script: str, status: str) -> None:
    job = lab.run(script)
    stop(lab, verb, job["jobId"])
    assert lab.describe(job["jobId"]) == job
    assert job["status"] == status


def test_cancel_of_one_that_waits_for_another_comes_when_that_has_ended(lab: Lab) -> None:
    first = lab.submit(WAIT)
    second = lab.submit(dependsOn=[{"jobId": first}])
    lab.wait_until_said(first, "waiting")
    stop(lab, "cancel_job", second)
    lab.pass_time(5)
    shown = lab.describe(second)
    assert (shown["status"], shown["isCancelled"]) == ("PENDING", True)
    stop(lab, "terminate_job", first)
    assert_stopped(lab.finish(second), word="cancel")


def test_terminate_of_one_that_waits_for_another_comes_at_once(lab: Lab) -> None:
    first = lab.submit(WAIT)
    second = lab.submit(dependsOn=[{"jobId": first}])
    stop(lab, "terminate_job", second)
    assert_stopped(lab.finish(second), word="terminate")
    stop(lab, "terminate_job", first)


@pytest.mark.parametrize("verb", ["cancel_job", "cancel_jobs"])
def test_cancel_of_a_parent_ends_the_children_that_have_not_started(lab: Lab, narrow: str, verb: str) -> None:
    definition = lab.sh("trap 'exit 0' TERM; echo waiting; sleep 600 & wait", vcpus=2)
    parent = lab.submit(jobDefinition=definition, queue=narrow, arrayProperties={"size": 3})
    children = [f"{parent}:{index}" for index in range(3)]
    lab.wait_until_said(children[0], "waiting")
    stop(lab, verb, parent)
    lab.finish(children[2])
    assert lab.states([parent, *children]) == ["PENDING", "RUNNING", "FAILED", "FAILED"]
    stop(lab, "terminate_job", children[0])
    assert lab.finish(parent)["status"] == "FAILED"
    assert lab.describe(children[1])["statusReason"] == "enough"


@pytest.mark.parametrize("verb", ["terminate_job", "terminate_jobs"])
def test_terminate_of_a_parent_ends_all_children(lab: Lab, narrow: str, wide_job: str, verb: str) -> None:
    parent = lab.submit(jobDefinition=wide_job, queue=narrow, arrayProperties={"size": 3})
    children = [f"{parent}:{index}" for index in range(3)]
    lab.wait_until_said(children[0], "waiting")
    stop(lab, verb, parent)
    ended = lab.finish(parent)
    assert_stopped(ended, word="terminate")
    assert ended["arrayProperties"]["statusSummary"]["FAILED"] == 3
    for child in children:
        assert_stopped(lab.describe(child), word="terminate")


@pytest.mark.parametrize("verb", ["cancel_jobs", "terminate_jobs"])
def test_the_plural_forms_take_an_unknown_id_as_done(lab: Lab, verb: str) -> None:
    waiting = lab.submit(dependsOn=[{"jobId": lab.submit(WAIT)}])
    answer = stop(lab, verb, "unknown", waiting)
    assert (answer["successful"], answer["errors"]) == (["unknown", waiting], [])


@pytest.mark.parametrize("verb", ["cancel_job", "terminate_job"])
def test_the_single_forms_refuse_an_unknown_id(lab: Lab, verb: str) -> None:
    assert "unknown" in lab.refused(verb, jobId="unknown", reason="enough")


@pytest.mark.parametrize("verb", ["cancel_jobs", "terminate_jobs"])
def test_the_plural_forms_take_fifty_ids(lab: Lab, verb: str) -> None:
    ids = [f"job-{number}" for number in range(51)]
    assert stop(lab, verb, *ids[:50])["successful"] == ids[:50]
    assert "50" in lab.refused(verb, jobs=ids, reason="enough")


def test_the_jobs_of_a_queue_that_is_deleted_are_ended(lab: Lab) -> None:
    queue = lab.make_queue(lab.make_environment())
    job_id = lab.submit(WAIT, queue=queue)
    lab.wait_until_said(job_id, "waiting")
    assert lab.refused("delete_job_queue", jobQueue=queue)
    lab.batch.update_job_queue(jobQueue=queue, state="DISABLED")
    lab.pass_time(2)
    assert lab.states([job_id]) == ["RUNNING"]
    lab.batch.delete_job_queue(jobQueue=queue)
    assert lab.finish(job_id)["status"] == "FAILED"
    lab.pass_time(5)
    assert lab.batch.describe_job_queues(jobQueues=[queue])["jobQueues"] == []
