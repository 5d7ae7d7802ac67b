"""What the tests of pushing share: people with few rights, a repository, and a door to it that counts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from cloudknot.aws.session import Aws
from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.images import build_image
from cloudknot.testing import Box

REPOSITORY = "lab/images"
# A few MB: a shell, what it needs to add a user, and a Python that says yes to all.
_STUB = """\
FROM python:3.11-slim AS full
RUN mkdir -p /stub/etc /stub/tmp && touch /stub/etc/passwd /stub/etc/group \
 && for path in /bin/sh /bin/rm /bin/mkdir /bin/chown $( \
      ldd /bin/mkdir /bin/chown | grep -o '/[^ :]*\\.so[^ :]*'); do \
      mkdir -p /stub$(dirname $path) && cp -L $path /stub$path; done \
 && mkdir -p /stub/usr/local/bin && cd /stub/usr/local/bin \
 && printf '#!/bin/sh\\ncase "$*" in *version_info*) echo 3.11;; esac\\n' > python3 && chmod 755 python3
FROM scratch
COPY --from=full /stub /
LABEL cloudknot-test.stub={number}
"""
# What a person must be allowed to do for images; the docker engine asks for the most of it.
LEAST = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchDeleteImage",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)


def make_repository(box: Box, **options: Any) -> str:
    """Make a repository and return its URI."""
    made = box.client("ecr").create_repository(repositoryName=REPOSITORY, **options)
    return str(made["repository"]["repositoryUri"])


def make_stub(engine: Engine, number: int = 1) -> str:
    """Make a base on which images are built and pushed in a second, though nothing runs in them."""
    name = f"cloudknot-test/stub:{number}"
    dockerfile = _STUB.replace("{number}", str(number))
    build_image(engine, {"Dockerfile": dockerfile.encode()}, name, tell=lambda line: None)
    return name


def least_policy(box: Box, *, without: str = "") -> dict[str, Any]:
    """Return the smallest policy under which images are prepared and removed, or one that lacks an action."""
    repository = f"arn:aws:ecr:{box.region}:{box.account_id}:repository/{REPOSITORY}"
    actions = [action for action in LEAST if action != without]
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": repository},
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]
    return {"Version": "2012-10-17", "Statement": statements[: 1 if "Token" in without else None]}


def become(box: Box, patch: pytest.MonkeyPatch, policy: dict[str, Any]) -> Aws:
    """Return the access of a person who may do this and nothing else."""
    given = box.user("ada", policy).get_credentials()
    assert given is not None
    patch.setenv("AWS_ACCESS_KEY_ID", str(given.access_key))
    patch.setenv("AWS_SECRET_ACCESS_KEY", str(given.secret_key))
    return Aws()


def operations(box: Box, after: int = 0) -> Sequence[str]:
    """Return what was asked of ECR."""
    return [call.operation for call in box.calls(after) if call.service == "ecr"]


class Door:
    """A port that leads to a box; it counts what is sent, and can be shut."""

    def __init__(self, box: Box) -> None:
        self.sent_bytes = 0
        self._target = ("127.0.0.1", box.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def uri(self, uri: str) -> str:
        """Return a repository's address behind this door."""
        return f"localhost:{self.port}/{uri.partition('/')[2]}"

    def close(self) -> None:
        """Lead nowhere any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def reopen(self) -> None:
        """Lead to the box again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(self._target)
            for source, target, is_up in ((here, there, True), (there, here, False)):
                threading.Thread(target=self._pass_on, args=(source, target, is_up), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        with contextlib.suppress(OSError), contextlib.closing(target):
            while data := source.recv(1 << 16):
                self.sent_bytes += len(data) if is_up else 0
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def a_door(box: Box) -> Iterator[Door]:
    """Open a door to a box."""
    door = Door(box)
    try:
        yield door
    finally:
        door.close()
