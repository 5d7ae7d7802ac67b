"""The image that a function runs in on AWS: looked up in ECR, else built here and sent there."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from cloudknot.aws.registry import Registry
from cloudknot.aws.session import Aws
from cloudknot.backends.prepared import Prepared
from cloudknot.context import HOME
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import find_image, run_probe
from cloudknot.errors import EngineError, ImageError
from cloudknot.images import digest_request, find_recipe, look_up_recipe, make_image
from cloudknot.reach import Imports
from cloudknot.requirements import Needs, capture
from cloudknot.runner.stores import FileStore
from cloudknot.specs import Image

# Whatever this machine is: that of jobs that ask for no other.
_PLATFORM = "linux/amd64"
_DIGEST = re.compile(r"[0-9a-f]{20}")
# Another person may have removed an image that was there so long ago.
_TRUSTED_S = 60.0
# What the runner writes, it writes only where nothing is: boto3 can ask S3 for that since 1.35.2.
_CHECK = """
import boto3, cloudknot.runner
s3 = boto3.client("s3", region_name="us-east-1")
fields = s3.meta.service_model.operation_model("PutObject").input_shape.members
raise SystemExit(None if "IfNoneMatch" in fields else f"boto3 {boto3.__version__} is too old")
"""


class RemoteImages:
    """Makes images ready for AWS Batch; safe from any thread, and beside other processes.

    An image that ECR has is used, whoever built it. What this home has prepared before is found without a
    docker engine.

    Parameters
    ----------
    aws : Aws
        Who asks.
    repository_uri : str
        The stack's repository, as ECR gives its address.
    engine : callable
        Returns the docker engine; called when one is needed, and not again.
    home : Path
        The folder of the ledger. What was prepared is noted below ``images/`` in it.
    default_base : str, optional
        The base of images that name none; None: the official Python image.
    tell : callable
        Told, line by line, how it goes on; an empty line at its end.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        aws: Aws,
        repository_uri: str,
        *,
        engine: Callable[[], Engine],
        home: Path,
        default_base: str | None,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = Registry(aws, repository_uri)
        self._make_engine = engine
        self._opened: Engine | None = None
        self._opening = threading.Lock()
        self._notes = FileStore(home)
        self._default_base = default_base
        self._tell = tell
        self._locks: dict[str, threading.Lock] = {}
        self._clock = clock
        self._ready: dict[str, str] = {}
        self._looked_at: dict[str, float] = {}

    def prepare(self, image: Image, imports: Imports) -> Prepared:
        """Make the image ready that a function needs, and return its name with its digest in ECR.

        It is for ``linux/amd64`` where the image says nothing else. For a minute a second call with the same
        asks nobody; then it looks whether the image is still there.

        Raises
        ------
        InputError
            A module that the function imports cannot be had in an image.
        ImageError
            The image could not be made, or is for another architecture.
        EngineError
            The image must be built, and no engine answers, or it failed.
        NotConfiguredError
            The repository is not there.
        AwsError
            AWS refused or could not be reached.
        """
        image = replace(image, platform=image.platform or _PLATFORM)
        needs = capture(imports, platform=image.platform)
        request = digest_request(image, needs, default_base=self._default_base)
        with self._locks.setdefault(request, threading.Lock()):
            name, now = self._ready.get(request), self._clock()
            if name is None or now - self._looked_at[request] >= _TRUSTED_S:
                try:
                    name = self._ready[request] = self._provide(image, needs, request)
                    self._looked_at[request] = now
                finally:
                    self._tell("")
        return Prepared(image=name, by_value=needs.by_value)

    def remove(self, images: Collection[str]) -> tuple[str, ...]:
        """Remove images from ECR; return the names of those that were there. Builds on this machine stay.

        Parameters
        ----------
        images : collection of str
            As `prepare` has named them; those of other repositories stay.

        Raises
        ------
        AwsError
            AWS refused; what went before is gone.
        """
        start = f"{self._registry.uri}@"
        deleted = self._registry.delete(
            {name.removeprefix(start) for name in images if name.startswith(start)}
        )
        gone = sorted(f"{start}{digest}" for digest in deleted.digests)
        for request, name in list(self._ready.items()):
            if name in gone:
                self._ready.pop(request, None)
        return tuple(gone)

    def _provide(self, image: Image, needs: Needs, request: str) -> str:
        tag = self._digest_here(image, needs) or self._noted(request)
        digest = self._registry.find(tag) if tag else None
        if tag is None or digest is None:
            tag, digest = self._build(image, needs, tag)
        self._note(request, tag)
        name = f"{self._registry.uri}@{digest}"
        self._tell(f"the image {name} is ready")
        return name

    def _build(self, image: Image, needs: Needs, missing: str | None) -> tuple[str, str]:
        """Return the tag and the digest of an image that is built and sent, unless ECR has it after all."""
        engine = self._open_engine()
        recipe = find_recipe(engine, image, needs, default_base=self._default_base, tell=self._tell)
        tag = recipe.digest
        found = self._registry.find(tag) if tag != missing else None
        if found is None:
            name = make_image(engine, recipe, tell=self._tell)
            check_platform(engine, name, str(image.platform))
            if image.requirements is not None or image.environment is not None or image.packages:
                check_runner(engine, name, str(image.platform))
            # A build takes long enough for a colleague to be first.
            found = self._registry.find(tag) or self._registry.push(engine, name, tag, tell=self._tell)
        return tag, found

    def _engine(self) -> Engine:
        with self._opening:
            if self._opened is None:
                self._opened = self._make_engine()
            return self._opened

    def _open_engine(self) -> Engine:
        try:
            engine = self._engine()
            engine.platform  # noqa: B018  # it answers
        except EngineError as error:
            raise EngineError(
                f"the image is not in {self._registry.uri} and must be built on this machine: {error}"
            ) from error
        return engine

    def _digest_here(self, image: Image, needs: Needs) -> str | None:
        """Return the image's digest as the engine knows it; None without an engine, or without the base."""
        try:
            recipe = look_up_recipe(self._engine(), image, needs, default_base=self._default_base)
        except EngineError:
            return None
        return None if recipe is None else recipe.digest

    def _noted(self, request: str) -> str | None:
        try:
            noted = self._notes.get(f"images/{request}").decode(errors="replace").strip()
        except (KeyError, OSError):
            return None
        return noted if _DIGEST.fullmatch(noted) else None

    def _note(self, request: str, tag: str) -> None:
        if self._noted(request) != tag:
            self._notes.put(f"images/{request}", f"{tag}\n".encode())


def check_platform(engine: Engine, name: str, platform: str) -> None:
    """Refuse an image that is for another architecture than was asked for.

    Raises
    ------
    ImageError
        It is.
    """
    found = find_image(engine, name)
    system, architecture = platform.split("/")[:2]
    if found is None or not found.is_for(f"{system}/{architecture}"):
        is_for = f"for {found.platform}" if found else "no longer there"
        raise ImageError(
            f"the image {name} is {is_for}, not for {platform} as its jobs need, and was not pushed: "
            "choose a base for that platform, or arch= as the image has it"
        )


def check_runner(engine: Engine, name: str, platform: str) -> None:
    """Refuse an image in which a person's own packages leave the runner without what it needs.

    Raises
    ------
    ImageError
        They do.
    """
    script = f"{HOME}/bin/python -c {shlex.quote(_CHECK)}"
    code, said = run_probe(engine, name, script, platform=platform)
    if code:
        raise ImageError(
            f"cloudknot's own side does not start in the image {name}, which was not pushed: {said.strip()}. "
            "It needs boto3 from 1.35.2 up: name a version of it beside your own packages, or leave it out"
        )
