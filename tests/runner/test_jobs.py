"""One job of a wave, as AWS Batch starts it: a process, a store, and what becomes of the items."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudknot.ledger import Outcomes
from cloudknot.runner.envelopes import Envelope, Outcome
from cloudknot.runner.jobs import AGAIN, DONE, NOT_DONE, Job
from cloudknot.runner.keys import Keys
from cloudknot.runner.orders import read_orders
from cloudknot.runner.shards import encode_indices
from cloudknot.runner.stores import FileStore
from cloudknot.runner.streams import ItemStream
from cloudknot.runner.waves import Span, Wave
from cloudknot.runs import Run
from tests.conftest import is_running, wait_until
from tests.runner.test_supervisor import make_run, values_of


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def plan(store: FileStore, run: Run, *spans: Span, **options: Any) -> Wave:
    spans = spans or (Span(0, run.orders.count, run.orders.count),)
    wave = Wave(**{"number": 0, "spans": spans, "memory_mib": 512, "commit_s": 0, **options})
    store.put(Keys(run.run_id).wave(wave.number), wave.encode())
    return wave


class Process:
    """A job's process."""

    def __init__(
        self, store: FileStore, run: Run, wave: int = 0, offset: int = 0, **environment: str
    ) -> None:
        words = (sys.executable, "-m", "cloudknot.runner", store.uri, run.run_id, str(wave), str(offset))
        self.process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, timeout_s: float = 30) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        assert err == ""
        return self.process.returncode, out


def run_job(
    store: FileStore, run: Run, wave: int = 0, offset: int = 0, **environment: str
) -> tuple[int, str]:
    return Process(store, run, wave, offset, **environment).end()


def work_here(store: FileStore, run: Run, wave: Wave, number: int = 0) -> tuple[int, list[bytes]]:
    lines: list[bytes] = []
    return Job(store, run.run_id, wave, number, write=lines.append).run(), lines


def commit(store: FileStore, run: Run, first: int, last: int, payload: Any = None) -> None:
    """Commit items as another attempt would have."""
    import pickle

    data = pickle.dumps(payload)
    envelopes = [
        Envelope(outcome=Outcome.VALUE, position=p, payload=data).encode() for p in range(first, last)
    ]
    assert store.put(Keys(run.run_id).pack(first), b"".join(envelopes), if_absent=True)


def packs_of(store: FileStore, run: Run) -> list[int]:
    prefix = Keys(run.run_id).packs
    return [int(key[len(prefix) :]) for key in store.list(prefix)]


def envelope_of(store: FileStore, run: Run, position: int) -> Envelope:
    outcomes = Outcomes(store, run.run_id, run.orders.count)
    outcomes.refresh()
    return outcomes.envelope(position)


@pytest.mark.parametrize(
    ("offset", "index", "expected"),
    [(0, None, [0, 1]), (1, None, [2, 3]), (0, "2", [4]), (1, "2", [7, 8])],
)
def test_a_job_runs_the_chunk_of_its_offset_and_index(
    store: FileStore, offset: int, index: str | None, expected: list[int]
) -> None:
    run = make_run(store, lambda x: 10 * x, range(9))
    plan(store, run, Span(0, 5, 2), Span(7, 9, 3))
    environment = {} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": index}
    assert Process(store, run, 0, offset, **environment).end() == (DONE, "")
    assert values_of(store, run) == [10 * x for x in expected]


def test_news_of_each_pack_are_put(store: FileStore) -> None:
    run = make_run(store, lambda x: time.sleep(0.05), range(3))
    before_ms = time.time() * 1000
    assert work_here(store, run, plan(store, run))[0] == DONE
    prefix = Keys(run.run_id).news
    news = [key[len(prefix) :].split("-") for key in store.list(prefix)]
    assert [int(position) for _, position in news] == packs_of(store, run) == [0, 1, 2]
    assert all(before_ms - 1 <= int(ms) <= time.time() * 1000 for ms, _ in news)


def test_the_last_pack_of_a_killed_attempt_is_told_again(store: FileStore) -> None:
    run = make_run(store, abs, range(4))
    commit(store, run, 0, 1)
    commit(store, run, 1, 3)
    assert work_here(store, run, plan(store, run))[0] == DONE
    assert [int(key.rpartition("-")[2]) for key in store.list(Keys(run.run_id).news)] == [1, 3]


def test_a_job_goes_on_behind_what_was_committed_or_deferred(store: FileStore) -> None:
    run = make_run(store, lambda x: "here", range(10))
    wave = plan(store, run, defers_oom=True)
    commit(store, run, 0, 2, "before")
    keys = Keys(run.run_id)
    for position, memory_mib in ((2, 512), (3, 256), (5, 512), (9, 512)):
        store.put(keys.deferral(position, memory_mib), b"")
    commit(store, run, 6, 8, "before")
    assert work_here(store, run, wave)[0] == DONE
    assert values_of(store, run) == ["before"] * 2 + ["here"] * 2 + ["before"] * 2 + ["here"]
    outcomes = Outcomes(store, run.run_id, 10)
    outcomes.refresh()
    assert list(outcomes.unsettled()) == [2, 5, 9]
    assert work_here(store, run, wave)[0] == DONE


