"""What AWS has with a stack's tag."""

from __future__ import annotations

from collections.abc import Iterable

from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import STACK_TAG

# AWS lists these for days after they have ended, and nobody can remove them earlier.
_PASSING = (":job/",)
# DescribeJobDefinitions takes no more at once.
_MOST_DEFINITIONS = 100


def find_tagged(aws: Aws, stack: str) -> list[str]:
    """Return the ARNs of all that has a stack's tag and has not ended by itself.

    Raises
    ------
    AwsError
        AWS refused, such as for want of ``tag:GetResources``.
    """
    found = aws.pages(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=[{"Key": STACK_TAG, "Values": [stack]}],
    )
    arns = [str(one["ResourceARN"]) for one in found]
    lasting = {arn for arn in arns if not any(part in arn for part in _PASSING)}
    definitions = {arn for arn in lasting if ":job-definition/" in arn}
    return sorted((lasting - definitions | _active(aws, definitions)) - _terminated(aws, lasting))


def _active(aws: Aws, definitions: Iterable[str]) -> set[str]:
    # Deregistered ones stay known for half a year.
    listed, active = sorted(definitions), set()
    for first in range(0, len(listed), _MOST_DEFINITIONS):
        some = listed[first : first + _MOST_DEFINITIONS]
        reply = aws.call("batch", "describe_job_definitions", jobDefinitions=some)
        active |= {
            str(one["jobDefinitionArn"]) for one in reply["jobDefinitions"] if one["status"] == "ACTIVE"
        }
    return active


def _terminated(aws: Aws, arns: Iterable[str]) -> set[str]:
    # A machine that is gone is still listed for an hour.
    ids = {arn.rpartition("/")[2]: arn for arn in arns if ":instance/" in arn}
    if not ids:
        return set()
    filters = [
        {"Name": "instance-id", "Values": sorted(ids)},
        {"Name": "instance-state-name", "Values": ["shutting-down", "terminated"]},
    ]
    reservations = aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
    return {ids[one["InstanceId"]] for reservation in reservations for one in reservation["Instances"]}
