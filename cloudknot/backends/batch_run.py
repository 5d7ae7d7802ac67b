"""One run on AWS Batch, in the process that has it: what is planned next, and when it is over."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from cloudknot.aws.planning import (
    CANARY_JOBS,
    Cause,
    Ending,
    Lost,
    canary_seconds,
    chunk_size_for,
    chunks_at,
    first_spans,
    join,
    judge,
    larger_memory,
    merge_lost,
    without,
)
from cloudknot.aws.requests import CANCELLED, memory_of
from cloudknot.backends.wave_book import Failure, WaveBook
from cloudknot.catalog import TakenOverError
from cloudknot.errors import AwsError, RunOwnedError
from cloudknot.ledger import Outcomes, write_lost, write_mark
from cloudknot.money import Budget
from cloudknot.runner.envelopes import SUCCESSES, Outcome
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store
from cloudknot.runner.waves import Span
from cloudknot.runs import CANARY_ITEMS, FailureRule, Run, State, Status
from cloudknot.sizes import FARGATE

logger = logging.getLogger(__name__)

# Items that are to run again are gathered for so long, so that they make few jobs.
_GATHER_S = 10.0
# So long AWS may refuse what is planned, while nothing runs, before the run is given up.
_GIVE_UP_S = 600.0
# The thread that looks at all runs must not wait long for one of them.
_PATIENCE_S = 5.0
_FORGOTTEN = Ending(Cause.DIED, "its job has ended, and Batch does not say how")


class BatchRun:
    """One run; safe from any thread.

    Parameters
    ----------
    run : Run
        The run.
    outcomes : Outcomes
        What is committed.
    store : Store
        The ledger.
    book : WaveBook
        Its waves and jobs.
    generation : int
        For the how manieth time it is run.
    budget : Budget, optional
        Stops it when it would cost more.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        run: Run,
        outcomes: Outcomes,
        store: Store,
        book: WaveBook,
        *,
        generation: int,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_cancelled = False
        self._run = run
        self._outcomes = outcomes
        self._store = store
        self._book = book
        self._generation = generation
        self._budget = budget
        self._clock = clock
        self._keys = Keys(run.run_id)
        self._failures: list[Failure] = []
        self._again: dict[int, list[Span]] = {}
        self._again_since = 0.0
        self._is_idle = False
        self._refused_since: float | None = None
        self._broken = ""
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._ran_since: float | None = None
        self._canaries: tuple[int, ...] = ()
        self._rule = FailureRule("continue", ())

    def start(self) -> None:
        """Submit what an earlier process had planned, or else the first wave.

        Raises
        ------
        AwsError
            AWS refuses.
        RunOwnedError
            Another process was faster.
        """
        if self._generation > 1:
            self._book.restore()
        self._canaries = tuple(itertools.islice(self._outcomes.unsettled(), CANARY_ITEMS))
        self._rule = FailureRule(self._run.orders.on_error, self._canaries)
        try:
            self._plan_first()
            self._book.submit(is_first=True)
        except TakenOverError:
            raise RunOwnedError(f"another process took run {self._run.run_id} just now") from None

    def look(self) -> Status:
        """See what has moved and do what follows from it; whoever calls reads the packs afterwards.

        Raises
        ------
        TakenOverError
            Another process has the run now.
        """
        with self._lock:
            return self._look()

    def cancel(self) -> None:
        """End its jobs."""
        self.is_cancelled = True  # heeded by a look that is under way
        with self._lock:
            self._terminate()

    def _look(self) -> Status:
        # What jobs committed before they ended is read since they were seen to be over, and not earlier.
        self._is_idle = self._book.is_idle
        try:
            if self._failures:
                self._outcomes.catch_up()
            self._watch_rule()
            self._judge_failures()
            self._failures += self._book.look()
            self._pay()
            if self._is_ending:
                return self._wind_down()
        except AwsError as error:
            logger.warning("run %s: %s; it is looked at again", self._run.run_id, error)
            return Status(state=State.RUNNING)
        self._go_on()
        if self._broken:
            return Status(state=State.INTERRUPTED, reason=self._broken)
        return Status(state=State.RUNNING)

    def _terminate(self) -> None:
        self._book.terminate(self._reason or CANCELLED)

    @property
    def _memory_mib(self) -> int:
        return memory_of(self._run.resources)

    @property
    def _reason(self) -> str:
        return self._rule.reason or (self._budget.reason if self._budget is not None else "")

    @property
    def _is_ending(self) -> bool:
        return self.is_cancelled or bool(self._reason)

    def _uncovered(self) -> list[tuple[int, int]]:
        """Return the spans that have no outcome and are in no wave."""
        covered = [span for wave in self._book.live for span in wave.spans]
        return without(self._outcomes.unsettled_spans(), covered)

    def _pay(self) -> None:
        now, running = self._clock(), self._book.n_running
        if running and self._ran_since is None:
            self._ran_since = now
        if self._budget is not None:
            self._budget.observe(
                running=running,
                elapsed_s=now - self._looked_at,
                ended=self._outcomes.counts.ended,
                total=self._run.orders.count,
                item_s=self._outcomes.item_s,
            )
            self._write_stop(self._budget.reason)
        self._looked_at = now

    def _watch_rule(self) -> None:
        if not self._rule.is_watching:
            return
        stops = self._run.orders.on_error == "stop"
        for position in self._outcomes.positions(failed=True) if stops else self._canaries:
            outcome = self._outcomes.outcome(position)
            if outcome in SUCCESSES:
                self._rule.observe_success()
            elif outcome is Outcome.CANCELLED:
                self._rule.forget(position)
            elif outcome is not None and self._rule.is_watching:
                self._rule.observe_failure(position, self._outcomes.envelope(position).signature)
        self._canaries = tuple(place for place in self._canaries if self._outcomes.outcome(place) is None)
        self._write_stop(self._rule.reason)

    def _write_stop(self, reason: str) -> None:
        if reason:
            write_mark(self._store, self._keys.stopped(self._generation), {"reason": reason})

    def _wind_down(self) -> Status:
        self._terminate()
        if not self._book.is_idle:
            return Status(state=State.RUNNING)
        if self.is_cancelled:
            return Status(state=State.CANCELLED)
        return Status(state=State.STOPPED, reason=self._reason)

    def _go_on(self) -> None:
        """Plan and submit what follows; where AWS refuses it, the next look may do better."""
        try:
            self._plan_more()
            self._book.submit(patience_s=_PATIENCE_S)
        except AwsError as error:
            logger.warning("run %s: %s; it is tried again", self._run.run_id, error)
            now = self._clock()
            self._refused_since = now if self._refused_since is None else self._refused_since
            if now - self._refused_since > _GIVE_UP_S and not self._book.n_running:
                self._broken = f"AWS refuses what it needs: {error}"
        else:
            self._refused_since = None

    def _judge_failures(self) -> None:
        """Decide on the children that had failed at the last look: what they committed is read since."""
        if self._is_ending:
            self._failures.clear()  # jobs were ended: what they had not begun was not run, and is not lost
        lost = [gone for failure in self._failures for gone in self._judge(failure)]
        for first, last, tries, reason in merge_lost(lost):
            write_lost(self._store, self._run.run_id, first, last, tries=tries, reason=reason)
        self._failures.clear()
        if lost:
            self._outcomes.catch_up()

    def _judge(self, failure: Failure) -> Iterator[Lost]:
        """Yield the items of a failed child that are given up; gather those that run again."""
        if CANCELLED in failure.ending.reason:
            self.is_cancelled = True  # by another process: its mark is on the way
            return
        wave, chunk = failure.wave, failure.wave.chunk(failure.number)
        later = [span for other in self._book.live if other.number > wave.number for span in other.spans]
        deferred = [span for spans in self._again.values() for span in spans if span.size == 1]
        missing = without(self._outcomes.unsettled_spans(chunk.first, chunk.last), [*later, *deferred])
        if failure.ending.cause is Cause.OUT_OF_MEMORY and wave.defers_oom and wave.commit_s == 0 and missing:
            # It took its whole container with it, and what had ended before is committed: it was this one.
            too_large = Span(missing[0][0], missing[0][0] + 1, 1)
            self._gather(self._larger(wave.memory_mib), [too_large])
            missing = without(missing, [too_large])
        verdict = judge(chunk, missing, failure.ending, lost_retries=self._run.retry.lost)
        for first, last in verdict.lost:
            yield Lost(first, last, chunk.lost + 1 if first == chunk.first else 1, failure.ending.reason)
        self._gather(wave.memory_mib, verdict.again)

    def _larger(self, memory_mib: int) -> int:
        wanted = self._run.resources
        sizes = FARGATE[wanted.vcpus] if wanted.fargate else None
        return larger_memory(memory_mib, self._memory_mib, self._run.retry.max_memory_mib, sizes=sizes)

    def _gather(self, memory_mib: int, spans: Iterable[Span]) -> None:
        for span in spans:
            if not self._again:
                self._again_since = self._clock()
            self._again.setdefault(memory_mib, []).append(span)

    def _gather_deferred(self) -> None:
        """Find the items that ran out of memory and were left to a larger job."""
        prefix = self._keys.deferrals
        found: dict[int, list[int]] = {}
        for key in self._store.list(prefix) if any(wave.defers_oom for wave in self._book.live) else ():
            position, memory_mib = map(int, key[len(prefix) :].split("-"))
            if self._outcomes.outcome(position) is None:
                found.setdefault(memory_mib, []).append(position)
        for memory_mib, positions in found.items():
            larger = self._larger(memory_mib)
            planned = [wave.spans for wave in self._book.live if wave.memory_mib > memory_mib]
            known = itertools.chain(*planned, self._again.get(larger, ()))
            self._gather(larger, [Span(*span, 1) for span in without(join(positions), known)])

    def _plan_more(self) -> None:
        if not self._book.live:
            self._plan_first()
            return
        self._gather_deferred()
        self._plan_rest()
        is_idle = self._is_idle and self._book.is_idle and not self._failures
        if self._again and (is_idle or self._clock() - self._again_since > _GATHER_S):
            self._outcomes.catch_up()  # an attempt on a machine that was given up may have gone on
            for memory_mib in sorted(self._again):
                if self._plan(self._still_missing(self._again[memory_mib]), memory_mib):
                    del self._again[memory_mib]
        elif is_idle and not self._again and not self._uncovered():
            self._account_for_the_rest()

    def _plan_first(self) -> None:
        if self._book.live or not self._book.is_clear():
            return
        if self._generation > 1:
            self._outcomes.catch_up()
        spans = first_spans(self._outcomes.unsettled_spans(), self._run.orders.chunk_size)
        self._plan(spans, self._memory_mib)

    def _plan_rest(self) -> None:
        """Plan all that no wave has yet, once the first items tell how long one takes."""
        rest = self._uncovered()
        if not rest or self._rule.holds(self._run.orders.count):
            return
        first = self._book.live[0].spans if self._book.live else ()
        positions = list(
            itertools.islice((place for span in first for place in range(span.first, span.last)), CANARY_JOBS)
        )
        ended = [place for place in positions if self._outcomes.outcome(place) is not None]
        seconds = [self._outcomes.envelope(place).seconds for place in ended]
        running_s = 0.0 if self._ran_since is None else self._clock() - self._ran_since
        item_s = canary_seconds(seconds, len(positions), running_s=running_s)
        if item_s is None and not (self._is_idle and self._book.is_idle and not self._failures):
            return
        n_rest = sum(stop - start for start, stop in rest)
        size = self._run.orders.chunk_size or (1 if item_s is None else chunk_size_for(item_s, n_rest))
        self._plan([Span(start, stop, size) for start, stop in rest], self._memory_mib)

    def _still_missing(self, spans: Iterable[Span]) -> Iterator[Span]:
        for span in spans:
            for first, last in self._outcomes.unsettled_spans(span.first, span.last):
                yield Span(first, last, span.size, span.lost if first == span.first else 0)

    def _plan(self, spans: Iterable[Span], memory_mib: int) -> bool:
        spans = tuple(spans)
        if not spans:
            return True
        defers = self._run.retry.on_oom == "double" and self._larger(memory_mib) > memory_mib
        return self._book.plan(spans, memory_mib=memory_mib, defers_oom=defers)

    def _account_for_the_rest(self) -> None:
        """Find what is still missing although nothing runs and nothing is planned."""
        self._outcomes.catch_up()
        missing = [first for first, _ in self._outcomes.unsettled_spans()]
        chunks = {next(chunks_at(self._book.live, first)) for first in missing}
        self._failures += [Failure(wave, number, _FORGOTTEN) for wave, number in chunks]
