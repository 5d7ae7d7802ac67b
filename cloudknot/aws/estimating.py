"""What a map would cost on AWS, before anything is there."""

from __future__ import annotations

from cloudknot.aws.planning import TARGET_S
from cloudknot.aws.prices import price_of
from cloudknot.aws.session import Aws
from cloudknot.config import Settings
from cloudknot.errors import AwsError, InputError
from cloudknot.money import Estimate, estimate
from cloudknot.specs import Resources

# A container starts, Python and the modules are loaded; once a machine the image is pulled.
START_S = 20.0
# What a pool of the stack may have running at once where 'configure' was told nothing else.
_MAX_VCPUS = 256
_DEFAULT_REGION = "us-east-1"


def estimate_on_aws(
    settings: Settings, resources: Resources, n_items: int, seconds_per_item: float
) -> Estimate:
    """Return what a map would cost; without a region or credentials by the package's own prices."""
    aws = Aws(profile=settings.profile, region=settings.region)
    try:
        region = aws.region
        price = price_of(aws, resources, region=region, home=settings.home)
    except (AwsError, InputError):
        price = price_of(None, resources, region=settings.region or _DEFAULT_REGION)
    return estimate(
        price,
        n_items,
        seconds_per_item,
        start_s=START_S,
        max_parallel=max(1, int(_MAX_VCPUS // resources.vcpus)),
        chunk_s=TARGET_S,
    )
