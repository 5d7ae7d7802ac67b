"""What is found by its tags: moto leaves out repositories and rules, and knows nothing of the box's Batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from moto.core.resource_tagging import TaggedResource, iter_taggable_backends
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.resourcegroupstaggingapi import models

__all__ = ["install"]

Tagged = tuple[str, Mapping[str, str]]
"""An ARN and its tags."""


class _Rows:
    """What has tags, as moto's services show theirs."""

    def __init__(self, rows: Iterable[Tagged]) -> None:
        self._rows = rows

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for arn, tags in self._rows:
            if tags:
                yield TaggedResource(arn=arn, tags=dict(tags), resource_type=_kind(arn))


def install(batch_in: Callable[[str], Iterable[Tagged]]) -> None:
    """Make the tagging API of moto show what Batch, ECR and EventBridge have, and each tag key once.

    Parameters
    ----------
    batch_in : callable
        Gives what Batch has in a region.
    """

    def all_backends(account_id: str, region_name: str) -> Iterator[Any]:
        yield from iter_taggable_backends(account_id, region_name)
        yield _Rows(batch_in(region_name))
        yield _Rows(_repositories(account_id, region_name))
        yield _Rows(_rules(account_id, region_name))

    def tag_keys(backend: models.ResourceGroupsTaggingAPIBackend) -> Iterator[str]:
        sources = all_backends(backend.account_id, backend.region_name)
        tagged = (one for source in sources for one in source.iter_tagged_resources())
        yield from sorted({key for one in tagged for key in one.tags})

    for owner, name, replacement in (
        (models, "iter_taggable_backends", all_backends),
        (models.ResourceGroupsTaggingAPIBackend, "_get_tag_keys_generator", tag_keys),
    ):
        setattr(owner, name, replacement)


def _repositories(account_id: str, region: str) -> Iterator[Tagged]:
    ecr = ecr_backends[account_id][region]
    for repository in list(ecr.repositories.values()):
        yield repository.arn, ecr.tagger.get_tag_dict_for_resource(repository.arn)


def _rules(account_id: str, region: str) -> Iterator[Tagged]:
    events = events_backends[account_id][region]
    for bus in list(events.event_buses.values()):
        for rule in list(bus.rules.values()):
            yield rule.arn, events.tagger.get_tag_dict_for_resource(rule.arn)


def _kind(arn: str) -> str:
    """Return the type by which GetResources filters.

    >>> _kind("arn:aws:batch:us-east-1:123456789012:job-queue/lab")
    'batch:job-queue'
    """
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    return f"{service}:{resource.partition('/')[0]}"
