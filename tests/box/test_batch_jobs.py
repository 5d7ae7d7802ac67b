"""One job from its submission to its end."""

import itertools
import threading
import time
from typing import Any

import pytest

from cloudknot.testing.batch.account import NotStarted
from cloudknot.testing.batch.api import BatchApi
from cloudknot.testing.batch.catalogue import Catalogue
from cloudknot.testing.batch.engine import Engine
from cloudknot.testing.batch.machines import Pace
from cloudknot.testing.clock import Clock
from cloudknot.testing.executors import Outcome
from tests.box.fakes import FAILURE, SUCCESS, Box, FakeAccount, FakeExecutor, FakeTrouble
from tests.box.making import definition_params, queue_params
from tests.box.model import check_response

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@pytest.fixture
def box() -> Box:
    return Box()


def test_a_job_goes_through_all_states(box: Box) -> None:
    job = box.submit_unseen()
    seen = [box.status(job)]
    box.settle()
    seen.append(box.status(job))
    box.begin(job)
    seen.append(box.status(job))
    box.executor.end(job)
    seen.append(box.status(job))
    assert seen == ["SUBMITTED", "STARTING", "RUNNING", "SUCCEEDED"]
    assert box.reason(job) == "Essential container in task exited"


def test_a_job_that_exits_with_another_code_than_0_fails(box: Box) -> None:
    job = box.submit()
    box.run(job, Outcome(exit_code=3))
    assert box.ending(job) == ("FAILED", "Essential container in task exited")
    assert box.job(job)["container"]["exitCode"] == 3


