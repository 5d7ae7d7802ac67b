"""The box's process: `python -m cloudknot.testing.server FOLDER`, with its settings in the folder."""

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from cloudknot.testing.ecr.installing import install as install_ecr
from cloudknot.testing.executors import Executor
from cloudknot.testing.executors.docker import DockerExecutor
from cloudknot.testing.executors.docker_leftovers import sweep
from cloudknot.testing.executors.docker_outcomes import FAILURES, words
from cloudknot.testing.executors.process import ProcessExecutor
from cloudknot.testing.iam.installing import install as install_iam
from cloudknot.testing.server import default_network, inventory
from cloudknot.testing.server.app import Door
from cloudknot.testing.server.control import Control
from cloudknot.testing.server.world import EXECUTORS, Settings, World
from cloudknot.testing.stacks.installing import install as install_stacks

ADDRESS = "127.0.0.1"
STATE = "box.json"


def main(arguments: list[str] | None = None) -> None:
    """Listen until told to stop, or until the standard input ends where that was asked for."""
    asked = _read(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    server = _listen(asked.port)
    settings = Settings(
        name=asked.name,
        folder=asked.folder,
        port=server.server_port,
        region=asked.region,
        access_key="AKIA" + secrets.token_hex(8).upper(),
        secret_key=secrets.token_urlsafe(30),
        token=secrets.token_urlsafe(24),
    )
    world = _install(settings)
    stop = partial(_stop, server)
    server.app = Door(world, _moto(), Control(world, stop))
    try:
        world.reset(executor=asked.executor, ticking=asked.ticking)
    except ValueError as error:
        sys.exit(str(error))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    if asked.lifeline:
        threading.Thread(target=_follow_lifeline, args=(stop,), daemon=True).start()
    _tell(settings)
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        world.remove()
        (settings.folder / STATE).unlink(missing_ok=True)


def _install(settings: Settings) -> World:
    """Put what the box has of its own in the place of moto's."""
    registry = install_ecr(settings.port, settings.folder / "registry", account_id=settings.account_id)
    world = World(settings, registry, {"docker": _run_in_docker, "process": _run_as_processes})
    install_iam()
    install_stacks(world.call_batch)
    inventory.install(world.tagged_in_batch)
    default_network.install()
    return world


def _read(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cloudknot.testing.server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="default")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--executor", choices=EXECUTORS, default="docker")
    parser.add_argument("--frozen", dest="ticking", action="store_false")
    parser.add_argument("--lifeline", action="store_true", help="end when the standard input does")
    return parser.parse_args(arguments)


def _listen(port: int) -> BaseWSGIServer:
    class Handler(MotoRequestHandler):
        # Chunked answers, and an answer to `Expect: 100-continue`, are HTTP/1.1.
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_request(self, *_: Any) -> None:
            """Leave requests out of the log: the journal has them."""

        def log_error(self, *_: Any) -> None:
            """Leave out what is no HTTP: docker tries TLS first."""

    def not_yet(_: Any, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("503 -", [("Content-Length", "0")])
        return [b""]

    server = make_server(ADDRESS, port, not_yet, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded kind
    return server


def _moto() -> Any:
    return DomainDispatcherApplication(create_backend_app)


def _run_in_docker(world: World) -> Executor:
    label = str(world.settings.folder)  # names are not unique among the people of a machine
    try:
        if world.executor_name != "docker":  # else what there is belongs to living jobs
            sweep(label)
    except FAILURES as error:
        raise ValueError(
            f"no docker engine answers: {words(error)}. "
            "Start one, or run jobs as processes: executor 'process'"
        ) from error
    return DockerExecutor(label=label, login=world.registry.login_for)


def _run_as_processes(world: World) -> Executor:
    return ProcessExecutor(folder=world.settings.folder / "work")


def _stop(server: BaseWSGIServer) -> None:
    # serve_forever must not be waited for by the thread that answers.
    threading.Thread(target=server.shutdown, daemon=True).start()


def _follow_lifeline(stop: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    stop()


def _tell(settings: Settings) -> None:
    path = settings.folder / STATE
    values = {
        "name": settings.name,
        "pid": os.getpid(),
        "port": settings.port,
        "region": settings.region,
        "account_id": settings.account_id,
        "access_key": settings.access_key,
        "secret_key": settings.secret_key,
        "token": settings.token,
    }
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(values))
    fresh.replace(path)


if __name__ == "__main__":
    main()
