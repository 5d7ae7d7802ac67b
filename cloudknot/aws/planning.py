"""What a run on Batch does next: pure decisions over its waves and what is committed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from cloudknot.runner.waves import Span, Wave, WaveChunk

# Batch refuses an array of one and of more than this.
MOST_CHILDREN = 10_000
# A job that lasts minutes is worth its start (AWS: group tasks so that a job runs 3-5 minutes).
TARGET_S = 180.0
SHORT_S = 60.0
# Fewer items than make so many jobs of that length are spread over so many, unless these become short.
_SPREAD = 64
# Without chunk_size these items run first, one a job: they tell how long an item takes.
CANARY_JOBS = 20
# What an item costs a job at least, and what is taken for one whose time is not known.
_SHORTEST_ITEM_S = 0.01
# S3 takes some thousands of writes a second; the jobs of one wave together stay far below.
_COMMITS_PER_S = 500
_LOOKS_PER_S = 50
_SHORTEST_COMMIT_S = 3.0
_SHORTEST_LOOK_S = 2.0
# Where no limit is said, an item may be given this many times the memory that it began with.
_MOST_DOUBLINGS = 3


class JobSlice(NamedTuple):
    """One job of a wave: an array of ``size`` children from chunk number ``offset`` on, or a job for one."""

    offset: int
    size: int


def job_slices(n_chunks: int) -> list[JobSlice]:
    """Return the jobs that run so many chunks: Batch's arrays have 2 to 10,000 children.

    Examples
    --------
    >>> job_slices(10_001)
    [JobSlice(offset=0, size=10000), JobSlice(offset=10000, size=1)]
    """
    return [
        JobSlice(offset, min(MOST_CHILDREN, n_chunks - offset))
        for offset in range(0, n_chunks, MOST_CHILDREN)
    ]


def first_spans(unsettled: Iterable[tuple[int, int]], chunk_size: int | None) -> tuple[Span, ...]:
    """Return the spans of a run's first wave: all where the chunk size is given, else the canary.

    Examples
    --------
    >>> first_spans([(0, 100)], None)
    (Span(first=0, last=20, size=1, lost=0),)
    >>> first_spans([(0, 100)], 30)
    (Span(first=0, last=100, size=30, lost=0),)
    """
    if chunk_size is not None:
        return tuple(Span(first, last, chunk_size) for first, last in unsettled)
    return tuple(Span(first, last, 1) for first, last in take(unsettled, CANARY_JOBS))


def take(spans: Iterable[tuple[int, int]], count: int) -> Iterator[tuple[int, int]]:
    """Yield the first ``count`` positions of spans, as spans.

    Examples
    --------
    >>> list(take([(0, 2), (5, 9)], 3))
    [(0, 2), (5, 6)]
    """
    for first, last in spans:
        if count <= 0:
            return
        end = min(last, first + count)
        count -= end - first
        yield first, end


def chunk_size_for(item_s: float, n_items: int) -> int:
    """Return how many items make a job that lasts minutes; few items are spread, to be done sooner.

    Parameters
    ----------
    item_s : float
        Seconds that an item takes.
    n_items : int
        How many there are.

    Examples
    --------
    >>> chunk_size_for(2.0, 100_000), chunk_size_for(2.0, 1_000), chunk_size_for(3600.0, 1_000)
    (90, 30, 1)
    """
    item_s = max(item_s, _SHORTEST_ITEM_S)
    most, least = round(TARGET_S / item_s), round(SHORT_S / item_s)
    return max(1, least, min(most, math.ceil(n_items / _SPREAD)))


def make_wave(
    number: int, spans: Sequence[Span], *, generation: int, memory_mib: int, defers_oom: bool = False
) -> Wave:
    """Return a wave whose jobs together ask no more of S3 than it takes.

    Parameters
    ----------
    number : int
        Its place among the run's waves.
    spans : sequence of Span
        The positions. Where one was lost before, each item is committed at once: the next death then tells
        which item it was.
    generation : int
        For the how manieth time the run is run.
    memory_mib : int
        What each job asks for.
    defers_oom : bool
        Whether items that run out of memory are left to a later wave.
    """
    n_chunks = sum(span.n_chunks for span in spans)
    return Wave(
        number=number,
        spans=tuple(spans),
        generation=generation,
        memory_mib=memory_mib,
        defers_oom=defers_oom,
        commit_s=0.0
        if any(span.lost for span in spans)
        else max(_SHORTEST_COMMIT_S, n_chunks / _COMMITS_PER_S),
        look_s=max(_SHORTEST_LOOK_S, n_chunks / _LOOKS_PER_S),
    )


class Cause(Enum):
    """Why a child failed, as far as it matters for what is done next."""

    NEVER_STARTED = "it never started"
    ENDED_BY_HAND = "it was ended by hand"
    OUT_OF_MEMORY = "it was out of memory"
    DIED = "it died"


class Ending(NamedTuple):
    """How a child came to its end: why, and that in words."""

    cause: Cause
    reason: str


class Verdict(NamedTuple):
    """What becomes of a failed chunk's uncommitted items: those given up, and those that run again."""

    lost: tuple[tuple[int, int], ...]
    again: tuple[Span, ...]


