"""Whether images can be built here, for the machines there, and whether there is a place to push them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cloudknot.aws.findings import MAKE_ANEW, Check, failed, passed, warned
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import AwsError, EngineError

# What images are built for where nothing else is said, as for the machines.
_USUAL = "linux/amd64"
_ALIKE = {"linux/x86_64": "linux/amd64", "linux/aarch64": "linux/arm64"}


def check_engine(engine: Callable[[], Engine]) -> Iterator[Check]:
    """Yield whether a docker engine answers, and whether it builds for the machines."""
    try:
        platform = engine().platform
    except EngineError as error:
        said, _, cure = str(error).partition(": ")
        sentence = f"{said}, so that no image can be built here; those that ECR has are used all the same"
        yield warned("docker", sentence, cure or said)
        return
    yield passed("docker", f"the engine answers, for {platform}")
    yield check_platform(platform)


def check_platform(platform: str) -> Check:
    """Return whether what an engine builds by itself fits the machines that Knots ask for by default.

    Examples
    --------
    >>> check_platform("linux/arm64").level.value
    'warning'
    """
    platform = _ALIKE.get(platform, platform)
    if platform == _USUAL:
        return passed("architecture", f"images are built for {platform}, as the default queue's machines are")
    return warned(
        "architecture",
        f"this engine is {platform}, and the machines of the default queue are {_USUAL}: images for them are "
        "built under emulation, which is slow",
        'machines like this one, with arch="arm64" and Image(platform="linux/arm64")',
    )


def check_repository(aws: Aws, substrate: Substrate) -> Iterator[Check]:
    """Yield whether the stack's repository is there."""
    name = substrate.repository_uri.partition("/")[2]
    try:
        found = aws.call("ecr", "describe_images", repositoryName=name, maxResults=1000)["imageDetails"]
    except AwsError as error:
        if error.code != "RepositoryNotFoundException":
            raise
        yield failed("images", f"the repository {name} is gone from ECR", MAKE_ANEW)
        return
    size = sum(int(one.get("imageSizeInBytes", 0)) for one in found)
    yield passed("images", f"the repository {name} has {len(found)} images, {size / 1e9:.1f} GB")
