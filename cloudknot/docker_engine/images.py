"""Images in a docker engine: found, pulled, built, asked, tagged and removed."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

from cloudknot.docker_engine.building import BuildLog
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.explaining import explain, is_disk_full
from cloudknot.errors import ImageError

Tell = Callable[[str], None]
# Carried by images that are there for others to stand on; what stands on them inherits it.
LABEL = "cloudknot.layer"
BUILDING = "cloudknot-building-"
_PROBE_S = 120
_LEFT_S = 24 * 3600
_MTIME = 315532800  # 1980: any date that is always the same; archives of zip know none before it
_NOT_STARTED = 125  # as `docker run` ends where it could not start a container


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What the engine knows of an image that it has.

    Parameters
    ----------
    id : str
        The engine's own name of it.
    digest : str
        What its content is known by: the registry's digest where it came from one, else its id.
    platform : str
        Such as ``"linux/amd64"``.
    labels : dict
        Its labels.
    """

    id: str
    digest: str
    platform: str
    labels: Mapping[str, str]

    def is_for(self, platform: str | None) -> bool:
        """Return whether it is for a platform; any will do where none is named.

        Examples
        --------
        >>> ImageFacts(id="", digest="", platform="linux/arm64/v8", labels={}).is_for("linux/arm64")
        True
        """
        return platform is None or f"{self.platform}/".startswith(f"{platform}/")


def find_image(engine: Engine, name: str) -> ImageFacts | None:
    """Return what the engine knows of an image, or None where it has none of that name."""
    client = engine.client
    with engine.translated(f"look for the image {name}"):
        try:
            found: Mapping[str, Any] = client.api.inspect_image(name)
        except ImageNotFound:
            return None
    platform = f"{found['Os']}/{found['Architecture']}"
    variant = found.get("Variant")
    return ImageFacts(
        id=found["Id"],
        digest=_digest_of(name, found),
        platform=f"{platform}/{variant}" if variant else platform,
        labels=(found.get("Config") or {}).get("Labels") or {},
    )


def _digest_of(name: str, found: Mapping[str, Any]) -> str:
    """Return a registry's digest of it; of that name, where it is known by several."""
    digests = sorted(found.get("RepoDigests") or ())
    own = [digest for digest in digests if name.startswith(digest.partition("@")[0])]
    return str((own or digests or [found["Id"]])[0]).rpartition("@")[2]


def build_image(
    engine: Engine,
    files: Mapping[str, bytes],
    name: str,
    *,
    platform: str | None = None,
    is_layer: bool = False,
    tell: Tell,
) -> BuildLog:
    """Build an image from files, one of which is ``Dockerfile``, and give it a name.

    Parameters
    ----------
    engine : Engine
        Where.
    files : dict of str to bytes
        The build context: a file's path in it, and what it holds.
    name : str
        The image's name, which it gets when it is whole.
    platform : str, optional
        None: the engine's own.
    is_layer : bool, default False
        Whether it is there for other images only, and goes with the last of them.
    tell : callable
        Given each line that the build says.

    Raises
    ------
    ImageError
        A step failed. Nothing half-made is left.
    EngineError
        The engine failed.
    """
    return _build(
        engine,
        "the image",
        tell,
        tag=name,
        fileobj=io.BytesIO(pack_context(files)),
        custom_context=True,
        platform=platform,
        labels={LABEL: name} if is_layer else None,
    )


def build_folder(
    engine: Engine, dockerfile: Path, name: str, *, platform: str | None = None, tell: Tell
) -> BuildLog:
    """Build a layer from a person's own Dockerfile, with its folder as the build context.

    Raises
    ------
    ImageError
        A step failed, or a file of the folder cannot be read. Nothing half-made is left.
    EngineError
        The engine failed.
    """
    try:
        return _build(
            engine,
            str(dockerfile),
            tell,
            tag=name,
            path=str(dockerfile.parent),
            dockerfile=dockerfile.name,
            platform=platform,
            labels={LABEL: name},
        )
    except OSError as error:
        raise ImageError(f"could not read the folder of {dockerfile} as a build context: {error}") from error


