"""``cloudknot why``: what Batch really answers becomes groups of jobs, each with its reason and cure."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cloudknot.aws.examining import Examination, Examined, Group
from cloudknot.aws.session import Aws
from cloudknot.testing import Box
from cloudknot.testing.faults import LaunchFailure, PullFailure
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")

RULES = [
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onReason": "CannotPullContainer*", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
]
BY_INDEX = "import os, sys; print('line'); sys.exit({codes}[int(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'])])"


def array(box: Box, *command: str, size: int = 4, attempts: int = 1, **options: object) -> str:
    definition = cloud.make_definition(box, *command, **options)  # type: ignore[arg-type]
    retry = {"attempts": attempts, "evaluateOnExit": RULES}
    return cloud.submit(box, definition, arrayProperties={"size": size}, retryStrategy=retry)


def by_codes(box: Box, codes: Sequence[int]) -> str:
    return array(box, "python", "-c", BY_INDEX.format(codes=list(codes)), size=len(codes))


def look(*job_ids: str) -> Examined:
    return Examination(Aws()).look(job_ids)


def wait_for_group(job_id: str, words: str) -> Group:
    """Look until a group says these words: Batch does not find out at once what is wrong."""
    seen: list[Group] = []

    def is_said() -> bool:
        seen[:] = [group for group in look(job_id).groups if words in group.finding.sentence]
        return bool(seen)

    cloud.wait_until(is_said, words)
    return seen[0]


class TestJobsThatWait:
    def test_want_a_machine_that_ec2_has_not(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        aws_box.add_fault(LaunchFailure())
        group = wait_for_group(array(aws_box, "true"), "EC2 has no machine of the wanted kind")
        assert (group.status, group.count) == ("RUNNABLE", 4)
        assert 'spot="prefer"' in group.finding.cure

    def test_want_more_than_any_machine_has(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, instanceTypes=["m5.large"]))
        group = wait_for_group(array(aws_box, "true", memory_mib=100_000), "than any machine")
        assert (group.status, group.count) == ("RUNNABLE", 4)

    def test_want_more_than_the_environment_may_have(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, max_vcpus=2))
        group = wait_for_group(array(aws_box, "true", vcpus=4), "its compute environments may have")
        assert "vcpus=" in group.finding.cure

    def test_stand_behind_another_one_that_is_stuck(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, instanceTypes=["m5.large"]))
        definition = cloud.make_definition(aws_box, "true", memory_mib=100_000)
        cloud.submit(aws_box, definition, name="monster")
        job_id = array(aws_box, "true")
        group = wait_for_group(job_id, "the job monster")
        assert "holds up all behind it" in group.finding.sentence
        assert "terminate it" in group.finding.cure

    def test_have_machines_that_are_switched_off(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, "lab"))
        aws_box.client("batch").update_compute_environment(computeEnvironment="lab", state="DISABLED")
        group = wait_for_group(array(aws_box, "true"), "lab is DISABLED")
        assert "cloudknot configure" in group.finding.cure


class TestJobsThatFailed:
    def test_are_grouped_by_their_reason(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        job_id = by_codes(aws_box, [0, 75, 127, 75, 75, 0])
        cloud.finish(aws_box, job_id)
        examined = look(job_id)
        assert examined.counts == {"SUCCEEDED": 2, "FAILED": 4}
        assert [group.count for group in examined.groups] == [3, 1]
        assert "the run's bucket" in examined.groups[0].finding.sentence
        assert examined.groups[1].example == f"{job_id}:2"

    def test_whose_image_cannot_be_pulled(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        aws_box.add_fault(PullFailure(reason="CannotPullContainerError: manifest for lab:1 not found"))
        job_id = array(aws_box, "true")
        cloud.finish(aws_box, job_id)
        [group] = look(job_id).groups
        assert (group.status, group.count) == ("FAILED", 4)
        assert "not in the repository any more" in group.finding.sentence

    def test_whose_machine_was_taken_are_one_group(self, aws_box: Box) -> None:
        environment = cloud.make_environment(aws_box, instanceTypes=["m5.large"], type="SPOT")
        cloud.make_queue(aws_box, environment=environment)
        job_id = array(aws_box, "sleep", "60", vcpus=2, size=2)
        cloud.wait_until(
            lambda: sum(bool(host.job_ids) for host in aws_box.hosts()) == 2, "a machine for each child"
        )
        cloud.wait_until(lambda: look(job_id).counts == {"RUNNING": 2}, "both children to run")
        for host in aws_box.hosts():
            aws_box.reclaim(host)
        cloud.finish(aws_box, job_id)
        [group] = look(job_id).groups
        assert (group.count, group.status) == (2, "FAILED")
        assert "its machine was taken away" in group.finding.sentence

    def test_say_the_last_line_of_their_log(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        job_id = array(
            aws_box, "python", "-c", "print('one', flush=True); raise SystemExit('the wave is not there')"
        )
        cloud.finish(aws_box, job_id)
        [group] = look(job_id).groups
        assert "exit code 1; its last line is 'the wave is not there'" in group.finding.sentence

    def test_alone_are_explained_like_children(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        job_id = cloud.submit(aws_box, cloud.make_definition(aws_box, "sh", "-c", "exit 126"))
        cloud.finish(aws_box, job_id)
        [group] = look(job_id).groups
        assert (group.example, group.count) == (job_id, 1)
        assert "may not be executed" in group.finding.sentence


def test_jobs_that_are_well_are_counted_only(aws_box: Box) -> None:
    cloud.make_queue(aws_box)
    job_id = array(aws_box, "true")
    cloud.finish(aws_box, job_id)
    assert look(job_id) == Examined(counts={"SUCCEEDED": 4}, groups=[], forgotten=0)


def test_jobs_that_batch_has_forgotten_are_counted(aws_box: Box) -> None:
    assert look("11111111-2222-3333-4444-555555555555").forgotten == 1


def test_requests_do_not_grow_with_the_children(aws_box: Box) -> None:
    cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, instanceTypes=["m5.large"]))

    def requests(size: int) -> int:
        job_id = array(aws_box, "true", size=size, memory_mib=100_000)
        wait_for_group(job_id, "than any machine")
        before = aws_box.calls()[-1].number
        assert sum(group.count for group in look(job_id).groups) == size
        after = len(aws_box.calls(after=before))
        aws_box.client("batch").terminate_job(jobId=job_id, reason="seen")
        cloud.finish(aws_box, job_id)
        return after

    # One more or less, as the job is found waiting in one state or another.
    assert requests(3000) <= requests(2) + 2


def test_what_may_not_be_looked_at_is_said(aws_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, instanceTypes=["m5.large"]))
    job_id = array(aws_box, "true", memory_mib=100_000)
    wait_for_group(job_id, "than any machine")
    allowed = cloud.policy((["batch:DescribeJobs", "batch:ListJobs"], "*"))
    keys = aws_box.user("ada", allowed).get_credentials()
    assert keys is not None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    examined = look(job_id)
    assert sum(group.count for group in examined.groups) == 4
    assert any("batch:DescribeJobQueues" in words for words in examined.unseen)
    assert json.dumps([group.finding.sentence for group in examined.groups])
