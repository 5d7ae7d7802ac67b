"""How jobs are listed and how much may be asked, by a client's eyes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.box.lab import Lab, open_lab

WAIT = "sleep 600"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def asked(lab: Lab) -> dict[str, str]:
    """What SubmitJob needs, at the least."""
    return {"jobName": "job", "jobQueue": lab.queue, "jobDefinition": lab.sh("exit 0")}


@pytest.fixture(scope="module")
def listed(lab: Lab) -> tuple[str, dict[str, str]]:
    """A queue, and jobs on it by their names, a minute apart; the last one runs."""
    queue = lab.make_queue(lab.make_environment())
    ids = {}
    for name in ("brain-1", "brain-2", "Bone"):
        ids[name] = lab.run(queue=queue, jobName=name)["jobId"]
        lab.pass_time(60)
    ids["running"] = lab.submit(WAIT, queue=queue, jobName="running")
    lab.wait_for(ids["running"], "RUNNING")
    return queue, ids


class TestListJobs:
    @pytest.mark.parametrize(
        ("params", "names"),
        [
            ({}, ["running"]),
            ({"jobStatus": "SUCCEEDED"}, ["Bone", "brain-2", "brain-1"]),
            ({"jobStatus": "FAILED"}, []),
            ({"filters": [{"name": "JOB_NAME", "values": ["BRAIN-1"]}]}, ["brain-1"]),
            ({"filters": [{"name": "JOB_NAME", "values": ["b*"]}]}, ["Bone", "brain-2", "brain-1"]),
            # "The jobStatus parameter is ignored" where there are filters.
            (
                {"filters": [{"name": "JOB_NAME", "values": ["*"]}], "jobStatus": "FAILED"},
                ["running", "Bone", "brain-2", "brain-1"],
            ),
        ],
    )
    def test_lists_by_status_or_by_filter(
        self, lab: Lab, listed: tuple[str, dict[str, str]], params: dict[str, Any], names: list[str]
    ) -> None:
        queue, ids = listed
        assert lab.ids(jobQueue=queue, **params) == [ids[name] for name in names]

    @pytest.mark.parametrize(
        ("name", "found"),
        [("BEFORE_CREATED_AT", ["brain-1"]), ("AFTER_CREATED_AT", ["running", "Bone"])],
    )
    def test_lists_by_the_time_of_submission(
        self, lab: Lab, listed: tuple[str, dict[str, str]], name: str, found: list[str]
    ) -> None:
        queue, ids = listed
        moment = str(lab.describe(ids["brain-2"])["createdAt"])
        filters = [{"name": name, "values": [moment]}]
        assert lab.ids(jobQueue=queue, filters=filters) == [ids[one] for one in found]

    def test_turns_pages_without_losing_or_repeating_any(self, lab: Lab) -> None:
        parent = lab.submit("exit 0", arrayProperties={"size": 25})
        lab.finish(parent)
        pages = lab.batch.get_paginator("list_jobs").paginate(
            arrayJobId=parent, jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 10}
        )
        found = [[job["jobId"] for job in page["jobSummaryList"]] for page in pages]
        assert [len(page) for page in found] == [10, 10, 5]
        assert [job_id for page in found for job_id in page] == [f"{parent}:{index}" for index in range(25)]

    @pytest.mark.parametrize(
        "params", [{}, {"jobQueue": "unknown"}, {"arrayJobId": "a", "jobQueue": "b"}], ids=str
    )
    def test_refuses_what_names_no_queue_or_array(self, lab: Lab, params: dict[str, str]) -> None:
        assert lab.refused("list_jobs", **params)


def test_a_queue_shows_which_jobs_are_next(lab: Lab) -> None:
    queue = lab.make_queue(lab.make_environment(maxvCpus=2, instanceTypes=["m5.large"]))
    jobs = [lab.submit(jobDefinition=lab.sh(WAIT, vcpus=2), queue=queue) for _ in range(3)]
    lab.wait_for(jobs[0], "RUNNING")
    front = lab.batch.get_job_queue_snapshot(jobQueue=queue)["frontOfQueue"]["jobs"]
    assert [one["jobArn"].rpartition("/")[2] for one in front] == jobs[1:]


class TestLimits:
    def test_a_submit_has_30_kib(self, lab: Lab, asked: dict[str, str]) -> None:
        words = lab.refused("submit_job", **asked, parameters={"data": "x" * 31 * 1024})
        assert words == ("Error executing request, Exception : Job size must be less than 30 KiB, got 32 KiB")

    def test_overrides_have_8192_characters_and_the_job_fails(self, lab: Lab) -> None:
        long = {"environment": [{"name": "DATA", "value": "x" * 8192}]}
        sizes: list[dict[str, Any]] = [{}, {"arrayProperties": {"size": 2}}]
        for size in sizes:
            job = lab.run(containerOverrides=long, **size)
            assert job["status"] == "FAILED"
            child = lab.describe(f"{job['jobId']}:1") if size else job
            assert child["statusReason"] == "Container Overrides length must be at most 8192"

    def test_a_hundred_jobs_are_described_at_once(self, lab: Lab) -> None:
        ids = [str(number) for number in range(101)]
        assert lab.batch.describe_jobs(jobs=ids[:100])["jobs"] == []
        words = lab.refused("describe_jobs", jobs=ids)
        assert words.endswith("Maximum number of jobs supported is  100 .")

    @pytest.mark.parametrize("size", [-1, 0, 1, 10_001])
    def test_an_array_has_2_to_10000_children(self, lab: Lab, asked: dict[str, str], size: int) -> None:
        assert "10000" in lab.refused("submit_job", **asked, arrayProperties={"size": size})

    def test_an_array_of_10000_is_taken(self, lab: Lab) -> None:
        queue = lab.make_queue(lab.make_environment(maxvCpus=2, instanceTypes=["m5.large"]))
        parent = lab.submit(WAIT, queue=queue, arrayProperties={"size": 10_000})
        assert lab.wait_for(parent, "PENDING")["arrayProperties"]["size"] == 10_000
        lab.batch.terminate_job(jobId=parent, reason="enough")
        assert lab.finish(parent)["arrayProperties"]["statusSummary"]["FAILED"] == 10_000

    def test_fifty_jobs_are_submitted_a_second(self, lab: Lab, asked: dict[str, str]) -> None:
        lab.pass_time(10)
        for _ in range(50):
            lab.batch.submit_job(**asked)
        error = lab.error("submit_job", **asked)
        assert (error["Code"], error["Status"], error["Message"]) == (
            "TooManyRequestsException",
            429,
            "Too Many Requests",
        )
        lab.pass_time(0.5)
        for _ in range(25):
            lab.batch.submit_job(**asked)
        assert lab.error("submit_job", **asked)["Status"] == 429
        lab.pass_time(1)

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"jobName": "no spaces"}, "Job name should match valid pattern"),
            ({"jobName": "x" * 129}, "Job name should match valid pattern"),
            ({"jobQueue": "unknown"}, "JobQueue unknown not found."),
            ({"jobDefinition": "unknown"}, "unknown does not exist or is not in ACTIVE status"),
            ({"retryStrategy": {"attempts": 11}}, "got 11"),
            ({"containerOverrides": {"command": [""]}}, "Command field cannot have empty strings"),
        ],
        ids=str,
    )
    def test_what_does_not_make_sense_is_refused_in_awss_words(
        self, lab: Lab, asked: dict[str, str], changed: dict[str, Any], words: str
    ) -> None:
        lab.pass_time(1)
        assert words in lab.refused("submit_job", **{**asked, **changed})

    def test_a_queue_has_three_environments(self, lab: Lab) -> None:
        environments = [lab.make_environment() for _ in range(4)]
        order = [{"order": number, "computeEnvironment": one} for number, one in enumerate(environments)]
        params = {"jobQueueName": "four", "priority": 1, "computeEnvironmentOrder": order}
        assert lab.refused("create_job_queue", **params)

    def test_a_definition_has_24_kib(self, lab: Lab) -> None:
        container = {"image": "x", "vcpus": 1, "memory": 64, "command": ["x" * 25 * 1024]}
        params = {"jobDefinitionName": "long", "type": "container", "containerProperties": container}
        assert "24 KiB" in lab.refused("register_job_definition", **params)
