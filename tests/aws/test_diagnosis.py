"""What Batch says of a job becomes a sentence with the cure. The words are those that AWS uses."""

from __future__ import annotations

from typing import Any

import pytest

from cloudknot.aws.diagnosis import Line, explain_job
from cloudknot.aws.endings import End, explain_end

USUAL = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
DENIED = (
    "User: arn:aws:sts::1:assumed-role/R/i is not authorized to perform: {} on resource: * because no "
    "identity-based policy allows the {} action"
)
FARGATE = (
    "ResourceInitializationError: unable to pull secrets or registry auth: "
    "execution resource retrieval failed: "
)
DAEMON = "Error response from daemon: "


def failed(
    status_reason: str = USUAL, reason: str | None = None, code: int | None = None, **more: Any
) -> dict[str, Any]:
    container = {"reason": reason, "exitCode": code}
    known = {name: value for name, value in container.items() if value is not None}
    return {"status": "FAILED", "statusReason": status_reason, "container": {**known, **more}}


ENDINGS = {
    "a reclaimed machine": (
        failed("Host EC2 (instance i-08784105ffff56b4f) terminated."),
        "machine was taken away",
        'spot="prefer"',
    ),
    "fargate spot": (failed("Your Spot Task was interrupted."), "Fargate Spot was taken away", "spot=False"),
    "the backstop": (
        failed("Job attempt duration exceeded timeout", code=137),
        "longer than Batch's backstop",
        "chunk_size=",
    ),
    "out of memory": (
        failed(reason="OutOfMemoryError: Container killed due to memory usage", code=137),
        "ran out of memory",
        'Retry(on_oom="double")',
    ),
    "a pull that is not allowed": (
        failed(
            NOT_STARTED,
            "CannotPullECRContainerError: AccessDeniedException: "
            + DENIED.format("ecr:GetAuthorizationToken", "ecr:GetAuthorizationToken"),
        ),
        "the role that pulls it may not",
        "cloudknot configure",
    ),
    "an image that is gone": (
        failed(NOT_STARTED, f"CannotPullContainerError: {DAEMON}manifest for localhost/lab:1 not found"),
        "not in the repository any more",
        "pushes its image anew",
    ),
    "a full disk": (
        failed(
            NOT_STARTED,
            "CannotPullContainerError: failed to register layer: write /usr: no space left on device",
        ),
        "disk of the machine is full",
        "volume_gib=",
    ),
    "a registry out of reach": (
        failed(
            NOT_STARTED,
            "CannotPullContainerError: API error (500): Get https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/: "
            "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting "
            "headers)",
        ),
        "no network way to the registry",
        "cloudknot doctor",
    ),
    "a busy registry": (
        failed(NOT_STARTED, "CannotPullContainerError: context canceled"),
        "too busy",
        "chunk_size=",
    ),
    "a manifest without this platform": (
        failed(
            NOT_STARTED,
            "CannotPullContainerError: no matching manifest for linux/arm64/v8 in the manifest list entries",
        ),
        "another processor architecture",
        'Image(platform="linux/amd64")',
    ),
    "a pull that fails otherwise": (
        failed(NOT_STARTED, "CannotPullContainerError: something new"),
        "'CannotPullContainerError: something new'",
        "cloudknot doctor",
    ),
    "a log group that is missing": (
        failed(
            NOT_STARTED,
            f"CannotStartContainerError: {DAEMON}failed to initialize logging driver: failed to create "
            "Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
        ),
        "cannot be written to CloudWatch",
        "cloudknot configure",
    ),
    "an image of somebody else's": (
        failed(
            NOT_STARTED,
            f"CannotStartContainerError: {DAEMON}failed to create task for container: exec: "
            '"/opt/cloudknot/bin/python": stat /opt/cloudknot/bin/python: no such file or directory: unknown',
        ),
        "has no cloudknot in it",
        "call the Knot again",
    ),
    "a secret that may not be read, on machines": (
        failed(
            "Fetching secret data from AWS Secrets Manager in region us-east-1: secret arn:x: "
            "AccessDeniedException: User: x"
        ),
        "may not read a secret",
        "execution role",
    ),
    "a secret that may not be read, on Fargate": (
        failed(
            FARGATE + "unable to retrieve secret from asm: service call has been retried 1 time(s): "
            "api error AccessDeniedException: "
            + DENIED.format("secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue")
        ),
        "may not read a secret",
        "execution role",
    ),
    "a parameter that is not there": (
        failed(FARGATE + "unable to retrieve secrets from ssm: invalid ssm parameters: /lab/key"),
        "a secret cannot be read",
        "secrets={...}",
    ),
    "a key that the secret lacks": (
        failed(
            FARGATE + "unable to retrieve secret from asm: retrieved secret from Secrets Manager did not "
            "contain json key TOKEN"
        ),
        "does not hold the key",
        "secrets={...}",
    ),
    "no login to ECR on Fargate": (
        failed(
            FARGATE
            + "unable to retrieve ecr registry auth: service call has been retried 1 time(s): "
            + DENIED.format("ecr:GetAuthorizationToken", "ecr:GetAuthorizationToken")
        ),
        "may not pull the image",
        "cloudknot configure",
    ),
    "no way out on Fargate": (
        failed(
            FARGATE + "unable to retrieve ecr registry auth: RequestError: send request failed caused by: "
            "Post https://api.ecr.us-east-1.amazonaws.com/: dial tcp 52.1.1.1:443: i/o timeout"
        ),
        "no network way",
        "cloudknot doctor",
    ),
    "a role that ECS may not assume": (
        failed("ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task."),
        "may not assume the job's role",
        "cloudknot doctor",
    ),
    "variables that are too long": (
        failed("Container Overrides length must be at most 8192"),
        "longer than 8,192 characters",
        "env_vars",
    ),
    "a deleted queue": (failed("JobQueue deleted"), "queue was deleted", "cloudknot configure"),
    "a time limit of the queue": (
        failed("Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
        "never ran, since EC2 has no machine",
        'spot="prefer"',
    ),
    "no more than Batch's usual words": (
        failed(NOT_STARTED),
        "says no more than 'Task failed to start'",
        "cloudknot doctor",
    ),
    "no words at all": (failed(""), "says no reason", ""),
    "a store that fails": (failed(code=75), "bucket could not be read or written", "cloudknot doctor"),
    "the engine": (failed(code=125), "container engine", "cloudknot doctor"),
    "a program that may not run": (failed(code=126), "may not be executed", "call the Knot again"),
    "a program that is not there": (failed(code=127), "no cloudknot in it", "call the Knot again"),
    "an old processor": (failed(code=132), "instructions", "instance_types="),
    "a kill without a reason": (failed(code=137), "SIGKILL", "memory_mib="),
    "a crash": (failed(code=139), "segmentation fault", "log"),
    "an end that was asked for": (failed(code=143), "SIGTERM", "cloudknot resume"),
    "another code": (failed(code=3), "exit code 3", "log"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_failed_job_is_explained_with_its_cure(name: str) -> None:
    job, sentence, cure = ENDINGS[name]
    finding = explain_job(job)
    assert sentence in finding.sentence
    assert cure in finding.cure


def test_no_two_reasons_are_mistaken_for_each_other() -> None:
    sentences = {name: explain_job(job).sentence for name, (job, _, _) in ENDINGS.items()}
    secrets = {name for name in sentences if name.startswith("a secret that may not be read")}
    # Two ways to say one thing; all others are told apart.
    alike = {"a program that is not there", "an image of somebody else's", *secrets}
    others = [sentence for name, sentence in sentences.items() if name not in alike]
    assert len(set(others)) == len(others)


def test_memory_that_was_too_little_is_named() -> None:
    requirements = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
    job = failed(
        reason="OutOfMemoryError: Container killed due to memory usage",
        code=137,
        resourceRequirements=requirements,
    )
    assert "memory_mib=2048" in explain_job(job).sentence


def test_the_log_tells_what_the_exit_code_does_not() -> None:
    log = "exec /opt/cloudknot/bin/python: exec format error\n"
    assert "processor architecture" in explain_job(failed(code=255), log=log).sentence
    traceback = "Traceback (most recent call last):\nKeyError: 'runs/x'\n"
    assert "KeyError: 'runs/x'" in explain_job(failed(code=1), log=traceback).sentence


def test_what_a_person_prints_is_not_taken_for_aws_words() -> None:
    log = "OutOfMemoryError: java heap space\nHost EC2 (instance i-1) terminated.\nbye"
    assert "exit code 1" in explain_end(End(status_reason=USUAL, exit_code=1, log=log)).sentence


def test_a_job_that_was_stopped_says_by_whom() -> None:
    job = {**failed("cancelled with cloudknot cancel"), "isTerminated": True}
    assert explain_job(job).sentence == "it was stopped: 'cancelled with cloudknot cancel'"


STUCK = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance "
    "type [p4d.24xlarge]": ("no machine of the wanted kind", 'spot="prefer"'),
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the "
    "CPU requirement of the job.": ("more processors than its compute environments", "vcpus="),
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher "
    "than that can be met by the CE(s) attached to the job queue.": ("than any machine", "memory_mib="),
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS \N{EN DASH} Batch service role has a permission issue.": (
        "service role lacks a permission",
        "cloudknot configure",
    ),
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment associated with this "
    "job queue has an unsupported instance type configuration.": ("cannot be launched", "instance_types="),
    "ACTION_REQUIRED - CE(s) associated with the job queue are invalid.": ("INVALID", "cloudknot configure"),
    "UNDETERMINED - Batch job is blocked, root cause is undetermined.": ("does not know why", "doctor"),
    "SOMETHING:NEW - that nobody knows": ("'SOMETHING:NEW - that nobody knows'", "doctor"),
}


@pytest.mark.parametrize("reason", STUCK)
def test_a_job_that_is_stuck_is_explained_with_its_cure(reason: str) -> None:
    sentence, cure = STUCK[reason]
    finding = explain_job({"status": "RUNNABLE", "statusReason": reason})
    assert sentence in finding.sentence
    assert cure in finding.cure


def environment(**fields: Any) -> dict[str, Any]:
    base = {"computeEnvironmentName": "lab-x86", "state": "ENABLED", "status": "VALID"}
    return {**base, "computeResources": {"maxvCpus": 16}, **fields}


def job_of(job_id: str = "a:1", vcpus: str = "1", **fields: Any) -> dict[str, Any]:
    requirements = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": "512"}]
    return {
        "jobId": job_id,
        "jobName": "fit",
        "status": "RUNNABLE",
        "container": {"resourceRequirements": requirements},
        **fields,
    }


class TestAJobThatWaitsAndOfWhichBatchSaysNothing:
    def test_has_an_invalid_queue(self) -> None:
        queue = {"jobQueueName": "lab-x86", "status": "INVALID", "statusReason": "CLIENT_ERROR - gone"}
        sentence = explain_job(job_of(), queue=queue).sentence
        assert sentence == "its queue lab-x86 is INVALID (CLIENT_ERROR - gone)"

    def test_is_not_held_up_by_a_queue_that_only_takes_no_new_ones(self) -> None:
        queue = {"jobQueueName": "lab-x86", "status": "VALID", "state": "DISABLED"}
        assert "waits for a machine" in explain_job(job_of(), queue=queue).sentence

    def test_has_no_environment_that_works(self) -> None:
        broken = environment(status="INVALID", statusReason="CLIENT_ERROR - Clusters can not be blank.")
        off = environment(computeEnvironmentName="lab-spot", state="DISABLED")
        sentence = explain_job(job_of(), environments=[broken, off]).sentence
        assert "lab-x86 is INVALID (CLIENT_ERROR - Clusters can not be blank.)" in sentence
        assert "lab-spot is DISABLED" in sentence

    def test_has_one_environment_that_works(self) -> None:
        off = environment(state="DISABLED")
        assert "waits for a machine" in explain_job(job_of(), environments=[off, environment()]).sentence

    def test_is_larger_than_all_its_environments(self) -> None:
        finding = explain_job(job_of(vcpus="32"), environments=[environment()])
        assert finding.sentence == "it asks for 32 vCPUs, and its compute environments may have at most 16"

    def test_stands_behind_others(self) -> None:
        line = Line(ahead=3, head=job_of("b"))
        assert "3 jobs wait before it" in explain_job(job_of(), line=line).sentence
        line = Line(head=job_of("b"))
        assert "more than 100 jobs wait before it" in explain_job(job_of(), line=line).sentence

    def test_stands_behind_one_that_is_stuck(self) -> None:
        reason = next(reason for reason in STUCK if "JOB_RESOURCE" in reason)
        line = Line(ahead=1, head=job_of("b", jobName="monster", statusReason=reason))
        finding = explain_job(job_of(), line=line)
        assert "the job monster (b) at the head of its queue is stuck" in finding.sentence
        assert "than any machine" in finding.sentence
        assert "terminate it" in finding.cure

    def test_shares_the_reason_of_its_sister_at_the_head(self) -> None:
        reason = next(reason for reason in STUCK if "CAPACITY" in reason)
        line = Line(ahead=1, head=job_of("a:0", statusReason=reason))
        head = explain_job(job_of("a:0", statusReason=reason), line=line)
        assert explain_job(job_of("a:1"), line=line) == head

    def test_is_tried_again(self) -> None:
        words = "CannotPullContainerError: context canceled"
        attempt = {"container": {"reason": words}, "statusReason": NOT_STARTED}
        finding = explain_job(job_of(attempts=[attempt, attempt]))
        assert "tried again after 2 attempts that failed: the image cannot be pulled" in finding.sentence


def test_a_start_takes_long_only_after_a_while() -> None:
    job = job_of(status="STARTING", createdAt=1_000_000)
    assert "pulls the image" in explain_job(job, now_ms=1_060_000).sentence
    late = explain_job(job, now_ms=1_000_000 + 40 * 60_000)
    assert "40 minutes ago" in late.sentence
    assert "no network way" in late.sentence
    assert "cloudknot doctor" in late.cure


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNING", "SUCCEEDED"])
def test_a_job_that_is_well_needs_no_cure(status: str) -> None:
    assert explain_job({"status": status}).cure == ""
