"""A small server that reads requests as the box does, and answers what a test says."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler, make_server

from cloudknot.testing.wire.requests import WireRequest, read_request

REGION = "eu-west-1"
Answer = Callable[[WireRequest, WSGIEnvironment], tuple[int, list[tuple[str, str]], bytes]]


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Keep silent."""


class Answering:
    """A WSGI application that keeps the requests it got."""

    def __init__(self) -> None:
        self.requests: list[WireRequest] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = lambda request, environ: (200, [], b"")
        self.url = ""

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        self.requests.append(request)
        status, headers, body = self.answer(request, environ)
        self.bodies.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def client(
        self, service: str, *, key: str = "AKIAEXAMPLE", secret: str = "secret", **options: Any
    ) -> Any:
        config = Config(retries={"max_attempts": 0}, **options.pop("config", {}))
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
            **options,
        )


@contextmanager
def answering() -> Iterator[Answering]:
    app = Answering()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    app.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