def test_deferrals_of_another_rule_keep_nothing_from_running(store: FileStore) -> None:
    run = make_run(store, abs, range(2))
    store.put(Keys(run.run_id).deferral(1, 512), b"")
    assert work_here(store, run, plan(store, run))[0] == DONE
    assert values_of(store, run) == [0, 1]


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_losses_of_the_first_item_count_on(store: FileStore, lost: int) -> None:
    run = make_run(store, lambda x: os.kill(os.getpid(), signal.SIGKILL) if x == 0 else x, range(2))
    assert run.orders.lost_retries == 2
    wave = plan(store, run, Span(0, 2, 2, lost))
    assert work_here(store, run, wave)[0] == DONE
    envelope = envelope_of(store, run, 0)
    assert (envelope.outcome, envelope.tries) == (Outcome.LOST, 3)
    said = "its whole job was killed while it ran, 3 times" if lost == 3 else "killed by signal 9"
    assert said in envelope.detail["reason"]
    assert envelope_of(store, run, 1).outcome is Outcome.VALUE


class RivalStore(FileStore):
    """A store to which another attempt commits some items just before this one does."""

    def __init__(self, root: Path, run: Run, spans: list[tuple[int, int]]) -> None:
        super().__init__(root)
        self._run = run
        self._spans = iter(spans)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if "/packs/" in key and (span := next(self._spans, None)):
            commit(FileStore(self._root), self._run, *span, "rival")
        return super().put(key, data, if_absent=if_absent)


@pytest.mark.parametrize(
    ("spans", "rivals"),
    [([(0, 1)], {0}), ([(0, 3), (3, 5)], {0, 1, 2, 3, 4}), ([(0, 6)], set(range(6))), ([(0, 2)], {0, 1})],
)
def test_what_another_attempt_commits_meanwhile_is_not_committed_twice(
    tmp_path: Path, spans: list[tuple[int, int]], rivals: set[int]
) -> None:
    plain = FileStore(tmp_path / "store")
    run = make_run(plain, lambda x: "own", range(6))
    wave = plan(plain, run)
    store = RivalStore(tmp_path / "store", run, spans)
    code, lines = work_here(store, run, wave)
    assert code == DONE
    assert values_of(store, run) == ["rival" if x in rivals else "own" for x in range(6)]
    assert b"were committed by another supervisor" in lines[0]


def test_two_attempts_side_by_side_commit_each_item_once(store: FileStore) -> None:
    run = make_run(store, lambda x: time.sleep(0.01), range(60))
    plan(store, run, commit_s=0.03)
    attempts = [Process(store, run) for _ in range(3)]
    assert [attempt.end()[0] for attempt in attempts] == [DONE] * 3
    assert values_of(store, run) == [None] * 60


class FailingStore(FileStore):
    """A store that fails at some keys."""

    def __init__(self, root: Path, part: str, times: int = 99) -> None:
        super().__init__(root)
        self._part, self.times = part, times

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if self._part in key and self.times:
            self.times -= 1
            raise OSError(f"no room for {key}")
        return super().put(key, data, if_absent=if_absent)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        if self._part in prefix and self.times:
            self.times -= 1
            raise OSError("throttled")
        return super().list(prefix, after)


def test_a_failure_to_tell_is_a_failure_of_the_store(tmp_path: Path) -> None:
    store = FailingStore(tmp_path / "store", "/news/", times=1)
    run = make_run(store, abs, range(3))
    wave = plan(store, run)
    with pytest.raises(OSError, match="no room for runs/"):
        work_here(store, run, wave)
    assert work_here(store, run, wave)[0] == DONE
    assert values_of(store, run) == [0, 1, 2]
    assert {int(key.rpartition("-")[2]) for key in store.list(Keys(run.run_id).news)} == set(
        packs_of(store, run)
    )


def test_a_store_that_fails_is_exit_code_75(store: FileStore, tmp_path: Path) -> None:
    run = make_run(store, abs, range(3))
    plan(store, run)
    packs = tmp_path / "store" / Keys(run.run_id).packs
    packs.parent.mkdir(exist_ok=True)
    packs.write_text("no folder")
    code, out = run_job(store, run)
    assert code == AGAIN
    assert out.startswith("[cloudknot] ! the store failed: ")


