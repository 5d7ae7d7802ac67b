"""The pool of workers that the places on this machine share."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cloudknot.backends.local import LocalBackend
from cloudknot.backends.prepared import Prepared
from cloudknot.ledger import Outcomes, write_run
from cloudknot.runner.stores import FileStore
from cloudknot.runs import Run
from cloudknot.submission import Request, stage
from tests.conftest import wait_until


def make_run(store: FileStore, items: Any) -> Run:
    now = datetime.datetime.now(datetime.UTC)
    request = Request(func=abs, name="pool", backend="local")
    submission = stage(request, items, store, now, prepare=lambda image, imports: Prepared())
    write_run(store, submission.run, function=submission.function)
    return submission.run


def is_done(store: FileStore, run: Run) -> bool:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    outcomes.refresh()
    return outcomes.is_complete


def test_a_run_that_comes_while_workers_are_to_end_gets_others(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    pool = LocalBackend(store, home=tmp_path / "home", workers=1)
    first, second = make_run(store, [-1]), make_run(store, [-2])
    pool.submit(first, Outcomes(pool.store, first.run_id, first.orders.count), 1)
    wait_until(lambda: is_done(store, first))
    [slot] = pool._slots
    with pool._changed:  # as another thread's clobber leaves it, which has not let go of the lock for long
        slot.should_end = True
    pool.submit(second, Outcomes(pool.store, second.run_id, second.orders.count), 1)
    wait_until(lambda: is_done(store, second))
    pool.teardown()
