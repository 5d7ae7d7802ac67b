"""The tags of all that the account has: Batch's own, and moto's of the rest."""

from collections.abc import Callable, Mapping

from cloudknot.testing.batch.errors import BatchError
from cloudknot.testing.iam.tags import tags_in_moto
from cloudknot.testing.server.regions import Region, Regions

__all__ = ["tags_of"]


def tags_of(regions: Regions) -> Callable[[str], Mapping[str, str]]:
    """Return what finds the tags of a resource by its ARN.

    Parameters
    ----------
    regions : Regions
        Batch in each region.
    """

    def find(arn: str) -> Mapping[str, str]:
        if not arn.startswith("arn:aws:batch:"):
            return tags_in_moto(arn)
        if "*" in arn:
            return {}
        return _of_batch(regions[arn.split(":")[3]], arn) or {}

    return find


def _of_batch(region: Region, arn: str) -> Mapping[str, str] | None:
    if ":job/" in arn:
        return region.engine.tags(arn)
    if ":job-definition/" not in arn:
        return region.catalogue.tags(arn)
    try:
        # SubmitJob may leave the revision out: the newest is meant.
        return region.catalogue.tags(arn) or region.catalogue.definition(arn).tags
    except BatchError:
        return None
