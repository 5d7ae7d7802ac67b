"""Which job runs next and on what, why one does not, and what becomes of it, by a client's eyes."""

from collections.abc import Iterator
from typing import Any

import pytest

from cloudknot.testing.faults import LaunchFailure
from tests.box import cloud
from tests.box.lab import Lab, open_lab

WAIT = "echo waiting; sleep 600 & wait"
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
MAX_RESOURCE = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
REQUIREMENT = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
LARGE = {"maxvCpus": 2, "instanceTypes": ["m5.large"]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _no_faults(lab: Lab) -> Iterator[None]:
    yield
    lab.box.clear_faults()


def machines_of(lab: Lab, environment: str) -> list[tuple[str, int]]:
    return [
        (host.instance_type, len(host.job_ids)) for host in lab.box.hosts() if host.environment == environment
    ]


def end(lab: Lab, *job_ids: str) -> None:
    lab.batch.terminate_jobs(jobs=list(job_ids), reason="enough")
    for job_id in job_ids:
        lab.finish(job_id)


class TestRoom:
    def test_is_what_max_vcpus_says(self, lab: Lab) -> None:
        environment = lab.make_environment(maxvCpus=4, instanceTypes=["m5.large"])
        queue = lab.make_queue(environment)
        jobs = [lab.submit(WAIT, queue=queue) for _ in range(5)]
        for job_id in jobs[:4]:
            lab.wait_for(job_id, "RUNNING")
        assert lab.states(jobs[4:]) == ["RUNNABLE"]
        assert machines_of(lab, environment) == [("m5.large", 2), ("m5.large", 2)]
        assert "statusReason" not in lab.describe(jobs[4])  # it only waits
        end(lab, jobs[2])
        lab.wait_for(jobs[4], "RUNNING")
        end(lab, *jobs)

    def test_is_memory_too(self, lab: Lab) -> None:
        queue = lab.make_queue(lab.make_environment(**LARGE))
        definition = lab.sh(WAIT, memory_mib=5000)
        jobs = [lab.submit(jobDefinition=definition, queue=queue) for _ in range(2)]
        lab.wait_for(jobs[0], "RUNNING")
        assert lab.states(jobs) == ["RUNNING", "RUNNABLE"]
        end(lab, *jobs)

    def test_is_sought_in_the_environments_in_their_order(self, lab: Lab) -> None:
        first, second = lab.make_environment(**LARGE), lab.make_environment(**LARGE)
        queue = lab.make_queue(first, second)
        jobs = [lab.submit(WAIT, queue=queue, jobDefinition=lab.sh(WAIT, vcpus=2)) for _ in range(3)]
        lab.wait_for(jobs[1], "RUNNING")
        assert (len(machines_of(lab, first)), len(machines_of(lab, second))) == (1, 1)
        assert lab.states(jobs[2:]) == ["RUNNABLE"]
        end(lab, *jobs)

    def test_is_given_up_when_nothing_runs(self, lab: Lab) -> None:
        environment = lab.make_environment(minvCpus=2, instanceTypes=["m5.large"])
        queue = lab.make_queue(environment)
        jobs = [lab.submit(WAIT, queue=queue) for _ in range(4)]
        lab.wait_for(jobs[3], "RUNNING")
        assert len(machines_of(lab, environment)) == 2
        end(lab, *jobs)
        lab.pass_time(120)
        assert machines_of(lab, environment) == [("m5.large", 0)]

    def test_goes_to_the_queue_of_the_highest_priority_and_there_to_the_first(self, lab: Lab) -> None:
        environment = lab.make_environment(**LARGE)
        low, high = (lab.make_queue(environment, priority=priority) for priority in (1, 10))
        definition = lab.sh(WAIT, vcpus=2)
        order = [lab.submit(jobDefinition=definition, queue=queue) for queue in (low, low, high, high)]
        lab.wait_for(order[0], "RUNNING")
        for ended, begun in ((0, 2), (2, 3), (3, 1)):
            end(lab, order[ended])
            lab.wait_for(order[begun], "RUNNING")
        end(lab, order[1])

    def test_on_fargate_needs_no_machines(self, lab: Lab) -> None:
        network = {name: lab.resources[name] for name in ("subnets", "securityGroupIds")}
        lab.batch.create_compute_environment(
            computeEnvironmentName="fargate",
            type="MANAGED",
            computeResources={"type": "FARGATE", "maxvCpus": 1, **network},
        )
        lab.pass_time(2)
        queue = lab.make_queue("fargate")
        definition = lab.sh(
            WAIT,
            memory_mib=2048,
            platformCapabilities=["FARGATE"],
            container={
                "executionRoleArn": cloud.make_role(lab.box, "execution", work=cloud.policy(("logs:*", "*")))
            },
        )
        jobs = [lab.submit(jobDefinition=definition, queue=queue) for _ in range(2)]
        shown = lab.wait_for(jobs[0], "RUNNING")
        assert "containerInstanceArn" not in shown["container"]
        assert machines_of(lab, "fargate") == []
        assert lab.states(jobs) == ["RUNNING", "RUNNABLE"]
        end(lab, *jobs)


class TestAJobThatCannotRun:
    @pytest.mark.parametrize(
        ("needs", "reason"),
        [
            ({"vcpus": 4}, f"{MAX_RESOURCE} - CE(s) associated"),
            ({"memory_mib": 9000}, f"{REQUIREMENT} - The job resource requirement"),
            (
                {
                    "container": {
                        "resourceRequirements": [
                            {"type": "VCPU", "value": "1"},
                            {"type": "MEMORY", "value": "256"},
                            {"type": "GPU", "value": "1"},
                        ]
                    }
                },
                f"{REQUIREMENT} - The job resource requirement",
            ),
        ],
        ids=["vcpus", "memory", "gpus"],
    )
    def test_says_why(self, lab: Lab, needs: dict[str, Any], reason: str) -> None:
        queue = lab.make_queue(lab.make_environment(**LARGE))
        stuck, behind = (
            lab.submit(jobDefinition=lab.sh("exit 0", **one), queue=queue) for one in (needs, {})
        )
        shown = lab.wait_for(stuck, "RUNNABLE")
        assert shown["statusReason"].startswith(reason)
        assert lab.states([behind]) == ["RUNNABLE"]
        end(lab, stuck)
        assert lab.finish(behind)["status"] == "SUCCEEDED"

    def test_for_want_of_machines_says_so_until_there_are_some(self, lab: Lab) -> None:
        lab.box.add_fault(LaunchFailure(instance_type="m5.*"))
        job_id = lab.submit(queue=lab.make_queue(lab.make_environment(**LARGE)))
        shown = lab.wait_for(job_id, "RUNNABLE")
        assert shown["statusReason"] == (
            f"{CAPACITY} - Service cannot fulfill the capacity requested for instance type [m5.large]"
        )
        lab.pass_time(300)
        assert lab.states([job_id]) == ["RUNNABLE"]
        lab.box.clear_faults()
        lab.pass_time(60)
        assert lab.finish(job_id)["status"] == "SUCCEEDED"

    @pytest.mark.parametrize(
        ("reason", "needs", "fault"),
        [
            (CAPACITY, {}, LaunchFailure()),
            (MAX_RESOURCE, {"vcpus": 4}, None),
            (REQUIREMENT, {"memory_mib": 9000}, None),
        ],
    )
    def test_is_cancelled_by_the_queue_after_a_while(
        self, lab: Lab, reason: str, needs: dict[str, Any], fault: LaunchFailure | None
    ) -> None:
        if fault:
            lab.box.add_fault(fault)
        action = {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
        queue = lab.make_queue(lab.make_environment(**LARGE), jobStateTimeLimitActions=[action])
        job_id = lab.submit(jobDefinition=lab.sh("exit 0", **needs), queue=queue)
        lab.wait_for(job_id, "RUNNABLE")
        lab.pass_time(590)
        assert lab.states([job_id]) == ["RUNNABLE"]
        lab.pass_time(11)
        job = lab.finish(job_id)
        assert job["status"] == "FAILED"
        assert job["statusReason"] == f"Canceled by JobStateTimeLimit action due to reason: {reason}"

    def test_is_told_of_by_an_event(self, lab: Lab) -> None:
        events = lab.listen(**{"detail-type": ["Batch Job Queue Blocked"]})
        queue = lab.make_queue(lab.make_environment(**LARGE))
        job_id = lab.submit(jobDefinition=lab.sh("exit 0", vcpus=4), queue=queue)
        lab.wait_for(job_id, "RUNNABLE")
        (event,) = lab.hear(events)
        assert event["detail"]["jobId"] == job_id
        assert event["resources"] == [event["detail"]["jobArn"], event["detail"]["jobQueue"]]
        end(lab, job_id)

    def test_waits_for_an_environment_that_is_switched_off(self, lab: Lab) -> None:
        environment = lab.make_environment(**LARGE)
        queue = lab.make_queue(environment)
        lab.batch.update_compute_environment(computeEnvironment=environment, state="DISABLED")
        lab.pass_time(2)
        job_id = lab.submit(queue=queue)
        lab.wait_for(job_id, "RUNNABLE")
        lab.batch.update_compute_environment(computeEnvironment=environment, state="ENABLED")
        lab.pass_time(2)
        assert lab.finish(job_id)["status"] == "SUCCEEDED"