def _build(engine: Engine, what: str, tell: Tell, **request: Any) -> BuildLog:
    client = engine.client
    log = BuildLog()
    with engine.translated(f"build {what}"):
        try:
            # forcerm: the container of a failed step goes too.
            with contextlib.closing(
                client.api.build(rm=True, forcerm=True, decode=True, **request)
            ) as events:
                for event in events:
                    for line in log.add(event):
                        tell(line)
        except APIError as error:
            raise ImageError(f"docker refused to build {what}: {explain(error)}") from None
    if log.error:
        raise ImageError(f"could not build {what}: {log.describe_failure()}")
    return log


def pack_context(files: Mapping[str, bytes]) -> bytes:
    """Return files as a tar archive that depends on nothing but them, so that the engine's cache holds."""
    archive = io.BytesIO()
    folders = {str(folder) for path in files for folder in PurePosixPath(path).parents[:-1]}
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted({*files, *folders}):
            entry = tarfile.TarInfo(path)
            entry.mtime = _MTIME
            if path in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            else:
                entry.size = len(files[path])
            tar.addfile(entry, io.BytesIO(files.get(path, b"")))
    return archive.getvalue()


def run_probe(engine: Engine, image: str, script: str, *, platform: str | None = None) -> tuple[int, str]:
    """Run a shell script in a container of an image and remove it; return its exit code and its output.

    Raises
    ------
    EngineError
        The engine failed.
    """
    api = engine.client.api
    with engine.translated(f"look into the image {image}"):
        container = api.create_container(
            image, entrypoint=["/bin/sh", "-c", script], command=[], user="0", network_disabled=True,
            platform=platform,
        )["Id"]  # fmt: skip
        try:
            api.start(container)
            code = int(api.wait(container, timeout=_PROBE_S)["StatusCode"])
            return code, api.logs(container).decode(errors="replace")
        except APIError as error:
            if is_disk_full(str(error)):
                raise
            return _NOT_STARTED, str(error.explanation)
        finally:
            with contextlib.suppress(NotFound):
                api.remove_container(container, force=True, v=True)


def tag_image(engine: Engine, image: str, name: str) -> None:
    """Give an image a further name."""
    repository, _, tag = name.rpartition(":")
    with engine.translated(f"name {image} {name}"):
        engine.client.api.tag(image, repository, tag)


def remove_image(engine: Engine, name: str) -> bool:
    """Remove an image's name, and the image if it has no other; return whether there was one.

    The layers that were made for it go too, where no other image stands on them.
    """
    client = engine.client
    with engine.translated(f"remove the image {name}"):
        try:
            client.api.remove_image(name, force=True)
        except ImageNotFound:
            return False
    remove_unused_layers(engine)
    return True


def remove_unused_layers(engine: Engine) -> None:
    """Remove the layers that nothing stands on, the upper ones first; none while an image is being made."""
    api = engine.client.api
    layers: list[tuple[list[str], str]] = []
    others: list[list[str]] = []
    with engine.translated("remove layers"):
        # The layers of an image that is being made have nothing on top yet.
        if _is_building(api):
            return
        for listed in api.images(quiet=True):
            with contextlib.suppress(ImageNotFound):  # it is just going
                found: Mapping[str, Any] = api.inspect_image(listed)
                stack: list[str] = found["RootFS"].get("Layers") or []
                name = str(((found.get("Config") or {}).get("Labels") or {}).get(LABEL))
                if name in (found.get("RepoTags") or ()):
                    layers.append((stack, name))
                else:
                    others.append(stack)
        for stack, name in sorted(layers, reverse=True, key=lambda layer: len(layer[0])):
            if not any(other[: len(stack)] == stack for other in others):
                with contextlib.suppress(APIError):  # another process does the same, or uses it
                    api.remove_image(name)


def _is_building(api: Any) -> bool:
    """Return whether an image is being made; what a killed process has left is removed."""
    found = api.containers(all=True, filters={"name": BUILDING})
    left = [one for one in found if one["State"] != "running" and one["Created"] < time.time() - _LEFT_S]
    for container in left:
        with contextlib.suppress(APIError):  # another process does the same
            api.remove_container(container["Id"], v=True, force=True)
    return len(found) > len(left)


def images_with(engine: Engine, label: str) -> list[str]:
    """Return the names of the images that carry a label."""
    client = engine.client
    with engine.translated("list images"):
        found = client.api.images(filters={"label": label})
    return sorted(name for image in found for name in image.get("RepoTags") or ())