def judge(
    chunk: WaveChunk, missing: Sequence[tuple[int, int]], ending: Ending, *, lost_retries: int
) -> Verdict:
    """Decide what becomes of the items of a failed child that are not committed.

    The first of them was running when the child died. It is tried again ``lost_retries`` times and then given
    up; what lies behind it runs again. Where the child never ran, or somebody ended it, no item is to blame,
    and a further try would end alike.

    Parameters
    ----------
    chunk : WaveChunk
        The child's positions.
    missing : sequence of (int, int)
        Spans of its positions that have no outcome.
    ending : Ending
        How it ended.
    lost_retries : int
        Further tries of an item whose process was lost.

    Examples
    --------
    >>> died = Ending(Cause.DIED, "killed")
    >>> judge(WaveChunk(0, 10, 0), [(4, 10)], died, lost_retries=2)
    Verdict(lost=(), again=(Span(first=4, last=10, size=6, lost=1),))
    >>> judge(WaveChunk(4, 10, 2), [(4, 10)], died, lost_retries=2)
    Verdict(lost=((4, 5),), again=(Span(first=5, last=10, size=5, lost=0),))
    """
    if not missing:
        return Verdict((), ())
    if ending.cause in (Cause.NEVER_STARTED, Cause.ENDED_BY_HAND):
        return Verdict(tuple(missing), ())
    first, last = missing[0]
    behind = tuple(Span(start, stop, stop - start) for start, stop in missing[1:])
    lost = 1 + (chunk.lost if first == chunk.first else 0)
    if lost <= lost_retries:
        return Verdict((), (Span(first, last, last - first, lost), *behind))
    rest = (Span(first + 1, last, last - first - 1),) if last > first + 1 else ()
    return Verdict(((first, first + 1),), (*rest, *behind))


