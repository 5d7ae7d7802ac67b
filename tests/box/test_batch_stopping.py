"""CancelJob, TerminateJob, and machines that are taken back."""

import pytest

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.machines import Pace
from cloudknot.testing.executors import Outcome
from tests.box.fakes import FAILURE, SUCCESS, Box

TERMINATED = Outcome(exit_code=143)
KILLED = Outcome(exit_code=137)


@pytest.fixture
def box() -> Box:
    return Box(maxvCpus=2)


def flags(box: Box, job: str) -> tuple[bool, bool]:
    shown = box.job(job)
    return shown["isCancelled"], shown["isTerminated"]


def test_a_runnable_job_is_cancelled_at_once(box: Box) -> None:
    box.submit(size=2)
    job = box.submit(retryStrategy={"attempts": 3})
    box.engine.cancel(job, "not needed")
    assert box.ending(job) == ("FAILED", "not needed")
    assert flags(box, job) == (True, False)
    assert box.job(job)["attempts"] == []
    box.executor.run_all()
    box.settle()
    assert not box.executor.tasks


def test_a_job_that_was_just_submitted_is_cancelled_at_once(box: Box) -> None:
    job = box.submit_unseen()
    box.engine.cancel(job, "not needed")
    box.settle()
    assert box.ending(job) == ("FAILED", "not needed")


@pytest.mark.parametrize("is_running", [False, True])
def test_a_job_that_is_starting_or_running_is_not_cancelled(box: Box, is_running: bool) -> None:
    job = box.submit(retryStrategy={"attempts": 2})
    if is_running:
        box.begin(job)
    status = box.status(job)
    box.engine.cancel(job, "not needed")
    assert box.status(job) == status
    assert flags(box, job) == (False, False)
    assert not box.executor.stopped


def test_a_pending_job_is_cancelled_when_those_it_depends_on_have_ended(box: Box) -> None:
    first = box.submit()
    job = box.submit(dependsOn=[{"jobId": first}])
    box.engine.cancel(job, "not needed")
    assert box.status(job) == "PENDING"
    assert flags(box, job) == (True, False)
    box.run(first)
    assert box.ending(job) == ("FAILED", "not needed")


def test_cancelling_an_array_cancels_those_children_that_have_not_started(box: Box) -> None:
    array = box.submit(size=4)
    box.begin(f"{array}:0")
    box.engine.cancel(array, "not needed")
    assert box.counts(array) == {"RUNNING": 1, "STARTING": 1, "FAILED": 2}
    assert box.ending(f"{array}:3") == ("FAILED", "not needed")
    assert box.status(array) == "PENDING"
    box.executor.run_all()
    assert box.ending(array) == ("FAILED", "not needed")
    assert box.counts(array) == {"SUCCEEDED": 2, "FAILED": 2}
    assert flags(box, array) == (True, False)


def test_a_child_of_a_cancelled_array_is_not_tried_again(box: Box) -> None:
    array = box.submit(size=2, retryStrategy={"attempts": 2})
    box.engine.cancel(array, "not needed")
    box.run(f"{array}:0", FAILURE)
    assert box.status(f"{array}:0") == "FAILED"


def test_an_array_that_waits_is_cancelled_without_children(box: Box) -> None:
    first = box.submit()
    array = box.submit(size=2, dependsOn=[{"jobId": first}])
    box.engine.cancel(array, "not needed")
    box.run(first)
    assert box.ending(array) == ("FAILED", "not needed")
    assert box.counts(array) == {}


def test_a_running_job_is_asked_to_end_and_killed_30_s_later(box: Box) -> None:
    job = box.submit(retryStrategy={"attempts": 3})
    box.begin(job)
    task = box.executor.task_of(job).id
    box.engine.terminate(job, "enough")
    assert (box.executor.stopped, box.executor.killed, box.status(job)) == ([task], [], "RUNNING")
    box.clock.advance(29.9)
    assert box.executor.killed == []
    box.clock.advance(0.1)
    assert box.executor.killed == [task]
    box.executor.end(job, KILLED)
    assert box.ending(job) == ("FAILED", "enough")
    assert flags(box, job) == (False, True)
    (attempt,) = box.job(job)["attempts"]
    assert (attempt["statusReason"], attempt["container"]["exitCode"]) == ("enough", 137)


def test_a_job_that_ends_when_it_is_asked_to_is_not_killed(box: Box) -> None:
    job = box.submit()
    box.begin(job)
    box.engine.terminate(job, "enough")
    box.executor.end(job, TERMINATED)
    box.clock.advance(60)
    assert box.executor.killed == []


def test_a_terminated_job_fails_even_when_it_exits_with_0(box: Box) -> None:
    job = box.submit()
    box.begin(job)
    box.engine.terminate(job, "enough")
    box.executor.end(job, SUCCESS)
    assert box.ending(job) == ("FAILED", "enough")


def test_a_starting_job_is_terminated(box: Box) -> None:
    job = box.submit()
    box.engine.terminate(job, "enough")
    box.executor.end(job, Outcome(exit_code=None))
    assert box.ending(job) == ("FAILED", "enough")


@pytest.mark.parametrize("has_dependency", [False, True])
def test_a_job_that_waits_is_terminated_at_once(box: Box, has_dependency: bool) -> None:
    array = box.submit(size=2)
    job = box.submit(dependsOn=[{"jobId": array}] if has_dependency else [])
    box.engine.terminate(job, "enough")
    assert box.ending(job) == ("FAILED", "enough")
    assert flags(box, job) == (False, True)
    box.executor.run_all()
    box.settle()
    assert box.ending(job) == ("FAILED", "enough")


