"""Array jobs: one parent, many children."""

import pytest

from cloudknot.testing.batch.arrays import count_none, state_of_parent
from cloudknot.testing.batch.jobs import State
from tests.box.fakes import FAILURE, SUCCESS, Box
from tests.box.model import check_response


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.mark.parametrize(
    ("succeeded", "failed", "state"),
    [
        (3, 0, State.SUCCEEDED),
        (2, 1, State.FAILED),
        (0, 3, State.FAILED),
        (2, 0, State.PENDING),
        (0, 2, State.PENDING),
    ],
)
def test_a_parent_ends_with_its_last_child(succeeded: int, failed: int, state: State) -> None:
    counts = {**count_none(), State.SUCCEEDED: succeeded, State.FAILED: failed}
    assert state_of_parent(counts, 3) is state


def test_a_parent_is_pending_while_children_run_and_counts_them(box: Box) -> None:
    array = box.submit_unseen(size=3)
    assert box.status(array) == "SUBMITTED"
    box.settle()
    box.begin(f"{array}:0")
    box.run(f"{array}:1")
    assert box.status(array) == "PENDING"
    assert box.counts(array) == {"STARTING": 1, "RUNNING": 1, "SUCCEEDED": 1}
    shown = box.job(array)["arrayProperties"]
    assert shown["size"] == 3
    assert set(shown["statusSummary"]) == {state.value for state in State}


def test_a_parent_whose_children_succeeded_has_succeeded(box: Box) -> None:
    array = box.submit(size=2)
    box.executor.run_all()
    assert box.ending(array) == ("SUCCEEDED", None)


def test_a_parent_fails_when_all_have_ended_and_one_has_failed(box: Box) -> None:
    array = box.submit(size=2)
    box.run(f"{array}:0", FAILURE)
    assert box.status(array) == "PENDING"
    box.run(f"{array}:1", SUCCESS)
    assert box.ending(array) == ("FAILED", "Array Child Job failed")
    assert box.counts(array) == {"SUCCEEDED": 1, "FAILED": 1}


def test_a_child_knows_its_index_and_the_size(box: Box) -> None:
    array = box.submit(size=2)
    environment = box.executor.task_of(f"{array}:1").environment
    assert environment["AWS_BATCH_JOB_ID"] == f"{array}:1"
    assert environment["AWS_BATCH_JOB_ARRAY_INDEX"] == "1"
    assert environment["AWS_BATCH_JOB_ARRAY_SIZE"] == "2"


def test_a_child_is_described_with_its_index_and_its_parent_s_name(box: Box) -> None:
    array = box.submit(size=2)
    child, parent = box.job(f"{array}:1"), box.job(array)
    assert child["arrayProperties"] == {"index": 1}
    assert child["jobArn"] == f"{parent['jobArn']}:1"
    assert child["jobName"] == parent["jobName"]
    check_response("DescribeJobs", {"jobs": [child, parent]})


def test_a_child_is_tried_again_by_itself(box: Box) -> None:
    array = box.submit(size=2, retryStrategy={"attempts": 2})
    box.run(f"{array}:0", FAILURE)
    assert box.executor.task_of(f"{array}:0").environment["AWS_BATCH_JOB_ATTEMPT"] == "2"
    assert box.executor.task_of(f"{array}:1").environment["AWS_BATCH_JOB_ATTEMPT"] == "1"
    box.executor.run_all()
    assert box.status(array) == "SUCCEEDED"


def test_a_parent_has_started_with_its_first_child_and_stopped_with_its_last(box: Box) -> None:
    array = box.submit(size=2)
    box.clock.advance(1)
    box.begin(f"{array}:1")
    box.clock.advance(1)
    box.executor.end(f"{array}:1")
    box.run(f"{array}:0")
    shown = box.job(array)
    assert shown["startedAt"] - shown["createdAt"] == 1_000
    assert shown["stoppedAt"] - shown["createdAt"] == 2_000


def test_children_start_in_the_order_of_their_indices() -> None:
    box = Box(maxvCpus=2)
    array = box.submit(size=5)
    started = [[task.job_id for task, _ in box.executor.tasks.values()]]
    while box.executor.run_all():
        box.settle()
        started.append([task.job_id for task, _ in box.executor.tasks.values()])
    assert [job for some in started for job in some] == [f"{array}:{index}" for index in range(5)]
