"""`python -m cloudknot.testing up|env|reset|down`, as a person types them."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from cloudknot.testing import Box, BoxError, down, find, up
from cloudknot.testing.launch import running
from tests.box import cloud

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    yield tmp_path
    for name in ("default", "other"):
        down(name)


@pytest.fixture
def run(home: Path) -> Run:
    def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cloudknot.testing", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    return _run


def who_am_i(environment: str) -> str:
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    script = f'{environment}\n{sys.executable} -c "{code}"'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_up_env_down(run: Run, home: Path) -> None:
    started = run("up", "--executor", "process")
    assert started.returncode == 0, started.stderr
    assert "default is up at http://127.0.0.1:" in started.stdout
    assert who_am_i(run("env").stdout) == "arn:aws:iam::123456789012:user/box"
    assert run("down").stdout == "default is down\n"
    assert run("down").stdout == "default was not up\n"
    left = [path.name for path in home.rglob("*") if path.is_file()]
    assert sorted(left) == ["box.log", "lock"]


def test_up_is_idempotent(run: Run) -> None:
    first, second = run("up", "--executor", "process"), run("up", "--executor", "process")
    assert first.stdout == second.stdout


def test_boxes_side_by_side_know_nothing_of_each_other(home: Path) -> None:
    one, two = up(executor="process"), up("other", executor="process")
    one.client("s3").create_bucket(Bucket="brains")
    assert [bucket["Name"] for bucket in one.client("s3").list_buckets()["Buckets"]] == ["brains"]
    assert two.client("s3").list_buckets()["Buckets"] == []
    down("other")
    assert one.is_up()


def test_reset_empties_the_account_and_keeps_the_keys(run: Run) -> None:
    box = up(executor="process")
    s3 = box.client("s3")
    s3.create_bucket(Bucket="brains")
    assert run("reset").stdout == "default is empty\n"
    assert s3.list_buckets()["Buckets"] == []


def test_env_as_json_has_what_the_shell_gets(run: Run) -> None:
    run("up", "--executor", "process")
    variables = json.loads(run("env", "--json").stdout)
    exported = dict(line[7:].split("=", 1) for line in run("env").stdout.splitlines() if "export" in line)
    assert variables == exported


@pytest.mark.parametrize("verb", ["env", "reset"])
def test_a_box_that_is_not_up_is_one_line_that_says_what_to_do(run: Run, verb: str) -> None:
    found = run(verb, "--name", "other")
    assert found.returncode == 1
    assert found.stdout == ""
    expected = "error: the box 'other' is not up: python -m cloudknot.testing up --name other\n"
    assert found.stderr == expected


def test_a_box_that_was_killed_can_be_started_again(home: Path) -> None:
    box = up(executor="process")
    os.kill(box.pid, signal.SIGKILL)
    cloud.wait_until(lambda: find() is None, "the end of the box")
    again = up(executor="process")
    assert again.pid != box.pid
    assert again.client("s3").list_buckets()["Buckets"] == []


def test_a_name_that_leads_elsewhere_is_refused(home: Path) -> None:
    with pytest.raises(BoxError, match="letters, digits"):
        up("../elsewhere")


def test_a_region_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(BoxError, match="like us-east-1"):
        up(executor="process", region="bad region")


def test_a_proxy_is_not_in_the_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "intranet")
    box = up(executor="process")
    assert box.client("s3").list_buckets()["Buckets"] == []
    environment = run("env").stdout
    assert who_am_i(environment).endswith("user/box")
    assert "export NO_PROXY=intranet,127.0.0.1,localhost" in environment


def test_a_reset_that_is_refused_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    box = up(executor="process")
    queue = cloud.make_queue(box)
    with pytest.raises(BoxError, match="no docker engine answers"):
        box.reset(executor="docker")
    job = cloud.submit(box, cloud.make_definition(box, "true"), queue=queue)
    assert cloud.finish(box, job)["status"] == "SUCCEEDED"


def test_down_in_the_middle_of_a_reset_leaves_nothing(home: Path) -> None:
    box = up(executor="process")
    cloud.make_queue(box)
    definition = cloud.make_definition(box, "sleep", "600")
    cloud.wait_for(box, cloud.submit(box, definition, arrayProperties={"size": 20}), "PENDING")
    resets = [threading.Thread(target=lambda: suppressed(box.reset)) for _ in range(3)]
    for thread in resets:
        thread.start()
    down()
    for thread in resets:
        thread.join()
    folder = str(home / "cloudknot" / "boxes" / "default")
    assert [line for line in processes() if folder in line] == []


def suppressed(act: Callable[[], None]) -> None:
    with suppress(BoxError):
        act()


def processes() -> list[str]:
    """Return the working folders of all processes of this machine."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def test_a_port_that_is_taken_is_said(home: Path) -> None:
    box = up(executor="process")
    with pytest.raises(BoxError, match="did not come up"):
        up("other", executor="process", port=box.port)


def test_without_a_docker_engine_one_is_told_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    found = run("up")
    assert found.returncode == 1
    assert found.stderr.startswith("error: the box 'default' did not come up: no docker engine answers: ")
    assert found.stderr.endswith("Start one, or run jobs as processes: executor 'process'\n")


def test_the_keys_are_for_their_owner_alone(home: Path) -> None:
    up(executor="process")
    state = home / "cloudknot" / "boxes" / "default" / "box.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def a_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running(tmp_path_factory.mktemp("box"), name="mine") as box:
        yield box


class TestAStrangerOnThisMachine:
    """A person who has an account on the machine, and not the keys of the box."""

    def test_cannot_use_the_controls(self, a_box: Box) -> None:
        request = urllib.request.Request(f"{a_box.endpoint}/_box/reset", method="POST", data=b"{}")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)

    def test_cannot_reset_through_moto(self, a_box: Box) -> None:
        request = urllib.request.Request(f"{a_box.endpoint}/moto-api/reset", method="POST", data=b"")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)

    def test_cannot_submit_jobs_with_a_made_up_key(self, a_box: Box) -> None:
        batch = boto3.client(
            "batch",
            endpoint_url=a_box.endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIAMADEUP",
            aws_secret_access_key="made up",
        )
        with pytest.raises(batch.exceptions.ClientError, match=r"security token .* is invalid"):
            batch.describe_job_queues()

    def test_cannot_submit_jobs_with_the_wrong_secret(self, a_box: Box) -> None:
        batch = boto3.client(
            "batch",
            endpoint_url=a_box.endpoint,
            region_name="us-east-1",
            aws_access_key_id=a_box.access_key,
            aws_secret_access_key="wrong",
        )
        with pytest.raises(batch.exceptions.ClientError, match="signature we calculated does not match"):
            batch.describe_job_queues()

    def test_cannot_take_a_role_by_a_call_that_nobody_signs(self, a_box: Box) -> None:
        role = cloud.make_role(a_box, "deployer")
        sts = boto3.client(
            "sts",
            endpoint_url=a_box.endpoint,
            region_name="us-east-1",
            config=Config(signature_version=UNSIGNED),
        )
        asked = {"RoleArn": role, "RoleSessionName": "stranger", "WebIdentityToken": "made up" * 3}
        with pytest.raises(sts.exceptions.ClientError, match="Not authorized to perform"):
            sts.assume_role_with_web_identity(**asked)
