"""A person's own image: built, pushed as to ECR, and run by jobs, with an unmodified docker client."""

import base64
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from cloudknot.testing import Box, BoxError
from cloudknot.testing.executors.docker_options import BOX_LABEL
from cloudknot.testing.launch import running
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")

BASE = "cloudknot-test/bare:3.11"
REPOSITORIES = "arn:aws:ecr:us-east-1:123456789012:repository"
WHO_AM_I = """
import json, os, urllib.request
answer = urllib.request.urlopen(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
print(json.load(answer)["RoleArn"])
"""


class Docker:
    """The docker command line, with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *arguments: str, input: str | None = None) -> str:
        command = ["docker", "--config", str(self._folder), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, input=input)
        return done.stdout

    def log_in(self, box: Box) -> None:
        [data] = box.client("ecr").get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        self("login", "--username", user, "--password-stdin", data["proxyEndpoint"], input=password)


@pytest.fixture
def command_line(engine: docker.DockerClient, tmp_path: Path) -> Docker:
    return Docker(tmp_path)


@pytest.fixture
def image(engine: docker.DockerClient) -> Iterator[Any]:
    """An image that no registry has, and that is gone from this machine after the test."""
    container = engine.containers.run(BASE, ["sh", "-c", "echo mine > /mine"], detach=True)
    container.wait()
    made = container.commit(f"cloudknot-test/own-{uuid.uuid4().hex}")  # else another session takes the name
    container.remove()
    yield made
    engine.images.remove(made.id, force=True)


def push(box: Box, image: Any, command_line: Docker, name: str = "lab/own") -> str:
    repository = box.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    command_line.log_in(box)
    image.tag(repository, "latest")
    command_line("push", f"{repository}:latest")
    command_line("rmi", f"{repository}:latest")
    return str(repository)


def test_an_image_is_pushed_and_run(docker_box: Box, image: Any, command_line: Docker) -> None:
    repository = push(docker_box, image, command_line)
    cloud.make_queue(docker_box)
    definition = cloud.make_definition(docker_box, "cat", "/mine", image=f"{repository}:latest")
    job = cloud.finish(docker_box, cloud.submit(docker_box, definition))
    assert job["status"] == "SUCCEEDED", job
    assert cloud.log_of(docker_box, job) == ["mine"]
    [pushed] = docker_box.client("ecr").describe_images(repositoryName="lab/own")["imageDetails"]
    assert pushed["imageTags"] == ["latest"]
    needed = {(call.operation, *call.actions[0]) for call in docker_box.calls() if call.service == "ecr"}
    assert ("PutImage", "ecr:PutImage", f"{REPOSITORIES}/lab/own") in needed
    assert ("InitiateLayerUpload", "ecr:InitiateLayerUpload", f"{REPOSITORIES}/lab/own") in needed
    by_digest = cloud.make_definition(
        docker_box, "cat", "/mine", image=f"{repository}@{pushed['imageDigest']}"
    )
    assert cloud.finish(docker_box, cloud.submit(docker_box, by_digest))["status"] == "SUCCEEDED"


def test_a_container_gets_its_roles_credentials(docker_box: Box) -> None:
    role = cloud.make_role(docker_box, "reader")
    cloud.make_queue(docker_box)
    definition = cloud.make_definition(docker_box, "python", "-c", WHO_AM_I, container={"jobRoleArn": role})
    job = cloud.finish(docker_box, cloud.submit(docker_box, definition))
    assert cloud.log_of(docker_box, job) == [role]


def test_without_a_login_a_push_is_refused(docker_box: Box, image: Any, command_line: Docker) -> None:
    uri = docker_box.client("ecr").create_repository(repositoryName="own")["repository"]["repositoryUri"]
    image.tag(uri, "latest")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        command_line("push", f"{uri}:latest")
    command_line("rmi", f"{uri}:latest")
    assert "no basic auth credentials" in caught.value.stderr


def test_a_push_that_the_callers_policy_does_not_allow_is_refused(
    docker_box: Box, image: Any, command_line: Docker
) -> None:
    uri = docker_box.client("ecr").create_repository(repositoryName="own")["repository"]["repositoryUri"]
    ada = docker_box.user("ada", cloud.policy(("ecr:GetAuthorizationToken", "*")))
    ecr = ada.client("ecr", endpoint_url=docker_box.endpoint)
    [data] = ecr.get_authorization_token()["authorizationData"]
    password = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
    command_line("login", "-u", "AWS", "--password-stdin", data["proxyEndpoint"], input=password)
    image.tag(uri, "latest")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        command_line("push", f"{uri}:latest")
    command_line("rmi", f"{uri}:latest")
    assert "user/ada is not authorized to perform: ecr:" in caught.value.stderr


def test_machines_that_may_not_pull_say_so(docker_box: Box, image: Any, command_line: Docker) -> None:
    repository = push(docker_box, image, command_line)
    cloud.make_queue(docker_box)
    docker_box.client("iam").delete_role_policy(RoleName="queue-machines-instance", PolicyName="work")
    definition = cloud.make_definition(docker_box, "true", image=f"{repository}:latest")
    job = cloud.finish(docker_box, cloud.submit(docker_box, definition))
    assert job["status"] == "FAILED"
    assert "ecr:GetAuthorizationToken" in job["attempts"][0]["container"]["reason"]


def test_two_boxes_have_registries_of_their_own(
    docker_box: Box, image: Any, command_line: Docker, tmp_path: Path
) -> None:
    push(docker_box, image, command_line)
    with running(tmp_path, name="other") as other:
        assert other.client("ecr").describe_repositories()["repositories"] == []
        repository = push(other, image, command_line)
        assert repository == f"localhost:{other.port}/lab/own"
    assert len(docker_box.client("ecr").describe_repositories()["repositories"]) == 1


def test_a_box_that_was_killed_leaves_containers_that_the_next_one_removes(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    def containers() -> list[Any]:
        return list(engine.containers.list(all=True, filters={"label": f"{BOX_LABEL}={tmp_path}"}))

    with suppress(BoxError), running(tmp_path, name="killed") as box:  # it does not answer at the end
        box.reset(executor="docker")
        cloud.make_queue(box)
        definition = cloud.make_definition(box, "python", "-c", "import time; time.sleep(600)")
        cloud.wait_for(box, cloud.submit(box, definition), "RUNNING")
        os.kill(box.pid, signal.SIGKILL)
    assert len(containers()) == 1
    with running(tmp_path, name="killed") as box:
        box.reset(executor="docker")
        cloud.wait_until(lambda: containers() == [], "the end of what was left")
