"""When jobs ran, as Batch tells: every attempt of every child."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError

# DescribeJobs takes so many ids.
_MOST_IDS = 100
_MOST_REQUESTS = 8
_MS = 1000
_ENDED = frozenset({"SUCCEEDED", "FAILED"})
# Where Batch is busy beyond boto3's own patience.
_PAUSE_S, _MOST_THROTTLES = 2.0, 20


class Attempt(NamedTuple):
    """One attempt of a job, in seconds since 1970; ``stopped_s`` is None while it runs."""

    started_s: float
    stopped_s: float | None
    is_cut: bool
    """Whether it ended otherwise than well: by a lost machine, by force, or by an exit code."""

    def seconds(self, now: float) -> float:
        """Return how long it ran, or has run so far."""
        return max(0.0, (now if self.stopped_s is None else self.stopped_s) - self.started_s)


@dataclass(frozen=True, kw_only=True)
class JobTime:
    """When one job or child ran.

    Parameters
    ----------
    job_id : str
        A child's is its array's, a colon and its index.
    attempts : tuple of Attempt
        Those that began to run.
    is_over : bool
        Whether no more will come.
    is_known : bool
        False where Batch has forgotten it, which it does about seven days after its end.
    """

    job_id: str
    attempts: tuple[Attempt, ...] = ()
    is_over: bool = True
    is_known: bool = True


def job_times(
    aws: Aws, job_ids: Sequence[str], *, sleep: Callable[[float], object] = time.sleep
) -> Iterator[JobTime]:
    """Yield when jobs ran; of an array every child, in no order.

    For 10,000 children that is 101 requests, several at a time, and fewer when Batch says that it is asked
    too much.

    Parameters
    ----------
    aws : Aws
        Of the region.
    job_ids : sequence of str
        Jobs and arrays.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    AwsError
        Batch could not be asked.
    """
    children: list[str] = []
    for job in _describe(aws, job_ids, sleep):
        size = job.get("arrayProperties", {}).get("size")
        if size is None:
            yield _read(job)
        else:
            children += (f"{job['jobId']}:{index}" for index in range(size))
    for job in _describe(aws, children, sleep):
        yield _read(job)


def _describe(
    aws: Aws, job_ids: Sequence[str], sleep: Callable[[float], object]
) -> Iterator[Mapping[str, Any]]:
    """Yield what Batch says of each; of one that it has forgotten the id alone."""
    waiting = deque(job_ids[first : first + _MOST_IDS] for first in range(0, len(job_ids), _MOST_IDS))
    asked: dict[Future[Any], Sequence[str]] = {}
    width, throttles = _MOST_REQUESTS, 0
    with ThreadPoolExecutor(max_workers=_MOST_REQUESTS) as pool:
        while waiting or asked:
            while waiting and len(asked) < width:
                ids = waiting.popleft()
                asked[pool.submit(aws.call, "batch", "describe_jobs", jobs=list(ids))] = ids
            for future in wait(asked, return_when=FIRST_COMPLETED).done:
                ids = asked.pop(future)
                try:
                    found = {job["jobId"]: job for job in future.result()["jobs"]}
                except AwsError as error:
                    throttles += 1
                    if not error.is_throttle or throttles > _MOST_THROTTLES:
                        waiting.clear()
                        raise
                    waiting.append(ids)
                    width = max(1, width // 2)
                    sleep(_PAUSE_S)
                    continue
                yield from (found.get(job_id, {"jobId": job_id}) for job_id in ids)


def _read(job: Mapping[str, Any]) -> JobTime:
    status = job.get("status")
    if status is None:
        return JobTime(job_id=job["jobId"], is_known=False)
    attempts = [_read_attempt(attempt) for attempt in job.get("attempts", ()) if attempt.get("startedAt")]
    last = _last(job, status)
    if last is not None and (not attempts or attempts[-1].started_s < last.started_s):
        attempts.append(last)  # the one that runs is not among the attempts
    if attempts and attempts[-1].stopped_s is None and last is not None:
        attempts[-1] = attempts[-1]._replace(stopped_s=last.stopped_s)
    return JobTime(job_id=job["jobId"], attempts=tuple(attempts), is_over=status in _ENDED)


def _last(job: Mapping[str, Any], status: str) -> Attempt | None:
    """Return the attempt that the job's own times tell of."""
    started, stopped = job.get("startedAt"), job.get("stoppedAt")
    if not started or status not in (*_ENDED, "RUNNING"):
        return None
    return Attempt(started / _MS, stopped / _MS if stopped else None, status == "FAILED")


def _read_attempt(attempt: Mapping[str, Any]) -> Attempt:
    started, stopped = attempt["startedAt"], attempt.get("stoppedAt")
    is_cut = bool(stopped) and attempt.get("container", {}).get("exitCode") != 0
    return Attempt(started / _MS, stopped / _MS if stopped else None, is_cut)