def join(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending positions as spans.

    Examples
    --------
    >>> join([3, 4, 5, 9])
    [(3, 6), (9, 10)]
    """
    spans: list[tuple[int, int]] = []
    for position in positions:
        if spans and spans[-1][1] == position:
            spans[-1] = spans[-1][0], position + 1
        else:
            spans.append((position, position + 1))
    return spans


def without(spans: Iterable[tuple[int, int]], covered: Iterable[Span]) -> list[tuple[int, int]]:
    """Return spans without the positions that others cover.

    Examples
    --------
    >>> without([(0, 10)], [Span(2, 4, 1), Span(8, 12, 1)])
    [(0, 2), (4, 8)]
    """
    holes = sorted((hole.first, hole.last) for hole in covered)
    left, place = [], 0
    for first, last in sorted(spans):
        begin = first
        while place < len(holes) and holes[place][1] <= first:
            place += 1
        for number in range(place, len(holes)):
            start, stop = holes[number]
            if start >= last:
                break
            if start > begin:
                left.append((begin, start))
            begin = max(begin, stop)
        if begin < last:
            left.append((begin, last))
    return left


class Lost(NamedTuple):
    """Items that are given up: first to last (exclusive), after how many tries, and why."""

    first: int
    last: int
    tries: int
    reason: str


def merge_lost(lost: Iterable[Lost]) -> Iterator[Lost]:
    """Yield the same items in as few pieces as may be.

    Examples
    --------
    >>> list(merge_lost([Lost(5, 9, 1, "no image"), Lost(0, 5, 1, "no image")]))
    [Lost(first=0, last=9, tries=1, reason='no image')]
    """
    present: Lost | None = None
    for piece in sorted(lost):
        if present is not None and (present.last, *present[2:]) == (piece.first, *piece[2:]):
            present = present._replace(last=piece.last)
            continue
        if present is not None:
            yield present
        present = piece
    if present is not None:
        yield present


def chunks_at(waves: Sequence[Wave], position: int) -> Iterator[tuple[Wave, int]]:
    """Yield the chunks that hold a position, as wave and number, the latest first.

    Examples
    --------
    >>> waves = [make_wave(0, [Span(0, 10, 5)], generation=1, memory_mib=512)]
    >>> [(wave.number, chunk) for wave, chunk in chunks_at(waves, 7)]
    [(0, 1)]
    """
    for wave in reversed(waves):
        before = 0
        for span in wave.spans:
            if span.first <= position < span.last:
                yield wave, before + (position - span.first) // span.size
            before += span.n_chunks


def job_of(wave: Wave, chunk: int) -> JobSlice:
    """Return the job of a wave that runs a chunk."""
    return next(part for part in job_slices(wave.n_chunks) if part.offset <= chunk < part.offset + part.size)


def larger_memory(
    memory_mib: int, first_mib: int, max_memory_mib: int | None, *, sizes: Sequence[int] | None = None
) -> int:
    """Return the memory of an item's next try after it ran out of it; the same where there is no more.

    Parameters
    ----------
    memory_mib, first_mib : int
        What it had, and what it began with.
    max_memory_mib : int, optional
        The most that it may be given.
    sizes : sequence of int, optional
        Those that there are, on Fargate; None: any.

    Examples
    --------
    >>> larger_memory(1024, 1024, None), larger_memory(1024, 1024, 1500), larger_memory(1500, 1024, 1500)
    (2048, 1500, 1500)
    """
    most = first_mib * 2**_MOST_DOUBLINGS if max_memory_mib is None else max_memory_mib
    wanted = min(2 * memory_mib, most)
    if sizes is None:
        return max(memory_mib, wanted)
    larger = [size for size in sizes if memory_mib < size <= most]
    return min((size for size in larger if size >= wanted), default=max(larger, default=memory_mib))


def canary_seconds(seconds: Sequence[float], n_canaries: int, *, running_s: float) -> float | None:
    """Return how long an item takes, once enough of the first ones tell; None while they do not.

    Parameters
    ----------
    seconds : sequence of float
        Of the first items that have ended.
    n_canaries : int
        How many first items there are.
    running_s : float
        Seconds since the first of them was seen to run; 0 where none was.

    Examples
    --------
    >>> canary_seconds([1.0, 2.0], 20, running_s=2.0) is None
    True
    >>> canary_seconds([], 20, running_s=200.0)
    200.0
    """
    if len(seconds) >= math.ceil(n_canaries / 2):
        return sorted(seconds)[len(seconds) // 2]
    # Items that last longer than a job should are each a job of their own: nobody need wait for them.
    return running_s if running_s >= TARGET_S else None
