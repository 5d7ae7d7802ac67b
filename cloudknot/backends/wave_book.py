"""The waves of one run: written into the ledger first, then submitted as jobs, then looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cloudknot.aws.batch import PATIENCE_S, Batch, JobState
from cloudknot.aws.planning import Ending, JobSlice, job_of, job_slices, make_wave
from cloudknot.aws.requests import job_name, submit_request
from cloudknot.catalog import TakenOverError, count_owners, has_ended
from cloudknot.errors import AwsError
from cloudknot.ledger import read_mark, write_mark
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store
from cloudknot.runner.waves import Span, Wave, read_wave
from cloudknot.runs import Run

# A request that another process had sent before it was killed has arrived by then.
_ARRIVED_S = 3.0
# A job that was submitted just now may not be described yet.
_DESCRIBED_AFTER_S = 300.0
_FEW, _LISTED_S = 100, 30.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run's jobs go.

    Parameters
    ----------
    store : Store
        The ledger.
    batch : Batch
        AWS Batch.
    queue, definition : str
        The ARNs of its queue and of its job definition.
    tags : mapping
        Of its jobs.
    """

    store: Store
    batch: Batch
    queue: str
    definition: str
    tags: Mapping[str, str]


class Failure(NamedTuple):
    """A child that has failed: its wave, the number of its chunk, and how."""

    wave: Wave
    number: int
    ending: Ending


@dataclass(eq=False, kw_only=True)
class _Job:
    """A submitted job."""

    wave: Wave
    part: JobSlice
    since: float
    is_over: bool = False
    running: int = 0
    failed: set[int] = field(default_factory=set)
    listed_at: float = 0.0