def test_terminating_an_array_reaches_all_its_children(box: Box) -> None:
    array = box.submit(size=4, retryStrategy={"attempts": 2})
    box.run(f"{array}:0")
    box.begin(f"{array}:1")
    box.engine.terminate(array, "enough")
    assert box.counts(array) == {"SUCCEEDED": 1, "RUNNING": 1, "STARTING": 1, "FAILED": 1}
    box.executor.run_all(TERMINATED)
    assert box.ending(array) == ("FAILED", "enough")
    assert {box.reason(f"{array}:{index}") for index in (1, 2, 3)} == {"enough"}
    assert flags(box, f"{array}:3") == (False, True)


def test_terminating_a_sequential_array_gives_the_same_reason_to_all(box: Box) -> None:
    array = box.submit(size=3, dependsOn=[{"type": "SEQUENTIAL"}])
    box.begin(f"{array}:0")
    box.engine.terminate(array, "enough")
    box.executor.end(f"{array}:0", TERMINATED)
    assert [box.ending(f"{array}:{index}") for index in range(3)] == [("FAILED", "enough")] * 3


def test_what_depends_on_a_terminated_job_fails(box: Box) -> None:
    first = box.submit()
    job = box.submit(dependsOn=[{"jobId": first}])
    box.engine.terminate(first, "enough")
    box.executor.end(first, TERMINATED)
    assert box.ending(job) == ("FAILED", "Dependent Job failed")


def test_a_job_that_has_ended_stays_as_it_is(box: Box) -> None:
    job = box.submit()
    box.run(job)
    box.engine.cancel(job, "late")
    box.engine.terminate(job, "late")
    assert box.status(job) == "SUCCEEDED"
    assert flags(box, job) == (False, False)


def test_a_job_that_is_not_known_cannot_be_stopped(box: Box) -> None:
    with pytest.raises(ClientException, match="Job unknown does not exist"):
        box.engine.cancel("unknown", "r")
    with pytest.raises(ClientException, match="Job unknown does not exist"):
        box.engine.terminate("unknown", "r")


def test_a_machine_that_is_taken_back_ends_its_attempts_without_an_exit_code() -> None:
    box = Box(type="SPOT", maxvCpus=4, instanceTypes=["m6i.large"])
    rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    jobs = [box.submit(retryStrategy={"attempts": 2, "evaluateOnExit": rules}) for _ in range(3)]
    for job in jobs:
        box.begin(job)
    lost = box.engine.hosts()[0]
    assert lost.is_spot
    tasks = [box.executor.task_of(job).id for job in lost.job_ids]
    assert len(tasks) == 2
    box.engine.reclaim(lost.instance_id)
    box.settle()
    assert box.executor.killed == tasks
    assert lost.instance_id not in [host.instance_id for host in box.engine.hosts()]
    for job in lost.job_ids:
        (attempt,) = box.job(job)["attempts"]
        assert attempt["statusReason"] == f"Host EC2 (instance {lost.instance_id}) terminated."
        assert "exitCode" not in attempt["container"]
        assert box.status(job) == "STARTING"


def test_what_the_executor_says_of_a_lost_task_is_not_heard() -> None:
    box = Box(maxvCpus=2)
    job = box.submit(retryStrategy={"attempts": 2})
    box.begin(job)
    old, observer = box.executor.tasks[box.executor.task_of(job).id]
    (host,) = box.engine.hosts()
    box.engine.reclaim(host.instance_id)
    del box.executor.tasks[old.id]
    box.settle()
    observer.ended(old.id, KILLED)
    assert box.status(job) == "STARTING"
    box.run(job)
    assert box.status(job) == "SUCCEEDED"


def test_a_job_without_attempts_left_fails_with_its_machine() -> None:
    box = Box()
    job = box.submit()
    (host,) = box.engine.hosts()
    box.engine.reclaim(host.instance_id)
    assert box.ending(job) == ("FAILED", f"Host EC2 (instance {host.instance_id}) terminated.")


def test_a_job_that_waited_for_a_lost_machine_to_come_up_waits_for_the_next() -> None:
    box = Box(pace=Pace(launch_s=60))
    job = box.submit()
    (host,) = box.engine.hosts()
    box.engine.reclaim(host.instance_id)
    box.settle()
    assert box.status(job) == "RUNNABLE"
    box.clock.advance(60)
    assert box.status(job) == "STARTING"
    assert box.job(job)["attempts"] == []


@pytest.mark.parametrize("by", ["job", "task", "arn"])
def test_a_task_on_fargate_spot_is_asked_to_end_then_killed(by: str) -> None:
    box = Box(type="FARGATE_SPOT")
    job = box.submit()
    box.begin(job)
    arn = box.job(job)["container"]["taskArn"]
    task = arn.rpartition("/")[2]
    box.engine.reclaim({"job": job, "task": task, "arn": arn}[by])
    assert box.executor.stopped == [task]
    box.clock.advance(30)
    assert box.executor.killed == [task]
    box.executor.end(job, KILLED)
    assert box.ending(job) == ("FAILED", "Your Spot Task was interrupted.")


def test_a_spot_task_that_exits_with_0_when_it_is_asked_to_end_has_succeeded() -> None:
    box = Box(type="FARGATE_SPOT")
    job = box.submit()
    box.begin(job)
    box.engine.reclaim(job)
    box.executor.end(job, SUCCESS)
    assert box.ending(job) == ("SUCCEEDED", "Your Spot Task was interrupted.")


def test_what_is_neither_a_machine_nor_a_spot_task_cannot_be_taken_back() -> None:
    box = Box(type="FARGATE")
    job = box.submit()
    for name in ("i-0unknown", job):
        with pytest.raises(ClientException, match="the machines are: none"):
            box.engine.reclaim(name)