def test_a_store_that_fails_the_worker_is_exit_code_75(store: FileStore, tmp_path: Path) -> None:
    run = make_run(store, abs, range(3))
    plan(store, run)
    store.delete(Keys(run.run_id).inputs)
    code, out = run_job(store, run)
    assert code == AGAIN
    assert "[cloudknot] ! the store failed: KeyError" in out


def test_a_run_that_was_removed_is_exit_code_1(store: FileStore) -> None:
    run = make_run(store, abs, range(3))
    assert run_job(store, run) == (
        NOT_DONE,
        f"[cloudknot] ! {Keys(run.run_id).wave(0)} is not in {store.uri}: the run was removed\n",
    )


def test_a_chunk_that_its_rule_stops_is_exit_code_1(store: FileStore) -> None:
    run = make_run(store, lambda x: 1 // (x - 1), range(5))
    record = store.get(Keys(run.run_id).run).replace(b'"on_error": "auto"', b'"on_error": "stop"')
    store.put(Keys(run.run_id).run, record)
    assert read_orders(store, run.run_id).on_error == "stop"
    assert work_here(store, run, plan(store, run))[0] == NOT_DONE
    outcomes = Outcomes(store, run.run_id, 5)
    outcomes.refresh()
    assert list(outcomes.unsettled()) == [2, 3, 4]


def test_sigterm_keeps_what_has_ended_and_asks_for_another_attempt(store: FileStore, tmp_path: Path) -> None:
    def wait(x: int) -> int:
        if x == 2:
            import pathlib

            print("waiting", flush=True)
            pathlib.Path(started).write_text(str(os.getpid()))
            time.sleep(600)
        return x

    started = str(tmp_path / "started")
    run = make_run(store, wait, range(4))
    plan(store, run, commit_s=1000)
    job = Process(store, run)
    wait_until(lambda: Path(started).exists() and Path(started).read_text())
    job.process.terminate()
    began = time.monotonic()
    code, out = job.end()
    assert code == AGAIN
    assert time.monotonic() - began < 5
    assert values_of(store, run) == [0, 1]
    assert out == "[cloudknot] item 2\nwaiting\n"
    assert not is_running(int(Path(started).read_text()))
    # The next attempt goes on there.
    assert packs_of(store, run) == [0]


class TestCancelledItems:
    """Marks of cancelled items, which a job looks for now and then."""

    def test_before_the_start(self, store: FileStore) -> None:
        run = make_run(store, abs, range(6))
        for position in (0, 3, 5):
            store.put(Keys(run.run_id).cancel_item(position), b"")
        assert work_here(store, run, plan(store, run, Span(0, 5, 5), look_s=1000))[0] == DONE
        found = [envelope_of(store, run, position).outcome for position in range(5)]
        assert [outcome is Outcome.CANCELLED for outcome in found] == [True, False, False, True, False]

    def test_while_it_runs_and_while_another_runs(self, store: FileStore, tmp_path: Path) -> None:
        def wait(x: int) -> int:
            if x == 1:
                import pathlib

                pathlib.Path(started).touch()
                time.sleep(600)
            return x

        started = str(tmp_path / "started")
        run = make_run(store, wait, range(5))
        plan(store, run, look_s=0.05)
        job = Process(store, run)
        wait_until(Path(started).exists)
        store.put(Keys(run.run_id).cancel_item(3), b"")
        time.sleep(0.2)
        store.put(Keys(run.run_id).cancel_item(1), b"")
        assert job.end()[0] == DONE
        found = [envelope_of(store, run, position).outcome for position in range(5)]
        assert [outcome is Outcome.CANCELLED for outcome in found] == [False, True, False, True, False]

    def test_a_look_that_fails_is_passed_over(self, tmp_path: Path) -> None:
        store = FailingStore(tmp_path / "store", "/cancels/", times=3)
        run = make_run(store, lambda x: time.sleep(0.4), range(2))
        assert work_here(store, run, plan(store, run, look_s=0.05))[0] == DONE
        assert values_of(store, run) == [None, None]
        assert store.times == 0


class TestLiveLog:
    """What items write, on the job's own standard output."""

    def test_comes_while_the_item_runs(self, store: FileStore, tmp_path: Path) -> None:
        def talk(x: int) -> int:
            import pathlib

            print("begun", flush=True)
            while not pathlib.Path(gate).exists():
                time.sleep(0.01)
            print("over")
            return x

        gate = str(tmp_path / "gate")
        run = make_run(store, talk, [0])
        plan(store, run)
        job = Process(store, run)
        assert job.process.stdout is not None
        began = time.monotonic()
        assert [job.process.stdout.readline() for _ in range(2)] == ["[cloudknot] item 0\n", "begun\n"]
        assert not packs_of(store, run), f"{time.monotonic() - began} s"
        Path(gate).touch()
        assert job.end() == (DONE, "over\n")
        assert envelope_of(store, run, 0).log == b"begun\nover\n"

    def test_quiet_items_say_nothing_and_others_have_their_index(self, store: FileStore) -> None:
        run = make_run(store, lambda x: print("item", x) if x % 2 else None, range(4))
        # As a run over some of another run's items: positions and indices differ.
        keys = Keys(run.run_id)
        store.put(keys.indices, encode_indices([0, 1, 2, 3]))
        store.put(keys.run, store.get(keys.run).replace(b'"is_selection": false', b'"is_selection": true'))
        store.put(keys.indices, encode_indices([1, 3]))
        wave = plan(store, run, Span(0, 1, 1), Span(1, 2, 1))
        said = [b"".join(work_here(store, run, wave, number)[1]) for number in (0, 1)]
        assert said == [b"[cloudknot] item 1\nitem 1\n", b"[cloudknot] item 3\nitem 3\n"]

    def test_what_is_read_out_of_the_stream_is_what_was_written(self, store: FileStore) -> None:
        def write(kind: int) -> None:
            out = sys.stdout.buffer
            if kind == 0:
                out.write(b"[cloudknot] item 1\nmine\n[cloudknot] | x\n")
            elif kind == 1:
                out.write(b"\n\n caf\xe9 \\x41 \\\\\n\r\n \t\nno end")
            elif kind == 2:
                out.write(b"\xc3\xa9" * 100_000 + b"\n" + b"y" * 30_000)
            else:
                for number in range(40):
                    print(number, end="" if number % 2 else "\n", flush=True)
                    time.sleep(0.03)
            out.flush()

        run = make_run(store, write, range(5))
        code, lines = work_here(store, run, plan(store, run))
        assert code == DONE
        # As CloudWatch keeps it: no empty lines, none that is longer than docker's, UTF-8 alone.
        kept = [line for line in b"".join(lines).decode().split("\n") if line]
        assert max(len(line.encode()) for line in kept) <= 16 << 10
        for position in range(5):
            stream = ItemStream(position)
            stream.feed(kept)
            assert stream.log == envelope_of(store, run, position).log, position

    def test_no_part_is_taken_for_another_item_s(self, store: FileStore) -> None:
        def talk(x: int) -> None:
            for number in range(x % 5):
                print(f"{x} {number}", flush=True)
                time.sleep(0.001 * (x % 3))

        run = make_run(store, talk, range(600))
        _, lines = work_here(store, run, plan(store, run, commit_s=0.1))
        said = b"".join(lines).decode().splitlines()
        outcomes = Outcomes(store, run.run_id, 600)
        outcomes.refresh()
        for position in range(600):
            stream = ItemStream(position)
            stream.feed(said)
            assert stream.log == outcomes.envelope(position).log, position

    def test_a_try_that_was_lost_is_followed_by_the_next(self, store: FileStore, tmp_path: Path) -> None:
        def die_once(x: int) -> None:
            import pathlib

            print("try", flush=True)
            if not pathlib.Path(tried).exists():
                pathlib.Path(tried).touch()
                os._exit(3)

        tried = str(tmp_path / "tried")
        run = make_run(store, die_once, [0])
        _, lines = work_here(store, run, plan(store, run))
        assert b"".join(lines) == b"[cloudknot] item 0\ntry\n" * 2

    def test_of_a_very_long_output_beginning_and_end_come(self, store: FileStore) -> None:
        def flood(x: int) -> None:
            for _ in range(9):
                sys.stdout.buffer.write(b"a" * (1 << 20))
                sys.stdout.flush()
                time.sleep(0.2)
            print("the end")

        run = make_run(store, flood, [0, 1])
        _, lines = work_here(store, run, plan(store, run, Span(0, 1, 1)))
        stream = ItemStream(0)
        stream.feed(b"".join(lines).decode().splitlines())
        assert stream.log.endswith(b"the end\n")
        assert b"bytes are left out here" in stream.log
        assert len(stream.log) < 9 << 20


def test_the_kernel_takes_the_worker_before_the_supervisor(store: FileStore) -> None:
    def read_scores(x: int) -> list[int]:
        return [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (os.getpid(), os.getppid())]

    run = make_run(store, read_scores, [0])
    plan(store, run)
    assert run_job(store, run)[0] == DONE
    [(worker, supervisor)] = values_of(store, run)
    assert worker == 500
    assert worker > supervisor


@pytest.mark.parametrize("count", [1, 3])
def test_every_position_of_a_wave_is_run(store: FileStore, count: int) -> None:
    run = make_run(store, abs, range(7))
    wave = plan(store, run, Span(0, 4, count), Span(4, 7, 2))
    for number in range(wave.n_chunks):
        assert work_here(store, run, wave, number)[0] == DONE
    assert values_of(store, run) == list(range(7))
    assert all(a < b for a, b in itertools.pairwise(packs_of(store, run)))
