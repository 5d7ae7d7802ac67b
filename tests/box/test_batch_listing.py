"""ListJobs and GetJobQueueSnapshot."""

from typing import Any

import pytest

from cloudknot.testing.batch.errors import ClientException
from tests.box.fakes import FAILURE, Box
from tests.box.model import check_response


@pytest.fixture
def box() -> Box:
    return Box(maxvCpus=2)


def ids(box: Box, **params: Any) -> list[str]:
    reply = box.engine.list(params)
    check_response("ListJobs", reply)
    return [job["jobId"] for job in reply["jobSummaryList"]]


def test_without_a_status_those_that_run_are_listed(box: Box) -> None:
    running, _ = box.submit(), box.submit()
    box.begin(running)
    assert ids(box, jobQueue="q") == [running]


def test_a_status_lists_those_in_it_the_newest_first(box: Box) -> None:
    jobs = [box.submit() for _ in range(4)]
    assert ids(box, jobQueue="q", jobStatus="STARTING") == [jobs[1], jobs[0]]
    assert ids(box, jobQueue="q", jobStatus="RUNNABLE") == [jobs[3], jobs[2]]


def test_a_queue_lists_arrays_and_not_their_children(box: Box) -> None:
    array = box.submit(size=2)
    box.begin(f"{array}:0")
    assert ids(box, jobQueue="q") == []
    assert ids(box, jobQueue="q", jobStatus="PENDING") == [array]


def test_an_array_lists_its_children_in_a_state_by_index(box: Box) -> None:
    array = box.submit(size=3)
    box.run(f"{array}:0", FAILURE)
    box.begin(f"{array}:1")
    assert ids(box, arrayJobId=array) == [f"{array}:1"]
    assert ids(box, arrayJobId=array, jobStatus="FAILED") == [f"{array}:0"]
    assert ids(box, arrayJobId="unknown") == []


def test_a_queue_lists_only_its_own_jobs(box: Box) -> None:
    box.catalogue.add_queue("other", "ce")
    job = box.submit(queue="other")
    assert ids(box, jobQueue="other", jobStatus="STARTING") == [job]
    assert ids(box, jobQueue="q", jobStatus="STARTING") == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("JOB_NAME", "TEST1", {"test1"}),
        ("JOB_NAME", "test1*", {"test1", "Test10"}),
        ("JOB_NAME", "t", set()),
        ("JOB_DEFINITION", "jd1", {"test1"}),
        ("JOB_DEFINITION", "jd1*", {"test1", "Test10"}),
        ("JOB_DEFINITION", "JD1", set()),
        ("JOB_DEFINITION", "arn:aws:batch:us-east-1:123456789012:job-definition/jd1A:1", {"Test10"}),
        ("BEFORE_CREATED_AT", "1700000010000", {"test1"}),
        ("AFTER_CREATED_AT", "1700000000000", {"Test10", "other"}),
        ("SHARE_IDENTIFIER", "mine", {"other"}),
    ],
)
def test_a_filter_finds_jobs_in_any_state(box: Box, name: str, value: str, found: set[str]) -> None:
    box.catalogue.add_definition("jd1")
    box.catalogue.add_definition("jd1A")
    done = box.submit(definition="jd1", jobName="test1")
    box.run(done)
    box.clock.advance(10)
    box.submit(definition="jd1A", jobName="Test10")
    box.submit(jobName="other", shareIdentifier="mine")
    reply = box.engine.list({"jobQueue": "q", "jobStatus": "FAILED"} | _filter(name, value))
    if name == "SHARE_IDENTIFIER":
        assert reply["jobSummaryList"] == []
        reply = box.engine.list({"jobQueue": "q"} | _filter(name, value))
    assert {job["jobName"] for job in reply["jobSummaryList"]} == found


def test_a_share_may_be_asked_for_together_with_a_status(box: Box) -> None:
    job = box.submit(shareIdentifier="mine")
    box.submit()
    assert ids(box, jobQueue="q", jobStatus="STARTING", **_filter("SHARE_IDENTIFIER", "mine")) == [job]


