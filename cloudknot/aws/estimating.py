"""What a map would cost on AWS, before anything is there."""

from __future__ import annotations

from cloudknot.aws.planning import TARGET_S
from cloudknot.aws.prices import price_of
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import DISK_GIB, MAX_VCPUS, find_substrate
from cloudknot.config import Settings
from cloudknot.errors import AwsError, InputError
from cloudknot.money import Estimate, estimate
from cloudknot.specs import Resources

# A container starts, Python and the modules are loaded; once a machine the image is pulled.
START_S = 20.0
_DEFAULT_REGION = "us-east-1"


def estimate_on_aws(
    settings: Settings, resources: Resources, n_items: int, seconds_per_item: float
) -> Estimate:
    """Return what a map would cost on the stack that is set, or else on one as 'configure' makes it.

    Without a region or credentials it goes by the package's own prices.
    """
    aws = Aws(profile=settings.profile, region=settings.region)
    stack = find_substrate(aws, settings.stack)
    disk_gib, max_vcpus = (stack.volume_gib, stack.max_vcpus) if stack else (DISK_GIB, MAX_VCPUS)
    try:
        price = price_of(aws, resources, region=aws.region, disk_gib=disk_gib, home=settings.home)
    except (AwsError, InputError) as error:
        region = settings.region or _DEFAULT_REGION
        try:
            price = price_of(None, resources, region=region, disk_gib=disk_gib)
        except InputError:  # the table does not know such machines, and AWS was not allowed to tell
            raise error from None
    return estimate(
        price,
        n_items,
        seconds_per_item,
        start_s=START_S,
        max_parallel=max(1, int(max_vcpus // resources.vcpus)),
        chunk_s=TARGET_S,
    )
