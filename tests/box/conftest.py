"""Boxes for the tests of the box itself."""

import pytest

from cloudknot.testing import Box


@pytest.fixture
def docker_box(request: pytest.FixtureRequest, aws_box: Box) -> Box:
    """A fresh box that runs jobs in real containers."""
    request.getfixturevalue("engine")
    aws_box.reset(executor="docker")
    return aws_box


@pytest.fixture(params=["docker", "process"])
def box(request: pytest.FixtureRequest, aws_box: Box) -> Box:
    """A fresh box; the test runs with each executor."""
    if request.param == "docker":
        box: Box = request.getfixturevalue("docker_box")
        return box
    aws_box.reset(executor="process")
    return aws_box
