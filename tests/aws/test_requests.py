"""What is asked of Batch for a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cloudknot.aws.batch import Batch, ending_of, state_of
from cloudknot.aws.planning import Cause, JobSlice, make_wave
from cloudknot.aws.requests import definition_request, longest_seconds, submit_request
from cloudknot.aws.substrate import STACK_TAG, Substrate
from cloudknot.errors import AwsError
from cloudknot.runner.orders import Orders
from cloudknot.runner.waves import Span
from cloudknot.runs import Run
from cloudknot.specs import Resources, Retry

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudknot@sha256:" + "a" * 64
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"
SUBSTRATE = Substrate(
    stack="cloudknot",
    account_id="123456789012",
    region="us-east-1",
    bucket="runs",
    repository_uri=IMAGE.partition("@")[0],
    job_role_arn="arn:aws:iam::123456789012:role/job",
    execution_role_arn="arn:aws:iam::123456789012:role/execution",
    log_group="/cloudknot/cloudknot",
)
RUN = Run(
    run_id="fit-20260101t000000-abcdefgh",
    name="fit",
    backend="aws",
    created="2026-01-01T00:00:00+00:00",
    is_single=False,
    length=100,
    orders=Orders(count=100, inputs_run="fit-20260101t000000-abcdefgh", shards=(0, 100)),
)
ARRAY = JobSlice(0, 20)


def submitted(run: Run = RUN, *, size: int = 5, part: JobSlice = ARRAY) -> dict[str, Any]:
    wave = make_wave(3, [Span(0, 100, size)], generation=1, memory_mib=1024)
    return submit_request(
        run, wave, part, queue="queue", definition="d", store_uri="s3://runs", tags={STACK_TAG: "cloudknot"}
    )


def defined(substrate: Substrate = SUBSTRATE, *, image: str = IMAGE, **resources: Any) -> dict[str, Any]:
    return definition_request(replace(RUN, image=image, resources=Resources(**resources)), substrate)


def test_a_definition_is_named_by_its_content() -> None:
    one = defined()
    assert one["jobDefinitionName"].startswith("cloudknot-")
    assert one == defined(vcpus=4, memory_mib=9000, timeout_s=60)
    others = [
        defined(image=IMAGE.replace("a" * 64, "b" * 64)),
        defined(secrets={"TOKEN": SECRET}),
        defined(fargate=True),
        defined(replace(SUBSTRATE, job_role_arn="arn:aws:iam::1:role/other")),
        definition_request(replace(RUN, image=IMAGE, name="another"), SUBSTRATE),
    ]
    assert len({one["jobDefinitionName"], *(other["jobDefinitionName"] for other in others)}) == 6


def test_a_secret_is_named_and_its_value_is_nowhere() -> None:
    container = defined(secrets={"TOKEN": SECRET})["containerProperties"]
    assert container["secrets"] == [{"name": "TOKEN", "valueFrom": SECRET}]
    assert "TOKEN" not in [pair["name"] for pair in container["environment"]]


def test_a_job_on_fargate_has_a_network_and_the_right_processors() -> None:
    request = defined(fargate=True, arch="arm64", volume_gib=50)
    container = request["containerProperties"]
    assert request["platformCapabilities"] == ["FARGATE"]
    assert container["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert container["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert container["ephemeralStorage"] == {"sizeInGiB": 50}


def test_a_job_carries_one_pointer_to_the_run() -> None:
    request = submitted()
    assert request["jobName"] == "fit-20260101t000000-abcdefgh-3-0"
    command = request["containerOverrides"]["command"]
    assert command[-4:] == ["s3://runs", RUN.run_id, "3", "0"]
    assert request["arrayProperties"] == {"size": 20}
    assert request["tags"][STACK_TAG] == "cloudknot"


def test_a_job_alone_is_no_array() -> None:
    assert "arrayProperties" not in submitted(part=JobSlice(10_000, 1))


@pytest.mark.parametrize(
    ("fargate", "reclaimed"), [(False, "Host EC2*"), (True, "Your Spot Task was interrupted*")]
)
def test_batch_itself_tries_again_for_losses_of_the_platform_only(fargate: bool, reclaimed: str) -> None:
    strategy = submitted(replace(RUN, resources=Resources(fargate=fargate)))["retryStrategy"]
    assert strategy["attempts"] == 10
    first, *_, last = strategy["evaluateOnExit"]
    assert first == {"onStatusReason": reclaimed, "action": "RETRY"}
    assert last == {"onReason": "*", "action": "EXIT"}
    assert len(strategy["evaluateOnExit"]) == 5  # Batch takes no more


def test_batchs_own_timeout_fits_its_integer() -> None:
    wave = make_wave(0, [Span(0, 20_000, 18_000)], generation=1, memory_mib=1024)
    assert longest_seconds(replace(RUN, resources=Resources(timeout_s=43_200)), wave) == 2**31 - 1


def test_batchs_own_timeout_is_a_backstop_behind_all_tries() -> None:
    wave = make_wave(0, [Span(0, 100, 5)], generation=1, memory_mib=1024)
    assert longest_seconds(RUN, wave) is None
    run = replace(RUN, resources=Resources(timeout_s=10), retry=Retry(raised=1, lost=0))
    assert longest_seconds(run, wave) == 600 + 5 * 2 * 11


@pytest.mark.parametrize(
    ("job", "cause"),
    [
        ({"startedAt": 1, "container": {"exitCode": 137}}, Cause.DIED),
        (
            {"startedAt": 1, "container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}},
            Cause.OUT_OF_MEMORY,
        ),
        (
            {"statusReason": "Task failed to start", "container": {"reason": "CannotPullContainerError: x"}},
            Cause.NEVER_STARTED,
        ),
        ({"startedAt": 1, "isTerminated": True, "statusReason": "enough"}, Cause.ENDED_BY_HAND),
    ],
)
def test_how_a_job_ended_is_told_apart(job: dict[str, Any], cause: Cause) -> None:
    assert ending_of(job).cause is cause


def test_an_array_is_counted_by_its_parent() -> None:
    array = {
        "status": "PENDING",
        "arrayProperties": {"size": 9, "statusSummary": {"RUNNING": 4, "FAILED": 2}},
    }
    assert state_of(array) == (False, 4, 2, None)


class LossyAws:
    """Takes jobs, and is out of reach from then on: no answer comes, until it is back."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.is_away = False

    def call(self, service: str, operation: str, *, retries: bool, **request: Any) -> dict[str, str]:
        assert operation == "submit_job"
        self.jobs.append(request["jobName"])
        self.is_away = True
        raise AwsError("no answer", code="ReadTimeoutError", is_unsure=True)

    def pages(self, service: str, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
        if self.is_away:
            raise AwsError("no way there", code="EndpointConnectionError", is_unsure=True)
        for number, name in enumerate(self.jobs):
            yield {"jobName": name, "jobId": f"job-{number}", "createdAt": number}


def test_a_job_whose_answer_was_lost_is_looked_for_by_a_later_call_too() -> None:
    aws: Any = LossyAws()
    batch = Batch(aws, sleep=lambda seconds: None)
    with pytest.raises(AwsError):
        batch.submit(submitted(), patience_s=0)
    aws.is_away = False
    assert batch.submit(submitted(), patience_s=0) == "job-0"
    assert aws.jobs == [submitted()["jobName"]]
