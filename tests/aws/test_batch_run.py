"""A run's waves and jobs, as the process that has the run sees and plans them, without AWS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cloudknot.aws.batch import JobState
from cloudknot.aws.planning import Cause, Ending, make_wave
from cloudknot.backends.batch_run import BatchRun
from cloudknot.backends.wave_book import Place, WaveBook
from cloudknot.ledger import Outcomes
from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import Orders
from cloudknot.runner.stores import FileStore, Store
from cloudknot.runner.waves import Span
from cloudknot.runs import Run
from cloudknot.specs import Retry

RUN = Run(
    run_id="fit-1",
    name="fit",
    backend="aws",
    created="2026-01-01T00:00:00+00:00",
    is_single=False,
    length=9,
    orders=Orders(count=9, inputs_run="fit-1", shards=(0, 9), chunk_size=3),
    retry=Retry(on_oom="double"),
)


class FailingBatch:
    """Takes jobs, of each of which so many children fail, the first ones.

    Parameters
    ----------
    failed : int
        How many.
    """

    def __init__(self, failed: int = 1) -> None:
        self._failed = failed
        self._numbers = itertools.count()

    def submit(self, request: Any, *, patience_s: float) -> str:
        return f"job-{next(self._numbers)}"

    def find_jobs(self, queue: str, prefix: str) -> dict[str, str]:
        return {}

    def describe(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        return {job_id: JobState(is_over=False, running=1, failed=self._failed) for job_id in job_ids}

    def failed_children(self, job_id: str) -> Iterator[tuple[int, Ending]]:
        yield from ((index, Ending(Cause.DIED, "killed")) for index in range(self._failed))


def make_book(store: Store, batch: Any, clock: Callable[[], float] = time.monotonic) -> WaveBook:
    """Return the waves of a run of which this is the first process."""
    store.put(Keys(RUN.run_id).owner(1), b"{}")
    place = Place(store=store, batch=batch, queue="queue", definition="definition", tags={})
    return WaveBook(RUN, place, generation=1, sleep=lambda seconds: None, clock=clock)


def test_a_failure_is_told_once_also_where_another_process_has_planned_meanwhile(tmp_path: Path) -> None:
    store, keys = FileStore(tmp_path), Keys(RUN.run_id)
    book = make_book(store, FailingBatch())
    assert book.plan([Span(0, 4, 2)], memory_mib=512, defers_oom=False)
    book.submit()
    assert [failure.wave.number for failure in book.look()] == [0]
    other = make_wave(1, [Span(4, 8, 2)], generation=1, memory_mib=512)
    store.put(keys.wave(1), other.encode())
    assert not book.plan([Span(4, 8, 2)], memory_mib=512, defers_oom=False)
    book.submit()
    assert [failure.wave.number for failure in book.look()] == [1]


def test_neighbours_that_ran_out_of_memory_are_planned_together_and_once(tmp_path: Path) -> None:
    store, keys, now = FileStore(tmp_path), Keys(RUN.run_id), itertools.count(0.0, 20.0)
    book = make_book(store, FailingBatch(failed=0), lambda: next(now))
    outcomes = Outcomes(store, RUN.run_id, 9, has_news=True)
    run = BatchRun(RUN, outcomes, store, book, generation=1, clock=lambda: next(now))
    run.start()
    for position in (1, 2, 3, 7):
        store.put(keys.deferral(position, 2048), b"")
    for _ in range(4):
        run.look()
    assert [wave.memory_mib for wave in book.live] == [2048, 4096]
    assert book.live[1].spans == (Span(1, 4, 1), Span(7, 8, 1))
