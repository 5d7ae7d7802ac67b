"""The fixture `aws_box`. In a conftest: `pytest_plugins = ["cloudknot.testing.pytest_plugin"]`."""

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from cloudknot.testing.box import Box
from cloudknot.testing.launch import running
from cloudknot.testing.sessions import Sessions

__all__ = ["aws_box"]

_MARK = (
    "aws_box(executor='docker', seed=0, ticking=True): how the fixture aws_box is set up for this test; "
    "executor='process' runs jobs as processes of this machine"
)
_IDLE: dict[str, Any] = {"executor": "process"}
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


class _Shared:
    """The box of a session, and how it is when it is empty, which it is between two tests."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.sessions = Sessions()
        self.empty_as: dict[str, Any] | None = dict(_IDLE)

    def begin(self, options: dict[str, Any]) -> None:
        """Have it empty, with these options; it need not be emptied twice."""
        if self.empty_as != options:
            self.box.reset(**options)
        self.empty_as = None

    def end(self) -> None:
        """End what a test has begun."""
        self.box.reset(**_IDLE)
        self.empty_as = dict(_IDLE)


@pytest.fixture(scope="session")
def _aws_box_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shared]:
    folder = tmp_path_factory.mktemp("aws_box")
    name = f"pytest-{folder.parent.name}-{folder.name}"
    with running(folder, name=name) as box:
        yield _Shared(box)


@pytest.fixture
def aws_box(
    _aws_box_shared: _Shared, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Box]:
    """AWS in a box, empty; boto3 and all that reads AWS's environment variables speak to it."""
    box = _aws_box_shared.box
    marker = request.node.get_closest_marker("aws_box")
    _aws_box_shared.begin({"executor": "docker", **(marker.kwargs if marker else {})})
    for name in _in_the_way():
        monkeypatch.delenv(name)
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, _aws_box_shared.sessions.open()
    yield box
    boto3.DEFAULT_SESSION = before
    _aws_box_shared.end()


def _in_the_way() -> list[str]:
    return [name for name in os.environ if name.startswith(_IN_THE_WAY)]
