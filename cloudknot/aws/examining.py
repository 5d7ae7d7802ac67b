"""Asks Batch about the jobs of a run, in a number of requests that does not grow with their children.

Only the children that failed are listed, page by page; of those that wait, a few are looked at.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudknot.aws.diagnosis import Line, Reply, explain_job
from cloudknot.aws.findings import Finding
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError

# What DescribeJobs takes.
_IDS = 100
# Of the children that wait, so many are looked at.
_SAMPLE = 50
# Of so many causes the log of one job is read.
_LOGS = 5
_LOG_LINES = 20
_LOG_GROUP = "/aws/batch/job"
_WAITING = ("RUNNABLE", "STARTING")
# What differs from job to job in words that mean the same.
_NAMES = re.compile(r"\b(i-[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32})\b")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Jobs that are as they are for the same reason.

    Parameters
    ----------
    status : str
        As Batch names it.
    count : int
        How many; of those that wait, estimated from a few.
    finding : Finding
        Why.
    example : str
        The id of one of them.
    """

    status: str
    count: int
    finding: Finding
    example: str


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What Batch says of a run's jobs.

    Parameters
    ----------
    counts : mapping
        How many children are in each status.
    groups : sequence of Group
        Those that are not well, by reason.
    forgotten : int
        Jobs that Batch does not know any more.
    unseen : sequence of str
        What could not be looked at, in AWS's words.
    """

    counts: Mapping[str, int]
    groups: Sequence[Group]
    forgotten: int
    unseen: Sequence[str] = ()


class Examination:
    """One look at jobs.

    Parameters
    ----------
    aws : Aws
        Whom to ask.
    clock : callable, optional
        Seconds since the epoch.
    """

    def __init__(self, aws: Aws, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._clock = clock
        self._queues: dict[str, Reply] = {}
        self._environments: dict[str, Reply] = {}
        self._fronts: dict[str, list[str]] = {}
        self._heads: dict[str, Reply] = {}
        self._unseen: list[str] = []

    def look(self, job_ids: Sequence[str]) -> Examined:
        """Look at jobs and at their children.

        Raises
        ------
        AwsError
            The jobs cannot be described.
        """
        parents = self._describe(job_ids)
        waiting = {job["jobQueue"] for job in parents if _has(job, *_WAITING)}
        self._look_at_queues(waiting)
        groups = [group for job in parents for group in self._groups(job)]
        counts: Counter[str] = Counter()
        for job in parents:
            counts.update(_summary(job))
        return Examined(
            counts={status: number for status, number in counts.items() if number},
            groups=_merged(groups),
            forgotten=len(job_ids) - len(parents),
            unseen=tuple(self._unseen),
        )

    def _groups(self, parent: Reply) -> Iterator[Group]:
        for status in _WAITING:
            if _has(parent, status):
                yield from self._waiting_groups(parent, status)
        if _has(parent, "FAILED"):
            yield from self._failed_groups(parent)

    def _waiting_groups(self, parent: Reply, status: str) -> Iterator[Group]:
        queue = self._queues.get(parent["jobQueue"])
        order = queue["computeEnvironmentOrder"] if queue else ()
        known = [self._environments.get(one["computeEnvironment"]) for one in order]
        sample = [job for job in self._sample(parent, status) if job["status"] == status]
        found = Counter[Finding]()
        examples: dict[Finding, str] = {}
        for job in sample:
            finding = explain_job(
                job,
                queue=queue,
                environments=[one for one in known if one is not None],
                line=self._line_of(job),
                now_ms=self._clock() * 1000,
            )
            found[finding] += 1
            examples.setdefault(finding, job["jobId"])
        left = _summary(parent).get(status, 0) - len(sample)
        for place, (finding, number) in enumerate(found.most_common()):
            more = max(left, 0) if place == 0 else 0  # those that were not looked at are most likely alike
            yield Group(status=status, count=number + more, finding=finding, example=examples[finding])

    def _sample(self, parent: Reply, status: str) -> list[Reply]:
        if "size" not in parent.get("arrayProperties", {}):
            return [parent]
        found = self._ask("list_jobs", arrayJobId=parent["jobId"], jobStatus=status, maxResults=_SAMPLE)
        return self._describe([one["jobId"] for one in found.get("jobSummaryList", ())])

    def _failed_groups(self, parent: Reply) -> Iterator[Group]:
        counts: Counter[tuple[str, str, int | None]] = Counter()
        examples: dict[tuple[str, str, int | None], Reply] = {}
        for job in self._failed(parent):
            container = job.get("container", {})
            key = (
                _NAMES.sub("", job.get("statusReason", "")),
                _NAMES.sub("", container.get("reason", "")),
                container.get("exitCode"),
            )
            counts[key] += 1
            examples.setdefault(key, job)
        full = {job["jobId"]: job for job in self._describe([one["jobId"] for one in examples.values()])}
        for place, (key, number) in enumerate(counts.most_common()):
            # What is missing in DescribeJobs was forgotten a moment ago.
            job = full.get(examples[key]["jobId"], examples[key])
            log = self._read_log(job) if place < _LOGS else ""
            yield Group(
                status="FAILED", count=number, finding=explain_job(job, log=log), example=job["jobId"]
            )

    def _failed(self, parent: Reply) -> Iterable[Reply]:
        if "size" not in parent.get("arrayProperties", {}):
            return [parent]
        return self._aws.pages(
            "batch", "list_jobs", "jobSummaryList", arrayJobId=parent["jobId"], jobStatus="FAILED"
        )

    def _read_log(self, job: Reply) -> str:
        container = job.get("container", {})
        if container.get("reason") or "exitCode" not in container or "logStreamName" not in container:
            return ""
        options = container.get("logConfiguration", {}).get("options", {})
        try:
            reply = self._aws.call(
                "logs",
                "get_log_events",
                logGroupName=options.get("awslogs-group", _LOG_GROUP),
                logStreamName=container["logStreamName"],
                limit=_LOG_LINES,
                startFromHead=False,
            )
        except AwsError as error:
            self._note(error)
            return ""
        return "\n".join(event["message"] for event in reply["events"])

    def _describe(self, job_ids: Sequence[str]) -> list[Reply]:
        found: list[Reply] = []
        for first in range(0, len(job_ids), _IDS):
            found += self._aws.call("batch", "describe_jobs", jobs=list(job_ids[first : first + _IDS]))[
                "jobs"
            ]
        return found

    def _look_at_queues(self, arns: set[str]) -> None:
        if not arns:
            return
        queues = self._ask("describe_job_queues", jobQueues=sorted(arns)).get("jobQueues", ())
        self._queues = {queue["jobQueueArn"]: queue for queue in queues}
        names = {
            one["computeEnvironment"] for queue in queues for one in queue.get("computeEnvironmentOrder", ())
        }
        if names:
            reply = self._ask("describe_compute_environments", computeEnvironments=sorted(names))
            for one in reply.get("computeEnvironments", ()):
                self._environments[one["computeEnvironmentArn"]] = one
        for arn in sorted(arns):
            self._look_at_front(arn)

    def _look_at_front(self, arn: str) -> None:
        front = self._ask("get_job_queue_snapshot", jobQueue=arn).get("frontOfQueue", {}).get("jobs", ())
        ids = [one["jobArn"].rpartition("job/")[2] for one in front]
        self._fronts[arn] = ids
        for head in self._describe(ids[:1]):
            self._heads[arn] = head

    def _line_of(self, job: Reply) -> Line:
        front = self._fronts.get(job["jobQueue"], [])
        ahead = front.index(job["jobId"]) if job["jobId"] in front else None
        return Line(ahead=ahead, head=self._heads.get(job["jobQueue"]))

    def _ask(self, operation: str, **parameters: Any) -> Any:
        """Ask for what is good to know; nothing where it may not be known."""
        try:
            return self._aws.call("batch", operation, **parameters)
        except AwsError as error:
            self._note(error)
            return {}

    def _note(self, error: AwsError) -> None:
        if str(error) not in self._unseen:
            self._unseen.append(str(error))


def _summary(job: Reply) -> Mapping[str, int]:
    array = job.get("arrayProperties", {})
    summary: Mapping[str, int] = array["statusSummary"] if "size" in array else {job["status"]: 1}
    return summary


def _has(job: Reply, *statuses: str) -> bool:
    summary = _summary(job)
    return any(summary.get(status) for status in statuses)


def _merged(groups: Iterable[Group]) -> list[Group]:
    """Return one group for each reason, the largest first."""
    counts: Counter[tuple[str, Finding]] = Counter()
    examples: dict[tuple[str, Finding], str] = {}
    for group in groups:
        counts[group.status, group.finding] += group.count
        examples.setdefault((group.status, group.finding), group.example)
    return [
        Group(status=status, count=number, finding=finding, example=examples[status, finding])
        for (status, finding), number in counts.most_common()
    ]
