"""The images that the tests build upon: Python as the public one has it, and a Debian without Python."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import docker
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image
from requests.exceptions import RequestException

from tests.rig import debian, rootfs
from tests.rig.engine import ensure_engine
from tests.rig.errors import EngineUnavailableError
from tests.rig.state import STATE, only_one

BASE = f"python:{rootfs.VERSION}-slim"
BARE = f"cloudknot-test/bare:{rootfs.VERSION}"
RECIPE = "cloudknot.test.recipe"
PULL_TIMEOUT_S = 20
MAKE_TIMEOUT_S = 600
# Where the public image is there, the one without Python is made of it.
BARE_OF_BASE = f"""\
FROM {BASE}
RUN rm -rf /usr/local/bin/*py* /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/include/* \\
    /usr/local/lib/python* /usr/local/lib/libpython* && ldconfig
ENTRYPOINT []
CMD ["bash"]
"""
_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def ensure_base_image() -> str:
    """Return the name of an image with this minor version of Python and pip, which the engine has.

    Raises
    ------
    EngineUnavailableError
        When it is not there, cannot be pulled, and cannot be made here.
    """
    _ensure(BASE)
    return BASE


def ensure_bare_image() -> str:
    """Return the name of an image with the same Debian and without Python, which the engine has."""
    _ensure(BARE)
    return BARE


def recipe_digest() -> str:
    """Return a digest of all that decides what is in an image that is made here."""
    sources = [Path(module.__file__ or "") for module in (debian, rootfs)]
    # A new certificate, as behind another proxy, makes an old image useless.
    parts = [*sources, Path(__file__), Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt")]
    digest = hashlib.sha256(sys.version.encode())
    for path in parts:
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()[:16]


def image_changes(environment: Mapping[str, str], root: Path) -> list[str]:
    """Return the image's settings, as lines of a Dockerfile: certificates as the host has them."""
    wanted = {name: environment[name] for name in _CERTIFICATES if environment.get(name)}
    inside = {name: path for name, path in wanted.items() if (root / path.removeprefix("/")).is_file()}
    settings = {"PATH": rootfs.SEARCH_PATH, "LANG": "C.UTF-8", **inside}
    return [f"ENV {name}={value}" for name, value in settings.items()] + [f"LABEL {RECIPE}={recipe_digest()}"]


def _ensure(name: str) -> None:
    ensure_engine()
    client = docker.from_env(timeout=MAKE_TIMEOUT_S)
    try:
        if _is_there(client, name):
            return
        with only_one("images"):
            if _is_there(client, name):
                return
            if not _is_there(client, BASE):
                _pull_or_make(client)
            if not _is_there(client, BARE):
                client.images.build(fileobj=io.BytesIO(BARE_OF_BASE.encode()), tag=BARE, rm=True)
    finally:
        client.close()


def _is_there(client: DockerClient, name: str) -> bool:
    """Return whether the engine has it, and not one from an older recipe."""
    try:
        image: Image = client.images.get(name)
    except ImageNotFound:
        return False
    return bool(image.labels.get(RECIPE, recipe_digest()) == recipe_digest())


def _pull_or_make(client: DockerClient) -> None:
    hurried = docker.from_env(timeout=PULL_TIMEOUT_S)
    try:
        hurried.images.pull(BASE)
    except (DockerException, RequestException) as error:
        refusal = _why_not_make()
        if refusal:
            raise EngineUnavailableError(
                f"{BASE} is not there, and cannot be pulled: {error}; {refusal}"
            ) from error
        _make(client)
    finally:
        hurried.close()


def _why_not_make() -> str | None:
    """Return why the images are not made from this machine's files, or None where they may be."""
    if os.geteuid() != 0 or shutil.which("dpkg-query") is None:
        return f"making it of installed files takes root on Debian; or load {BASE} into the engine"
    return None


def _make(client: DockerClient) -> None:
    """Make both images from one folder, which is first the one and then the other."""
    with tempfile.TemporaryDirectory(prefix="rootfs-", dir=STATE) as folder:
        root = Path(folder)
        root.chmod(0o755)
        system = rootfs.Rootfs(root)
        try:
            system.add_debian()
            _load(client, root, BARE, 'CMD ["bash"]')
            system.add_python()
            _load(client, root, BASE, 'CMD ["python3"]')
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace")
            raise EngineUnavailableError(f"{BASE} could not be made: {error}\n{said}") from error


def _load(client: DockerClient, root: Path, name: str, command: str) -> None:
    """Let the engine take this folder as an image."""
    repository, tag = name.split(":")
    changes = [*image_changes(os.environ, root), command]
    pack = ["tar", "--create", "--numeric-owner", f"--directory={root}", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packer:
        client.api.import_image_from_stream(packer.stdout, repository=repository, tag=tag, changes=changes)
