"""What an item wrote can be read, in every place."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudknot import Knot
from tests.conftest import wait_until

MakeKnot = Callable[..., Knot[Any]]


@pytest.mark.many_jobs
def test_each_item_has_its_own_output(make_knot: MakeKnot) -> None:
    def talk(x: int) -> None:
        print(f"subject {x}")
        print("no newline", end="", file=sys.stderr)

    future = make_knot(talk).map(range(50))
    future.result()
    assert [item.logs() for item in future] == [f"subject {x}\nno newline" for x in range(50)]


def test_output_of_programs_and_of_logging_is_kept(make_knot: MakeKnot) -> None:
    def talk(_: int) -> None:
        subprocess.run(["echo", "from a program"], check=True)
        os.write(2, b"from C\n")
        logging.warning("from logging")

    future = make_knot(talk).submit(0)
    future.result()
    assert future.logs().startswith("from a program\nfrom C\n")
    assert "from logging" in future.logs()


def test_a_failed_items_output_is_kept(make_knot: MakeKnot) -> None:
    def fail(_: int) -> None:
        print("before")
        raise ValueError

    future = make_knot(fail).submit(0)
    future.exception()
    assert future.logs() == "before\n"


def test_a_lost_items_output_is_kept(make_knot: MakeKnot) -> None:
    def die(_: int) -> None:
        print("last words")
        os._exit(1)

    future = make_knot(die).submit(0)
    assert "its last words: last words" in str(future.exception())
    assert future.logs() == "last words\n"


def test_a_running_items_output_can_be_read(make_knot: MakeKnot, gate: Path) -> None:
    def talk(_: int) -> None:
        print("at work")
        while not gate.exists():
            time.sleep(0.01)

    future = make_knot(talk).submit(0)
    wait_until(lambda: future.logs() == "at work\n")
    assert not future.done()
    gate.touch()
    future.result()


def test_an_item_that_said_nothing_has_an_empty_log(make_knot: MakeKnot) -> None:
    future = make_knot(abs).map([-1])
    future.result()
    assert future[0].logs() == ""


def test_of_a_very_long_output_the_beginning_and_the_end_are_kept(make_knot: MakeKnot) -> None:
    def talk(_: int) -> None:
        print("first line")
        print("x" * 20_000_000)
        print("last line")

    future = make_knot(talk).submit(0)
    future.result()
    log = future.logs()
    assert log.startswith("first line\n")
    assert log.endswith("last line\n")
    assert "bytes are left out here]" in log
    assert len(log) < 5_000_000
