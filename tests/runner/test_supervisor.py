"""A supervisor and its worker, without a pool around them."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cloudknot.backends.prepared import Prepared
from cloudknot.catalog import Catalog
from cloudknot.errors import RunOwnedError
from cloudknot.ledger import Outcomes, write_run
from cloudknot.opening import open_envelope
from cloudknot.runner.control import Control
from cloudknot.runner.envelopes import Envelope, Outcome, decode_envelope, split_envelopes
from cloudknot.runner.packs import PackTakenError, PackWriter
from cloudknot.runner.processes import WorkerProcess, WorkerSpec
from cloudknot.runner.stores import FileStore, Store
from cloudknot.runner.supervisor import Assignment, Supervisor
from cloudknot.runner.worker import Chunk, Worker
from cloudknot.runs import Run
from cloudknot.specs import Resources
from cloudknot.submission import Request, stage

SPEC = WorkerSpec(sys_path=tuple(sys.path), cwd="/", environment=dict(os.environ))


class FullStore(FileStore):
    """A store that takes no packs while it is full."""

    is_full = False

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if self.is_full and "/packs/" in key:
            raise OSError(28, "No space left on device")
        return super().put(key, data, if_absent=if_absent)


@pytest.fixture
def store(tmp_path: Path) -> FullStore:
    return FullStore(tmp_path / "store")


def make_run(
    store: Store, func: Callable[[Any], Any], items: Any, *, name: str = "run", **resources: Any
) -> Run:
    request = Request(func=func, name=name, backend="local", resources=Resources(**resources))
    now = datetime.datetime.now(datetime.UTC)
    submission = stage(request, items, store, now, prepare=lambda image, imports: Prepared())
    write_run(store, submission.run, function=submission.function)
    return submission.run


def assign(run: Run, control: Control | None = None, *, spec: Any = SPEC, **options: Any) -> Any:
    wanted = {"first": 0, "last": run.orders.count, "control": control or Control(), **options}
    return Assignment(run_id=run.run_id, orders=run.orders, spec=spec, **wanted)


def values_of(store: Store, run: Run) -> list[Any]:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    outcomes.refresh()
    return [
        open_envelope(outcomes.envelope(index), index, outcomes.read_stored).value
        for index in range(run.orders.count)
        if outcomes.outcome(index) is not None
    ]


def slow(x: tuple[str, int]) -> tuple[str, int]:
    time.sleep(0.02)
    return x


def test_what_a_worker_says_of_a_failed_chunk_never_reaches_the_next(store: FullStore) -> None:
    first = make_run(store, slow, [("A", x) for x in range(40)])
    second = make_run(store, slow, [("B", x) for x in range(40)])
    supervisor = Supervisor(store, start=WorkerProcess, commit_s=0.05)
    store.is_full = True
    with pytest.raises(OSError, match="No space left"):
        supervisor.run_chunk(assign(first))
    store.is_full = False
    assert supervisor.run_chunk(assign(second)) == 40
    supervisor.close()
    assert values_of(store, second) == [("B", x) for x in range(40)]


def test_of_two_supervisors_only_one_commits(store: FullStore) -> None:
    run = make_run(store, lambda x: os.getpid(), range(3))
    one, two = (
        Supervisor(store, start=WorkerProcess, commit_s=1),
        Supervisor(store, start=WorkerProcess, commit_s=1),
    )
    one.run_chunk(assign(run))
    before = values_of(store, run)
    with pytest.raises(PackTakenError):
        two.run_chunk(assign(run))
    assert values_of(store, run) == before
    one.close()
    two.close()


def test_loading_the_function_does_not_count_as_the_items_time(store: FullStore) -> None:
    class SlowToLoad:
        def __call__(self, x: int) -> int:
            return x

        def __reduce__(self) -> Any:
            return eval, ("__import__('time').sleep(1.0) or abs",)

    run = make_run(store, SlowToLoad(), [-1], timeout_s=0.5)
    supervisor = Supervisor(store, start=WorkerProcess, commit_s=1)
    supervisor.run_chunk(assign(run))
    supervisor.close()
    assert values_of(store, run) == [1]


def test_half_an_envelope_of_a_dead_worker_is_dropped(store: FullStore) -> None:
    pack = PackWriter(store, "run", 0, commit_s=1, clock=time.monotonic, committed=lambda first: None)
    whole = [Envelope(outcome=Outcome.VALUE, position=x, payload=b"x" * 50).encode() for x in range(2)]
    pack.feed(whole[0] + whole[1][:30])
    pack.drop_tail()
    items, _ = pack.feed(whole[1])
    pack.commit()
    assert [position for _, position, _ in items.entries] == [1]
    assert store.get("runs/run/packs/000000000000") == b"".join(whole)


def test_a_pause_gives_back_what_was_not_begun(store: FullStore, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return x

    run = make_run(store, wait, range(5))
    supervisor, returned = Supervisor(store, start=WorkerProcess, commit_s=1), []

    def give_back(first: int, last: int) -> None:
        returned.append((first, last))
        gate.touch()

    reached = supervisor.run_chunk(assign(run, give_back=give_back, yield_s=0.2))
    supervisor.close()
    assert (reached, returned) == (1, [(1, 5)])


class TestStop:
    """A worker's answers to a stop, whenever it comes."""

    @pytest.fixture
    def said(self) -> list[tuple[Outcome, int]]:
        return []

    @pytest.fixture
    def worker(self, said: list[tuple[Outcome, int]], tmp_path: Path) -> Worker:
        def send(data: bytes) -> None:
            found, _ = split_envelopes(data)
            envelopes = [decode_envelope(data, offset) for *_, offset in found]
            said.extend((envelope.outcome, envelope.position) for envelope in envelopes)

        handle = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        return Worker(send, handle)

    def test_before_the_chunk_has_begun(
        self, worker: Worker, said: list[tuple[Outcome, int]], store: FullStore
    ) -> None:
        run = make_run(store, abs, range(5))
        worker.stop(3)
        worker.run_chunk(Chunk(3, store.uri, run.run_id, 0, 5))
        assert said == [(Outcome.LIMIT, 1), (Outcome.BEGIN, 0), (Outcome.VALUE, 0), (Outcome.END, 1)]

    def test_after_it_has_ended(
        self, worker: Worker, said: list[tuple[Outcome, int]], store: FullStore
    ) -> None:
        run = make_run(store, abs, range(2))
        worker.run_chunk(Chunk(1, store.uri, run.run_id, 0, 2))
        worker.stop(1)
        assert said[-1] == (Outcome.END, 2)


def test_one_of_many_takers_owns_a_run(store: FullStore, tmp_path: Path) -> None:
    def take(catalog: Catalog) -> bool:
        try:
            catalog.own(store, "run")
        except RunOwnedError:
            return False
        return True

    for round_number in range(20):
        catalogs = [Catalog(tmp_path / "home") for _ in range(4)]
        store.delete("runs/run/")
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(take, catalogs)) == 1, f"round {round_number}"
