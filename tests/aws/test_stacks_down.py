"""What a stack has is removed with it, and nothing else is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cloudknot.aws.substrate import Substrate, read_stack
from cloudknot.aws.teardown import Removed, Teardown
from cloudknot.errors import AwsError, InputError
from cloudknot.testing import Box
from tests.aws import stand
from tests.aws.lab import switch_queue
from tests.aws.stand import allow, here, make_stack, settle

pytestmark = pytest.mark.aws_box(executor="process")


def remove(stack: str = "cloudknot") -> Removed:
    """Remove a stack."""
    teardown = Teardown(here(), sleep=settle)
    return teardown.remove(teardown.look(stack))


def use(box: Box, substrate: Substrate) -> list[str]:
    """Leave what Knots leave: runs, images, definitions, jobs; return the jobs that go on."""
    s3 = box.client("s3")
    for number in range(3):
        s3.put_object(Bucket=substrate.bucket, Key=f"runs/r/packs/{number}", Body=b"x")
    s3.create_multipart_upload(Bucket=substrate.bucket, Key="runs/r/values/1")
    sleeps = stand.register(box, substrate, "sleep", "600")
    stand.finish(
        box, stand.submit(box, substrate.queues["x86"], stand.register(box, substrate, "true", name="t"))
    )
    array = stand.submit(box, substrate.queues["x86"], sleeps, arrayProperties={"size": 3})
    spot = stand.submit(box, substrate.queues["x86-spot"], sleeps)
    stand.wait_until(lambda: stand.describe(box, spot)["status"] == "RUNNING")
    return [array, spot]


def left(box: Box) -> dict[str, Any]:
    """Return what an account has."""
    batch = box.client("batch")
    return {
        "buckets": box.client("s3").list_buckets()["Buckets"],
        "repositories": box.client("ecr").describe_repositories()["repositories"],
        "environments": batch.describe_compute_environments()["computeEnvironments"],
        "queues": batch.describe_job_queues()["jobQueues"],
        "definitions": batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"],
        "roles": [
            role for role in box.client("iam").list_roles()["Roles"] if "aws-service-role" not in role["Path"]
        ],
        "groups": box.client("logs").describe_log_groups()["logGroups"],
        "templates": box.client("ec2").describe_launch_templates()["LaunchTemplates"],
        "vpcs": [one["VpcId"] for one in box.client("ec2").describe_vpcs()["Vpcs"]],
        "stacks": box.client("cloudformation").describe_stacks()["Stacks"],
    }


def test_nothing_is_left_of_a_stack_that_was_used(aws_box: Box) -> None:
    before = left(aws_box)
    jobs = use(aws_box, make_stack(new_vpc=True))
    teardown = Teardown(here(), sleep=settle)
    holding = teardown.look("cloudknot")
    assert sorted(holding.jobs) == sorted(jobs)
    lines = holding.describe()
    assert "terminate 2 jobs, and arrays with all that is in them" in lines
    assert "deregister 2 job definitions" in lines
    assert "remove the bucket cloudknot-123456789012-us-east-1 with all runs and their results" in lines
    assert "remove the image repository cloudknot with all images" in lines
    removed = teardown.remove(holding)
    assert removed == Removed(jobs=2, definitions=2, objects=3, left=())
    for job in jobs:
        assert stand.describe(aws_box, job)["status"] == "FAILED"
    assert left(aws_box) == before
    assert remove() == Removed(jobs=0, definitions=0, objects=0, left=())


def test_another_stack_is_not_touched(aws_box: Box) -> None:
    # Its name begins as the other's does, and so do the names of its definitions.
    other, gone = make_stack(stack="cloudknot-lab"), make_stack()
    jobs = use(aws_box, other)
    use(aws_box, gone)
    remove()
    for job in jobs:
        assert stand.describe(aws_box, job)["status"] in ("PENDING", "RUNNING")
    assert aws_box.client("s3").list_objects_v2(Bucket=other.bucket)["KeyCount"] == 3
    assert len(left(aws_box)["definitions"]) == 2
    assert len(left(aws_box)["queues"]) == len(other.queues)


def test_what_was_there_before_stays(aws_box: Box) -> None:
    aws_box.client("s3").create_bucket(Bucket="theirs")
    job = stand.make_role(aws_box, "their-job", "ecs-tasks.amazonaws.com")
    before = left(aws_box)
    substrate = make_stack(bucket="theirs", job_role_arn=job)
    aws_box.client("s3").put_object(Bucket=substrate.bucket, Key="runs/r/x")
    teardown = Teardown(here(), sleep=settle)
    holding = teardown.look("cloudknot")
    assert "leave the bucket theirs as it is: it was there before" in holding.describe()
    assert teardown.remove(holding).left == ()
    assert left(aws_box) == before
    assert aws_box.client("s3").list_objects_v2(Bucket="theirs")["KeyCount"] == 1


def test_a_bucket_that_is_to_be_kept_is_kept_and_used_again(aws_box: Box) -> None:
    substrate = make_stack(keeps_bucket=True)
    aws_box.client("s3").put_object(Bucket=substrate.bucket, Key="runs/r/x")
    removed = remove()
    assert removed.left == (f"arn:aws:s3:::{substrate.bucket}",)
    assert make_stack().bucket == substrate.bucket
    assert aws_box.client("s3").list_objects_v2(Bucket=substrate.bucket)["KeyCount"] == 1


def test_a_bucket_is_kept_though_nothing_else_of_the_stack_changes(aws_box: Box) -> None:
    bucket = make_stack().bucket
    aws_box.client("s3").put_object(Bucket=bucket, Key="runs/r/x")
    make_stack(keeps_bucket=True)
    assert remove().left == (f"arn:aws:s3:::{bucket}",)
    assert aws_box.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_all_versions_are_removed(aws_box: Box) -> None:
    bucket, s3 = make_stack().bucket, aws_box.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(4):
        s3.put_object(Bucket=bucket, Key="runs/r/x", Body=str(number).encode())
    s3.delete_object(Bucket=bucket, Key="runs/r/x")
    assert remove().objects == 5
    assert left(aws_box)["buckets"] == []


def test_a_removal_that_was_broken_off_goes_on(aws_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    use(aws_box, make_stack())
    denied = {"Effect": "Deny", "Action": "iam:DeleteRole", "Resource": "*"}
    most = {"Version": "2012-10-17", "Statement": [*allow("*")["Statement"], denied]}
    stand.become(aws_box, monkeypatch, "ada", most)
    with pytest.raises(AwsError, match=r"the stack cloudknot is not deleted yet: .*iam:DeleteRole"):
        remove()
    with pytest.raises(AwsError, match=r"the stack cloudknot is DELETE_FAILED: 'cloudknot down --stack"):
        make_stack()
    stand.become(aws_box, monkeypatch, "ada", allow("*"))
    assert remove().left == ()
    assert read_stack(here(), "cloudknot") is None
    assert make_stack().queues


def test_what_somebody_has_removed_by_hand_is_no_hindrance(aws_box: Box) -> None:
    substrate = make_stack()
    batch, queue = aws_box.client("batch"), substrate.queues["x86"]
    switch_queue(aws_box, queue, "DISABLED")
    batch.delete_job_queue(jobQueue=queue)
    stand.wait_until(lambda: not batch.describe_job_queues(jobQueues=[queue])["jobQueues"])
    aws_box.client("s3").delete_bucket(Bucket=substrate.bucket)
    aws_box.client("ecr").delete_repository(repositoryName="cloudknot", force=True)
    assert remove().left == ()
    assert read_stack(here(), "cloudknot") is None


def test_jobs_that_do_not_end_are_named(aws_box: Box) -> None:
    substrate = make_stack()
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    definition = stand.register(aws_box, substrate, "python", "-c", deaf)
    job = stand.submit(aws_box, substrate.queues["x86"], definition)
    stand.wait_until(lambda: stand.describe(aws_box, job)["status"] == "RUNNING")
    time.sleep(1)  # until Python has begun to ignore the signal
    teardown = Teardown(here(), sleep=lambda seconds: time.sleep(0.1))
    with pytest.raises(AwsError, match=f"such as {job}: run 'cloudknot down' again"):
        teardown.remove(teardown.look("cloudknot"))
    assert read_stack(here(), "cloudknot") is not None


def test_who_may_not_see_tags_is_told_so(aws_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stack()
    denied = {"Effect": "Deny", "Action": "tag:*", "Resource": "*"}
    stand.become(
        aws_box,
        monkeypatch,
        "ada",
        {"Version": "2012-10-17", "Statement": [*allow("*")["Statement"], denied]},
    )
    removed = remove()
    assert removed.left is None
    assert "tag:GetResources" in removed.why_unknown


def test_a_foreign_stack_is_not_removed(aws_box: Box) -> None:
    aws_box.client("cloudformation").create_stack(
        StackName="web", TemplateBody='{"Resources": {"A": {"Type": "AWS::SNS::Topic"}}}'
    )
    with pytest.raises(InputError, match="a stack web that is not cloudknot's"):
        remove("web")
