"""A server with faults before it, for the tests of what they do at the wire."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wsgi import get_input_stream

from cloudknot.testing import faults
from cloudknot.testing.faults.wire import apply
from cloudknot.testing.wire.requests import read_request

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (4 * MIB // 256)
PERSON = "arn:aws:iam::123456789012:user/ann"


def with_rules(*given: faults.Fault, seed: int = 1) -> faults.Faults:
    rules = faults.Faults(seed)
    for fault in given:
        rules.add(fault)
    return rules


class Stand:
    """An S3 that keeps objects, a Batch that counts submissions, and a door with faults before them."""

    def __init__(self, server: BaseWSGIServer, rules: faults.Faults) -> None:
        self.address = ("127.0.0.1", server.server_port)
        self.rules = rules
        self.objects: dict[str, bytes] = {}
        self.submitted: list[str] = []
        self.slept: list[float] = []
        self.is_real_time = False
        self.sends_length = True

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = read_request(environ)
        fault = self.rules.on_request(request.service, request.operation, PERSON)
        if fault is None:
            return self._answer(environ, start)
        if self.is_real_time:
            return apply(fault, request, environ, start, self._answer)
        return apply(fault, request, environ, start, self._answer, sleep=self.slept.append)

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, body = environ["PATH_INFO"], b""
        if environ["REQUEST_METHOD"] == "PUT":
            self.objects[path] = get_input_stream(environ).read()
        elif path == "/v1/submitjob":
            self.submitted.append("job")
            body = json.dumps({"jobId": str(len(self.submitted)), "jobName": "a"}).encode()
        else:
            body = self.objects.get(path, b"{}")
        length = [("Content-Length", str(len(body)))] if self.sends_length else []
        start("200 OK", [("Content-Type", "application/json"), *length])
        yield b"" if environ["REQUEST_METHOD"] == "HEAD" else body

    def client(self, service: str, *, retries: int = 0, read_timeout: float = 60) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.address[1]}",
            region_name="eu-west-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(
                retries={"total_max_attempts": retries + 1, "mode": "standard"},
                read_timeout=read_timeout,
                s3={"addressing_style": "path"},
            ),
        )


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Keep silent."""


@contextmanager
def standing(*given: faults.Fault) -> Iterator[Stand]:
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True, request_handler=_Handler)
    stand = Stand(server, with_rules(*given))
    server.app = stand
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
