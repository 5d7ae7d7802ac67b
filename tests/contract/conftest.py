"""The places that must keep the contract."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["local", "docker"])
def place(request: pytest.FixtureRequest) -> str:
    """Each place; where there is no docker engine, its tests are skipped with the reason."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    return str(request.param)
