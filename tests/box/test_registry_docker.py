"""The box's registry as the real docker client meets it: the command and the SDK."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import NotFound

from cloudknot.testing.ecr.tokens import VALID_S
from tests.box.ecr_rig import REGION, Cloud, a_cloud
from tests.box.registry_rig import (
    ACCOUNT,
    DockerCommand,
    digest_of,
    make_image,
)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with a_cloud(tmp_path / "registry") as cloud:
        yield cloud


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    return cloud.with_repository()


@pytest.fixture
def command(tmp_path: Path) -> DockerCommand:
    return DockerCommand(tmp_path / "docker")


@pytest.fixture
def image(engine: DockerClient, cloud: Cloud) -> Iterator[str]:
    """A local image, named after the repository `box`."""
    name = f"localhost:{cloud.port}/box:1"
    make_image(engine, name)
    yield name
    for left in engine.images.list(f"localhost:{cloud.port}/*"):
        engine.images.remove(left.id, force=True)


def test_docker_logs_in_pushes_and_pulls_back_the_same(
    cloud: Cloud, ecr: Any, command: DockerCommand, engine: DockerClient, image: str
) -> None:
    pushed_id = engine.images.get(image).id
    assert command.login(cloud.port, cloud.password()).returncode == 0
    pushed = command("push", image)
    assert pushed.returncode == 0, pushed.stderr
    (found,) = ecr.describe_images(repositoryName="box")["imageDetails"]
    assert f"digest: {found['imageDigest']}" in pushed.stdout
    engine.images.remove(image)
    by_digest = f"localhost:{cloud.port}/box@{found['imageDigest']}"
    for name in (image, by_digest):
        pulled = command("pull", name)
        assert pulled.returncode == 0, pulled.stderr
        assert engine.images.get(name).id == pushed_id


def test_the_sdk_pushes_and_pulls_with_the_token(
    cloud: Cloud, ecr: Any, engine: DockerClient, image: str
) -> None:
    login = {"username": "AWS", "password": cloud.password()}
    said = list(engine.images.push(image, auth_config=login, stream=True, decode=True))
    assert not [line for line in said if "error" in line]
    pushed_id = engine.images.get(image).id
    engine.images.remove(image)
    # The box pulls for its jobs after it has asked IAM in their names.
    cloud.denied.add("ecr:BatchGetImage")
    own = cloud.installed.login_for(image)
    assert cloud.installed.login_for("python:3.11-slim") is None
    assert engine.images.pull(image, auth_config=own).id == pushed_id


def test_docker_is_told_that_a_password_is_wrong_or_was_not_given(
    cloud: Cloud, ecr: Any, command: DockerCommand, image: str
) -> None:
    refused = command.login(cloud.port, "wrong")
    assert refused.returncode != 0
    assert "400 Bad Request" in refused.stderr
    assert "no basic auth credentials" in command("push", image).stderr
    assert "no basic auth credentials" in command("pull", image).stderr


def test_docker_is_told_that_a_token_has_expired(
    cloud: Cloud, ecr: Any, command: DockerCommand, image: str
) -> None:
    assert command.login(cloud.port, cloud.password()).returncode == 0
    cloud.now += VALID_S
    pushed = command("push", image)
    assert "denied: Your authorization token has expired. Reauthenticate and try again." in pushed.stderr


def test_docker_is_told_that_a_repository_does_not_exist(
    cloud: Cloud, command: DockerCommand, image: str
) -> None:
    assert command.login(cloud.port, cloud.password()).returncode == 0
    words = f"The repository with name 'box' does not exist in the registry with id '{ACCOUNT}'"
    assert f"name unknown: {words}" in command("push", image).stderr
    assert words in command("pull", image).stderr


def test_docker_is_told_that_a_tag_is_immutable(
    cloud: Cloud, ecr: Any, command: DockerCommand, engine: DockerClient, image: str
) -> None:
    assert command.login(cloud.port, cloud.password()).returncode == 0
    ecr.put_image_tag_mutability(repositoryName="box", imageTagMutability="IMMUTABLE")
    assert command("push", image).returncode == 0
    make_image(engine, image)
    pushed = command("push", image)
    assert pushed.returncode != 0
    words = "The image tag '1' already exists in the 'box' repository and cannot be overwritten because"
    assert f"tag invalid: {words} the repository is immutable." in pushed.stderr


@pytest.mark.parametrize(
    ("verb", "action"),
    [
        ("push", "ecr:InitiateLayerUpload"),
        ("push", "ecr:CompleteLayerUpload"),
        ("push", "ecr:PutImage"),
        ("pull", "ecr:BatchGetImage"),
        ("pull", "ecr:GetDownloadUrlForLayer"),
    ],
)
@pytest.mark.usefixtures("ecr")
def test_docker_is_told_which_permission_is_missing(
    cloud: Cloud, command: DockerCommand, engine: DockerClient, image: str, verb: str, action: str
) -> None:
    assert command.login(cloud.port, cloud.password()).returncode == 0
    if verb == "pull":
        assert command("push", image).returncode == 0
        engine.images.remove(image)
    cloud.denied.add(action)
    done = command(verb, image)
    assert done.returncode != 0
    assert (
        f"denied: User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: {action} on resource:"
        f" arn:aws:ecr:{REGION}:{ACCOUNT}:repository/box" in done.stderr
    )


def test_what_the_api_has_deleted_cannot_be_pulled_and_can_be_pushed_again(
    cloud: Cloud, ecr: Any, command: DockerCommand, engine: DockerClient, image: str
) -> None:
    assert command.login(cloud.port, cloud.password()).returncode == 0
    assert command("push", image).returncode == 0
    ecr.batch_delete_image(repositoryName="box", imageIds=[{"imageTag": "1"}])
    pulled = command("pull", image)
    assert pulled.returncode != 0
    assert "manifest unknown" in pulled.stderr
    assert cloud.blobs() == set()
    # The engine remembers that the registry had the layer; it must find out that it has not.
    assert command("push", image).returncode == 0
    engine.images.remove(image)
    assert command("pull", image).returncode == 0


def test_a_client_that_is_killed_in_the_middle_of_a_push_leaves_no_blob(
    cloud: Cloud, ecr: Any, command: DockerCommand, image: str
) -> None:
    password = cloud.password()
    login = base64.b64encode(f"AWS:{password}".encode()).decode()
    location = cloud.http("POST", "/v2/box/blobs/uploads/", password).headers["Location"]
    path = location.removeprefix("http://localhost")
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        # A chunk of 65,536 bytes is announced, and less comes.
        connection.sendall(head.encode() + b"5\r\n12345\r\n10000\r\n" + b"x" * 1000)
    finish = f"{path}?digest={digest_of(b'12345' + b'x' * 1000)}"
    assert cloud.http("PUT", f"{path}?digest={digest_of(b'whole')}", password).status_code in (400, 404)
    assert cloud.http("PUT", finish, password).status_code == 404
    assert cloud.blobs() == set()
    assert command.login(cloud.port, password).returncode == 0
    assert command("push", image).returncode == 0


OTHER_BOX = """
import sys
from pathlib import Path
from tests.box.ecr_rig import a_cloud

with a_cloud(Path(sys.argv[1])) as cloud:
    cloud.client().create_repository(repositoryName="box")
    print(cloud.port, cloud.password(), flush=True)
    sys.stdin.read()
"""


def test_two_boxes_side_by_side_do_not_know_of_each_other(
    cloud: Cloud, ecr: Any, command: DockerCommand, engine: DockerClient, image: str, tmp_path: Path
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_BOX, str(tmp_path / "other")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin
    assert other.stdout
    theirs = None
    try:
        port, password = other.stdout.readline().split()
        theirs = f"localhost:{port}/box:1"
        make_image(engine, theirs)
        assert command.login(cloud.port, cloud.password()).returncode == 0
        assert command.login(int(port), password).returncode == 0
        assert command.login(cloud.port, password).returncode != 0
        assert command("push", image).returncode == 0
        assert command("push", theirs).returncode == 0
        details = ecr.describe_images(repositoryName="box")["imageDetails"]
        assert len(details) == 1
        assert engine.images.get(image).attrs["RepoDigests"][0].endswith(details[0]["imageDigest"])
    finally:
        other.communicate("")
        if theirs:
            with contextlib.suppress(NotFound):
                engine.images.remove(theirs, force=True)
