"""The thread that follows runs survives what goes wrong around it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cloudknot import Knot
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.events import ItemsSettled, RunSettled, RunSubmitted, tell
from cloudknot.watcher import HERE, Watcher
from tests.conftest import wait_until


class Stubborn:
    """A run whose first looks fail."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.looks = 0
        self.is_over = False
        self.pace = HERE

    def advance(self) -> bool:
        self.looks += 1
        if self.looks <= self.failures:
            raise ConnectionError("the network is down")
        self.is_over = True
        return True


def test_a_failed_look_does_not_kill_the_watcher(caplog: pytest.LogCaptureFixture) -> None:
    watcher = Watcher()
    broken, healthy = Stubborn(failures=3), Stubborn(failures=0)
    watcher.follow(broken)
    watcher.follow(healthy)
    wait_until(lambda: broken.is_over and healthy.is_over)
    assert healthy.looks == 1
    assert broken.looks == 4
    assert caplog.text.count("a look at a run failed") == 3


def test_it_begins_again_after_it_had_nothing_to_do() -> None:
    watcher = Watcher()
    for _ in range(3):
        followed = Stubborn(failures=0)
        watcher.follow(followed)
        wait_until(lambda followed=followed: followed.is_over)  # type: ignore[misc]


def test_an_observer_that_raises_is_logged_and_the_others_hear(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    future = Knot(abs, client=client).map([-1])
    event = RunSettled(run=future.run, counts=future.items.counts, state=future.state)

    def broken(_: Any) -> None:
        raise RuntimeError("no paper in the printer")

    tell([broken, heard.append], event)
    assert heard == [event]
    assert "no paper in the printer" in caplog.text


def test_observers_hear_of_a_run_from_start_to_end(tmp_path: Any) -> None:
    heard: list[Any] = []
    client = Client(Settings(home=tmp_path, local_workers=1, progress=False), observers=[heard.append])
    Knot(lambda x: 1 // x, client=client).map([1, 0, 2]).exception()
    wait_until(lambda: heard and isinstance(heard[-1], RunSettled))
    assert isinstance(heard[0], RunSubmitted)
    assert any(isinstance(event, ItemsSettled) for event in heard)
    assert heard[-1].counts == (2, 1, 0)


def test_the_pool_outlives_an_envelope_that_hurts(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A callback of the person's own raises in the watcher's thread: futures log that, and go on."""

    def raise_in_callback(_: Any) -> None:
        raise RuntimeError("from a callback")

    knot = Knot(abs, client=client)
    with caplog.at_level(logging.ERROR):
        future = knot.map([-1, -2])
        future[0].add_done_callback(raise_in_callback)
        future.add_done_callback(raise_in_callback)
        assert future.result() == [1, 2]
    assert knot.map([-3]).result(timeout=20) == [3]
