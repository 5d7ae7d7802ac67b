"""The rig gives the tests what it promises: a real engine, images to build upon, and a registry."""

from __future__ import annotations

import io
import sys
import tarfile
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest
from docker import DockerClient
from docker.errors import BuildError, ContainerError

from tests.rig.apt import why_not_install
from tests.rig.base_image import BASE, ensure_bare_image, ensure_base_image, image_changes
from tests.rig.engine import default_route_mtu, ensure_engine
from tests.rig.errors import EngineUnavailableError
from tests.rig.registry import Registry

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT"


def build(engine: DockerClient, dockerfile: str) -> str:
    """Build an image and return what the build said; the image goes again."""
    tag = f"cloudknot-test/rig:{uuid4().hex[:8]}"
    try:
        _, said = engine.images.build(
            fileobj=io.BytesIO(dockerfile.encode()), tag=tag, nocache=True, rm=True, forcerm=True
        )
    except BuildError as error:
        raise AssertionError("".join(line.get("stream", "") for line in error.build_log)) from error
    engine.images.remove(tag)
    return "".join(line.get("stream", "") for line in said)


def small_image(engine: DockerClient, repository: str) -> str:
    """Make an image of one small file and return its id."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as pack:
        pack.addfile(tarfile.TarInfo(uuid4().hex))
    engine.api.import_image_from_data(content.getvalue(), repository=repository, tag="1")
    return str(engine.images.get(f"{repository}:1").id)


def test_python_and_pip_of_the_base_image_are_of_this_minor_version(engine: DockerClient) -> None:
    code = "import sys, ssl, sqlite3, ctypes, lzma; print('%d.%d' % sys.version_info[:2], sys.executable)"
    assert engine.containers.run(BASE, ["python", "-c", code], remove=True).decode().split() == [
        MINOR,
        "/usr/local/bin/python",
    ]
    said = engine.containers.run(BASE, ["pip", "--version"], remove=True).decode()
    assert said.startswith("pip ")
    assert f"(python {MINOR})" in said


def test_the_standard_library_of_the_base_image_is_compiled(engine: DockerClient) -> None:
    code = "import json.decoder, pathlib; print(pathlib.Path(json.decoder.__cached__).exists())"
    assert engine.containers.run(BASE, ["python", "-B", "-c", code], remove=True) == b"True\n"


def test_pip_installs_in_a_build(engine: DockerClient) -> None:
    said = build(engine, f"FROM {BASE}\nRUN pip install six && python -c 'import six; print(six.__file__)'")
    assert f"/usr/local/lib/python{MINOR}/site-packages/six.py" in said


def test_apt_installs_in_a_build(engine: DockerClient) -> None:
    install = "apt-get update && apt-get install -y --no-install-recommends tree && tree --version"
    said = build(engine, f"FROM {BASE}\nRUN {install}")
    assert "tree v" in said


def test_a_user_can_be_added_in_a_build(engine: DockerClient) -> None:
    said = build(engine, f"FROM {BASE}\nRUN useradd --create-home ann && su ann -c 'id --user --name; pwd'")
    assert "ann\n" in said


def test_the_bare_image_has_no_python(engine: DockerClient) -> None:
    bare = ensure_bare_image()
    for name in ("python", "python3", f"python{MINOR}", "pip"):
        with pytest.raises(ContainerError):
            engine.containers.run(bare, ["sh", "-c", f"command -v {name}"], remove=True)
    search = "find / -xdev '(' -name 'python3*' -o -name 'libpython*' ')' -path '*/lib/*' ! -path '*/dpkg/*'"
    assert engine.containers.run(bare, ["sh", "-c", search], remove=True) == b""


def test_what_is_there_is_not_made_anew(engine: DockerClient) -> None:
    names = [ensure_base_image(), ensure_bare_image()]
    before = [engine.images.get(name).attrs for name in names]
    identity = engine.info()["ID"]
    ensure_engine()
    assert [ensure_base_image(), ensure_bare_image()] == names
    assert [engine.images.get(name).attrs for name in names] == before
    assert engine.info()["ID"] == identity


def test_the_registry_takes_an_image_and_gives_it_back(engine: DockerClient, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry") as registry:
        repository = f"{registry.address}/some/image"
        made = small_image(engine, repository)
        said = engine.images.push(repository, tag="1")
        assert "errorDetail" not in said
        engine.images.remove(f"{repository}:1")
        assert engine.images.pull(repository, tag="1").id == made
        engine.images.remove(f"{repository}:1")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{registry.address}/v2/", timeout=5)


def test_a_registry_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("CLOUDKNOT_TEST_ENGINE", raising=False)
    with pytest.raises(
        EngineUnavailableError, match="docker-registry must be installed: do it, or set CLOUD"
    ):
        Registry(tmp_path / "registry").__enter__()


def test_an_engine_elsewhere_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDKNOT_TEST_ENGINE", "install")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(
        EngineUnavailableError, match=r"no docker engine answers at unix://.*unset DOCKER_HOST"
    ):
        ensure_engine()


def test_nothing_is_installed_unasked() -> None:
    assert "set CLOUDKNOT_TEST_ENGINE=install as root on Debian" in (why_not_install({}) or "")


@pytest.mark.parametrize(
    ("lines", "mtu"),
    [
        (["eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0"], 1400),
        (
            ["lo 0000007F 0 0001 0 0 0 000000FF 0 0 0", "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0"],
            1400,
        ),
        (["lo 00000000 0 0001 0 0 0 00000080 0 0 0"], None),
        ([], None),
    ],
)
def test_the_mtu_is_that_of_the_default_route(lines: list[str], mtu: int | None, tmp_path: Path) -> None:
    for device, size in {"eth0": 1400, "lo": 65536}.items():
        (tmp_path / device).mkdir()
        (tmp_path / device / "mtu").write_text(f"{size}\n")
    assert default_route_mtu("\n".join([ROUTES, *lines]), tmp_path) == mtu


def test_certificates_are_set_where_the_image_has_them(tmp_path: Path) -> None:
    (tmp_path / "bundle.crt").touch()
    lines = image_changes({"PIP_CERT": "/bundle.crt", "SSL_CERT_FILE": "/elsewhere.crt"}, tmp_path)
    assert "ENV PIP_CERT=/bundle.crt" in lines
    assert not [line for line in lines if "SSL_CERT_FILE" in line]
