"""What is asked of AWS Batch: definitions, jobs, where they stand, and their end."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cloudknot.aws.endings import End, explain_end
from cloudknot.aws.planning import Cause, Ending
from cloudknot.aws.requests import KNOT_TAG
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import STACK_TAG
from cloudknot.errors import AwsError

_DESCRIBED_AT_ONCE = 100
_FINAL = frozenset({"SUCCEEDED", "FAILED"})
# A job that was submitted is listed after some seconds at the latest.
_LISTED_AFTER_S = 8.0
_LOOKS = 4
# While AWS says that requests come too fast, or that it does not know yet what was just made.
PATIENCE_S = 600.0
_LONGEST_PAUSE_S = 20.0
_KNOWN_AFTER_S = 60.0
# Another person may have removed a definition that was there so long ago.
_TRUSTED_S = 60.0


class JobState(NamedTuple):
    """Where a job stands.

    Parameters
    ----------
    is_over : bool
        Whether it, and each child of it, has ended.
    running, failed : int
        How many children run, and how many have failed; a job alone is its own only child.
    ending : Ending, optional
        How a job alone has failed.
    """

    is_over: bool
    running: int
    failed: int
    ending: Ending | None = None


class Definition(NamedTuple):
    """A job definition: its ARN, the Knot's name, and the image."""

    arn: str
    knot: str
    image: str


