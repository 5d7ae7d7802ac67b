"""Images that are really built: what is in them, what is not, and how often they are built."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from cloudknot._version import __version__
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import (
    BUILDING,
    LABEL,
    find_image,
    pack_context,
    remove_image,
    remove_unused_layers,
)
from cloudknot.errors import ImageError
from cloudknot.images import prepare_image
from cloudknot.indexes import IndexSettings
from cloudknot.requirements import Needs, Pin
from cloudknot.specs import Image
from tests.conftest import wait_until

BARE = "cloudknot-test/bare:3.11"
# Of this process, so that nothing of what is built is there already.
USER = f"test{os.getpid()}"
TOKEN = "token-4bRx9q"
SETTINGS = IndexSettings(
    # Of an index that nothing is asked of, so that nothing is refused.
    variables={"UV_INDEX_LAB_PASSWORD": TOKEN, "UV_INDEX_LAB_USERNAME": "jo"}
)
SIX = Pin(name="six", version="1.16.0")
NEEDS = Needs(
    pins=(Pin(name="numpy", version="2.4.6", is_large=True), SIX, Pin(name="tqdm", version="4.67.1"))
)


@dataclass
class Builds:
    """Makes images, hears what is said, and removes them in the end."""

    engine: Engine
    said: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def make(self, needs: Needs = NEEDS, indexes: IndexSettings | None = None, **image: Any) -> str:
        self.said.clear()
        asked = Image(**{"user": USER, **image})
        name = prepare_image(self.engine, asked, needs, indexes=indexes, tell=self.said.append)
        self.made.append(name)
        return name

    def layers(self, name: str) -> list[str]:
        return list(self.engine.client.api.inspect_image(name)["RootFS"]["Layers"])

    def run(self, name: str, code: str) -> str:
        """Run Python in a container as the lead would: few rights, and nothing of this machine."""
        limits = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "network_disabled": True}
        out = self.engine.client.containers.run(name, ["python", "-c", code], remove=True, **limits)
        return str(out.decode().strip())


@pytest.fixture(scope="module")
def builds(engine: DockerClient) -> Iterator[Builds]:
    builds = Builds(Engine())
    yield builds
    for name in set(builds.made):
        with suppress(ImageNotFound):
            builds.engine.client.api.remove_image(name, force=True)
    remove_unused_layers(builds.engine)
    builds.engine.close()


@pytest.fixture(scope="module")
def plain(builds: Builds) -> str:
    """The image of the pins, on the default base; some tests make others of its layers."""
    return builds.make(indexes=SETTINGS)


def make_folder(temporary: pytest.TempPathFactory, dockerfile: str, files: dict[str, str]) -> Path:
    """Make a folder with a Dockerfile and other files; return the Dockerfile."""
    folder = temporary.mktemp("folder")
    for name, text in {"Dockerfile": f"{dockerfile}LABEL test={USER}\n", **files}.items():
        (folder / name).write_text(text)
    return folder / "Dockerfile"


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dockerfile of a base that does all that an image may do to what stands on it."""
    return make_folder(
        tmp_path_factory,
        "FROM python:3.11-slim\n"
        "RUN groupadd --gid 1000 lab && useradd --uid 1000 --gid lab --create-home jo\n"
        "RUN python -m venv /venv && rm -r /usr/local/bin/pip*\n"
        "COPY . /work\n"
        "WORKDIR /work\n"
        'SHELL ["/bin/false", "-c"]\n'
        'ENTRYPOINT ["/bin/false"]\n'
        "HEALTHCHECK CMD false\n"
        "ENV PATH=/venv/bin:$PATH UV_SYSTEM_PYTHON=1\n"
        "USER jo\n",
        {"random.py": "raise ImportError", "secret.txt": "x", ".dockerignore": "secret.txt"},
    )