class WaveBook:
    """A run's waves and their jobs, as the process that has the run sees them; not safe from several threads.

    Parameters
    ----------
    run : Run
        The run.
    place : Place
        Where its jobs go.
    generation : int
        For the how manieth time it is run.
    clock, sleep : callable
        Seconds, monotonic; wait so many.
    """

    def __init__(
        self,
        run: Run,
        place: Place,
        *,
        generation: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._run = run
        self._place = place
        self._generation = generation
        self._clock = clock
        self._sleep = sleep
        self._keys = Keys(run.run_id)
        self._waves: list[Wave] = []
        self._first_live = 0
        self._unconfirmed: dict[int, Wave] = {}
        self._jobs: dict[str, _Job] = {}
        self._terminated: set[str] = set()
        self._old: set[str] = set()
        self._is_in_doubt = False

    @property
    def live(self) -> Sequence[Wave]:
        """Return the waves but for those of before the run was ended and resumed."""
        return self._waves[self._first_live :]

    @property
    def is_idle(self) -> bool:
        """Return whether all that was planned is submitted, and all of its jobs are over."""
        return not self._unconfirmed and not self._active

    @property
    def n_running(self) -> int:
        """Return how many jobs and children were running when they were looked at."""
        return sum(job.running for job in self._jobs.values())

    def restore(self) -> None:
        """Read the waves of earlier processes, and find the jobs of one that was killed as it submitted."""
        store, run_id = self._place.store, self._run.run_id
        numbers = range(sum(1 for _ in store.list(self._keys.waves)))
        self._waves = [read_wave(store, run_id, number) for number in numbers]
        first = self._first_live_generation() if self._waves else 1
        self._first_live = sum(wave.generation < first for wave in self._waves)
        for wave in self._waves[: self._first_live]:
            self._old.update(read_jobs(store, self._keys, wave.number).values())
        for wave in self.live:
            jobs = read_jobs(store, self._keys, wave.number)
            if not jobs:
                self._unconfirmed[wave.number] = wave
            for part in job_slices(wave.n_chunks):
                self._follow(wave, part, jobs.get(part.offset))
        if self._unconfirmed:
            self._find_submitted()

    def is_clear(self) -> bool:
        """Return whether the jobs of before the run was resumed are over: till then they may commit items."""
        if self._old:
            states = self._place.batch.describe(self._old)
            self._old = {job_id for job_id in self._old if job_id in states and not states[job_id].is_over}
        return not self._old

    def plan(self, spans: Iterable[Span], *, memory_mib: int, defers_oom: bool) -> bool:
        """Write a wave into the ledger: what is planned is submitted, by whoever has the run then.

        Returns
        -------
        bool
            False where one that an earlier process had just planned must be taken in first.

        Raises
        ------
        TakenOverError
            Another process has planned since.
        """
        wave = make_wave(
            len(self._waves),
            tuple(spans),
            generation=self._generation,
            memory_mib=memory_mib,
            defers_oom=defers_oom,
        )
        if not (wave.number == 0 and self._generation == 1):  # then the run's id has only just been made
            self._check_owner()
        if not self._place.store.put(self._keys.wave(wave.number), wave.encode(), if_absent=True):
            self._check_owner()
            self.restore()
            return False
        self._waves.append(wave)
        self._unconfirmed[wave.number] = wave
        return True

    def submit(self, *, patience_s: float = PATIENCE_S, is_first: bool = False) -> None:
        """Submit the jobs of planned waves that are not submitted yet; see `Batch.submit`.

        Raises
        ------
        TakenOverError
            Another process has the run, and submits them.
        """
        place = self._place
        for number, wave in list(self._unconfirmed.items()):
            jobs = {
                job.part.offset: job_id for job_id, job in self._jobs.items() if job.wave.number == number
            }
            for part in job_slices(wave.n_chunks):
                if part.offset not in jobs:
                    if not is_first:
                        self._check_owner()  # this machine may have slept since it planned them
                    request = submit_request(
                        self._run,
                        wave,
                        part,
                        queue=place.queue,
                        definition=place.definition,
                        store_uri=place.store.uri,
                        tags=place.tags,
                    )
                    jobs[part.offset] = self._send(request, patience_s)
                    self._follow(wave, part, jobs[part.offset])
            write_mark(place.store, self._keys.submitted(number), {"jobs": jobs})
            del self._unconfirmed[number]

    def look(self) -> list[Failure]:
        """See where the jobs stand; return the children that have failed since the last look."""
        active, now = self._active, self._clock()
        states = self._place.batch.describe(active)
        failures: list[Failure] = []
        for job_id, job in active.items():
            state = states.get(job_id)
            if state is not None:
                # All failed children are listed each time, so that many are not listed at each look.
                is_due = state.is_over or len(job.failed) < _FEW or now - job.listed_at > _LISTED_S
                if state.failed > len(job.failed) and is_due:
                    job.listed_at = now
                    failures += self._failures_of(job_id, job, state)
                job.is_over, job.running = state.is_over, state.running
            elif now - job.since > _DESCRIBED_AFTER_S:
                job.is_over, job.running = True, 0  # Batch forgets jobs after some days
        return failures

    def terminate(self, reason: str) -> None:
        """End its jobs, one too whose submission was broken off (Ctrl-C), and submit no planned ones."""
        if self._is_in_doubt:
            self._find_submitted()
            self._is_in_doubt = False
        self._unconfirmed.clear()
        for job_id in [job_id for job_id in self._active if job_id not in self._terminated]:
            self._place.batch.terminate([job_id], reason)
            self._terminated.add(job_id)

    def _check_owner(self) -> None:
        if count_owners(self._place.store, self._run.run_id) != self._generation:
            raise TakenOverError

    @property
    def _active(self) -> dict[str, _Job]:
        return {job_id: job for job_id, job in self._jobs.items() if not job.is_over}

    def _failures_of(self, job_id: str, job: _Job, state: JobState) -> Iterable[Failure]:
        alone = [(0, state.ending)] if state.ending else []
        for index, ending in alone or self._place.batch.failed_children(job_id):
            if index not in job.failed:
                job.failed.add(index)
                yield Failure(job.wave, job.part.offset + index, ending)

    def _first_live_generation(self) -> int:
        """Return since when the run was not ended: what earlier waves lack is planned anew."""
        for generation in range(self._generation - 1, 0, -1):
            if has_ended(self._place.store, self._run.run_id, generation):
                return generation + 1
        return 1

    def _send(self, request: Mapping[str, Any], patience_s: float) -> str:
        self._is_in_doubt = True
        try:
            job_id = self._place.batch.submit(request, patience_s=patience_s)
        except AwsError as error:
            self._is_in_doubt = error.is_unsure
            raise
        self._is_in_doubt = False
        return job_id

    def _find_submitted(self) -> None:
        """Find the jobs of waves that are not written down as submitted; what is on its way arrives first."""
        run_id, place = self._run.run_id, self._place
        self._sleep(_ARRIVED_S)
        found = place.batch.find_jobs(place.queue, f"{run_id}-")
        for wave in self._unconfirmed.values():
            for part in job_slices(wave.n_chunks):
                self._follow(wave, part, found.get(job_name(run_id, wave.number, part.offset)))

    def _follow(self, wave: Wave, part: JobSlice, job_id: str | None) -> None:
        if job_id is not None and job_id not in self._jobs:  # else it keeps what is known of its children
            self._jobs[job_id] = _Job(wave=wave, part=part, since=self._clock())


def read_jobs(store: Store, keys: Keys, wave: int) -> dict[int, str]:
    """Return the ids of a wave's jobs by their offsets; none while it is not all submitted."""
    mark = read_mark(store, keys.submitted(wave)) or {"jobs": {}}
    return {int(offset): job_id for offset, job_id in mark["jobs"].items()}


def child_of(wave: Wave, chunk: int, jobs: dict[int, str]) -> str:
    """Return the id of the job that runs a chunk of a wave."""
    part = job_of(wave, chunk)
    job_id = jobs[part.offset]
    return f"{job_id}:{chunk - part.offset}" if part.size > 1 else job_id
