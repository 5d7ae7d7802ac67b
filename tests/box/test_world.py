"""A world that is put back to nothing, and taken away, by several threads at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudknot.testing.ecr.installing import install
from cloudknot.testing.executors import Observer, Task
from cloudknot.testing.server import moto_account
from cloudknot.testing.server.world import Settings, World


class Idle:
    """An executor that runs nothing, and knows how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def start(self, task: Task, observer: Observer) -> None:
        """Leave it."""

    def stop(self, task_id: str) -> None:
        """Leave it."""

    def kill(self, task_id: str) -> None:
        """Leave it."""

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Making:
    """Makes executors, and holds up those that are made while the gate is closed."""

    def __init__(self) -> None:
        self.made: list[Idle] = []
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def __call__(self, _: World) -> Idle:
        self.is_waiting.set()
        assert self.gate.wait(20)
        self.made.append(Idle())
        return self.made[-1]


@pytest.fixture
def making() -> Making:
    return Making()


@pytest.fixture
def world(tmp_path: Path, making: Making) -> Iterator[World]:
    settings = Settings(
        name="a-box",
        folder=tmp_path,
        port=1,
        region="us-east-1",
        access_key="AKIAEXAMPLE",
        secret_key="secret",
        token="token",
    )
    registry = install(settings.port, tmp_path / "registry", account_id=settings.account_id)
    world = World(settings, registry, {"process": making})
    making.gate.set()
    world.reset(executor="process")
    yield world
    world.remove()
    registry.remove()
    moto_account.reset("", "")


def test_a_removal_waits_for_a_reset_and_ends_what_it_has_begun(world: World, making: Making) -> None:
    making.gate.clear()
    making.is_waiting.clear()
    resetting = threading.Thread(target=lambda: world.reset(executor="process"))
    resetting.start()
    assert making.is_waiting.wait(20)
    removing = threading.Thread(target=world.remove)
    removing.start()
    removing.join(0.05)
    assert removing.is_alive()
    making.gate.set()
    for thread in (resetting, removing):
        thread.join(20)
    assert [executor.closed for executor in making.made] == [1, 1]


def test_a_world_that_was_removed_is_not_made_again(world: World, making: Making) -> None:
    world.remove()
    with pytest.raises(ValueError, match="going down"):
        world.reset(executor="process")
    assert [executor.closed for executor in making.made] == [1]
