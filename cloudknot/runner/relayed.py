"""The store of a worker that cannot reach it: its requests are relayed to the other end of a stream.

What is asked is answered there, and only what one run needs: its own objects may be read, and its own
values written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cloudknot.runner.frames import Kind, frame, header, join_line, parse_header, split_line
from cloudknot.runner.keys import Keys
from cloudknot.runner.stores import Store, write_all

SCHEME = "relayed"
# More than this is better read and written without the detour.
_LARGE_BYTES = 8 << 20


class RelayedStore:
    """The worker's end.

    Parameters
    ----------
    handle : int
        Descriptor of the socket at which requests are taken. It stays open.
    far : callable, optional
        Opens the store itself, where the worker can reach it: what is large is not copied on its way.
    """

    parallel = 1

    def __init__(self, handle: int, far: Callable[[], Store] | None = None) -> None:
        self.uri = f"{SCHEME}://{handle}"
        self._far = far
        os.set_inheritable(handle, False)
        self._handle = handle
        self._replies = open(handle, "rb", closefd=False)  # noqa: SIM115  # it does not own the descriptor

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Have it written."""
        if self._far is not None and len(data) > _LARGE_BYTES:
            return self._far().put(key, data, if_absent=if_absent)
        return bool(self._ask({"do": "put", "key": key, "if_absent": if_absent}, data)[0]["is_written"])

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Have it read."""
        if self._far is not None and (stop or 0) - start > _LARGE_BYTES:
            return self._far().get(key, start, stop)
        return self._ask({"do": "get", "key": key, "start": start, "stop": stop})[1]

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Have it listed."""
        yield from self._ask({"do": "list", "key": prefix, "after": after})[0]["keys"]

    def delete(self, prefix: str) -> None:
        """Refuse: no worker removes anything."""
        raise PermissionError(f"a worker must not remove {prefix}")

    def _ask(self, request: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        line = json.dumps(request).encode() + b"\n"
        # One after the other: a large body is not copied to be sent.
        for data in (header(Kind.REQUEST, len(line) + len(body)) + line, body):
            write_all(self._handle, data)
        size = parse_header(self._replies)
        line = self._replies.readline()
        content = self._replies.read(size - len(line))
        reply = json.loads(line)
        if "missing" in reply:
            raise KeyError(reply["missing"])
        if "error" in reply:
            raise OSError(reply["error"])
        return reply, content


class Access(NamedTuple):
    """What a worker may read and write: keys that start so."""

    readable: tuple[str, ...]
    writable: str

    @classmethod
    def of(cls, run_id: str, inputs_run: str) -> Access:
        """Return what the items of a run need."""
        keys = Keys(run_id)
        return cls((keys.prefix, Keys(inputs_run).inputs), keys.values)

    def check(self, do: str, key: str) -> str:
        """Return the key if it may be used so."""
        allowed = self.writable if do == "put" else self.readable
        if not key.startswith(allowed) or ".." in key.split("/"):
            raise PermissionError(f"a worker must not {do} {key}")
        return key


def answer(store: Store, access: Access, payload: bytes) -> bytes:
    """Return the reply to a worker's request, as a frame.

    Parameters
    ----------
    store : Store
        Where the run is.
    access : Access
        What the worker may ask for.
    payload : bytes
        The request.
    """
    line, body = split_line(payload)
    content = b""
    try:
        request = json.loads(line)
        key = access.check(request["do"], request["key"])
        if request["do"] == "get":
            reply: dict[str, Any] = {}
            content = store.get(key, request["start"], request["stop"])
        elif request["do"] == "put":
            reply = {"is_written": store.put(key, body, if_absent=request["if_absent"])}
        else:
            reply = {"keys": list(store.list(key, request.get("after", "")))}
    except KeyError as error:
        reply = {"missing": str(error.args[0])}
    except (
        Exception
    ) as error:  # a store may raise anything, and a request may be anything; the worker is told
        reply = {"error": f"{type(error).__name__}: {error}"}
    return frame(Kind.REPLY, join_line(json.dumps(reply).encode(), content))
