"""How jobs and machines end before their time."""

from collections.abc import Callable, Sequence

from cloudknot.testing.batch.jobs import PLACED, Job, State
from cloudknot.testing.batch.life import Life
from cloudknot.testing.batch.refusals import refusal
from cloudknot.testing.batch.running import Running
from cloudknot.testing.batch.scheduler import Scheduler
from cloudknot.testing.batch.stopping import (
    SPOT_INTERRUPTED,
    Step,
    on_cancel,
    on_terminate,
    reason_host_lost,
)

__all__ = ["Endings"]


class Endings:
    """Cancels and terminates jobs, and takes machines back.

    Parameters
    ----------
    life : Life
        Moves the jobs.
    running : Running
        Has their tasks.
    scheduler : Scheduler
        Has their places.
    freed : callable
        Takes back the place of a job.
    """

    def __init__(
        self, *, life: Life, running: Running, scheduler: Scheduler, freed: Callable[[Job], None]
    ) -> None:
        self._life = life
        self._running = running
        self._scheduler = scheduler
        self._free = freed

    def cancel(self, job: Job, reason: str) -> None:
        """Do what CancelJob does."""
        # All are marked before any moves: the end of one child ends those that wait for it.
        meant = [(one, on_cancel(one)) for one in (job, *job.children) if not one.is_cancelled]
        meant = [(one, step) for one, step in meant if step is not Step.NOTHING]
        for one, _ in meant:
            one.is_cancelled, one.stop_reason = True, reason
        self._act(meant, reason)

    def terminate(self, job: Job, reason: str) -> None:
        """Do what TerminateJob does."""
        meant = [(one, on_terminate(one)) for one in (job, *job.children) if not one.is_terminated]
        meant = [(one, step) for one, step in meant if step is not Step.NOTHING]
        for one, _ in meant:
            one.is_terminated, one.stop_reason = True, reason
        self._act(meant, reason)

    def reclaim(self, name: str) -> None:
        """Take back a machine, or a task on FARGATE_SPOT.

        Raises
        ------
        ClientException
            When there is neither.
        """
        jobs = self._scheduler.lose(name)
        if jobs is None:
            self._interrupt(name)
        for job in jobs or ():
            if job.state in PLACED:
                self._running.lose(job, reason_host_lost(name))
            else:  # it waited for the machine to come up
                self._free(job)
                self._scheduler.add(job)

    def _interrupt(self, name: str) -> None:
        job = self._running.find(name)
        if job is None or job.attempt is None or job.attempt.fleet.environment.model != "FARGATE_SPOT":
            known = ", ".join(host.instance_id for host in self._scheduler.hosts()) or "none"
            raise refusal(
                f"{name} is neither a machine nor a task on FARGATE_SPOT; the machines are: {known}"
            )
        self._running.stop(job, SPOT_INTERRUPTED)

    def _act(self, meant: Sequence[tuple[Job, Step]], reason: str) -> None:
        for job, step in meant:
            if step is Step.END_TASK:
                self._running.stop(job, reason)
            elif step is Step.FAIL:
                self._free(job)
                self._life.end(job, State.FAILED, reason)
