"""The same questions to the box and to plain moto, and where the answers differ.

A difference that is not listed is a fault, and so is one that is listed and not there.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from cloudknot.testing import Box

ABSENT = "(nothing)"
_ONCE = Config(retries={"total_max_attempts": 1})
# What is another each time, and says nothing.
_CHANCE = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "HOST"),
    (re.compile(r"\b(subnet|sg|vpc|i|eni)-[0-9a-f]{8,}\b"), r"\1-ID"),
    (re.compile(r"\b(AROA|AIDA|AKIA|AIPA|ASIA)[A-Z0-9]{12,}"), r"\1ID"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "HEX"),
    (re.compile(r"\b[a-z]{150,}\b"), "RECEIPT"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "TIME"),
]
# Lists without an order that AWS promises, and by what they are put into one.
_UNORDERED = {"jobDefinitions": "jobDefinitionArn"}
_LATELY = 1_500_000_000
_CHANCE_HEADERS = {
    "date",
    "server",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-amz-id-2",
    "connection",
}

Answer = Any
Difference = tuple[Answer, Answer]
"""What moto says, and what the box says."""


class Side:
    """One of the two that are asked.

    Parameters
    ----------
    make_client : callable
        Makes a client of a service.
    settle : callable
        Lets pass what AWS takes to make something usable.
    """

    def __init__(
        self, endpoint: str, make_client: Callable[..., Any], settle: Callable[[], None] = lambda: None
    ) -> None:
        self.endpoint = endpoint
        self.settle = settle
        self.answers: dict[str, Answer] = {}
        self._make_client = make_client

    def client(self, service: str, **options: Any) -> Any:
        """Return a client of a service."""
        return self._make_client(service, **options)

    def ask(self, step: str, client: Any, operation: str, **params: Any) -> Any:
        """Ask, write down what is answered, and return it as it came."""
        try:
            reply = getattr(client, operation)(**params)
        except ClientError as error:
            reply = error.response
            reply = {
                "refused": reply["Error"]["Code"],
                "status": reply["ResponseMetadata"]["HTTPStatusCode"],
                "ResponseMetadata": reply["ResponseMetadata"],
            }
        said = {name: value for name, value in reply.items() if name != "ResponseMetadata"}
        for name in _UNORDERED.keys() & said.keys():
            said[name] = sorted(said[name], key=lambda item: str(item[_UNORDERED[name]]))
        self.note(step, said)
        return reply

    def note(self, step: str, answer: Answer) -> None:
        """Write down an answer, without what is another each time."""
        assert step not in self.answers, f"two steps are called {step!r}"
        self.answers[step] = plain(answer)


def of_box(box: Box) -> Side:
    """Return the side of a box whose time stands still."""

    def make(service: str, **options: Any) -> Any:
        return box.client(service, **{"config": _ONCE, **options})

    return Side(box.endpoint, make, lambda: box.advance(2))


@contextmanager
def moto(**services: Any) -> Iterator[Side]:
    """Have plain moto for a while.

    Parameters
    ----------
    **services
        moto's own settings of its services.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        session = boto3.Session("AKIAPLAINMOTO", "secret", region_name="us-east-1")

        def make(service: str, **options: Any) -> Any:
            return session.client(service, **{"endpoint_url": endpoint, "config": _ONCE, **options})

        yield Side(endpoint, make)
    finally:
        server.stop()


def plain(answer: Answer) -> Answer:
    """Return an answer as plain values, without what is another each time."""
    if isinstance(answer, Mapping):
        return {str(name): plain(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [plain(value) for value in answer]
    if isinstance(answer, dt.datetime):
        return "TIME"
    if isinstance(answer, int | float) and not isinstance(answer, bool) and answer > _LATELY:
        return "TIME"
    if isinstance(answer, str):
        for pattern, word in _CHANCE:
            answer = pattern.sub(word, answer)
    return answer


def headers(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a reply of boto3's, without those that are others each time."""
    found: dict[str, str] = reply["ResponseMetadata"]["HTTPHeaders"]
    return {name: value for name, value in found.items() if name not in _CHANCE_HEADERS}


def differences(moto: Side, box: Side) -> dict[str, Difference]:
    """Return where the two differ, by the path of what differs."""
    assert moto.answers.keys() == box.answers.keys()
    theirs, ours = (dict(_leaves(side.answers, "")) for side in (moto, box))
    paths = sorted(theirs.keys() | ours.keys())
    pairs = {path: (theirs.get(path, ABSENT), ours.get(path, ABSENT)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def check(found: Mapping[str, Difference], known: Mapping[str, str]) -> None:
    """Fail when a difference is not known, or a known one is not there.

    Parameters
    ----------
    found : mapping
        What `differences` gives.
    known : mapping of str to str
        Patterns of paths, each with the reason why moto and the box differ there.
    """
    new = [path for path in found if not any(fnmatchcase(path, pattern) for pattern in known)]
    gone = [pattern for pattern in known if not any(fnmatchcase(path, pattern) for path in found)]
    told = [f"{path}: moto says {found[path][0]!r}, the box {found[path][1]!r}" for path in new]
    told += [f"{pattern}: they do not differ any more" for pattern in gone]
    assert not told, "\n" + "\n".join(told)


def _leaves(value: Answer, path: str) -> Iterator[tuple[str, Answer]]:
    children: Sequence[tuple[Any, Answer]] = ()
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children:
        yield path, value if not isinstance(value, dict | list) else json.dumps(value)
    for name, child in children:
        yield from _leaves(child, f"{path}/{name}" if path else str(name))