def test_a_fault_of_the_box_at_its_start_ends_it_and_frees_its_place(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.account.refusals.append(TypeError("unhashable"))
    job = box.submit()
    assert box.ending(job) == ("FAILED", "Task failed to start")
    assert "TypeError: unhashable" in box.job(job)["container"]["reason"]
    assert "TypeError: unhashable" in caplog.text
    box.run(box.submit(), SUCCESS)
    assert all(not host.job_ids for host in box.engine.hosts())


def test_its_moments_are_those_of_the_box_in_milliseconds(box: Box) -> None:
    job = box.submit()
    box.clock.advance(5)
    box.begin(job)
    box.clock.advance(7)
    box.executor.end(job)
    shown = box.job(job)
    assert shown["startedAt"] - shown["createdAt"] == 5_000
    assert shown["stoppedAt"] - shown["startedAt"] == 7_000
    (attempt,) = shown["attempts"]
    assert (attempt["startedAt"], attempt["stoppedAt"]) == (shown["startedAt"], shown["stoppedAt"])


def test_a_job_that_has_not_started_has_no_start_and_no_attempts(box: Box) -> None:
    shown = box.job(box.submit())
    assert "startedAt" not in shown
    assert shown["attempts"] == []


def test_every_state_is_described_as_the_service_model_says(box: Box) -> None:
    job = box.submit(timeout={"attemptDurationSeconds": 90}, tags={"a": "b"})
    array = box.submit(size=2, dependsOn=[{"jobId": job}])
    descriptions = [box.job(job)]
    box.begin(job)
    descriptions.append(box.job(job))
    box.executor.end(job, Outcome(exit_code=0, reason="said"))
    box.settle()
    descriptions += [box.job(job), box.job(array), box.job(f"{array}:1")]
    check_response("DescribeJobs", {"jobs": descriptions})


def test_what_ran_is_told_of_the_attempt_and_of_the_job(box: Box) -> None:
    job = box.submit()
    box.run(job, Outcome(exit_code=137, reason=OUT_OF_MEMORY))
    shown = box.job(job)
    container, (attempt,) = shown["container"], shown["attempts"]
    task_id = container["taskArn"].rpartition("/")[2]
    assert container["taskArn"].startswith("arn:aws:ecs:us-east-1:123456789012:task/ce_Batch/")
    assert container["containerInstanceArn"].startswith(
        "arn:aws:ecs:us-east-1:123456789012:container-instance/ce_Batch/"
    )
    assert container["logStreamName"] == f"d/default/{task_id}"
    assert container["reason"] == OUT_OF_MEMORY
    names = ("taskArn", "containerInstanceArn", "logStreamName", "exitCode", "reason")
    assert {name: attempt["container"][name] for name in names} == {name: container[name] for name in names}


def test_the_log_stream_is_named_when_the_job_is_running(box: Box) -> None:
    job = box.submit()
    assert "logStreamName" not in box.job(job)["container"]
    box.begin(job)
    assert "logStreamName" in box.job(job)["container"]


def test_a_long_reason_of_a_container_is_cut(box: Box) -> None:
    job = box.submit()
    box.run(job, Outcome(exit_code=1, reason="x" * 300))
    assert len(box.job(job)["container"]["reason"]) == 255


def test_a_task_on_fargate_has_a_network_interface_and_no_instance() -> None:
    box = Box(type="FARGATE")
    shown = box.job(box.submit())
    assert "containerInstanceArn" not in shown["container"]
    (interface,) = shown["container"]["networkInterfaces"]
    assert interface["privateIpv4Address"].startswith("10.0.")


def test_unknown_jobs_are_left_out(box: Box) -> None:
    job = box.submit()
    assert [one["jobId"] for one in box.engine.describe(["unknown", job, job])] == [job]


def test_a_task_gets_its_own_variables_those_of_the_platform_and_those_of_batch() -> None:
    box = Box()
    box.account.platform = {"SECRET": "s", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/1"}
    box.catalogue.add_definition(
        container={"environment": [{"name": "OWN", "value": "1"}, {"name": "SECRET", "value": "not this"}]}
    )
    job = box.submit(containerOverrides={"environment": [{"name": "MORE", "value": "2"}]})
    assert box.executor.task_of(job).environment == {
        "OWN": "1",
        "MORE": "2",
        "SECRET": "s",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/1",
        "AWS_BATCH_JOB_ID": job,
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JQ_NAME": "q",
        "AWS_BATCH_CE_NAME": "ce",
    }


def test_a_task_has_what_overrides_and_parameters_make_of_the_definition() -> None:
    box = Box()
    parameters = {"word": "no", "other": "1"}
    box.catalogue.add_definition(container={"command": ["echo", "Ref::word"]}, parameters=parameters)
    job = box.submit(
        parameters={"word": "yes"},
        containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": "2048"}]},
    )
    task = box.executor.task_of(job)
    assert (task.image, task.command) == ("busybox", ("echo", "yes"))
    assert (task.vcpus, task.memory_mib) == (1.0, 2048)
    assert box.job(job)["parameters"] == {"word": "yes", "other": "1"}


def test_submit_s_retries_and_timeout_go_before_the_definition_s() -> None:
    box = Box()
    box.catalogue.add_definition(retry={"attempts": 2}, timeout_s=100)
    plain = box.job(box.submit())
    own = box.job(box.submit(retryStrategy={"attempts": 5}, timeout={"attemptDurationSeconds": 200}))
    assert (plain["retryStrategy"]["attempts"], plain["timeout"]) == (2, {"attemptDurationSeconds": 100})
    assert (own["retryStrategy"]["attempts"], own["timeout"]) == (5, {"attemptDurationSeconds": 200})


def test_what_a_container_writes_goes_to_its_log_stream_at_once(box: Box) -> None:
    job = box.submit()
    box.begin(job)
    box.executor.write(job, "one", "two")
    stream = box.job(job)["container"]["logStreamName"]
    assert box.account.logs == {("/aws/batch/job", stream): [(0, "one"), (1, "two")]}


@pytest.mark.parametrize(
    ("configuration", "group", "prefix"),
    [
        ({"logDriver": "awslogs"}, "/aws/batch/job", "d"),
        (
            {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "mine", "awslogs-stream-prefix": "some"},
            },
            "mine",
            "some",
        ),
    ],
)
def test_a_log_configuration_names_group_and_prefix(
    configuration: dict[str, Any], group: str, prefix: str
) -> None:
    box = Box()
    box.catalogue.add_definition(container={"logConfiguration": configuration})
    job = box.submit()
    box.begin(job)
    box.executor.write(job, "line")
    ((found_group, stream),) = box.account.logs
    assert (found_group, stream.partition("/")[0]) == (group, prefix)


def test_another_log_driver_writes_nothing_to_cloudwatch() -> None:
    box = Box()
    box.catalogue.add_definition(container={"logConfiguration": {"logDriver": "json-file"}})
    job = box.submit()
    box.begin(job)
    box.executor.write(job, "line")
    assert not box.account.logs


def test_the_credentials_of_a_task_that_ended_are_taken_back(box: Box) -> None:
    job = box.submit()
    box.run(job)
    assert box.account.ended_tasks == [box.job(job)["container"]["taskArn"].rpartition("/")[2]]


def test_an_image_is_pulled_with_the_machine_s_role_and_on_fargate_without_one() -> None:
    machine, fargate = Box(), Box(type="FARGATE")
    machine.submit()
    fargate.submit()
    assert machine.account.pulls == [("busybox", "ecsInstanceRole")]
    assert fargate.account.pulls == [("busybox", None)]


def test_a_task_that_the_account_refuses_ends_with_its_reasons(box: Box) -> None:
    box.account.pull_refusal = NotStarted("CannotPullContainerError: denied", "Task failed to start")
    job = box.submit()
    assert box.ending(job) == ("FAILED", "Task failed to start")
    shown = box.job(job)
    assert shown["container"]["reason"] == "CannotPullContainerError: denied"
    assert "exitCode" not in shown["container"]
    assert not box.executor.tasks


@pytest.mark.parametrize("why", ["no such tag", "CannotPullContainerError: no such tag"])
def test_an_image_that_cannot_be_pulled_is_said_in_aws_s_words(box: Box, why: str) -> None:
    box.trouble.pulls.append(why)
    job = box.submit()
    assert box.ending(job) == ("FAILED", "Task failed to start")
    assert box.job(job)["container"]["reason"] == "CannotPullContainerError: no such tag"


def test_overrides_that_are_too_long_fail_the_job_and_not_the_submission(box: Box) -> None:
    job = box.submit(containerOverrides={"command": ["x" * 8192]}, retryStrategy={"attempts": 3})
    assert box.ending(job) == ("FAILED", "Container Overrides length must be at most 8192")
    assert box.job(job)["attempts"] == []


def test_a_job_that_was_made_lately_is_not_seen_by_those_that_read(box: Box) -> None:
    box.trouble.lag = 3
    job, array = box.submit(), box.submit(size=2)
    assert box.engine.describe([job, array, f"{array}:0"]) == []
    assert box.engine.list({"jobQueue": "q", "jobStatus": "STARTING"}) == {"jobSummaryList": []}
    box.clock.advance(3)
    assert len(box.engine.describe([job, array, f"{array}:0"])) == 3


def test_a_job_that_ended_is_known_for_seven_days(box: Box) -> None:
    job, array = box.submit(), box.submit(size=2)
    box.executor.run_all()
    box.clock.advance(7 * 24 * 3600 - 1)
    assert len(box.engine.describe([job, array, f"{array}:0"])) == 3
    box.clock.advance(1)
    assert box.engine.describe([job, array, f"{array}:0"]) == []
    assert box.engine.list({"jobQueue": "q", "jobStatus": "SUCCEEDED"}) == {"jobSummaryList": []}


def test_tags_can_be_changed_in_place(box: Box) -> None:
    job = box.submit(tags={"a": "1"})
    tags = box.engine.tags(box.job(job)["jobArn"])
    assert tags is not None
    tags["b"] = "2"
    assert box.job(job)["tags"] == {"a": "1", "b": "2"}
    assert box.engine.tags("arn:aws:batch:us-east-1:123456789012:job/unknown") is None


def test_a_queue_says_whether_it_has_jobs_and_ends_them_when_it_is_deleted(box: Box) -> None:
    job = box.submit()
    queue = box.job(job)["jobQueue"]
    assert box.catalogue.has_jobs(queue)
    box.catalogue.terminate_all(queue, "JobQueue deleted")
    box.executor.end(job, FAILURE)
    assert box.ending(job) == ("FAILED", "JobQueue deleted")
    assert not box.catalogue.has_jobs(queue)


def test_closing_kills_what_runs_and_forgets_all(box: Box) -> None:
    running, waiting = box.submit(), box.submit(dependsOn=[{"jobId": box.submit()}])
    box.engine.close()
    assert len(box.executor.killed) == 2
    assert box.engine.describe([running, waiting]) == []
    assert box.engine.hosts() == []
    box.executor.run_all()  # what the executor says now is about nothing
    box.clock.advance(1e6)
    job = box.submit()
    box.run(job)
    assert box.status(job) == "SUCCEEDED"


def test_what_was_to_come_when_the_engine_was_closed_does_not(caplog: pytest.LogCaptureFixture) -> None:
    box = Box(pace=Pace(launch_s=60))
    box.submit(size=2)
    box.engine.close()
    box.clock.advance(120)
    assert not box.executor.tasks
    assert not caplog.records


def test_all_that_there_is_room_for_is_started_at_once() -> None:
    box = Box(type="FARGATE", maxvCpus=1000)
    box.submit(size=900)
    assert len(box.executor.tasks) == 900


def test_ten_thousand_children_are_through_in_a_few_seconds() -> None:
    box = Box(maxvCpus=256)
    box.account.is_keeping_events = False
    began = time.perf_counter()
    array = box.submit_unseen(size=10_000)
    assert time.perf_counter() - began < 0.5
    box.settle()
    while box.executor.run_all():
        box.settle()
    assert box.ending(array) == ("SUCCEEDED", None)
    assert time.perf_counter() - began < 5
    assert box.executor.most_at_once == 256


def test_callbacks_may_come_from_other_threads_while_the_clock_ticks() -> None:
    clock, executor = Clock(), FakeExecutor()
    box = Box()
    engine = Engine(
        catalogue=box.catalogue,
        clock=clock,
        lock=threading.RLock(),
        account=FakeAccount(),
        trouble=FakeTrouble(),
        executor=executor,
    )
    try:
        submitted = engine.submit(
            {"jobName": "job", "jobQueue": "q", "jobDefinition": "d", "arrayProperties": {"size": 50}}
        )
        until = time.monotonic() + 20
        while engine.describe([submitted["jobId"]])[0]["status"] != "SUCCEEDED":
            assert time.monotonic() < until
            thread = threading.Thread(target=executor.run_all)
            thread.start()
            thread.join()
    finally:
        clock.close()


def test_a_job_runs_with_the_real_catalogue_behind_the_real_front() -> None:
    clock = Clock(ticking=False, read=itertools.repeat(1e9).__next__)
    account, trouble, executor, lock = FakeAccount(), FakeTrouble(), FakeExecutor(), threading.RLock()
    catalogue = Catalogue(
        account_id=account.id, region=account.region, clock=clock, lock=lock, account=account, trouble=trouble
    )
    engine = Engine(
        catalogue=catalogue, clock=clock, lock=lock, account=account, trouble=trouble, executor=executor
    )
    api = BatchApi(catalogue, engine)

    def ask(operation: str, **params: Any) -> dict[str, Any]:
        reply = api.handle(operation, params, size=100)
        check_response(operation, reply)
        return reply

    resources = {
        "type": "EC2",
        "minvCpus": 0,
        "maxvCpus": 8,
        "instanceTypes": ["optimal"],
        "instanceRole": "ecsInstanceRole",
        "subnets": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
    }
    ask("CreateComputeEnvironment", computeEnvironmentName="ce", type="MANAGED", computeResources=resources)
    clock.advance(2)
    ask("CreateJobQueue", **queue_params())
    clock.advance(2)
    ask("RegisterJobDefinition", **definition_params())
    job = ask("SubmitJob", jobName="job", jobQueue="q", jobDefinition="d")["jobId"]
    clock.advance(0)
    executor.begin(job)
    assert ask("ListJobs", jobQueue="q")["jobSummaryList"][0]["jobId"] == job
    executor.end(job, SUCCESS)
    assert ask("DescribeJobs", jobs=[job])["jobs"][0]["status"] == "SUCCEEDED"
    ask("GetJobQueueSnapshot", jobQueue="q")
    assert ask("TerminateJobs", jobs=[job], reason="late")["successful"] == [job]
