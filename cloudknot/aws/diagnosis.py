"""Why a job of AWS Batch is as it is, from what Batch says of it, with the cure in the sentence. Pure.

The words of jobs that wait are those of the user guide's page job_stuck_in_runnable. Batch writes them to the
job at the head of its queue alone, some minutes after it got stuck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudknot.aws.endings import DOCTOR, End, explain_end, stopped_for
from cloudknot.aws.findings import Finding

Reply = Mapping[str, Any]

# Machines take two to five minutes to come up, an image some more.
_PATIENCE_S = 15 * 60
_SMALLER = "fewer vcpus=..., less memory_mib=..., or other machines with instance_types=(...) or gpus=..."
_CONFIGURE = "'cloudknot configure' switches on what is off"
_OTHER_MACHINES = 'spot="prefer" or spot=False, other instance_types=(...), another arch=..., or patience'
_LARGER_STACK = "fewer vcpus=..., or a larger limit for the stack, which 'cloudknot configure' sets"
_STUCK: Mapping[str, tuple[str, str]] = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": (
        "EC2 has no machine of the wanted kind for now",
        f"Batch goes on trying; {_OTHER_MACHINES}",
    ),
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": (
        "it asks for more processors than its compute environments may have in all",
        _LARGER_STACK,
    ),
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": (
        "it asks for more vCPUs, memory or GPUs than any machine of its compute environments has",
        f"{_SMALLER}; of an '8 GiB' machine a job gets about 7,500 MiB",
    ),
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": (
        "Batch's service role lacks a permission",
        f"{_CONFIGURE}; {DOCTOR}",
    ),
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": (
        "an instance type of its compute environment cannot be launched as it is configured",
        "other instance_types=(...), of one architecture and offered in this region",
    ),
    "ACTION_REQUIRED": ("the compute environments of its queue are INVALID", f"{_CONFIGURE}; {DOCTOR}"),
    "UNDETERMINED": ("Batch cannot place it and does not know why", DOCTOR),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is known of a queue's front.

    Parameters
    ----------
    ahead : int, optional
        How many jobs wait before the one in question; None where it is not among the first 100.
    head : mapping, optional
        The job at the front, as DescribeJobs has it.
    """

    ahead: int | None = None
    head: Reply | None = None


def explain_job(
    job: Reply,
    *,
    queue: Reply | None = None,
    environments: Sequence[Reply] = (),
    line: Line | None = None,
    log: str = "",
    now_ms: float | None = None,
) -> Finding:
    """Return why a job is as it is.

    Parameters
    ----------
    job : mapping
        As DescribeJobs has it, or ListJobs.
    queue : mapping, optional
        Its queue, as DescribeJobQueues has it; None where that is not known.
    environments : sequence of mapping, optional
        The queue's compute environments, as DescribeComputeEnvironments has them.
    line : Line, optional
        What is known of the queue's front.
    log : str, optional
        The last lines that the job wrote.
    now_ms : float, optional
        The time, as Batch counts it: milliseconds since the epoch.

    Examples
    --------
    >>> explain_job({"status": "FAILED", "container": {"exitCode": 127}}).sentence
    'its image has no cloudknot in it: a program was not found'
    """
    status = job.get("status")
    if status == "FAILED":
        return _explain_failed(job, log)
    if status == "RUNNABLE":
        return _explain_runnable(job, queue, environments, line)
    if status == "STARTING":
        return _explain_starting(job, now_ms)
    waits = {
        "SUBMITTED": "Batch has taken it and not looked at it yet",
        "PENDING": "it waits for the jobs that it depends on, or for its children",
    }
    return Finding(sentence=waits.get(str(status), "nothing is wrong with it"))


def end_of(job: Reply) -> End:
    """Return how a job ended, or its last attempt, from what Batch tells of it."""
    attempts = job.get("attempts") or [{}]
    last, own = attempts[-1].get("container", {}), job.get("container", {})
    return End(
        status_reason=str(job.get("statusReason") or attempts[-1].get("statusReason") or ""),
        reason=str(own.get("reason") or last.get("reason") or ""),
        exit_code=own.get("exitCode", last.get("exitCode")),
    )


def asked(job: Reply, kind: str) -> str:
    """Return how much a job asks of ``VCPU``, ``MEMORY`` or ``GPU``; empty where that is not known."""
    container = job.get("container", {})
    for one in container.get("resourceRequirements", ()):
        if one["type"] == kind:
            return str(one["value"])
    return str(container.get({"VCPU": "vcpus", "MEMORY": "memory"}.get(kind, ""), ""))


def _explain_failed(job: Reply, log: str) -> Finding:
    end = end_of(job)._replace(log=log)
    stuck = stopped_for(end.status_reason)
    if stuck is not None:
        finding = _explain_stuck(stuck)
        return Finding(sentence=f"it never ran, since {finding.sentence}", cure=finding.cure)
    if job.get("isTerminated") or job.get("isCancelled"):
        return Finding(
            sentence=f"it was stopped: {end.status_reason!r}",
            cure="'cloudknot resume' runs what is left, if it is wanted",
        )
    return explain_end(end, memory_mib=asked(job, "MEMORY"))


