"""What a stack does not have is refused before an image is made, and taken as soon as it has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudknot import Knot, Retry
from cloudknot.aws.pools import parse_pool
from cloudknot.backends.aws import AwsBackend
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import EngineError, InputError
from cloudknot.specs import Resources
from cloudknot.testing import Box
from tests.aws.stand import here, make_stack

SECRET = "arn:aws:ssm:us-east-1:123456789012:parameter/lab/key"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"volume_gib": 333}, "--pool volume_gib=333' adds it"),
        ({"secrets": {"KEY": SECRET}}, f"--secret {SECRET}' allows it"),
        ({"vcpus": 1000}, "vcpus=1000 is more than"),
    ],
)
def test_a_knot_asks_for_what_the_stack_does_not_have(
    aws_lab: Box, home: Path, wanted: dict[str, Any], message: str
) -> None:
    client = Client(Settings(home=home, progress=False))
    before = len(aws_lab.calls())
    with pytest.raises(InputError) as caught:
        Knot(abs, backend="aws", client=client, **wanted)
    assert message in str(caught.value)
    assert {call.operation for call in aws_lab.calls(after=before)} == {"DescribeStacks"}


def test_failed_items_are_not_tried_again_with_more_than_there_is(aws_lab: Box, home: Path) -> None:
    client = Client(Settings(home=home, progress=False))
    future = Knot(int, backend="aws", client=client, retries=Retry(lost=0)).map(["1", "x"])
    assert isinstance(future.exception(), ValueError)
    known = client.jobs()
    with pytest.raises(InputError, match="vcpus=1000 is more than"):
        future.retry_failed(vcpus=1000)
    assert client.jobs() == known


@pytest.mark.aws_box(executor="process")
def test_what_was_configured_meanwhile_is_taken(aws_box: Box, home: Path) -> None:
    def no_engine() -> Engine:
        raise EngineError("none")

    make_stack()
    place = AwsBackend(here(), stack="cloudknot", home=home, engine=no_engine)
    wanted = Resources(volume_gib=333, secrets={"KEY": SECRET})
    with pytest.raises(InputError, match="has no queue"):
        place.check(wanted)
    make_stack(add_pools=(parse_pool("volume_gib=333"),), secret_arns=(SECRET,))
    place.check(wanted)
