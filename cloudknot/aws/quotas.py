"""Batch's fixed quotas: compute environments and queues a region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudknot.aws.blueprint import Blueprint
from cloudknot.aws.pools import PURCHASES
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import STACK_TAG
from cloudknot.errors import InputError

# AWS Batch user guide, "AWS Batch service quotas": neither can be raised.
MAX_ENVIRONMENTS = 50
MAX_QUEUES = 50
# On demand and Spot.
_ENVIRONMENTS_A_POOL = 2


def check_quotas(aws: Aws, blueprint: Blueprint, old: Blueprint | None = None) -> None:
    """Refuse a stack that would not fit beside what the region has.

    Pools that go are counted with those that come: CloudFormation makes what is new first.

    Parameters
    ----------
    aws : Aws
        The account and region.
    blueprint : Blueprint
        What it shall be.
    old : Blueprint, optional
        What it is.

    Raises
    ------
    InputError
        The region would have too many compute environments or queues.
    """
    before = {pool.key for pool in old.pools} if old is not None else set[str]()
    wished = {pool.key for pool in blueprint.pools}
    if wished <= before:
        return
    pools = len(wished | before)
    for noun, operation, key, wanted, limit in (
        (
            *("compute environments", "describe_compute_environments", "computeEnvironments"),
            *(pools * _ENVIRONMENTS_A_POOL, MAX_ENVIRONMENTS),
        ),
        ("job queues", "describe_job_queues", "jobQueues", pools * len(PURCHASES), MAX_QUEUES),
    ):
        others = _count_others(aws.pages("batch", operation, key), blueprint.stack)
        if others + wanted > limit:
            raise InputError(
                f"the stack {blueprint.stack} would need {wanted} {noun} for its {pools} pools, "
                f"{aws.region} has {others} others, and AWS allows {limit} a region: remove pools with "
                "--remove-pool, or use another region"
            )


def _count_others(found: Iterable[Mapping[str, Any]], stack: str) -> int:
    there = [one for one in found if one.get("status") != "DELETED"]
    return len([one for one in there if (one.get("tags") or {}).get(STACK_TAG) != stack])
