"""A stack of cloudknot's in a box, as 'cloudknot configure' makes it."""

from __future__ import annotations

import time

import pytest

from cloudknot.aws.blueprint import Blueprint
from cloudknot.aws.networks import choose_network
from cloudknot.aws.session import Aws
from cloudknot.aws.stacks import Stacks
from cloudknot.testing import Box

_IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")


def enter(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all that reads AWS's environment variables speak to a box."""
    for name in _IN_THE_WAY:
        monkeypatch.delenv(name, raising=False)
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)


def make_stack(name: str = "cloudknot") -> None:
    """Make the shared resources; the environment variables say where."""
    aws = Aws()
    stacks = Stacks(aws)
    network = choose_network(aws)
    proposed = stacks.propose(Blueprint(stack=name, bucket=f"{name}-runs", network=network))
    assert proposed is not None
    stacks.carry_out(proposed)


def switch_queue(box: Box, queue: str, state: str) -> None:
    """Switch a queue on or off, and wait until Batch has done so."""
    batch = box.client("batch")
    batch.update_job_queue(jobQueue=queue, state=state)
    end = time.monotonic() + 30
    while batch.describe_job_queues(jobQueues=[queue])["jobQueues"][0]["status"] != "VALID":
        assert time.monotonic() < end, f"{queue} is not {state}"
        time.sleep(0.1)
