"""Which job is placed next, and where (user guide, job_scheduling)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cloudknot.testing.batch.account import Account, InstanceType, Trouble
from cloudknot.testing.batch.blocking import Chance, code_of, limit_of, reason_blocked, reason_cancelled
from cloudknot.testing.batch.events import Events
from cloudknot.testing.batch.hosts import Fleet
from cloudknot.testing.batch.instances import expand
from cloudknot.testing.batch.jobs import Job, State
from cloudknot.testing.batch.machines import Host, Later, Machine, Pace
from cloudknot.testing.batch.shelves import Sources
from cloudknot.testing.batch.values import ComputeEnvironment, JobQueue
from cloudknot.testing.clock import Timer

__all__ = ["Scheduler"]

# So many jobs are placed before others get at the lock.
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class _Blocked:
    """The head of a queue that cannot be placed."""

    job: Job
    reason: str
    limit: Timer | None


class Scheduler:
    """Places RUNNABLE jobs: queues by priority, and in each the first that came.

    The head of a queue that cannot be placed blocks those behind it, as the user guide says
    (job_stuck_in_runnable).

    Parameters
    ----------
    sources : Sources
        Queues and environments.
    account : Account
        Says which kinds of machine there are.
    trouble : Trouble
        What shall go wrong.
    events : Events
        Is told of queues that are blocked.
    later : callable
        Does something after some seconds.
    pace : Pace
        How long machines take.
    start : callable
        Starts a job at its place.
    cancel : callable
        Ends a job that was stuck for too long, with a reason.
    wake : callable
        Asks for another `run`.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, handed in once
        self,
        *,
        sources: Sources,
        account: Account,
        trouble: Trouble,
        events: Events,
        later: Later,
        pace: Pace,
        start: Callable[[Job, Fleet, Machine | None], None],
        cancel: Callable[[Job, str], None],
        wake: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._account = account
        self._trouble = trouble
        self._events = events
        self._later = later
        self._pace = pace
        self._start = start
        self._cancel = cancel
        self._wake = wake
        self._waiting: dict[str, list[tuple[tuple[int, int], Job]]] = {}
        self._places: dict[str, tuple[Fleet, Machine | None]] = {}
        self._fleets: dict[str, Fleet] = {}
        self._blocked: dict[str, _Blocked] = {}
        self._types: dict[tuple[str, ...], Sequence[InstanceType]] = {}

    def add(self, job: Job) -> None:
        """Take a job that is RUNNABLE; one that is tried again goes back to its old place in the queue."""
        heapq.heappush(self._waiting.setdefault(job.order.queue, []), (job.place, job))

    def release(self, job: Job) -> None:
        """Take back the place of a job, if it has one."""
        if job.id in self._places:
            fleet, machine = self._places.pop(job.id)
            fleet.give_back(job, machine)

    def follow(self) -> None:
        """Follow what has been changed in the environments."""
        environments = {one.arn: one for one in self._sources.environments()}
        for environment in environments.values():
            self._fleet(environment).let_go()
        for arn in [
            arn for arn, fleet in self._fleets.items() if arn not in environments and not fleet.used_vcpus
        ]:
            del self._fleets[arn]

    def run(self) -> bool:
        """Place what can be placed; return whether there is more to do."""
        for fleet in self._fleets.values():
            fleet.fill_up()
        left = _AT_ONCE
        for queue in sorted(self._sources.queues(), key=lambda queue: -queue.priority):
            if self._waiting.get(queue.arn) and left > 0:
                left -= self._serve(queue, left)
        return left <= 0

    def hosts(self) -> list[Host]:
        """Return all machines."""
        return [host for fleet in self._fleets.values() for host in fleet.view()]

    def lose(self, instance_id: str) -> list[Job] | None:
        """Forget a machine; return the jobs that were on it, None when there is no such machine."""
        for fleet in self._fleets.values():
            if machine := fleet.machines.get(instance_id):
                fleet.lose(machine)
                return list(machine.jobs.values())
        return None

    def front(self, queue: str, most: int) -> list[Job]:
        """Return the first RUNNABLE jobs of a queue."""
        waiting = (entry for entry in self._waiting.get(queue, ()) if entry[1].state is State.RUNNABLE)
        return [job for _, job in heapq.nsmallest(most, waiting)]

    def clear(self) -> None:
        """Forget all."""
        for known in (self._waiting, self._places, self._fleets, self._blocked):
            known.clear()

    def _serve(self, queue: JobQueue, most: int) -> int:
        fleets = [self._fleet(environment) for environment in self._sources.environments_of(queue)]
        placed = 0
        for job in self._heads(queue.arn):
            if placed == most:
                break
            place = self._find(job, fleets)
            if place is None:
                self._note_blocked(queue, job, fleets)
                break
            self._unblock(queue)
            heapq.heappop(self._waiting[queue.arn])
            placed += 1
            self._places[job.id] = place
            fleet, machine = place
            if machine is None or machine.is_ready:
                self._start(job, fleet, machine)
        else:
            self._unblock(queue)
        return placed

    def _heads(self, queue: str) -> Iterator[Job]:
        waiting = self._waiting[queue]
        while waiting:
            job = waiting[0][1]
            if job.state is State.RUNNABLE:
                yield job
            else:  # it was cancelled or terminated
                heapq.heappop(waiting)

    @staticmethod
    def _find(job: Job, fleets: Sequence[Fleet]) -> tuple[Fleet, Machine | None] | None:
        for fleet in fleets:
            if fleet.environment.is_usable:
                has_place, machine = fleet.take(job)
                if has_place:
                    return fleet, machine
        return None

    def _note_blocked(self, queue: JobQueue, job: Job, fleets: Sequence[Fleet]) -> None:
        reason = reason_blocked(job.order.needs, [_chance(fleet, job) for fleet in fleets])
        known = self._blocked.get(queue.arn)
        if known and known.job is job and reason and code_of(reason) == code_of(known.reason):
            job.reason = reason  # another type may have failed; for how long it is stuck goes on
            return
        self._unblock(queue)
        if reason is None:
            return
        job.reason = reason
        limit = limit_of(queue.time_limit_actions, reason)
        timer = None if limit is None else self._later(limit, lambda: self._cancel_stuck(queue.arn, job))
        self._blocked[queue.arn] = _Blocked(job=job, reason=reason, limit=timer)
        self._events.tell_blocked(job)

    def _unblock(self, queue: JobQueue) -> None:
        known = self._blocked.pop(queue.arn, None)
        if known is None:
            return
        if known.limit:
            known.limit.cancel()
        if known.job.state is State.RUNNABLE:
            known.job.reason = None

    def _cancel_stuck(self, queue: str, job: Job) -> None:
        known = self._blocked.get(queue)
        if known and known.job is job and job.state is State.RUNNABLE:
            self._cancel(job, reason_cancelled(known.reason))

    def _fleet(self, environment: ComputeEnvironment) -> Fleet:
        fleet = self._fleets.get(environment.arn)
        if fleet is None:
            fleet = self._fleets[environment.arn] = Fleet(
                environment,
                types=lambda: self._types_of(environment),
                trouble=self._trouble,
                later=self._later,
                pace=self._pace,
                ready=self._start_on,
                changed=self._wake,
            )
        return fleet

    def _types_of(self, environment: ComputeEnvironment) -> Sequence[InstanceType]:
        names = tuple(environment.resources.get("instanceTypes") or ("optimal",))
        if names not in self._types:
            self._types[names] = expand(names, self._account.instance_types())
        return self._types[names]

    def _start_on(self, machine: Machine) -> None:
        for job in list(machine.jobs.values()):
            if job.state is State.RUNNABLE:
                self._start(job, *self._places[job.id])
        self._wake()


def _chance(fleet: Fleet, job: Job) -> Chance:
    return Chance(
        is_valid=fleet.environment.status != "INVALID",
        is_usable=fleet.environment.is_usable,
        max_vcpus=fleet.max_vcpus,
        has_type=fleet.has_type(job.order.needs),
        failed_launch=fleet.failed_launch,
    )