@pytest.fixture(scope="module")
def with_conda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose micromamba knows one environment: this test is of what is around it."""
    program = (
        "#!/bin/sh\nset -e\n"
        '[ "$1 $2 $3 $4 $5" = "create --yes --prefix /opt/environment --file" ]\n'
        'grep -q "python=2" "$6" && exit 0\n'
        "cp -r /usr/local /opt/environment\n"
    )
    dockerfile = "FROM python:3.11-slim\nCOPY micromamba /usr/bin/\nRUN chmod 755 /usr/bin/micromamba\n"
    return make_folder(tmp_path_factory, dockerfile, {"micromamba": program})


def load_arm_image(engine: Engine, name: str) -> None:
    """Give an engine an image of arm64 with a shell that is one as far as the kernel looks."""
    program = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        shell = tarfile.TarInfo("bin/sh")
        shell.size, shell.mode = len(program), 0o755
        archive.addfile(shell, io.BytesIO(program))
    digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    engine.client.images.load(pack_context({**files, "layer.tar": layer.getvalue()}))


def paths_in(archive: Any) -> list[str]:
    with tarfile.open(fileobj=archive) as opened:
        return opened.getnames()


def leftovers(engine: Engine) -> list[str]:
    """What a build of this process must not leave: containers, and volumes of theirs."""
    api = engine.client.api
    containers = api.containers(all=True, filters={"name": f"{BUILDING}{os.getpid()}-"})
    volumes = api.volumes(filters={"label": f"{LABEL}={os.getpid()}"})["Volumes"] or ()
    return [*(found["Id"] for found in containers), *(found["Name"] for found in volumes)]


def wait_until_gone(engine: Engine, names: set[str]) -> None:
    """Wait for layers to go: they stay while any process of this machine makes an image."""

    def are_gone() -> bool:
        remove_unused_layers(engine)
        return not any(find_image(engine, name) for name in names)

    wait_until(are_gone, timeout_s=60)


def test_what_was_asked_for_is_there(builds: Builds, plain: str) -> None:
    said = builds.run(
        plain,
        "import os, sys, boto3, cloudpickle, numpy, six, tqdm, cloudknot.runner.orders as own\n"
        "print(six.__version__, tqdm.__version__, numpy.__version__, numpy.__file__)\n"
        "print(os.getuid(), os.getgid(), os.getcwd(), os.environ['HOME'], sys.executable)\n"
        "print(open('written', 'w').write('x'), own.__cached__ and os.path.exists(own.__cached__))\n"
        "print(os.listdir('/mnt'), open('/opt/cloudknot/bin/tqdm').readline(), end='')",
    )
    assert said.splitlines() == [
        "1.16.0 4.67.1 2.4.6 /opt/cloudknot/lib/python3.11/site-packages/numpy/__init__.py",
        f"1000 1000 /home/{USER} /home/{USER} /opt/cloudknot/bin/python",
        "1 True",
        "[] #!/opt/cloudknot/bin/python",
    ]


def test_the_same_needs_are_never_built_twice(builds: Builds, plain: str) -> None:
    before = builds.engine.client.api.inspect_image(plain)
    turned = Needs(pins=tuple(reversed(NEEDS.pins)))
    assert builds.make(turned, IndexSettings(variables={"UV_DEFAULT_INDEX": "https://lab.invalid"})) == plain
    after = builds.engine.client.api.inspect_image(plain)
    assert builds.said == []
    assert (before["Id"], before["Created"]) == (after["Id"], after["Created"])


def test_another_engine_of_another_process_finds_it_too(builds: Builds, plain: str) -> None:
    other = Engine()
    assert prepare_image(other, Image(user=USER), NEEDS, tell=pytest.fail) == plain
    other.close()


def test_a_small_pin_does_not_install_the_large_ones_again(builds: Builds, plain: str) -> None:
    other = builds.make(replace(NEEDS, pins=(NEEDS.pins[0], replace(SIX, version="1.15.0"))))
    assert not any("large.txt" in line for line in builds.said)
    assert " + six==1.15.0" in builds.said
    *below, _, _ = builds.layers(other)
    assert builds.layers(plain)[: len(below)] == below
    assert builds.run(other, "import six, numpy; print(six.__version__)") == "1.15.0"


def test_index_settings_stay_nowhere(builds: Builds, plain: str) -> None:
    api = builds.engine.client.api
    shown = json.dumps([api.history(plain), api.inspect_image(plain), api.images(all=True), api.volumes()])
    assert TOKEN not in shown
    saved = b"".join(api.get_image(plain))
    assert TOKEN.encode() not in saved
    with tarfile.open(fileobj=io.BytesIO(saved)) as image:
        layers = [image.extractfile(name) for name in image.getnames() if name.endswith("layer.tar")]
        found = {path for layer in layers for path in paths_in(layer)}
    assert "opt/cloudknot/bin/python" in found
    assert not {path for path in found if path.startswith("mnt/") or "uv-" in path or path.endswith("/uv")}
    tools = ["--rm", "--volume=cloudknot-tools-linux-amd64:/tools", "python:3.11-slim"]
    searched = subprocess.run(["docker", "run", *tools, "grep", "-r", TOKEN, "/tools"], check=False)
    assert searched.returncode == 1


def test_what_the_base_has_is_not_installed_again(
    builds: Builds, plain: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dockerfile = make_folder(tmp_path_factory, f"FROM {plain}\nUSER root\nRUN echo layer\n", {})
    name = builds.make(dockerfile=dockerfile, user="jo")
    assert not any(line.startswith(" + ") for line in builds.said)
    assert builds.run(name, "import tqdm, getpass; print(tqdm.__version__, getpass.getuser())") == "4.67.1 jo"


class TestBases:
    """Bases are not made for us."""

    def test_a_user_of_that_name_stays_as_it_is(self, builds: Builds, awkward: Path) -> None:
        name = builds.make(Needs(), dockerfile=awkward, user="jo")
        code = "import os, boto3; print(os.getuid(), os.getgid(), os.getcwd(), *sorted(os.listdir('/work')))"
        assert builds.run(name, code) == "1000 1000 /home/jo .dockerignore Dockerfile random.py"

    def test_the_packages_of_its_virtual_environment_are_seen(self, builds: Builds, awkward: Path) -> None:
        name = builds.make(Needs(), dockerfile=awkward, user="jo")
        assert builds.run(name, "import pip; print(pip.__file__.partition('/lib')[0])") == "/venv"

    def test_a_taken_number_is_left_alone(self, builds: Builds, awkward: Path) -> None:
        name = builds.make(Needs(), dockerfile=awkward)
        assert builds.run(name, "import os; print(os.getuid(), os.getcwd())") == f"1001 /home/{USER}"

    def test_a_base_without_python_gets_one(self, builds: Builds) -> None:
        needs = Needs(pins=(Pin(name="numpy", version="2.4.6", is_large=True),))
        name = builds.make(needs, base=BARE)
        said = builds.run(
            name,
            "import bz2, ctypes, lzma, readline, sqlite3, ssl, sys, zlib, boto3, numpy\n"
            "print(sys.version_info[:2], sys.base_prefix, ssl.create_default_context().check_hostname)",
        )
        assert said == "(3, 11) /opt/python True"

    def test_debian_packages_are_installed(self, builds: Builds) -> None:
        name = builds.make(Needs(), base=BARE, apt=["hello"])
        assert builds.run(name, "import subprocess; subprocess.run(['hello'])") == "Hello, world!"

    def test_a_base_that_is_nowhere_is_named(self, builds: Builds) -> None:
        with pytest.raises(ImageError, match=r"image cloudknot-test/nowhere:1 .*docker (login|load)"):
            builds.make(base="cloudknot-test/nowhere:1")

    def test_debian_packages_want_a_debian(
        self, builds: Builds, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        without_apt = make_folder(tmp_path_factory, f"FROM {BARE}\nRUN rm /usr/bin/apt-get\n", {})
        with pytest.raises(ImageError, match="has no apt-get"):
            builds.make(dockerfile=without_apt, apt=["hello"])

    def test_a_base_without_a_shell_is_refused(self, builds: Builds) -> None:
        builds.engine.client.api.import_image_from_data(
            pack_context({"file": b"x"}), repository="cloudknot-test/empty"
        )
        with pytest.raises(ImageError, match="It must have a shell"):
            builds.make(base="cloudknot-test/empty")
        remove_image(builds.engine, "cloudknot-test/empty")

    def test_a_base_of_another_architecture_is_refused(self, builds: Builds) -> None:
        load_arm_image(builds.engine, "cloudknot-test/arm")
        with pytest.raises(
            ImageError, match=r"is for linux/arm64, which this engine \(linux/amd64\) does not run"
        ):
            builds.make(base="cloudknot-test/arm", platform="linux/arm64")
        with pytest.raises(ImageError, match="cloudknot-test/arm"):
            builds.make(base="cloudknot-test/arm", platform="linux/amd64")
        remove_image(builds.engine, "cloudknot-test/arm")


class TestOwnLists:
    """What a person lists stands in place of what their function imports."""

    def test_lines_are_installed_with_what_they_need(self, builds: Builds, plain: str) -> None:
        name = builds.make(requirements=["requests<2.33", "cloudpickle<3"], packages=["toolz"])
        said = builds.run(name, "import requests, idna, toolz, boto3, cloudpickle as c; print(c.__version__)")
        assert said == "3.1.2"
        assert builds.run(name, "import importlib.util as i; print(i.find_spec('numpy'))") == "None"

    def test_packages_keep_to_the_pins(self, builds: Builds, plain: str) -> None:
        name = builds.make(packages=["pandas"])
        added = [line for line in builds.said if line.startswith(" + ")]
        assert not any("numpy" in line for line in added)
        assert any("pandas" in line for line in added)
        assert builds.run(name, "import pandas, numpy, six; print(numpy.__version__, six.__version__)") == (
            "2.4.6 1.16.0"
        )

    def test_hashes_of_a_file_are_checked(self, builds: Builds, tmp_path: Path) -> None:
        file = tmp_path / "requirements.txt"
        file.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
        with pytest.raises(ImageError, match=r"[Hh]ash"):
            builds.make(environment=file)

    def test_a_requirements_file_and_those_that_it_names(self, builds: Builds, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("-r more.txt\n-c most.txt\n")
        (tmp_path / "more.txt").write_text("# a list\nsix<1.17 ; python_version > '3'\n")
        (tmp_path / "most.txt").write_text("six!=1.16.0\n")
        name = builds.make(environment=tmp_path / "requirements.txt")
        assert builds.run(name, "import six, boto3; print(six.__version__)") == "1.15.0"

    def test_a_lock_file_of_uv(self, builds: Builds, plain: str, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text(
            "[project]\nname = 'study'\nversion = '1'\nrequires-python = '>=3.11'\n"
            "dependencies = ['six==1.16.0']\n[dependency-groups]\ndev = ['toolz']\n"
        )
        lock = ["/mnt/tools/uv-0.13.9-glibc/bin/uv", "lock", "--quiet", "--directory", "/study"]
        volumes = ["--volume=cloudknot-tools-linux-amd64:/mnt/tools", f"--volume={tmp_path}:/study"]
        subprocess.run(["docker", "run", "--rm", *volumes, "python:3.11-slim", *lock], check=True)
        name = builds.make(environment=tmp_path / "uv.lock")
        said = builds.run(
            name, "import six, boto3, importlib.util as i; print(six.__version__, i.find_spec('toolz'))"
        )
        assert said == "1.16.0 None"

    def test_conda_brings_its_own_python(self, builds: Builds, with_conda: Path, tmp_path: Path) -> None:
        (tmp_path / "environment.yml").write_text("dependencies:\n  - python=3.11\n")
        name = builds.make(dockerfile=with_conda, environment=tmp_path / "environment.yml")
        said = builds.run(name, "import sys, os, boto3; print(sys.base_prefix, os.environ['PATH'][:40])")
        assert said == "/opt/environment /opt/cloudknot/bin:/opt/environment/bin:"

    def test_another_python_of_condas_is_refused(
        self, builds: Builds, with_conda: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "environment.yml").write_text("dependencies:\n  - python=2\n")
        with pytest.raises(
            ImageError, match=r"gives Python none, and this Python is 3.11: add .python=3.11."
        ):
            builds.make(dockerfile=with_conda, environment=tmp_path / "environment.yml")


class TestFailures:
    """A build that fails says why, and leaves nothing half-made."""

    def test_the_failing_step_is_shown_with_its_own_words(self, builds: Builds, plain: str) -> None:
        needs = replace(NEEDS, pins=(NEEDS.pins[0], Pin(name="six", version="99.9.9")))
        with pytest.raises(ImageError) as failed:
            builds.make(needs)
        said = str(failed.value)
        assert "install.py 0.13.9 pins small.txt" in said
        assert "there is no version of six==99.9.9" in said
        assert "correct its version" in said
        assert "Traceback" not in said
        assert failed.value.__suppress_context__ or failed.value.__context__ is None
        assert find_image(builds.engine, builds.said[0].split()[1]) is None
        wait_until(lambda: leftovers(builds.engine) == [])

    def test_a_debian_package_that_is_nowhere(self, builds: Builds) -> None:
        with pytest.raises(ImageError, match="apt has no package 'nothing-of-that-name'"):
            builds.make(base=BARE, apt=["nothing-of-that-name"])
        wait_until(lambda: leftovers(builds.engine) == [])

    def test_a_dockerfile_of_ones_own(self, builds: Builds, tmp_path_factory: pytest.TempPathFactory) -> None:
        lines = "FROM python:3.11-slim\nRUN echo so far && no-such-program\n"
        dockerfile = make_folder(tmp_path_factory, lines, {})
        with pytest.raises(ImageError, match=r"(?s)RUN echo so far .*no-such-program: not found"):
            builds.make(dockerfile=dockerfile)
        wait_until(lambda: leftovers(builds.engine) == [])

    def test_no_container_is_left_after_good_builds_either(self, builds: Builds, plain: str) -> None:
        wait_until(lambda: leftovers(builds.engine) == [])


def test_the_whole_of_cloudknot_is_there_where_a_function_uses_it(builds: Builds) -> None:
    name = builds.make(Needs(uses_cloudknot=True))
    assert (
        builds.run(name, "import cloudknot, cloudknot.runner.orders; print(cloudknot.__version__)")
        == __version__
    )


def test_threads_build_once(builds: Builds, plain: str) -> None:
    needs = replace(NEEDS, pins=(*NEEDS.pins, Pin(name="toolz", version="1.0.0")))
    said: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        image = Image(user=USER)
        made = [pool.submit(prepare_image, builds.engine, image, needs, tell=said.append) for _ in range(3)]
    assert {future.result() for future in made} == {made[0].result()}
    builds.made.append(made[0].result())
    assert said.count(" + toolz==1.0.0") == 1


def test_layers_go_with_the_last_image_that_stands_on_them(
    builds: Builds, plain: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    needs = Needs(pins=(Pin(name="toolz", version="1.0.0", is_large=True),))
    base = make_folder(tmp_path_factory, "FROM python:3.11-slim\n", {})
    names = [builds.make(needs, dockerfile=base, user=user) for user in ("jo", "mo")]
    api = builds.engine.client.api

    def layers_below(name: str) -> set[str]:
        return {
            tag
            for one in api.history(name)
            for tag in one["Tags"] or ()
            if tag.startswith("cloudknot-layer:")
        }

    shared = layers_below(names[0]) & layers_below(names[1])
    own = layers_below(names[0]) - shared
    assert (len(shared), len(own)) == (2, 1)
    remove_image(builds.engine, names[0])
    wait_until_gone(builds.engine, own)
    assert all(find_image(builds.engine, name) for name in shared)
    remove_image(builds.engine, names[1])
    wait_until_gone(builds.engine, shared)
    assert find_image(builds.engine, plain)
