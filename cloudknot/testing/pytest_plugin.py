"""The fixture `aws_box`. In a conftest: `pytest_plugins = ["cloudknot.testing.pytest_plugin"]`."""

import os
from collections.abc import Iterator

import boto3
import pytest

from cloudknot.testing.box import Box
from cloudknot.testing.launch import running

__all__ = ["aws_box"]

_MARK = (
    "aws_box(executor='docker', seed=0, ticking=True): how the fixture aws_box is set up for this test; "
    "executor='process' runs jobs as processes of this machine"
)
# Any of these would lead a client past the box, or to other credentials.
_IN_THE_WAY = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL_",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


@pytest.fixture(scope="session")
def _aws_box_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("aws_box")
    name = f"pytest-{folder.parent.name}-{folder.name}"
    with running(folder, name=name) as box:
        yield box


@pytest.fixture
def aws_box(
    _aws_box_process: Box, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Box]:
    """AWS in a box, empty; boto3 and all that reads AWS's environment variables speak to it."""
    box = _aws_box_process
    marker = request.node.get_closest_marker("aws_box")
    options = {"executor": "docker", **(marker.kwargs if marker else {})}
    box.reset(**options)
    for name in _in_the_way():
        monkeypatch.delenv(name)
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    yield box
    boto3.DEFAULT_SESSION = before
    box.reset(executor="process")


def _in_the_way() -> list[str]:
    return [name for name in os.environ if name.startswith(_IN_THE_WAY)]
