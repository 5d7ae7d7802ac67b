"""Attempts: how a placed job becomes a task, and what becomes of it."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Sequence

from cloudknot.testing.batch.account import Account, NotStarted, Trouble
from cloudknot.testing.batch.hosts import Fleet
from cloudknot.testing.batch.jobs import Attempt, Job, State
from cloudknot.testing.batch.life import Life
from cloudknot.testing.batch.machines import Later, Machine
from cloudknot.testing.batch.retries import is_retried
from cloudknot.testing.batch.stopping import GRACE_S, TIMED_OUT
from cloudknot.testing.batch.tasks import log_stream, make_task, network_of
from cloudknot.testing.executors import Executor, Outcome

__all__ = ["Running"]

_LOG = logging.getLogger(__name__)

_NOT_STARTED = "Task failed to start"
_CANNOT_PULL = "CannotPull"


class Running:
    """All tasks that run; it is the executor's observer.

    Parameters
    ----------
    executor : Executor
        Runs them.
    account : Account
        Whose roles, secrets and logs they use.
    trouble : Trouble
        What shall go wrong.
    life : Life
        Moves their jobs.
    lock : RLock
        Batch's own.
    now, later : callable
        The box's time.
    freed : callable
        Called when a job has given up its place.
    """

    def __init__(
        self,
        *,
        executor: Executor,
        account: Account,
        trouble: Trouble,
        life: Life,
        lock: threading.RLock,
        now: Callable[[], float],
        later: Later,
        freed: Callable[[Job], None],
    ) -> None:
        self.executor = executor
        self._account = account
        self._trouble = trouble
        self._life = life
        self._lock = lock
        self._now = now
        self._later = later
        self._freed = freed
        self._jobs: dict[str, Job] = {}
        self._logs: dict[str, tuple[str, str]] = {}

    def start(self, job: Job, fleet: Fleet, machine: Machine | None) -> None:
        """Start an attempt of a job that has a place."""
        if job.order.flaw is not None:
            self._freed(job)
            self._life.end(job, State.FAILED, job.order.flaw)
            return
        attempt = self._make_attempt(job, fleet, machine)
        job.attempt = attempt
        self._life.move(job, State.STARTING)
        try:
            task = make_task(job, attempt, self._ask_platform(job, attempt))
        except NotStarted as why:
            self._conclude(
                job, Outcome(exit_code=None, reason=why.container_reason, status_reason=why.status_reason)
            )
            return
        except Exception as error:  # a fault of the box must not leave a job STARTING for ever
            _LOG.exception("%s cannot be started", job.id)
            reason = f"{type(error).__name__}: {error} (a fault of the box)"
            self._conclude(job, Outcome(exit_code=None, reason=reason, status_reason=_NOT_STARTED))
            return
        self._jobs[attempt.task_id] = job
        if job.order.log_group is not None:
            self._logs[attempt.task_id] = job.order.log_group, attempt.log_stream
        self.executor.start(task, self)

    def stop(self, job: Job, reason: str, *, is_timed_out: bool = False) -> None:
        """Ask the task of a job to end, and kill it when it has not after a while."""
        attempt = job.attempt
        if attempt is None or attempt.forced_reason is not None:
            return
        attempt.forced_reason, attempt.is_timed_out = reason, is_timed_out
        self.executor.stop(attempt.task_id)
        self._set_timer(attempt, GRACE_S, lambda: self.executor.kill(attempt.task_id))

    def lose(self, job: Job, reason: str) -> None:
        """End the attempt of a job whose machine is gone; what the executor says of it later is not heard."""
        if job.attempt is not None and job.attempt.task_id in self._jobs:
            del self._jobs[job.attempt.task_id]
            self.executor.kill(job.attempt.task_id)
            self._conclude(job, Outcome(exit_code=None, status_reason=reason))

    def find(self, name: str) -> Job | None:
        """Return the job of a task that runs, by the task's id or ARN, or by its own id."""
        for task_id, job in self._jobs.items():
            if name.rpartition("/")[2] == task_id or name == job.id:
                return job
        return None

    def clear(self) -> None:
        """Kill all that runs, and hear no more of it."""
        for task_id in self._jobs:
            self.executor.kill(task_id)
            self._account.end_task(task_id)
        self._jobs.clear()
        self._logs.clear()

    def started(self, task_id: str) -> None:
        """Take note that a container runs."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is not None:
                self._note_started(job)

    def wrote(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        """Hand on what it wrote."""
        log = self._logs.get(task_id)
        if log is not None:
            self._account.write_log(*log, lines)

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """Take note that it is over."""
        with self._lock:
            self._logs.pop(task_id, None)
            job = self._jobs.pop(task_id, None)
            if job is None:
                return
            if outcome.exit_code is not None:
                self._note_started(job)
            self._conclude(job, outcome)

    def _make_attempt(self, job: Job, fleet: Fleet, machine: Machine | None) -> Attempt:
        task_id = secrets.token_hex(16)
        cluster = fleet.environment.ecs_cluster_arn
        return Attempt(
            number=len(job.attempts) + 1,
            task_id=task_id,
            task_arn=f"{cluster.replace(':cluster/', ':task/')}/{task_id}",
            fleet=fleet,
            machine=machine,
            instance_arn=machine.arn if machine else None,
            network=network_of(machine),
            log_stream=log_stream(job.order, task_id),
        )

    def _ask_platform(self, job: Job, attempt: Attempt) -> dict[str, str]:
        container = job.order.container
        role = attempt.fleet.environment.resources.get("instanceRole") if attempt.machine else None
        why = self._trouble.pull(container["image"])
        if why is not None:
            reason = why if why.startswith(_CANNOT_PULL) else f"CannotPullContainerError: {why}"
            raise NotStarted(reason, _NOT_STARTED)
        group = job.order.log_group
        log = (group, attempt.log_stream) if group is not None else None
        return self._account.admit(attempt.task_id, container, instance_role=role, log=log)

    def _note_started(self, job: Job) -> None:
        attempt = job.attempt
        if attempt is None or attempt.started_at is not None:
            return
        attempt.started_at = job.started_at = self._now()
        if job.parent is not None and job.parent.started_at is None:
            job.parent.started_at = attempt.started_at
        self._life.move(job, State.RUNNING)
        if job.order.timeout_s is not None and attempt.forced_reason is None:
            self._set_timer(
                attempt, job.order.timeout_s, lambda: self.stop(job, TIMED_OUT, is_timed_out=True)
            )

    def _conclude(self, job: Job, outcome: Outcome) -> None:
        attempt = job.attempt
        assert attempt is not None  # a job that is placed has one
        attempt.stopped_at = self._now()
        attempt.exit_code, attempt.reason = outcome.exit_code, outcome.reason
        attempt.status_reason = attempt.forced_reason or outcome.status_reason
        if attempt.timer is not None:
            attempt.timer.cancel()
        job.attempts.append(attempt)
        self._account.end_task(attempt.task_id)
        self._freed(job)
        state = _state_after(job, attempt)
        if state is State.RUNNABLE:
            self._life.move(job, state)
        else:
            reason = job.stop_reason if job.is_terminated else attempt.status_reason
            self._life.end(job, state, reason)

    def _set_timer(self, attempt: Attempt, seconds: float, action: Callable[[], None]) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
        # One that was cancelled when it was already under way finds that there is nothing left to do.
        attempt.timer = self._later(seconds, lambda: None if attempt.stopped_at is not None else action())


def _state_after(job: Job, attempt: Attempt) -> State:
    is_stopped = job.is_terminated or attempt.is_timed_out
    if attempt.exit_code == 0 and not is_stopped:
        return State.SUCCEEDED
    # "Jobs that have been cancelled or terminated aren't retried" (user guide, job_retries), nor those that
    # timed out. That it holds for a child that ran when its parent was cancelled is not confirmed.
    is_cancelled = job.is_cancelled or (job.parent is not None and job.parent.is_cancelled)
    ending = Outcome(
        exit_code=attempt.exit_code, reason=attempt.reason, status_reason=attempt.status_reason or ""
    )
    if is_stopped or is_cancelled or not is_retried(job.order.retry, attempt.number, ending):
        return State.FAILED
    return State.RUNNABLE
