"""What EventBridge is told."""

from tests.box.fakes import FAILURE, Box

CHANGE = "Batch Job State Change"


def test_every_move_is_told_but_the_submission() -> None:
    box = Box()
    job = box.submit(retryStrategy={"attempts": 2})
    box.run(job, FAILURE)
    box.run(job)
    assert box.account.states_told(job) == [
        *("RUNNABLE", "STARTING", "RUNNING"),
        *("RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"),
    ]
    assert {kind for kind, *_ in box.account.events} == {CHANGE}


def test_an_event_has_the_job_as_its_resource_and_in_its_detail() -> None:
    box = Box()
    job = box.submit(tags={"run": "7"})
    box.clock.advance(5)
    box.run(job)
    shown = box.job(job)
    _, resources, body, at = box.account.events[-1]
    assert resources == (shown["jobArn"],)
    assert at == box.clock.now()
    assert body == {**shown, "tags": {"resourceArn": shown["jobArn"], "run": "7"}}


def test_children_are_told_of_with_their_index_and_the_parent_too() -> None:
    box = Box()
    array = box.submit(size=2)
    box.executor.run_all()
    assert box.account.states_told(f"{array}:1") == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert box.account.states_told(array) == ["PENDING", "SUCCEEDED"]
    child = next(body for _, _, body, _ in box.account.events if body["jobId"] == f"{array}:1")
    assert child["arrayProperties"] == {"index": 1}


def test_an_event_tells_how_it_was_then() -> None:
    box = Box()
    job = box.submit()
    box.run(job)
    counts = [len(body["attempts"]) for _, _, body, _ in box.account.events]
    assert counts == [0, 0, 0, 1]


def test_a_dependent_job_is_told_of_while_it_waits() -> None:
    box = Box()
    job = box.submit(dependsOn=[{"jobId": box.submit()}])
    assert box.account.states_told(job) == ["PENDING"]


def test_an_event_may_come_more_than_once() -> None:
    box = Box()
    box.trouble.copies = 2
    job = box.submit()
    assert box.account.states_told(job) == ["RUNNABLE", "RUNNABLE", "STARTING", "STARTING"]


def test_a_queue_that_is_blocked_is_told_of_once() -> None:
    box = Box()
    box.catalogue.add_definition("large", vcpus="64")
    job = box.submit(definition="large")
    box.submit()
    shown = box.job(job)
    blocked = [event for event in box.account.events if event[0] != CHANGE]
    ((kind, resources, body, _),) = blocked
    assert kind == "Batch Job Queue Blocked"
    assert resources == (shown["jobArn"], shown["jobQueue"])
    assert body["statusReason"].startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
