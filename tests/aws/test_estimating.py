"""What a map would cost, on the stack that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudknot.aws.estimating import estimate_on_aws
from cloudknot.config import Settings
from cloudknot.errors import AwsError
from cloudknot.money import Estimate
from cloudknot.specs import Resources
from cloudknot.testing import Box
from tests.aws.stand import REGION, allow, become, make_stack

pytestmark = pytest.mark.aws_box(executor="process")


def disks(estimate: Estimate) -> float:
    [usd] = [line.usd for line in estimate.lines if line.what == "Disks"]
    return usd


def test_an_estimate_knows_the_disks_and_the_size_of_the_stack(aws_box: Box, home: Path) -> None:
    def ask(stack: str) -> Estimate:
        return estimate_on_aws(
            Settings(home=home, region=REGION, stack=stack), Resources(vcpus=2), 10_000, 18.0
        )

    make_stack(stack="small", volume_gib=50, max_vcpus=16)
    usual, small = ask("not-there"), ask("small")
    assert disks(small) == pytest.approx(disks(usual) / 2)
    assert usual.n_jobs == small.n_jobs == 1000
    # 1,000 jobs of 2 vCPUs, 128 or 8 side by side: 8 rounds or 125
    assert small.wall_s / usual.wall_s == pytest.approx(125 / 8)


def test_without_a_region_an_estimate_is_that_of_the_table(
    aws_box: Box, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert "own table" in estimate_on_aws(Settings(home=home), Resources(), 10, 1.0).source
    assert not aws_box.calls()


def test_an_estimate_that_is_not_allowed_to_ask_what_it_must_says_so(
    aws_box: Box, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(aws_box, monkeypatch, "ada", allow("pricing:*"))
    with pytest.raises(AwsError, match="not authorized to perform: ec2:DescribeInstanceTypes"):
        estimate_on_aws(Settings(home=home, region=REGION), Resources(instance_types=("t3.medium",)), 10, 1.0)
