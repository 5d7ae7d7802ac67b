"""Images for AWS Batch in the box: built and pushed for real, and only where nobody has done it before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from docker import DockerClient

from cloudknot.aws.images import RemoteImages, check_platform
from cloudknot.aws.session import Aws
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import find_image, remove_image, tag_image
from cloudknot.errors import EngineError, ImageError, NotConfiguredError
from cloudknot.images import digest_request
from cloudknot.requirements import Needs, Pin
from cloudknot.shipping import pack
from cloudknot.specs import Image
from cloudknot.testing import Box
from tests.aws.pushing_rig import REPOSITORY, become, least_policy, make_repository, make_stub, operations
from tests.box import cloud
from tests.test_images import load_arm_image

# Of this process, so that nothing of what is built is there already.
USER = f"test{os.getpid()}"
STUB = "cloudknot-test/stub:1"
IMAGE = Image(user=USER, base=STUB)
RUNNER = ("/opt/cloudknot/bin/python", "-c", "import boto3, cloudknot.runner; print(boto3.__version__)")


def double(number: int) -> int:
    return 2 * number


def add(number: int) -> int:
    return number + 1


def no_engine() -> Engine:
    raise EngineError("no docker engine answers")


class Desk:
    """Prepares images as people do, each with a home of theirs, and remembers what was said."""

    def __init__(self, box: Box, uri: str, homes: Path) -> None:
        self.box = box
        self.uri = uri
        self.homes = homes
        self.engine = Engine()
        self.said: list[str] = []
        self._built: set[str] = set()

    def hear(self, line: str) -> None:
        """Remember what was said, and what was built."""
        self.said.append(line)
        if line.startswith("building "):
            self._built.add(line.split()[1])

    def remote(self, home: str = "ada", **changes: Any) -> RemoteImages:
        """Open a session of somebody."""
        given: dict[str, Any] = {
            "engine": lambda: self.engine,
            "home": self.homes / home,
            "default_base": None,
            "tell": self.hear,
            **changes,
        }
        return RemoteImages(given.pop("aws", Aws()), self.uri, **given)

    def prepare(
        self, remote: RemoteImages, image: Image = IMAGE, function: Callable[..., Any] = double
    ) -> str:
        """Prepare an image and return its name."""
        self.said.clear()
        return remote.prepare(image, pack(function).imports).image

    @property
    def tags(self) -> list[str]:
        """What ECR has."""
        found = self.box.client("ecr").list_images(repositoryName=REPOSITORY)["imageIds"]
        return sorted(one["imageTag"] for one in found if "imageTag" in one)

    @property
    def has_built(self) -> bool:
        return any(line.startswith("building ") for line in self.said)

    @property
    def has_pushed(self) -> bool:
        return any(line.startswith("pushing ") for line in self.said)

    def forget(self) -> None:
        """Take what was built from the engine."""
        for name in self._built:
            remove_image(self.engine, name)


@pytest.fixture
def desk(engine: DockerClient, aws_box: Box, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(aws_box, make_repository(aws_box), tmp_path)
    make_stub(desk.engine)
    yield desk
    desk.forget()
    desk.engine.close()


def run_in(box: Box, image: str) -> dict[str, Any]:
    cloud.make_queue(box)
    job = cloud.finish(box, cloud.submit(box, cloud.make_definition(box, *RUNNER, image=image)))
    return {"status": job["status"], "log": cloud.log_of(box, job)}


def test_a_job_runs_in_the_image_with_what_the_runner_needs(desk: Desk) -> None:
    image = desk.prepare(desk.remote(), Image(user=USER))
    found = desk.box.client("ecr").describe_images(repositoryName=REPOSITORY)["imageDetails"]
    assert image == f"{desk.uri}@{found[0]['imageDigest']}"
    assert desk.said[-2:] == [f"the image {image} is ready", ""]
    # What runs is what ECR has.
    desk.forget()
    assert run_in(desk.box, image) == {"status": "SUCCEEDED", "log": [boto3.__version__]}


def test_the_runner_goes_with_what_a_persons_own_lines_say(desk: Desk) -> None:
    image = desk.prepare(desk.remote(), Image(user=USER, requirements=("boto3==1.35.2", "six==1.16.0")))
    assert run_in(desk.box, image) == {"status": "SUCCEEDED", "log": ["1.35.2"]}


@pytest.mark.aws_box(executor="process")
def test_a_boto3_that_is_too_old_for_the_runner_is_refused_before_it_is_pushed(desk: Desk) -> None:
    old = Image(user=USER, requirements=("boto3==1.34.0",))
    with pytest.raises(ImageError, match=r"boto3 1\.34\.0 is too old.* It needs boto3 from 1\.35\.2 up"):
        desk.prepare(desk.remote(), old)
    assert desk.tags == []


@pytest.mark.aws_box(executor="process")
def test_an_image_that_a_colleague_has_removed_is_sent_again_in_the_same_session(desk: Desk) -> None:
    seconds = [0.0]
    remote = desk.remote(clock=lambda: seconds[0])
    image = desk.prepare(remote)
    desk.remote("ana").remove([image])
    assert desk.tags == []
    seconds[0] = 60.0
    assert desk.prepare(remote).startswith(f"{desk.uri}@")
    assert len(desk.tags) == 1
    before = len(desk.box.calls())
    desk.prepare(remote)
    assert len(desk.box.calls()) == before


@pytest.mark.aws_box(executor="process")
def test_a_repeat_is_one_question_and_needs_no_engine(desk: Desk) -> None:
    image = desk.prepare(desk.remote())
    before = len(desk.box.calls())
    again = desk.remote(engine=no_engine)
    assert desk.prepare(again) == image
    assert operations(desk.box)[-1] == "DescribeImages"
    assert len(desk.box.calls()) == before + 1
    # The same in one process, for another function with the same needs: nobody is asked.
    assert desk.prepare(again, function=add) == desk.prepare(again) == image
    assert len(desk.box.calls()) == before + 1
    # With an engine it is the same one question.
    assert desk.prepare(desk.remote()) == image
    assert len(desk.box.calls()) == before + 2


@pytest.mark.aws_box(executor="process")
def test_what_a_colleague_has_pushed_is_not_built(desk: Desk) -> None:
    image = desk.prepare(desk.remote("ada"))
    desk.forget()
    assert desk.prepare(desk.remote("ben")) == image
    assert not desk.has_built
    assert not desk.has_pushed


@pytest.mark.aws_box(executor="process")
def test_what_ecr_has_removed_is_pushed_again(desk: Desk) -> None:
    image = desk.prepare(desk.remote())
    ecr = desk.box.client("ecr")
    ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag} for tag in desk.tags])
    with pytest.raises(EngineError, match=f"not in {desk.uri} and must be built on this machine: no docker"):
        desk.prepare(desk.remote(engine=no_engine))
    assert desk.prepare(desk.remote()) == image
    assert desk.has_pushed
    assert not desk.has_built


@pytest.mark.aws_box(executor="process")
def test_without_an_engine_what_nobody_has_built_cannot_be_had(desk: Desk) -> None:
    with pytest.raises(EngineError, match="must be built on this machine: no docker engine answers"):
        desk.prepare(desk.remote(engine=no_engine))


@pytest.mark.aws_box(executor="process")
def test_a_base_that_means_another_image_now_gives_another_image(desk: Desk) -> None:
    for number in (1, 2):
        tag_image(desk.engine, make_stub(desk.engine, number), "cloudknot-test/moving:1")
        desk.prepare(desk.remote(), replace(IMAGE, base="cloudknot-test/moving:1"))
    remove_image(desk.engine, "cloudknot-test/moving:1")
    assert len(desk.tags) == 2


@pytest.mark.aws_box(executor="process")
def test_two_processes_at_once_come_to_the_same_image_where_tags_stay(desk: Desk) -> None:
    ecr = desk.box.client("ecr")
    ecr.put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    engines = [Engine(), Engine()]
    sessions = [
        desk.remote(home, engine=lambda own=own: own)
        for home, own in zip(("ada", "ben"), engines, strict=True)
    ]
    with ThreadPoolExecutor(2) as pool:
        images = set(pool.map(desk.prepare, sessions))
    assert len(images) == len(desk.tags) == 1
    for own in engines:
        own.close()


@pytest.mark.aws_box(executor="process")
def test_one_session_pushes_once_for_all_its_threads(desk: Desk) -> None:
    remote = desk.remote()
    with ThreadPoolExecutor(4) as pool:
        images = set(pool.map(lambda function: desk.prepare(remote, function=function), [double, add] * 2))
    assert len(images) == 1
    assert operations(desk.box).count("GetAuthorizationToken") == 1


@pytest.mark.aws_box(executor="process")
def test_the_least_policy_is_enough_to_prepare_and_to_remove(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = desk.remote(aws=become(desk.box, monkeypatch, least_policy(desk.box)))
    image = desk.prepare(remote)
    assert remote.remove([image])[0] == image


@pytest.mark.aws_box(executor="process")
def test_what_is_removed_is_told_and_made_again_when_it_is_needed(desk: Desk) -> None:
    remote = desk.remote()
    image = desk.prepare(remote)
    [tag] = desk.tags
    others = [f"{desk.uri}@sha256:{'0' * 64}", f"elsewhere/lab@{image.partition('@')[2]}"]
    assert remote.remove([image, *others]) == (image,)
    assert desk.tags == []
    assert find_image(desk.engine, f"cloudknot:{tag}") is not None  # Knots in containers here may need it
    assert remote.remove([image]) == ()
    assert desk.prepare(remote).startswith(f"{desk.uri}@sha256:")
    assert desk.tags == [tag]


@pytest.mark.aws_box(executor="process")
def test_without_a_repository_nothing_is_built(engine: DockerClient, aws_box: Box, tmp_path: Path) -> None:
    desk = Desk(aws_box, f"localhost:{aws_box.port}/nowhere", tmp_path)
    make_stub(desk.engine)
    with pytest.raises(NotConfiguredError, match="cloudknot configure"):
        desk.prepare(desk.remote())
    assert not desk.has_built
    desk.engine.close()


@pytest.mark.aws_box(executor="process")
def test_an_image_of_another_architecture_is_refused_before_it_is_pushed(desk: Desk) -> None:
    name = f"cloudknot-test/arm-{os.getpid()}"
    load_arm_image(desk.engine, name)
    try:
        check_platform(desk.engine, f"{name}:latest", "linux/arm64/v8")
        with pytest.raises(ImageError, match=r"is for linux/arm64, not for linux/amd64 .* was not pushed"):
            check_platform(desk.engine, f"{name}:latest", "linux/amd64")
        # Without a word jobs are for x86, whatever this machine is.
        with pytest.raises(ImageError, match=name):
            desk.prepare(desk.remote(), replace(IMAGE, base=f"{name}:latest"))
    finally:
        remove_image(desk.engine, f"{name}:latest")
    assert desk.tags == []


def test_a_request_is_known_by_all_that_was_asked_for(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM python:3.11-slim\n")
    needs = Needs(pins=(Pin(name="six", version="1.17.0"),))
    own = Image(dockerfile=dockerfile)
    known = [
        digest_request(Image(), needs),
        digest_request(Image(), Needs()),
        digest_request(Image(), needs, default_base="lab:1"),
        digest_request(Image(platform="linux/arm64"), needs),
        digest_request(Image(apt=("git",)), needs),
        digest_request(own, needs),
    ]
    assert digest_request(Image(base="lab:1"), needs) == known[2]
    assert digest_request(own, needs) == known[-1]
    (tmp_path / "script.sh").write_text("true\n")
    known.append(digest_request(own, needs))
    assert len({*known}) == len(known)
