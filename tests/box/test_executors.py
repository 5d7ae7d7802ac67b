"""What both executors do: tasks run, tell what they write, and end as they do on ECS."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cloudknot.testing.executors import Executor, Outcome
from cloudknot.testing.executors.docker import DockerExecutor
from cloudknot.testing.executors.lines import EVENT_BYTES, Lines
from cloudknot.testing.executors.process import ProcessExecutor
from cloudknot.testing.executors.telling import Channel, Teller
from tests.box.executing import SLEEP, TIMEOUT_S, UNTIL_TOLD, Told, make_task, script

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
MakeExecutor = Callable[[int], Executor]


@pytest.fixture(params=["docker", "process"])
def make_executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeExecutor]:
    """Make executors that are closed when the test is over."""
    made: list[Executor] = []
    if request.param == "docker":
        request.getfixturevalue("engine")

    def make(at_once: int) -> Executor:
        if request.param == "docker":
            made.append(DockerExecutor(login=lambda _: None, label=uuid.uuid4().hex, at_once=at_once))
        else:
            made.append(ProcessExecutor(folder=tmp_path / "tasks", at_once=at_once))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.fixture
def executor(make_executor: MakeExecutor) -> Executor:
    return make_executor(4)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_task_is_told_as_started_then_its_lines_then_its_end(executor: Executor, told: Told) -> None:
    task = make_task("sh", "-c", "echo $GREETING; echo two >&2; exit 3", environment={"GREETING": "hello"})
    before = time.time() * 1000 - 1
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=3)
    assert sorted(told.text(task)) == ["hello", "two"]
    assert all(before <= at <= time.time() * 1000 for at, _ in told.lines[task.id])
    calls = told.calls[task.id]
    assert (calls[0], calls[-1], set(calls[1:-1])) == ("started", "ended", {"wrote"})
    assert threading.get_ident() not in told.threads


def test_lines_are_told_while_a_task_runs_and_kill_ends_it(executor: Executor, told: Told) -> None:
    task = make_task("sh", "-c", "echo ready; exec sleep 1000")
    executor.start(task, told)
    told.wait_line(task, "ready")
    assert "ended" not in told.calls[task.id]
    executor.kill(task.id)
    assert told.outcome(task) == Outcome(exit_code=137)


def test_a_task_that_is_asked_to_stop_may_finish(executor: Executor, told: Told) -> None:
    task = make_task(*UNTIL_TOLD)
    executor.start(task, told)
    told.wait_line(task, "ready")
    executor.stop(task.id)
    assert told.outcome(task) == Outcome(exit_code=7)
    assert told.text(task) == ["ready", "bye"]


def test_unknown_and_ended_tasks_are_left_alone(executor: Executor, told: Told) -> None:
    task = make_task("true")
    executor.start(task, told)
    told.outcome(task)
    for task_id in (task.id, "unknown"):
        executor.stop(task_id)
        executor.kill(task_id)
    executor.close()
    executor.close()
    assert told.calls[task.id] == ["started", "ended"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_task_that_waits_for_a_place_ends_without_running(
    make_executor: MakeExecutor, told: Told, end: str
) -> None:
    executor = make_executor(1)
    first, second = make_task(*SLEEP), make_task("true")
    executor.start(first, told)
    executor.start(second, told)
    told.wait_started(first)
    getattr(executor, end)(second.id)
    assert told.outcome(second).exit_code is None
    assert told.calls[second.id] == ["ended"]
    assert first.id not in told.outcomes


def test_no_more_tasks_run_at_once_than_there_are_places(make_executor: MakeExecutor, told: Told) -> None:
    executor = make_executor(2)
    long, short = [make_task(*SLEEP) for _ in range(2)], [make_task("true") for _ in range(3)]
    for task in (*long, *short):
        executor.start(task, told)
    for task in long:
        told.wait_started(task)
    assert not any(task.id in told.calls for task in short)
    for task in long:
        executor.kill(task.id)
    assert {told.outcome(task).exit_code for task in short} == {0}
    assert told.most_at_once == 2


def test_long_lines_are_split_and_what_is_no_text_is_replaced(executor: Executor, told: Told) -> None:
    code = (
        "import sys; out = sys.stdout.buffer; out.write('\\u00e9'.encode() * 200_000 + b'\\n\\n');"
        "out.flush();"
        "sys.stderr.buffer.write(b'bad \\xff\\r\\n'); sys.stderr.flush(); out.write(b'no end')"
    )
    task = make_task(*script(code))
    executor.start(task, told)
    told.outcome(task)
    whole = EVENT_BYTES // 2
    expected = ["é" * whole, "é" * (200_000 - whole), "bad \ufffd\r", "no end"]
    assert sorted(told.text(task)) == sorted(expected)


def test_all_of_a_large_output_is_told_in_order_to_an_observer_that_is_slow(executor: Executor) -> None:
    class Slow(Told):
        def wrote(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
            time.sleep(0.001)
            assert len(lines) <= 1000
            super().wrote(task_id, lines)

    told = Slow()
    task = make_task("seq", "-f", "%.0f " + "x" * 100, "200000")
    executor.start(task, told)
    assert told.outcome(task).exit_code == 0
    assert [int(text.split()[0]) for text in told.text(task)] == list(range(1, 200_001))


@pytest.mark.parametrize("hold", ["", "; import time; time.sleep(1000)"], ids=["a short peak", "a long one"])
def test_more_memory_than_allowed_is_out_of_memory(executor: Executor, told: Told, hold: str) -> None:
    task = make_task(*script("held = b'x' * (300 << 20)" + hold), memory_mib=64)
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=137, reason=OUT_OF_MEMORY)


def test_memory_within_its_limit_is_let_be(executor: Executor, told: Told) -> None:
    task = make_task(*script("held = b'x' * (100 << 20); import time; time.sleep(0.5)"))
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=0)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("no-such-program", 'exec: "no-such-program": executable file not found in $PATH: unknown'),
        ("/nowhere/a", 'exec: "/nowhere/a": stat /nowhere/a: no such file or directory: unknown'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied: unknown'),
    ],
)
def test_a_command_that_cannot_be_run_fails_to_start(
    executor: Executor, told: Told, program: str, words: str
) -> None:
    task = make_task(program)
    executor.start(task, told)
    outcome = told.outcome(task)
    assert (outcome.exit_code, outcome.status_reason) == (None, "Task failed to start")
    assert outcome.reason is not None
    assert outcome.reason.startswith(
        "CannotStartContainerError: Error response from daemon: failed to create "
    )
    assert outcome.reason.endswith(words)
    assert told.calls[task.id] == ["ended"]


def test_death_by_a_signal_is_128_and_its_number(executor: Executor, told: Told) -> None:
    task = make_task("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?")
    executor.start(task, told)
    assert told.outcome(task) == Outcome(exit_code=139)


def test_an_observer_that_raises_does_not_stop_the_others(
    executor: Executor, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Told):
        def started(self, task_id: str) -> None:
            raise ValueError("no")

    broken = Broken()
    tasks = [make_task("echo", "one"), make_task("echo", "one")]
    for task, observer in zip(tasks, (broken, told), strict=True):
        executor.start(task, observer)
    assert (broken.outcome(tasks[0]).exit_code, told.outcome(tasks[1]).exit_code) == (0, 0)
    assert broken.text(tasks[0]) == ["one"]
    assert "the observer of task" in caplog.text


def test_close_ends_what_runs_and_what_waits_and_nothing_begins_after_it(
    make_executor: MakeExecutor, told: Told
) -> None:
    executor = make_executor(2)
    threads = set(threading.enumerate())
    tasks = [make_task(*SLEEP) for _ in range(4)]
    for task in tasks:
        executor.start(task, told)
    told.wait_started(tasks[1])
    executor.close()
    assert [told.calls[task.id][-1] for task in tasks] == ["ended"] * 4
    assert [told.outcomes[task.id].exit_code for task in tasks][2:] == [None, None]
    assert not [thread for thread in set(threading.enumerate()) - threads if thread.name.startswith("box")]
    with pytest.raises(RuntimeError, match="closed"):
        executor.start(make_task("true"), told)


def test_an_observer_may_use_the_executor(executor: Executor) -> None:
    class Strict(Told):
        def started(self, task_id: str) -> None:
            super().started(task_id)
            executor.kill(task_id)

        def ended(self, task_id: str, outcome: Outcome) -> None:
            if task_id == first.id:
                executor.start(second, self)
            super().ended(task_id, outcome)

    told = Strict()
    first, second = make_task(*SLEEP), make_task(*SLEEP)
    executor.start(first, told)
    assert (told.outcome(first).exit_code, told.outcome(second).exit_code) == (137, 137)


@pytest.mark.parametrize("seed", range(3))
def test_each_task_ends_once_however_it_is_ended(make_executor: MakeExecutor, told: Told, seed: int) -> None:
    executor = make_executor(3)
    tasks = [make_task("sh", "-c", "echo $$; exec sleep 0.2") for _ in range(8)]
    chance = random.Random(seed)

    def disturb(order: list[int]) -> None:
        for number in order:
            executor.stop(tasks[number].id)
            time.sleep(0.01)
            executor.kill(tasks[number].id)

    threads = [threading.Thread(target=disturb, args=(chance.sample(range(8), 5),)) for _ in range(3)]
    for task in tasks:
        executor.start(task, told)
    for thread in threads:
        thread.start()
    told.wait(lambda: len(told.outcomes) >= 4)
    executor.close()
    for thread in threads:
        thread.join()
    for task in tasks:
        calls = told.calls[task.id]
        assert calls.count("ended") == 1
        assert calls[-1] == "ended"
        assert calls.count("started") == (calls[0] == "started")


def test_start_returns_at_once_while_the_observer_is_stuck(executor: Executor) -> None:
    class Stuck(Told):
        gate = threading.Event()

        def started(self, task_id: str) -> None:
            self.gate.wait(TIMEOUT_S)
            super().started(task_id)

    told = Stuck()
    tasks = [make_task("true") for _ in range(3)]
    try:
        begun = time.monotonic()
        for task in tasks:
            executor.start(task, told)
            executor.stop(task.id)
        assert time.monotonic() - begun < 5
    finally:
        told.gate.set()
    for task in tasks:
        told.outcome(task)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_the_bytes_come(size: int) -> None:
    data = "one\n\ntwo ÄÖ\r\n€€€€€€€\nlast".encode()
    lines = Lines(limit=7)
    told = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size], at)]
    told += lines.finish()
    assert [text for _, text in told] == ["one", "two Ä", "Ö\r", "€€", "€€", "€€", "€", "last"]
    assert [at // size for at, _ in told[:2]] == [0, 5 // size]


def test_a_teller_leaves_an_observer_that_does_not_return(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Told):
        gate = threading.Event()

        def started(self, task_id: str) -> None:
            self.gate.wait(TIMEOUT_S)

    teller = Teller(end_s=0.05)
    Channel(teller, "a-task", Stuck()).started()
    with caplog.at_level(logging.WARNING):
        teller.close()
    Stuck.gate.set()
    assert "does not return" in caplog.text


def test_after_the_end_of_a_task_nothing_is_told(told: Told) -> None:
    teller = Teller()
    channel = Channel(teller, "a-task", told)
    channel.wrote([(1, "one")])
    channel.ended(Outcome(exit_code=0))
    channel.wrote([(2, "two")])
    channel.started()
    channel.ended(Outcome(exit_code=1))
    teller.close()
    assert told.calls["a-task"] == ["wrote", "ended"]
    assert told.outcomes["a-task"].exit_code == 0


def test_who_writes_more_than_is_taken_waits() -> None:
    class Stuck(Told):
        gate = threading.Event()

        def wrote(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
            self.gate.wait(TIMEOUT_S)
            super().wrote(task_id, lines)

    told, teller, written = Stuck(), Teller(), threading.Semaphore(0)
    channel = Channel(teller, "a-task", told)

    def write() -> None:
        for _ in range(40):
            channel.wrote([(1, "x" * (1 << 20))])
            written.release()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.acquire(timeout=TIMEOUT_S)
    thread.join(0.2)
    assert thread.is_alive()
    told.gate.set()
    thread.join(TIMEOUT_S)
    teller.close()
    assert len(told.lines["a-task"]) == 40
