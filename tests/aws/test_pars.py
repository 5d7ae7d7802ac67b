"""`Pars` finds what all Knots share, or makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudknot.aws.substrate import read_stack
from cloudknot.errors import InputError
from cloudknot.pars import Pars
from cloudknot.testing import Box
from tests.aws.stand import here

pytestmark = pytest.mark.aws_box(executor="process")


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDKNOT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "home"))


def test_it_is_made_once_and_found_again_by_one_request(aws_box: Box) -> None:
    pars = Pars()
    assert (pars.name, pars.region) == ("cloudknot", "us-east-1")
    assert pars.bucket == "cloudknot-123456789012-us-east-1"
    assert {"x86", "x86-spot", "arm64-prefer", "fargate"} <= set(pars.queues)
    before = aws_box.calls()[-1].number
    assert Pars().substrate == pars.substrate
    assert [call.operation for call in aws_box.calls(before)] == ["DescribeStacks"]


def test_what_is_asked_for_is_made_and_planned(aws_box: Box) -> None:
    aws_box.client("s3").create_bucket(Bucket="theirs")
    told: list[str] = []
    reads = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    pars = Pars(
        "lab",
        bucket="theirs",
        policies=[reads],
        use_default_vpc=False,
        aws_resource_tags={"owner": "ada"},
        tell=told.append,
    )
    assert pars.bucket == "theirs"
    assert "Vpc: create complete" in told
    assert pars.substrate.tags["owner"] == "ada"
    assert pars.plan() == []
    other = Pars("lab")
    assert other.plan() == []
    assert other.substrate == pars.substrate


def test_it_is_removed_with_all_that_is_in_it(aws_box: Box) -> None:
    pars = Pars()
    aws_box.client("s3").put_object(Bucket=pars.bucket, Key="runs/r/x")
    removed = pars.clobber()
    assert (removed.objects, removed.left) == (1, ())
    assert read_stack(here(), "cloudknot") is None
    assert pars.plan()


@pytest.mark.usefixtures("aws_box")
def test_it_shows_what_it_is() -> None:
    pars = Pars("lab")
    assert repr(pars) == "<Pars lab: 123456789012 in us-east-1>"
    assert "<th>bucket</th><td>lab-123456789012-us-east-1</td>" in pars._repr_html_()
    with pytest.raises(InputError, match="stack 'No' will not do"):
        Pars("No")


@pytest.mark.usefixtures("aws_box")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "stack '' will not do"),
        ({"name": "My Lab"}, "stack 'My Lab' will not do"),
        ({"region": "moon"}, "region 'moon' will not do"),
        ({"subnet_ids": "subnet-1"}, r"subnet_ids must be a list, not the string 'subnet-1'"),
        ({"policies": "arn:aws:iam::aws:policy/x"}, r"policies must be a list.*write \['arn:aws"),
        ({"policies": ["ReadOnly"]}, "--job-policy 'ReadOnly' will not do: write an ARN such as"),
        ({"aws_resource_tags": [{"owner": "ada"}]}, "aws_resource_tags must be such as"),
    ],
)
def test_what_will_not_do_is_said_before_anything_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pars(**options)
    assert read_stack(here(), "cloudknot") is None


@pytest.mark.usefixtures("aws_box")
def test_tags_may_be_written_as_aws_lists_them() -> None:
    assert Pars(aws_resource_tags=[{"Key": "owner", "Value": "ada"}]).substrate.tags["owner"] == "ada"


@pytest.mark.usefixtures("aws_box")
def test_the_settings_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDKNOT_STACK", "lab")
    assert Pars().name == "lab"