def test_a_filter_that_is_not_a_moment_is_refused(box: Box) -> None:
    with pytest.raises(ClientException, match="milliseconds"):
        box.engine.list({"jobQueue": "q", **_filter("AFTER_CREATED_AT", "yesterday")})


@pytest.mark.parametrize("by", ["queue", "array"])
def test_pages_have_each_job_once_though_jobs_move_in_between(box: Box, by: str) -> None:
    if by == "queue":
        jobs = [box.submit() for _ in range(7)][::-1]
        asked: dict[str, Any] = {"jobQueue": "q"}
        waiting, first = jobs[:5], jobs[-1]
    else:
        array = box.submit(size=7)
        jobs = [f"{array}:{index}" for index in range(7)]
        asked = {"arrayJobId": array}
        waiting, first = jobs[2:], jobs[2]
    asked |= {"jobStatus": "RUNNABLE", "maxResults": 2}
    page = box.engine.list(asked)
    found = [job["jobId"] for job in page["jobSummaryList"]]
    box.engine.cancel(first if by == "array" else waiting[0], "it was on the first page")
    while "nextToken" in page:
        page = box.engine.list({**asked, "nextToken": page["nextToken"]})
        assert len(page["jobSummaryList"]) <= 2
        found += [job["jobId"] for job in page["jobSummaryList"]]
    assert found == waiting


def test_a_page_has_1000_jobs_and_with_a_filter_100() -> None:
    box = Box()
    array = box.submit(size=1500)
    reply = box.engine.list({"arrayJobId": array, "jobStatus": "RUNNABLE"})
    assert len(reply["jobSummaryList"]) == 1000
    for _ in range(101):
        box.submit_unseen()
    reply = box.engine.list({"jobQueue": "q", **_filter("JOB_NAME", "job")})
    assert len(reply["jobSummaryList"]) == 100
    assert "nextToken" in reply


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U="])
def test_a_token_that_is_none_is_refused(box: Box, token: str) -> None:
    with pytest.raises(ClientException, match="nextToken is not valid"):
        box.engine.list({"jobQueue": "q", "nextToken": token})


def test_a_summary_says_how_a_job_ended(box: Box) -> None:
    job = box.submit()
    box.run(job, FAILURE)
    (shown,) = box.engine.list({"jobQueue": "q", "jobStatus": "FAILED"})["jobSummaryList"]
    assert shown["container"] == {"exitCode": 1}
    assert shown["statusReason"] == "Essential container in task exited"
    assert {"jobArn", "createdAt", "startedAt", "stoppedAt", "jobDefinition"} <= shown.keys()
    assert not {"isCancelled", "isTerminated", "arrayProperties"} & shown.keys()


def test_a_summary_says_that_a_job_was_cancelled_or_terminated(box: Box) -> None:
    box.submit(size=2)
    cancelled, terminated = box.submit(), box.submit()
    box.engine.cancel(cancelled, "r")
    box.engine.terminate(terminated, "r")
    shown = box.engine.list({"jobQueue": "q", "jobStatus": "FAILED"})["jobSummaryList"]
    assert [(job.get("isCancelled"), job.get("isTerminated")) for job in shown] == [
        (None, True),
        (True, None),
    ]


def test_a_snapshot_has_the_first_100_runnable_jobs_in_their_order(box: Box) -> None:
    box.submit(size=2)
    jobs = [box.submit_unseen() for _ in range(105)]
    box.settle()
    box.engine.cancel(jobs[0], "r")
    reply = box.engine.snapshot("q")
    check_response("GetJobQueueSnapshot", reply)
    front = [job["jobArn"].rpartition("/")[2] for job in reply["frontOfQueue"]["jobs"]]
    assert front == jobs[1:101]


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"filters": [{"name": name, "values": [value]}]}
