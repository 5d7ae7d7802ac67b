"""Removes a stack with all that was made in it. Whatever was begun may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, product

from cloudknot.aws.blueprint import Blueprint, blueprint_of
from cloudknot.aws.buckets import empty_bucket
from cloudknot.aws.inventory import find_tagged
from cloudknot.aws.session import Aws
from cloudknot.aws.stacks import Sleep, Stacks, Tell, silent
from cloudknot.aws.substrate import STACK_TAG
from cloudknot.errors import AwsError

_GOING = ("DELETING", "DELETED")
_LIVING = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
# A job that is told to end has 30 s until it is killed; then its machine tells Batch.
_PATIENCE_S = 300.0
_FIRST_WAIT_S, _LONGEST_WAIT_S, _GROWTH = 0.5, 10.0, 1.5
_STOCK_WAITS_S = (2.0, 5.0, 10.0, 20.0)
_REASON = "cloudknot down"
# At the same time: Batch is asked once for each queue and state.
_REQUESTS = 8


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a stack has now.

    Parameters
    ----------
    stack : str
        Its name.
    status : str
        CloudFormation's; empty where there is no stack.
    blueprint : Blueprint, optional
        What it was made from.
    queues : tuple of str
        Its queues' ARNs.
    jobs : tuple of str
        Of those that have not ended.
    definitions : tuple of str
        The ARNs of its active job definitions.
    """

    stack: str
    status: str
    blueprint: Blueprint | None
    queues: tuple[str, ...]
    jobs: tuple[str, ...]
    definitions: tuple[str, ...]

    @property
    def own_bucket(self) -> str:
        """Return the bucket that is removed with the stack; empty where none is."""
        plan = self.blueprint
        return plan.bucket if plan is not None and plan.makes_bucket and not plan.keeps_bucket else ""

    def describe(self) -> list[str]:
        """Return what would be removed, a line each."""
        plan = self.blueprint
        lines = []
        if self.jobs:
            lines.append(f"terminate {_count(self.jobs, 'job')}, and arrays with all that is in them")
        if self.definitions:
            lines.append(f"deregister {_count(self.definitions, 'job definition')}")
        if plan is not None:
            if self.own_bucket:
                lines.append(f"remove the bucket {plan.bucket} with all runs and their results")
            else:
                why = "it is to be kept" if plan.makes_bucket else "it was there before"
                lines.append(f"leave the bucket {plan.bucket} as it is: {why}")
            lines.append(f"remove the image repository {self.stack} with all images")
        if self.status:
            lines.append(
                f"delete the stack {self.stack}: {len(self.queues)} queues, and all that is behind them"
            )
        return lines


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What has become of a stack.

    Parameters
    ----------
    jobs, definitions, objects : int
        How many were terminated, deregistered, removed.
    left : tuple of str, optional
        The ARNs of what still has the stack's tag; None where AWS did not tell.
    why_unknown : str
        AWS's words, where it did not tell.
    """

    jobs: int
    definitions: int
    objects: int
    left: tuple[str, ...] | None
    why_unknown: str = ""


def _count(things: Sequence[str], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


class Teardown:
    """Removes stacks.

    Parameters
    ----------
    aws : Aws
        The account and region.
    tell : callable
        Hears what comes about.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, aws: Aws, *, tell: Tell = silent, sleep: Sleep = time.sleep) -> None:
        self._aws = aws
        self._tell = tell
        self._sleep = sleep
        self._stacks = Stacks(aws, tell=tell, sleep=sleep)

    def look(self, stack: str) -> Holding:
        """Return what a stack has.

        Raises
        ------
        InputError
            It is no stack of cloudknot's.
        AwsError
            AWS refused.
        """
        described = self._stacks.settle(stack)
        status = "" if described is None else str(described["StackStatus"])
        queues = tuple(self._find_queues(stack)) if status else ()
        return Holding(
            stack=stack,
            status=status,
            # A stack under review has no parameters yet, and nothing else.
            blueprint=blueprint_of(described) if described and status != "REVIEW_IN_PROGRESS" else None,
            queues=queues,
            jobs=tuple(self._find_jobs(queues)),
            definitions=tuple(self._find_definitions(stack)),
        )

    def remove(self, holding: Holding) -> Removed:
        """Remove what a stack has, and then the stack.

        Raises
        ------
        AwsError
            Something could not be removed; it may be tried again.
        """
        jobs = self._end_jobs(holding)
        for arn in holding.definitions:
            self._aws.call("batch", "deregister_job_definition", jobDefinition=arn)
        if holding.definitions:
            self._tell(f"{_count(holding.definitions, 'job definition')} deregistered")
        objects = 0
        if holding.own_bucket:
            objects = empty_bucket(self._aws, holding.own_bucket, self._tell)
            self._tell(f"{objects:,} objects removed from {holding.own_bucket}")
        self._stacks.remove(holding.stack)
        left, why = self._take_stock(holding)
        return Removed(
            jobs=jobs, definitions=len(holding.definitions), objects=objects, left=left, why_unknown=why
        )

    def _end_jobs(self, holding: Holding) -> int:
        """Let no job begin any more, end those there are, and wait until they have."""
        if not holding.queues:
            return 0
        for queue in holding.queues:  # what still runs could write to the bucket while it is emptied
            self._aws.call("batch", "update_job_queue", jobQueue=queue, state="DISABLED")
        self._wait(lambda: self._changing(holding.queues), "queue", f"of the stack {holding.stack} to close")
        ended: set[str] = set()

        def living() -> list[str]:
            found = self._find_jobs(holding.queues)
            for job in found:
                if job not in ended:
                    self._aws.call("batch", "terminate_job", jobId=job, reason=_REASON)
                    ended.add(job)
            return found

        self._wait(living, "job", f"of the stack {holding.stack} to end")
        return len(ended)

    def _wait(self, find: Callable[[], list[str]], noun: str, what: str) -> None:
        """Wait until nothing is found any more."""
        wait_s, waited_s = _FIRST_WAIT_S, 0.0
        while found := find():
            if waited_s > _PATIENCE_S:
                raise AwsError(
                    f"waited {_PATIENCE_S:.0f} s for {_count(found, noun)} {what}, such as {found[0]}: "
                    "run 'cloudknot down' again"
                )
            if not waited_s:
                self._tell(f"waiting for {_count(found, noun)} {what}")
            self._sleep(wait_s)
            waited_s += wait_s
            wait_s = min(wait_s * _GROWTH, _LONGEST_WAIT_S)

    def _changing(self, queues: Sequence[str]) -> list[str]:
        """Return the queues that still change: Batch does not delete them then."""
        found = self._aws.pages("batch", "describe_job_queues", "jobQueues", jobQueues=list(queues))
        return [str(queue["jobQueueArn"]) for queue in found if queue["status"] == "UPDATING"]

    def _find_queues(self, stack: str) -> Iterator[str]:
        """Yield a stack's queues; one that somebody has removed by hand is no hindrance."""
        arns = [
            str(resource["PhysicalResourceId"])
            for resource in self._stacks.resources(stack)
            if resource["ResourceType"] == "AWS::Batch::JobQueue"
        ]
        if not arns:  # Batch would tell of all the queues that there are
            return
        for queue in self._aws.pages("batch", "describe_job_queues", "jobQueues", jobQueues=arns):
            if queue["status"] not in _GOING:
                yield str(queue["jobQueueArn"])

    def _find_jobs(self, queues: Sequence[str]) -> list[str]:
        """Return the jobs that have not ended; of an array the parent, which stands for its children."""

        def find(asked: tuple[str, str]) -> list[str]:
            queue, status = asked
            found = self._aws.pages("batch", "list_jobs", "jobSummaryList", jobQueue=queue, jobStatus=status)
            return [str(job["jobId"]) for job in found]

        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(chain.from_iterable(pool.map(find, product(queues, _LIVING))))

    def _find_definitions(self, stack: str) -> Iterator[str]:
        found: Iterator[Mapping[str, object]] = self._aws.pages(
            "batch", "describe_job_definitions", "jobDefinitions", status="ACTIVE"
        )
        for definition in found:
            tags = definition.get("tags")
            if isinstance(tags, dict) and tags.get(STACK_TAG) == stack:
                yield str(definition["jobDefinitionArn"])

    def _take_stock(self, holding: Holding) -> tuple[tuple[str, ...] | None, str]:
        """Return what still has the stack's tag; AWS lists for a while what is gone."""
        plan = holding.blueprint
        kept = plan.bucket if plan is not None else ""
        try:
            for wait_s in (*_STOCK_WAITS_S, 0.0):
                left = tuple(find_tagged(self._aws, holding.stack))
                if not wait_s or all(arn.endswith(f":::{kept}") for arn in left):
                    break
                self._sleep(wait_s)
        except AwsError as error:
            return None, str(error)
        return left, ""
