"""The way to a docker engine, and what is said when it is barred."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import docker.errors
import pytest
from docker import DockerClient

from cloudknot.docker_engine.building import BuildLog, hint_for
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.explaining import explain
from cloudknot.docker_engine.images import build_image, find_image, pack_context, remove_image
from cloudknot.docker_engine.layers import Command, Workplace, add_layer
from cloudknot.docker_engine.pulling import pull_image, why_not_pulled
from cloudknot.errors import EngineError, ImageError

BASE = "python:3.11-slim"
BARE = "cloudknot-test/bare:3.11"
ASK = "from cloudknot.docker_engine.connection import Engine\nprint(Engine().platform)"


def ask_as(script: str, *, host: str = "", uid: int | None = None, **environment: str) -> str:
    """Ask an engine in another process, as another user; return what it died of."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DOCKER_HOST": host, "HOME": "/nonexistent", **environment},
        user=uid,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else done.stdout


def silent(line: str) -> None:
    """Hear nothing."""


class TestConnection:
    """Who meets no engine is told what to do."""

    def test_nothing_is_asked_before_it_must_be(self) -> None:
        Engine().close()

    def test_an_engine_says_what_it_runs(self, engine: DockerClient) -> None:
        mine = Engine()
        assert mine.platform in ("linux/amd64", "linux/arm64")
        assert mine.capacity().vcpus >= 1
        assert mine.capacity().memory_mib > 100
        mine.close()

    @pytest.mark.parametrize("host", ["unix:///nonexistent", "tcp://127.0.0.1:1"])
    def test_no_engine(self, host: str) -> None:
        said = ask_as(ASK, host=host)
        assert f"could not connect to docker: no docker engine answers at DOCKER_HOST={host}" in said
        assert "unset DOCKER_HOST" in said
        assert "backend='local'" in said

    def test_an_engine_that_this_user_may_not_use(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can be another user")
        # Not below the tests' own folders, which other users may not enter.
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            Path(folder).chmod(0o755)
            server.bind(f"{folder}/docker.sock")
            server.listen()
            Path(folder, "docker.sock").chmod(0o600)
            script = (
                f"import os\nfrom cloudknot.docker_engine.connection import Engine\nos.setuid(65534)\n{ASK}"
            )
            said = ask_as(script, host=f"unix://{folder}/docker.sock")
        assert "this user may not use the docker engine" in said
        assert "usermod -aG docker" in said

    @pytest.mark.parametrize("host", ["nonsense://x", "tcp://no.such.host.invalid:2375"])
    def test_an_address_that_leads_nowhere(self, host: str) -> None:
        assert "EngineError: could not connect to docker: " in ask_as(ASK, host=host)

    def test_the_current_context_is_used_where_nothing_else_is_said(self, tmp_path: Path) -> None:
        context = tmp_path / "contexts" / "meta" / hashlib.sha256(b"lab").hexdigest()
        context.mkdir(parents=True)
        (context / "meta.json").write_text(
            '{"Name": "lab", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://127.0.0.1:1"}}}'
        )
        (tmp_path / "config.json").write_text('{"currentContext": "lab"}')
        done = ask_as(f"import os\ndel os.environ['DOCKER_HOST']\n{ASK}", DOCKER_CONFIG=str(tmp_path))
        assert "no docker engine answers" in done

    def test_an_engine_that_stops_in_the_middle(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()

            def hang_up() -> None:
                connection, _ = server.accept()
                connection.recv(1 << 16)
                connection.close()

            threading.Thread(target=hang_up).start()
            said = ask_as(ASK, host=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert "stopped in the middle" in said

    def test_threads_share_one_connection(self, engine: DockerClient) -> None:
        mine = Engine()
        with ThreadPoolExecutor(8) as pool:
            clients = {id(client) for client in pool.map(lambda _: mine.client, range(16))}
        assert len(clients) == 1
        mine.close()


@pytest.mark.parametrize(
    ("error", "system", "said"),
    [
        (FileNotFoundError(), "linux", "sudo systemctl start docker"),
        (ConnectionRefusedError(), "darwin", "open -a Docker"),
        (docker.errors.APIError("write /x: no space left on device"), "linux", "docker system prune"),
        (docker.errors.InvalidVersion("API versions below 1.24 are no longer"), "linux", "upgrade the older"),
        (docker.errors.APIError("client version 1.10 is too old"), "linux", "upgrade the older"),
        (BrokenPipeError(), "linux", "start it and try again"),
        (docker.errors.DockerException("something else"), "linux", "something else"),
    ],
)
def test_failures_say_what_to_do(error: Exception, system: str, said: str) -> None:
    assert said in explain(error, host="", system=system)


class TestPulling:
    """An image that cannot be had is named."""

    def test_an_image_that_is_nowhere(self, engine: DockerClient) -> None:
        mine = Engine()
        with pytest.raises(ImageError, match="image cloudknot-test/nowhere:7"):
            pull_image(mine, "cloudknot-test/nowhere:7", tell=silent)
        assert find_image(mine, "cloudknot-test/nowhere:7") is None
        mine.close()

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            ("pull access denied for x, repository does not exist or may require 'docker login'", "spelling"),
            ("manifest for x:9 not found: manifest unknown", "there is no image x:9"),
            ("unauthorized: authentication required", "docker login"),
            ("no matching manifest for linux/arm64/v8 in the manifest list", "for linux/arm64"),
            ("Get https://r/v2/: dial tcp: lookup r: no such host", "docker load"),
            ("write /var/lib/docker/tmp: no space left on device", "docker system prune"),
        ],
    )
    def test_refusals_say_what_to_do(self, found: str, said: str) -> None:
        assert said in why_not_pulled("x:9", found, "linux/arm64")


class TestBuilding:
    """A build is followed; what fails is shown with its own words."""

    def test_the_same_files_make_the_same_context(self) -> None:
        one = pack_context({"a/b": b"1", "Dockerfile": b"2"})
        assert one == pack_context({"Dockerfile": b"2", "a/b": b"1"})

    def test_a_second_build_runs_no_step(self, engine: DockerClient) -> None:
        mine = Engine()
        files = {
            "Dockerfile": f"FROM {BASE}\nCOPY file /\nRUN cat file\n".encode(),
            "file": os.urandom(8).hex().encode(),
        }
        first = build_image(mine, files, "cloudknot-test/built:1", tell=silent)
        second = build_image(mine, files, "cloudknot-test/built:1", tell=silent)
        assert (first.steps_run, second.steps_run) == (1, 0)
        assert remove_image(mine, "cloudknot-test/built:1")
        assert not remove_image(mine, "cloudknot-test/built:1")
        mine.close()

    def test_the_failing_step_and_the_end_of_its_output(self) -> None:
        log = BuildLog()
        log.add({"stream": "Step 1/2 : FROM x\n"})
        log.add({"stream": "Step 2/2 : RUN many\n"})
        for number in range(100):
            log.add({"stream": f"\x1b[91mline {number}\n\x1b[0m"})
        log.add({"error": "The command '/bin/sh -c many' returned a non-zero code: 7"})
        said = log.describe_failure()
        assert "RUN many\n    line 70\n" in said
        assert said.endswith("line 99")

    @pytest.mark.parametrize(
        ("output", "hint"),
        [
            ("Because there is no version of six==99 and you require six==99, we can", "has six==99:"),
            ("Because sixx was not found in the package registry and you require sixx", "has sixx:"),
            ("ERROR: No matching distribution found for uv==9", "has uv==9:"),
            ("E: Unable to locate package libx", "no package 'libx'"),
            ("exec /bin/sh: exec format error", "another architecture"),
            ("OSError: [Errno 28] No space left on device", "docker system prune"),
            ("error: Failed to build `thing==1.0`", "build-essential"),
            ("all is well", ""),
        ],
    )
    def test_hints(self, output: str, hint: str) -> None:
        assert hint in hint_for(output)
        assert bool(hint) == bool(hint_for(output))

    def test_a_refused_dockerfile(self, engine: DockerClient) -> None:
        mine = Engine()
        with pytest.raises(ImageError, match="unknown instruction: NONSENSE"):
            build_image(mine, {"Dockerfile": b"NONSENSE\n"}, "cloudknot-test/built:2", tell=silent)
        assert find_image(mine, "cloudknot-test/built:2") is None
        mine.close()


@pytest.fixture
def small_engine(engine: DockerClient) -> Iterator[str]:
    """A second engine whose disk is small."""
    if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("unshare")):
        pytest.skip("a second engine needs root, dockerd and unshare on this machine")
    folder = Path(tempfile.mkdtemp(prefix="ck-", dir="/var/tmp"))
    host = f"unix://{folder}/docker.sock"
    # In a network of its own: an engine without a bridge removes that of the others.
    command = (
        f"mount -t tmpfs -o size=240m small {folder}/disk && "
        f"exec dockerd --host={host} --bridge=none --iptables=false "
        f"--data-root={folder}/disk --exec-root={folder}/exec --pidfile={folder}/pid"
    )
    (folder / "disk").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", command], stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 30
        while "linux" not in ask_as(ASK, host=host):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "it did not answer in time"
        yield host
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_full_disk_is_called_that_and_nothing_is_left(
    small_engine: str, monkeypatch: pytest.MonkeyPatch, engine: DockerClient
) -> None:
    monkeypatch.setenv("DOCKER_HOST", small_engine)
    mine = Engine()
    saved = subprocess.run(
        ["docker", "save", BARE], capture_output=True, check=True, env={**os.environ, "DOCKER_HOST": ""}
    )
    subprocess.run(["docker", "load", "--quiet"], input=saved.stdout, check=True)
    place = Workplace(folder="/mnt", tools="/mnt/tools", volume="tools")
    fill = Command(script="head -c 400000000 /dev/zero > /full")
    half = Command(script="head -c 90000000 /dev/urandom > /half")
    for command in (fill, half, half):
        with (
            ThreadPoolExecutor(1) as cleaner,
            pytest.raises((ImageError, EngineError), match="docker system prune"),
        ):
            add_layer(mine, BARE, command, place, name="made:1", platform=None, cleaner=cleaner, tell=silent)
        assert find_image(mine, "made:1") is None
        assert mine.client.api.containers(all=True) == []
    mine.close()
