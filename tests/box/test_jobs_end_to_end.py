"""Jobs through boto3, from SubmitJob to the log, in real containers and as real processes."""

import json
from typing import Any

import pytest

from cloudknot.testing import Box
from cloudknot.testing.faults import PullFailure, SpotReclaim
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")

SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
WAIT = "import time; print('waiting', flush=True); time.sleep(600)"
# Ends by itself when it is asked to, and says so.
POLITE = """
import signal, sys, time
def leave(*_):
    print('asked to leave', flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, leave)
print('waiting', flush=True)
time.sleep(600)
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
ONLY_THE_FIRST_WAITS = f"import os; os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' or os._exit(0); {WAIT}"


def start(box: Box, code: str, *, queue: str = "queue", **options: Any) -> str:
    cloud.make_queue(box, queue)
    return cloud.submit(box, cloud.make_definition(box, "python", "-c", code), queue=queue, **options)


def wait_for_line(box: Box, job_id: str) -> None:
    """Wait until the job has written a line, which is in CloudWatch while it runs."""
    job = cloud.wait_for(box, job_id, "RUNNING")
    cloud.wait_until(lambda: cloud.log_of(box, job) == ["waiting"], "a line in CloudWatch")


def test_a_job_runs_and_its_lines_are_in_cloudwatch(box: Box) -> None:
    job = cloud.finish(box, start(box, "print('one'); print('two')"))
    assert job["status"] == "SUCCEEDED"
    assert job["container"]["exitCode"] == 0
    assert job["statusReason"] == "Essential container in task exited"
    assert cloud.log_of(box, job) == ["one", "two"]
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]


def test_lines_are_in_cloudwatch_while_the_job_runs(box: Box) -> None:
    wait_for_line(box, start(box, WAIT))


def test_a_failure_has_its_exit_code(box: Box) -> None:
    job = cloud.finish(box, start(box, "raise SystemExit(7)"))
    assert job["status"] == "FAILED"
    assert job["attempts"][0]["container"]["exitCode"] == 7


def test_children_know_who_they_are(box: Box) -> None:
    job_id = start(box, SHOW_ENVIRONMENT, arrayProperties={"size": 3})
    parent = cloud.finish(box, job_id)
    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    for index in range(3):
        child = cloud.describe(box, f"{job_id}:{index}")
        seen = json.loads(cloud.log_of(box, child)[0])
        assert seen["AWS_BATCH_JOB_ID"] == f"{job_id}:{index}"
        assert seen["AWS_BATCH_JOB_ARRAY_INDEX"] == str(index)
        assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"


def test_one_failed_child_fails_the_parent_and_no_other_child(box: Box) -> None:
    code = "import os; raise SystemExit(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == '1')"
    parent = cloud.finish(box, start(box, code, arrayProperties={"size": 3}))
    assert parent["status"] == "FAILED"
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)


def test_a_failed_attempt_is_tried_again(box: Box) -> None:
    code = "import os; raise SystemExit(os.environ['AWS_BATCH_JOB_ATTEMPT'] != '3')"
    job = cloud.finish(box, start(box, code, retryStrategy={"attempts": 3}))
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 1, 0]


def test_too_much_memory_is_said_as_aws_says_it(box: Box) -> None:
    job = cloud.finish(box, start(box, "x = b'x' * (2 << 30); import time; time.sleep(30)"))
    assert job["status"] == "FAILED"
    container = job["attempts"][0]["container"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_timeout_asks_first(box: Box) -> None:
    job_id = start(box, POLITE, timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 5})
    wait_for_line(box, job_id)
    box.advance(61)
    job = cloud.finish(box, job_id)
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(job["attempts"]) == 1
    assert cloud.log_of(box, job) == ["waiting", "asked to leave"]


def test_a_timeout_kills_what_does_not_leave(box: Box) -> None:
    job_id = start(box, STUBBORN, timeout={"attemptDurationSeconds": 60})
    wait_for_line(box, job_id)
    box.advance(61)
    assert cloud.describe(box, job_id)["status"] == "RUNNING"
    box.advance(30)
    job = cloud.finish(box, job_id)
    assert job["container"]["exitCode"] == 137


def test_terminate_ends_a_running_job_with_the_reason_given(box: Box) -> None:
    job_id = start(box, POLITE)
    wait_for_line(box, job_id)
    box.client("batch").terminate_job(jobId=job_id, reason="enough")
    job = cloud.finish(box, job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "enough", True)


def test_a_reclaimed_host_takes_its_jobs_with_it_and_they_are_tried_again(box: Box) -> None:
    cloud.make_queue(box, environment=cloud.make_environment(box, type="SPOT"))
    rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    definition = cloud.make_definition(
        box, "python", "-c", ONLY_THE_FIRST_WAITS, retryStrategy={"attempts": 2, "evaluateOnExit": rules}
    )
    job_id = cloud.submit(box, definition)
    wait_for_line(box, job_id)
    [host] = box.hosts()
    assert host.is_spot
    assert host.job_ids == (job_id,)
    box.reclaim(host)
    job = cloud.finish(box, job_id)
    assert job["status"] == "SUCCEEDED"
    lost = job["attempts"][0]
    assert lost["statusReason"] == f"Host EC2 (instance {host.instance_id}) terminated."
    assert "exitCode" not in lost["container"]


def test_a_job_keeps_what_its_definition_and_its_overrides_say(box: Box) -> None:
    cloud.make_queue(box)
    definition = cloud.make_definition(
        box,
        "python",
        "-c",
        "import os, sys; print(sys.argv[1], os.environ['LAB'], os.environ['SITE'])",
        "Ref::subject",
        container={"environment": [{"name": "LAB", "value": "a"}, {"name": "SITE", "value": "b"}]},
    )
    job_id = cloud.submit(
        box,
        definition,
        parameters={"subject": "sub-01"},
        containerOverrides={"environment": [{"name": "SITE", "value": "c"}]},
    )
    assert cloud.log_of(box, cloud.finish(box, job_id)) == ["sub-01 a c"]


def test_jobs_wait_for_room(box: Box) -> None:
    cloud.make_queue(box, environment=cloud.make_environment(box, max_vcpus=2, instanceTypes=["m5.large"]))
    definition = cloud.make_definition(box, "python", "-c", POLITE)
    jobs = [cloud.submit(box, definition, name=f"job-{number}") for number in range(3)]
    for job_id in jobs[:2]:
        cloud.wait_for(box, job_id, "RUNNING")
    assert cloud.describe(box, jobs[2])["status"] == "RUNNABLE"
    box.client("batch").terminate_job(jobId=jobs[0], reason="room")
    cloud.wait_for(box, jobs[2], "RUNNING")


def test_a_reset_leaves_nothing_running(box: Box) -> None:
    job_id = start(box, WAIT)
    wait_for_line(box, job_id)
    box.reset()
    assert box.client("batch").describe_jobs(jobs=[job_id])["jobs"] == []
    assert box.hosts() == []


def test_an_image_that_is_not_there_is_said_as_aws_says_it(docker_box: Box) -> None:
    cloud.make_queue(docker_box)
    definition = cloud.make_definition(docker_box, "true", image=f"localhost:{docker_box.port}/nothing:here")
    job = cloud.finish(docker_box, cloud.submit(docker_box, definition))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Task failed to start"
    assert job["attempts"][0]["container"]["reason"].startswith("CannotPullContainerError: ")


def test_a_pull_that_fails_once_is_tried_again(box: Box) -> None:
    box.add_fault(PullFailure(times=1))
    rules = [{"onReason": "CannotPullContainer*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    job = cloud.finish(box, start(box, "pass", retryStrategy={"attempts": 3, "evaluateOnExit": rules}))
    assert job["status"] == "SUCCEEDED"
    assert len(job["attempts"]) == 2


def test_spot_machines_are_taken_away_by_the_seed(aws_box: Box) -> None:
    cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, type="SPOT"))
    aws_box.add_fault(SpotReclaim(after_s=120, share=1, times=1))
    job_id = cloud.submit(
        aws_box, cloud.make_definition(aws_box, "python", "-c", WAIT), retryStrategy={"attempts": 2}
    )
    wait_for_line(aws_box, job_id)
    aws_box.advance(121)
    cloud.wait_until(lambda: len(cloud.describe(aws_box, job_id)["attempts"]) == 1, "a lost attempt")
    assert aws_box.faults()[0].struck == 1