def _explain_stuck(reason: str) -> Finding:
    code = reason.replace("–", "-").partition(" - ")[0].strip()  # noqa: RUF001  # one page has this dash
    if code in _STUCK:
        sentence, cure = _STUCK[code]
        return Finding(sentence=sentence, cure=cure)
    return Finding(sentence=f"Batch says {reason!r}", cure=DOCTOR)


def _explain_runnable(
    job: Reply, queue: Reply | None, environments: Sequence[Reply], line: Line | None
) -> Finding:
    if job.get("statusReason"):
        return _explain_stuck(str(job["statusReason"]))
    return (
        _explain_queue(queue)
        or _explain_environments(environments)
        or _explain_size(job, environments)
        or _explain_line(job, line)
        or _explain_again(job)
        or Finding(
            sentence="it waits for a machine, which takes two to five minutes to come up",
            cure=f"if it is no further after {_PATIENCE_S // 60} minutes: {DOCTOR}",
        )
    )


def _explain_queue(queue: Reply | None) -> Finding | None:
    # One that is DISABLED takes no new jobs, but places those that it has (API reference, JobQueueDetail).
    if queue is None or queue.get("status") != "INVALID":
        return None
    return Finding(
        sentence=f"its queue {queue['jobQueueName']} is INVALID{_said(queue)}", cure=f"{_CONFIGURE}; {DOCTOR}"
    )


def _explain_environments(environments: Sequence[Reply]) -> Finding | None:
    if not environments or any(_is_usable(one) for one in environments):
        return None
    what = ", ".join(_describe_environment(one) for one in environments)
    return Finding(sentence=f"its queue has no machines: {what}", cure=f"{_CONFIGURE}; {DOCTOR}")


def _explain_size(job: Reply, environments: Sequence[Reply]) -> Finding | None:
    vcpus = asked(job, "VCPU")
    limits = [
        one["computeResources"]["maxvCpus"]
        for one in environments
        if _is_usable(one) and one.get("computeResources")
    ]
    if not vcpus or not limits or float(vcpus) <= max(limits):
        return None
    return Finding(
        sentence=f"it asks for {vcpus} vCPUs, and its compute environments may have at most {max(limits)}",
        cure=_LARGER_STACK,
    )


def _explain_line(job: Reply, line: Line | None) -> Finding | None:
    head = None if line is None else line.head
    if line is None or head is None:
        return None
    stuck = _explain_stuck(str(head["statusReason"])) if head.get("statusReason") else None
    if _family(head) == _family(job):  # its own sister: what holds that up holds up both
        return stuck
    number = "more than 100 jobs" if line.ahead is None else f"{line.ahead} job{'s' * (line.ahead != 1)}"
    if stuck is None:
        return Finding(sentence=f"{number} wait before it in its queue, and its machines are busy")
    return Finding(
        sentence=(
            f"the job {head['jobName']} ({head['jobId']}) at the head of its queue is stuck, "
            f"and holds up all behind it: {stuck.sentence}"
        ),
        cure=f"if that job is not wanted, terminate it ('cloudknot cancel', where it is a run of yours); "
        f"else {stuck.cure}",
    )


def _explain_again(job: Reply) -> Finding | None:
    """Say why it waits once more: an attempt of it has failed."""
    if not job.get("attempts"):
        return None
    before = explain_end(end_of(job), memory_mib=asked(job, "MEMORY"))
    number = len(job["attempts"])
    return Finding(
        sentence=f"it is tried again after {_attempts(number)}: {before.sentence}", cure=before.cure
    )


def _explain_starting(job: Reply, now_ms: float | None) -> Finding:
    again = _explain_again(job)
    if again is not None:
        return again
    age_s = 0.0 if now_ms is None else (now_ms - job.get("createdAt", now_ms)) / 1000
    if age_s < _PATIENCE_S:
        return Finding(sentence="its machine pulls the image, which takes minutes where the image is large")
    return Finding(
        sentence=(
            f"it was submitted {age_s / 60:.0f} minutes ago and its machine has not started it: the image is "
            "large, or the machine has no network way to ECR and CloudWatch"
        ),
        cure=DOCTOR,
    )


def _family(job: Reply) -> str:
    return str(job.get("jobId")).partition(":")[0]


def _attempts(number: int) -> str:
    return "an attempt that failed" if number == 1 else f"{number} attempts that failed"


def _is_usable(environment: Reply) -> bool:
    return environment.get("state") != "DISABLED" and environment.get("status") != "INVALID"


def _describe_environment(environment: Reply) -> str:
    word = "INVALID" if environment.get("status") == "INVALID" else "DISABLED"
    return f"{environment['computeEnvironmentName']} is {word}{_said(environment)}"


def _said(thing: Reply) -> str:
    reason = str(thing.get("statusReason") or "")
    return f" ({reason})" if reason else ""
