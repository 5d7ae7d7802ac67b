"""The places that must keep the contract."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["local", "docker", "aws"])
def place(request: pytest.FixtureRequest) -> str:
    """Each place; where there is no docker engine, its tests are skipped with the reason."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    elif request.param == "aws":
        request.getfixturevalue("aws_lab")
    return str(request.param)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "on_this_machine(why): the contract holds it for local and docker alone"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is no part of the contract on AWS; the mark says why."""
    left_out = [item for item in items if item.get_closest_marker("on_this_machine") and "[aws" in item.name]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