class Batch:
    """AWS Batch, as far as runs need it.

    Parameters
    ----------
    aws : Aws
        The access to it.
    sleep, clock : callable
        Wait so many seconds; seconds, monotonic.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._sleep = sleep
        self._clock = clock
        self._definitions: dict[str, str] = {}
        self._looked_at: dict[str, float] = {}
        self._registered: dict[str, float] = {}
        self._unsure: set[str] = set()

    def ensure_definition(self, request: Mapping[str, Any]) -> str:
        """Return the ARN of a job definition; it is registered unless it is there."""
        name, now = request["jobDefinitionName"], self._clock()
        if now - self._looked_at.get(name, -_TRUSTED_S) >= _TRUSTED_S:
            found = self._aws.call(
                "batch", "describe_job_definitions", jobDefinitionName=name, status="ACTIVE"
            )["jobDefinitions"]
            if found:
                self._definitions[name] = found[0]["jobDefinitionArn"]
            else:
                made = self._aws.call("batch", "register_job_definition", **request)
                self._definitions[name] = made["jobDefinitionArn"]
                self._registered[made["jobDefinitionArn"]] = now
            self._looked_at[name] = now
        return self._definitions[name]

    def submit(self, request: Mapping[str, Any], *, patience_s: float = PATIENCE_S) -> str:
        """Submit a job once, whatever becomes of the connection; return its id.

        SubmitJob has no token, so a request whose answer is missing is not sent again before the job was
        looked for by its name, by a later call neither.

        Parameters
        ----------
        request : mapping
            SubmitJob's.
        patience_s : float
            Seconds for which it is tried again where AWS says that requests come too fast.

        Raises
        ------
        AwsError
            AWS refused.
        """
        name, until = request["jobName"], self._clock() + patience_s
        for attempt in itertools.count():
            try:
                job_id = self._find_soon(request) if name in self._unsure else None
                if job_id is None:
                    reply = self._aws.call("batch", "submit_job", retries=False, **request)
                    job_id = str(reply["jobId"])
            except AwsError as error:
                if error.is_unsure:
                    self._unsure.add(name)
                if self._clock() >= until or not self._may_pass(error, request):
                    raise
                self._pause(attempt)
            else:
                self._unsure.discard(name)
                return job_id
        raise AssertionError  # itertools.count never ends

    def find_jobs(self, queue: str, prefix: str) -> dict[str, str]:
        """Return the ids of a queue's jobs whose names begin so, by their names; the oldest of equals."""
        filters = [{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
        listed = self._aws.pages("batch", "list_jobs", "jobSummaryList", jobQueue=queue, filters=filters)
        newest_first = sorted(listed, key=lambda job: -int(job.get("createdAt", 0)))
        return {job["jobName"]: job["jobId"] for job in newest_first}

    def describe(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        """Return where jobs stand, by their ids, in a request for each hundred; unknown ones are left out."""
        states = {}
        for some in _groups(list(job_ids), _DESCRIBED_AT_ONCE):
            for job in self._aws.call("batch", "describe_jobs", jobs=some)["jobs"]:
                states[job["jobId"]] = state_of(job)
        return states

    def failed_children(self, job_id: str) -> Iterator[tuple[int, Ending]]:
        """Yield the index of each child of an array that has failed, and how."""
        listed = self._aws.pages(
            "batch", "list_jobs", "jobSummaryList", arrayJobId=job_id, jobStatus="FAILED"
        )
        for child in listed:
            yield int(child["arrayProperties"]["index"]), ending_of(child)

    def terminate(self, job_ids: Iterable[str], reason: str) -> None:
        """End jobs, with their children; those that have ended already are passed over."""
        for job_id in job_ids:
            self._aws.call("batch", "terminate_job", jobId=job_id, reason=reason)

    def log_stream(self, job_id: str) -> str | None:
        """Return the log stream of a job's last attempt; None where there is none yet."""
        jobs = self._aws.call("batch", "describe_jobs", jobs=[job_id])["jobs"]
        container = jobs[0].get("container", {}) if jobs else {}
        stream: str | None = container.get("logStreamName")
        return stream

    def definitions_of(self, stack: str, images: Iterable[str]) -> list[Definition]:
        """Return a stack's definitions of these images."""
        meant = set(images)
        listed = self._aws.pages("batch", "describe_job_definitions", "jobDefinitions", status="ACTIVE")
        return [
            Definition(found["jobDefinitionArn"], found["tags"].get(KNOT_TAG, ""), image)
            for found in listed
            if found.get("tags", {}).get(STACK_TAG) == stack
            and (image := found.get("containerProperties", {}).get("image", "")) in meant
        ]

    def jobs_of(self, definition: str, queues: Iterable[str]) -> dict[str, bool]:
        """Return the names of the jobs of a definition in these queues, and whether they are over."""
        filters = [{"name": "JOB_DEFINITION", "values": [definition]}]
        return {
            job["jobName"]: job["status"] in _FINAL
            for queue in queues
            for job in self._aws.pages(
                "batch", "list_jobs", "jobSummaryList", jobQueue=queue, filters=filters
            )
        }

    def deregister(self, definition: str) -> None:
        """Let no new job have a definition."""
        self._aws.call("batch", "deregister_job_definition", jobDefinition=definition)
        self._looked_at.clear()  # it is looked for anew

    def _may_pass(self, error: AwsError, request: Mapping[str, Any]) -> bool:
        """Return whether the same request may do a little later."""
        if error.is_throttle or error.is_unsure:
            return True
        made = self._registered.get(request["jobDefinition"])
        # AWS is consistent after a while: a definition that was made just now may not be known everywhere.
        is_new = made is not None and self._clock() - made < _KNOWN_AFTER_S
        return is_new and error.code == "ClientException"

    def _find_soon(self, request: Mapping[str, Any]) -> str | None:
        name = request["jobName"]
        for _ in range(_LOOKS):
            self._sleep(_LISTED_AFTER_S / _LOOKS)
            found = self.find_jobs(request["jobQueue"], name).get(name)
            if found is not None:
                return found
        return None

    def _pause(self, attempt: int) -> None:
        longest_s = min(2.0**attempt, _LONGEST_PAUSE_S)
        self._sleep(random.uniform(longest_s / 2, longest_s))


def state_of(job: Mapping[str, Any]) -> JobState:
    """Return where a job stands, from what DescribeJobs says."""
    is_over = job["status"] in _FINAL
    if job.get("arrayProperties", {}).get("size"):
        counts = job["arrayProperties"].get("statusSummary", {})
        return JobState(is_over, int(counts.get("RUNNING", 0)), int(counts.get("FAILED", 0)))
    has_failed = job["status"] == "FAILED"
    return JobState(
        is_over, int(job["status"] == "RUNNING"), int(has_failed), ending_of(job) if has_failed else None
    )


def ending_of(job: Mapping[str, Any]) -> Ending:
    """Return how a job has failed, from what DescribeJobs or ListJobs says of it."""
    container = job.get("container", {})
    end = End(
        status_reason=job.get("statusReason", ""),
        reason=container.get("reason", ""),
        exit_code=container.get("exitCode"),
    )
    if job.get("isTerminated") or job.get("isCancelled"):
        return Ending(Cause.ENDED_BY_HAND, f"its job was ended by hand: {end.status_reason}")
    finding = explain_end(end)
    reason = f"{finding.sentence}: {finding.cure}" if finding.cure else finding.sentence
    if not job.get("startedAt"):
        return Ending(Cause.NEVER_STARTED, reason)
    is_memory = end.reason.startswith("OutOfMemoryError")
    return Ending(Cause.OUT_OF_MEMORY if is_memory else Cause.DIED, reason)


def _groups(job_ids: list[str], size: int) -> Iterator[list[str]]:
    return (job_ids[first : first + size] for first in range(0, len(job_ids), size))
