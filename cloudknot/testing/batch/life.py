"""How jobs move from state to state, and what follows for those that wait (user guide, job_states)."""

from collections import deque
from collections.abc import Callable

from cloudknot.testing.batch.arrays import CHILD_FAILED, make_children, state_of_parent
from cloudknot.testing.batch.dependencies import DEPENDENCY_FAILED, Dependencies, note_end, wait_by_index
from cloudknot.testing.batch.events import Events
from cloudknot.testing.batch.jobs import ENDED, Job, State
from cloudknot.testing.batch.machines import Later
from cloudknot.testing.batch.records import KEPT_S, Records

__all__ = ["Life"]


class Life:
    """The only one that changes the state of a job.

    Parameters
    ----------
    records : Records
        All jobs.
    events : Events
        Is told of every move.
    now : callable
        Gives the box's time.
    later : callable
        Does something after some seconds.
    runnable : callable
        Takes a job that has become RUNNABLE.
    """

    def __init__(
        self,
        *,
        records: Records,
        events: Events,
        now: Callable[[], float],
        later: Later,
        runnable: Callable[[Job], None],
    ) -> None:
        self._records = records
        self._events = events
        self._now = now
        self._later = later
        self._runnable = runnable
        # Ends are worked off one after the other: a chain of 10,000 jobs must not be 10,000 calls deep.
        self._ends: deque[tuple[Job, State, str | None]] = deque()
        self._is_ending = False

    def evaluate(self, job: Job) -> None:
        """Look at a job that was submitted, and say whether it has to wait."""
        if job.state is not State.SUBMITTED:
            return
        if job.is_array or job.waits or job.has_failed_dependency:
            self.move(job, State.PENDING)
        self.release(job)

    def release(self, job: Job) -> None:
        """Let a job that has waited go on, if it has waited for all."""
        if job.has_failed_dependency:
            self.end(job, State.FAILED, job.stop_reason or DEPENDENCY_FAILED)
        elif job.waits:
            return
        elif job.is_cancelled:
            self.end(job, State.FAILED, job.stop_reason)
        elif job.is_array:
            self._make_children(job)
        else:
            self.move(job, State.RUNNABLE)

    def move(self, job: Job, state: State, reason: str | None = None) -> None:
        """Bring a job into another state."""
        before, job.state, job.reason = job.state, state, reason
        if job.parent is not None:
            counts = job.parent.counts
            counts[before] -= 1
            counts[state] += 1
            job.parent.counted_at = self._now()
        if state is State.RUNNABLE:
            job.runnable_at = self._now()
            self._runnable(job)
        self._events.tell_change(job)

    def end(self, job: Job, state: State, reason: str | None) -> None:
        """Bring a job to its end, and with it those that depend on it."""
        self._ends.append((job, state, reason))
        if self._is_ending:
            return
        self._is_ending = True
        try:
            while self._ends:
                self._end(*self._ends.popleft())
        finally:
            self._is_ending = False

    def _end(self, job: Job, state: State, reason: str | None) -> None:
        if job.has_ended:
            return
        job.stopped_at = self._now()
        self.move(job, state, reason)
        for dependent in note_end(job):
            # One that is still SUBMITTED finds out when it is looked at.
            if dependent.state is State.PENDING:
                self.release(dependent)
        if job.parent is not None:
            self._end_parent(job.parent)
            return
        self._records.note_end(job)
        self._later(KEPT_S, lambda: self._records.forget(job))

    def _end_parent(self, parent: Job) -> None:
        state = state_of_parent(parent.counts, parent.size or 0)
        if state in ENDED:
            reason = (parent.stop_reason or CHILD_FAILED) if state is State.FAILED else None
            self.end(parent, state, reason)

    def _make_children(self, parent: Job) -> None:
        # When a parent waits for whole jobs, its children are made after those. Not confirmed; the
        # API reference says "when the child job was spawned by its parent and entered the PENDING state".
        children = make_children(parent, self._now())
        self._records.add_children(children)
        dependencies = parent.dependencies or Dependencies()
        for child in children:
            wait_by_index(child, dependencies)
        for child in children:
            self.release(child)
