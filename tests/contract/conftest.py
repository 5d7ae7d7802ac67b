"""The places that must keep the contract."""

from __future__ import annotations

import os

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
        "markers", "many_jobs: takes long on AWS: there it runs in the whole contract only"
    )
    config.addinivalue_line(
        "markers", "on_this_machine(why): the contract holds it for local and docker alone"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is no part of the contract on AWS; the mark says why.

    A job there takes a second to start: of a test with several cases one runs there, and none of those that
    need many jobs. All of them run where ``CLOUDKNOT_WHOLE_CONTRACT`` is set (``make contract``).
    """
    is_whole = bool(os.environ.get("CLOUDKNOT_WHOLE_CONTRACT"))
    seen, left_out = set(), []
    for item in items:
        if "[aws" in item.name:
            test = item.nodeid.partition("[")[0]
            is_more = not is_whole and (test in seen or item.get_closest_marker("many_jobs"))
            if is_more or item.get_closest_marker("on_this_machine"):
                left_out.append(item)
            seen.add(test)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
