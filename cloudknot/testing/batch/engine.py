"""Batch's jobs: what SubmitJob, DescribeJobs, ListJobs, CancelJob and TerminateJob stand on."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cloudknot.testing.batch.account import Account, Trouble
from cloudknot.testing.batch.arrays import count_none
from cloudknot.testing.batch.dependencies import read_dependencies, wait_for
from cloudknot.testing.batch.describing import detail, summary
from cloudknot.testing.batch.endings import Endings
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.events import Events
from cloudknot.testing.batch.hosts import Fleet
from cloudknot.testing.batch.jobs import Job, to_ms
from cloudknot.testing.batch.life import Life
from cloudknot.testing.batch.listing import list_page
from cloudknot.testing.batch.machines import Host, Machine, Pace
from cloudknot.testing.batch.orders import make_order
from cloudknot.testing.batch.records import Records
from cloudknot.testing.batch.refusals import refusal
from cloudknot.testing.batch.running import Running
from cloudknot.testing.batch.scheduler import Scheduler
from cloudknot.testing.batch.shelves import Shelves
from cloudknot.testing.clock import Clock, Timer
from cloudknot.testing.executors import Executor

__all__ = ["Engine"]

_FRONT = 100


class Engine:
    """All jobs of a region, and what moves them.

    Every method may be called from any thread. What follows is done a moment later, in the clock's thread.

    Parameters
    ----------
    catalogue : Shelves
        Queues, environments and definitions.
    clock : Clock
        The box's time.
    lock : RLock
        The one that the catalogue has too.
    account : Account
        The account around Batch.
    trouble : Trouble
        What shall go wrong.
    executor : Executor
        Runs the jobs' containers.
    pace : Pace, optional
        How long machines take.
    """

    def __init__(
        self,
        *,
        catalogue: Shelves,
        clock: Clock,
        lock: threading.RLock,
        account: Account,
        trouble: Trouble,
        executor: Executor,
        pace: Pace | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._lock = lock
        self._account = account
        self._trouble = trouble
        self._records = Records()
        self._numbers = itertools.count(1)
        self._submitted: list[Job] = []
        self._is_awake = False
        self._has_changed = True
        self._generation = 0
        events = Events(account, trouble, clock.now)
        self._scheduler = Scheduler(
            sources=catalogue,
            account=account,
            trouble=trouble,
            events=events,
            later=self._later,
            pace=pace or Pace(),
            start=self._start,
            cancel=self._cancel,
            wake=self._wake,
        )
        self._life = Life(
            records=self._records,
            events=events,
            now=clock.now,
            later=self._later,
            runnable=self._scheduler.add,
        )
        self._running = Running(
            executor=executor,
            account=account,
            trouble=trouble,
            life=self._life,
            lock=lock,
            now=clock.now,
            later=self._later,
            freed=self._free,
        )
        self._endings = Endings(
            life=self._life, running=self._running, scheduler=self._scheduler, freed=self._free
        )
        catalogue.on_change = self._note_change
        catalogue.has_jobs = self._has_jobs
        catalogue.terminate_all = self._terminate_all
        self._wake()  # for environments that are there already

    def submit(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take a job (SubmitJob).

        Raises
        ------
        ClientException
            When its queue, its definition or a job that it depends on is not there.
        """
        with self._lock:
            queue = self._catalogue.queue(params["jobQueue"])
            definition = self._catalogue.definition(params["jobDefinition"])
            size = (params.get("arrayProperties") or {}).get("size")
            dependencies = read_dependencies(params.get("dependsOn") or (), size, self._records.find)
            order = make_order(params, queue, definition, number=next(self._numbers))
            now = self._clock.now()
            job_id = str(uuid.uuid4())
            job = Job(
                id=job_id,
                arn=f"arn:aws:batch:{self._account.region}:{self._account.id}:job/{job_id}",
                order=order,
                tags=dict(params.get("tags") or {}),
                created_at=now,
                seen_from=now + self._trouble.lag_s("batch"),
                size=size,
                counts=count_none() if size else {},
                dependencies=dependencies if size else None,
            )
            wait_for(job, dependencies)
            self._records.add(job)
            self._submitted.append(job)
            self._wake()
            return {"jobArn": job.arn, "jobName": order.name, "jobId": job.id}

    def describe(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return jobs in full (DescribeJobs); unknown ones are left out."""
        with self._lock:
            found = [self._records.find(job_id) for job_id in dict.fromkeys(job_ids)]
            return [detail(job) for job in found if job is not None and self._is_seen(job)]

    def hosts(self) -> list[Host]:
        """Return the machines that there are now."""
        with self._lock:
            return self._scheduler.hosts()

    def list(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the jobs of a queue, or of the children of an array (ListJobs)."""
        with self._lock:
            jobs, token = list_page(filter(self._is_seen, self._jobs_of(params)), params)
            shown: dict[str, Any] = {"jobSummaryList": [summary(job) for job in jobs]}
            return {**shown, "nextToken": token} if token else shown

    def cancel(self, job_id: str, reason: str) -> None:
        """Cancel a job that is not STARTING yet (CancelJob)."""
        with self._lock:
            self._endings.cancel(self._find(job_id), reason)
            self._wake()

    def terminate(self, job_id: str, reason: str) -> None:
        """End a job, whatever it does (TerminateJob)."""
        with self._lock:
            self._endings.terminate(self._find(job_id), reason)
            self._wake()

    def snapshot(self, queue: str) -> dict[str, Any]:
        """Return the first RUNNABLE jobs of a queue (GetJobQueueSnapshot)."""
        with self._lock:
            now = to_ms(self._clock.now())
            jobs = self._scheduler.front(self._catalogue.queue(queue).arn, _FRONT)
            return {
                "frontOfQueue": {
                    "jobs": [
                        {"jobArn": job.arn, "earliestTimeAtPosition": to_ms(job.runnable_at)} for job in jobs
                    ],
                    "lastUpdatedAt": now,
                }
            }

    def tags(self, arn: str) -> dict[str, str] | None:
        """Return the tags of a job, to be changed in place (children have their array's); None for no job."""
        with self._lock:
            job = self._records.find(arn.rpartition(":job/")[2])
            return job.tags if job else None

    def tagged(self) -> Sequence[tuple[str, dict[str, str]]]:
        """Return the ARN and the tags of all jobs; children are left out."""
        with self._lock:
            return [(job.arn, dict(job.tags)) for job in self._records.all()]

    def reclaim(self, name: str) -> None:
        """Take a machine back, as EC2 does with Spot; or a task of Fargate, by the task's or the job's id.

        Raises
        ------
        ClientException
            When there is no such machine and no such task on Fargate.
        """
        with self._lock:
            self._endings.reclaim(name)
            self._wake()

    def close(self) -> None:
        """End all jobs, forget them and the machines; wait for nothing."""
        with self._lock:
            self._generation += 1
            self._is_awake = False
            self._running.clear()
            self._scheduler.clear()
            self._records.clear()
            self._submitted.clear()

    def _start(self, job: Job, fleet: Fleet, machine: Machine | None) -> None:
        self._running.start(job, fleet, machine)
        if machine is None and fleet.environment.model == "FARGATE_SPOT":
            self._foresee_reclaim(job.attempt.task_id if job.attempt else job.id, fleet)
        elif machine is not None and fleet.environment.model == "SPOT" and not machine.has_worked:
            self._foresee_reclaim(machine.id, fleet)
        if machine is not None:
            machine.has_worked = True

    def _foresee_reclaim(self, name: str, fleet: Fleet) -> None:
        seconds = self._trouble.reclaim_after(name, fleet.environment.name)
        if seconds is not None:
            self._later(seconds, lambda: self._reclaim_if_there(name))

    def _reclaim_if_there(self, name: str) -> None:
        with suppress(ClientException):  # it was not needed any more
            self.reclaim(name)

    def _cancel(self, job: Job, reason: str) -> None:
        self._endings.cancel(job, reason)
        self._wake()

    def _free(self, job: Job) -> None:
        self._scheduler.release(job)
        self._wake()

    def _find(self, job_id: str) -> Job:
        job = self._records.find(job_id)
        if job is None:  # AWS's words are not confirmed
            raise refusal(f"Job {job_id} does not exist")
        return job

    def _jobs_of(self, params: dict[str, Any]) -> Sequence[Job]:
        if "arrayJobId" in params:
            parent = self._records.find(params["arrayJobId"])
            return parent.children if parent else ()
        if "jobQueue" in params:
            return self._records.of_queue(self._catalogue.queue(params["jobQueue"]).arn)
        return ()

    def _is_seen(self, job: Job) -> bool:
        return job.seen_from <= self._clock.now()

    def _has_jobs(self, queue: str) -> bool:
        with self._lock:
            return self._records.has_open(queue)

    def _terminate_all(self, queue: str, reason: str) -> None:
        with self._lock:
            for job in self._records.open_jobs(queue):
                self._endings.terminate(job, reason)

    def _note_change(self) -> None:
        with self._lock:
            self._has_changed = True
            self._wake()

    def _later(self, seconds: float, action: Callable[[], None]) -> Timer:
        generation = self._generation

        def act() -> None:
            with self._lock:
                if generation == self._generation:
                    action()

        return self._clock.call_in(seconds, act)

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._later(0.0, self._turn)

    def _turn(self) -> None:
        self._is_awake = False
        submitted, self._submitted = self._submitted, []
        for job in submitted:
            self._life.evaluate(job)
        if self._has_changed:
            self._has_changed = False
            self._scheduler.follow()
        if self._scheduler.run():
            self._wake()
