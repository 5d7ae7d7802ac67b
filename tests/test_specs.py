"""What a user may ask of AWS: values that are checked when made and survive the ledger."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from cloudknot import InputError, Retry
from cloudknot.sizes import FARGATE, size_on_batch
from cloudknot.specs import Resources
from cloudknot.testing.batch import fargate as box_fargate

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab/key-AbCdEf"
PARAMETER = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/lab/token"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_mib": 100.5}, "memory_mib must be a whole number, not 100.5: use 101"),
        ({"gpus": -1}, "gpus must be a whole number from 0 up, not -1"),
        ({"gpus": True}, "gpus must be a whole number"),
        ({"gpus": 0.5}, "gpus must be a whole number"),
        ({"spot": "always"}, "spot must be True, False or 'prefer', not 'always'"),
        ({"spot": 1}, "spot must be True, False or 'prefer', not 1"),
        ({"arch": "amd64"}, "arch must be 'x86_64', 'arm64' or None, not 'amd64'"),
        ({"fargate": "yes"}, "fargate must be True or False, not 'yes'"),
        ({"instance_types": ["m5", "big"]}, "instance_types 'big' will not do: use kinds such as 'm5'"),
        ({"instance_types": "m5.huge"}, "instance_types 'm5.huge' will not do"),
        ({"instance_types": 5}, "instance_types must be a list of strings, not int 5"),
        ({"instance_types": [5]}, "instance_types 5 will not do"),
        ({"volume_gib": 29}, "volume_gib must be a whole number from 30 to 16384, not 29 .*needs 30"),
        ({"volume_gib": 16385}, "from 30 to 16384, not 16385"),
        ({"bid_percentage": 0}, "bid_percentage must be a whole number from 1 to 100, not 0"),
        ({"bid_percentage": 101}, "bid_percentage must be a whole number from 1 to 100"),
        ({"fargate": True, "gpus": 1}, "Fargate has no gpus: leave out gpus or fargate"),
        ({"fargate": True, "instance_types": "m5"}, "Fargate has no instance_types"),
        ({"fargate": True, "bid_percentage": 50}, "Fargate has no bid_percentage"),
        ({"fargate": True, "volume_gib": 201}, r"from 20 to 200, not 201 \(on Fargate\)"),
        ({"fargate": True, "volume_gib": 19}, "from 20 to 200, not 19"),
        (
            {"fargate": True, "vcpus": 3, "memory_mib": 5000},
            "no vcpus=3 with memory_mib=5000: the nearest that has as much is vcpus=4, memory_mib=8192",
        ),
        ({"secrets": "KEY"}, "secrets must be a dict of ARNs by name, not str"),
        ({"secrets": ["KEY"]}, "secrets must be a dict of ARNs by name, not list"),
        ({"secrets": {"A-B": SECRET}}, "secrets has a bad name 'A-B'"),
        ({"secrets": {"AWS_BATCH_KEY": SECRET}}, "secrets has a bad name 'AWS_BATCH_KEY'"),
        ({"secrets": {"KEY": "arn:aws:s3:::bucket"}}, r"secrets\['KEY'\] must be the ARN of a secret"),
    ],
)
def test_what_aws_would_not_take_is_refused_with_the_cure(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Resources(**options)


def test_a_secret_given_as_it_is_does_not_stand_in_the_message() -> None:
    with pytest.raises(InputError) as raised:
        Resources(secrets={"KEY": "hush-hush"})
    assert "hush" not in str(raised.value)


def test_resources_survive_the_ledger_and_are_hashable() -> None:
    wanted = Resources(
        vcpus=4,
        memory_mib=8192,
        gpus=np.int64(2),
        spot="prefer",
        arch="arm64",
        instance_types=("p4d.24xlarge", "g5"),
        volume_gib=100,
        bid_percentage=60,
        secrets={"TOKEN": PARAMETER, "KEY": SECRET},
    )
    again = Resources(**json.loads(json.dumps(asdict(wanted))))
    assert again == wanted
    assert hash(again) == hash(wanted)
    assert dict(again.secrets) == {"KEY": SECRET, "TOKEN": PARAMETER}
    assert replace(wanted, memory_mib=9000).secrets == wanted.secrets


def test_a_record_of_an_older_version_is_read() -> None:
    assert Resources(**{"vcpus": 2, "memory_mib": 64, "timeout_s": None}).gpus == 0
    assert Retry(**{"raised": 1, "lost": 0}).on_oom == "fail"


def test_kinds_of_machines_are_the_same_in_any_order_and_optimal_is_no_choice() -> None:
    assert Resources(instance_types="m5").instance_types == ("m5",)
    wanted = Resources(instance_types=["m5.large", "c5n.18xlarge", "m5.large", "m7i-flex.large"])  # type: ignore[arg-type]
    assert wanted.instance_types == ("c5n.18xlarge", "m5.large", "m7i-flex.large")
    assert Resources(instance_types=("optimal",)) == Resources()
    for kind in ("u-6tb1.metal", "c7gd.metal-48xl", "u7i-12tb.224xlarge", "trn1.2xlarge", "t3.micro", "mac2"):
        assert Resources(instance_types=kind).instance_types == (kind,)


@pytest.mark.parametrize(("spot", "meant"), [(False, True), (True, True), ("prefer", "prefer")])
def test_a_bid_means_spot(spot: Any, meant: object) -> None:
    assert Resources(bid_percentage=50, spot=spot).spot == meant


def test_the_disk_that_fargate_gives_is_not_asked_for() -> None:
    assert Resources(fargate=True, volume_gib=20).volume_gib is None
    assert Resources(fargate=True, volume_gib=21).volume_gib == 21


def test_fargate_has_the_sizes_of_the_box() -> None:
    assert {vcpus: frozenset(sizes) for vcpus, sizes in FARGATE.items()} == box_fargate.GRID


@pytest.mark.parametrize(
    ("vcpus", "memory_mib", "is_fargate", "message"),
    [
        (1.5, 2048, False, "vcpus=1.5 .*whole processors: use vcpus=2, or fargate=True"),
        (0.5, None, False, "vcpus=0.5 .*use vcpus=1, or fargate=True"),
        (1, 2000, True, "the nearest that has as much is vcpus=1, memory_mib=2048"),
        (1, 9000, True, "the nearest that has as much is vcpus=2, memory_mib=9216"),
        (
            0.1,
            None,
            True,
            "Fargate has no vcpus=0.1: the nearest that has as much is vcpus=0.25, memory_mib=2048",
        ),
        (
            64,
            None,
            True,
            "Fargate has no vcpus=64: its largest is vcpus=32, memory_mib=249856: leave fargate",
        ),
    ],
)
def test_a_size_that_batch_does_not_have_is_refused_with_the_nearest(
    vcpus: float, memory_mib: int | None, is_fargate: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        size_on_batch(vcpus, memory_mib, is_fargate=is_fargate)


@pytest.mark.parametrize("vcpus", FARGATE)
def test_fargate_has_memory_where_none_is_asked(vcpus: float) -> None:
    assert size_on_batch(vcpus, None, is_fargate=True).memory_mib in FARGATE[vcpus]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_oom": "triple"}, "on_oom must be 'fail' or 'double', not 'triple'"),
        ({"max_memory_mib": 4096}, "say on_oom='double' too"),
        ({"on_oom": "double", "max_memory_mib": 0}, "max_memory_mib must be a whole number from 1 up"),
    ],
)
def test_a_retry_that_means_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Retry(**options)


def test_doubling_must_lead_somewhere() -> None:
    with pytest.raises(InputError, match="max_memory_mib=2048 is no more than memory_mib=2048"):
        Retry(on_oom="double", max_memory_mib=2048).check_memory(2048)
    Retry(on_oom="double", max_memory_mib=2049).check_memory(2048)
    assert hash(Retry(on_oom="double")) == hash(Retry(on_oom="double"))
