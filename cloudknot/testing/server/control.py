"""What a person does to the box itself, and where tasks find their credentials: everything below `/_box/`."""

import hmac
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from cloudknot.testing.faults import from_json, to_json
from cloudknot.testing.server.world import EXECUTORS, World

__all__ = ["Control"]

_LOG = logging.getLogger(__name__)
_Values = dict[str, Any]


class Control:
    """Answers below `/_box/`, as JSON.

    All but a task's credentials ask for the box's token: whoever may tell the box to run jobs may run
    commands as the person whose box it is.

    Parameters
    ----------
    world : World
        What is controlled.
    stop : callable
        Ends the process, after the answer.
    """

    def __init__(self, world: World, stop: Callable[[], None]) -> None:
        self._world = world
        self._stop = stop
        self._doors: dict[tuple[str, str], Callable[[_Values], Any]] = {
            ("GET", "status"): self._status,
            ("POST", "reset"): self._reset,
            ("POST", "advance"): self._advance,
            ("GET", "hosts"): self._hosts,
            ("POST", "reclaim"): self._reclaim,
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_fault,
            ("POST", "calls"): self._calls,
            ("POST", "down"): self._down,
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        what = str(environ["PATH_INFO"]).removeprefix("/_box/")
        if what.startswith("credentials/"):
            found = self._world.roles.credentials(what.removeprefix("credentials/"))
            return _answer(start_response, 200 if found else 404, found or {"message": "no such task"})
        token = str(environ.get("HTTP_X_BOX_TOKEN", "")).encode()
        if not hmac.compare_digest(token, self._world.settings.token.encode()):
            return _answer(start_response, 403, {"message": "not the token of this box"})
        door = self._doors.get((environ["REQUEST_METHOD"], what))
        if door is None:
            return _answer(start_response, 404, {"message": f"the box has no control {what!r}"})
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            return _answer(start_response, 200, door(json.loads(body or b"{}")))
        except (ValueError, KeyError, TypeError) as error:
            return _answer(start_response, 400, {"message": str(error)})
        except Exception as error:
            _LOG.exception("%s failed", what)
            return _answer(start_response, 500, {"message": f"{type(error).__name__}: {error}"})

    def _status(self, _: _Values) -> _Values:
        return {"now": self._world.clock.now(), "executor": self._world.executor_name}

    def _reset(self, values: _Values) -> _Values:
        executor = str(values.get("executor", self._world.executor_name))
        if executor not in EXECUTORS:
            raise ValueError(f"no executor {executor!r}: choose from {', '.join(EXECUTORS)}")
        self._world.reset(
            executor=executor, seed=int(values.get("seed", 0)), ticking=bool(values.get("ticking", True))
        )
        return self._status(values)

    def _advance(self, values: _Values) -> _Values:
        self._world.clock.advance(float(values["seconds"]))
        return self._status(values)

    def _hosts(self, _: _Values) -> list[_Values]:
        return [
            {**asdict(host), "region": region.name}
            for region in self._world.regions.all()
            for host in region.engine.hosts()
        ]

    def _reclaim(self, values: _Values) -> _Values:
        self._world.regions[values["region"]].engine.reclaim(values["instance_id"])
        return {}

    def _list_faults(self, _: _Values) -> list[_Values]:
        return [
            {"number": rule.number, "struck": rule.struck, "fault": to_json(rule.fault)}
            for rule in self._world.faults.list()
        ]

    def _add_fault(self, values: _Values) -> _Values:
        return {"number": self._world.faults.add(from_json(values))}

    def _remove_fault(self, values: _Values) -> _Values:
        if values:
            self._world.faults.remove(int(values["number"]))
        else:
            self._world.faults.clear()
        return {}

    def _calls(self, values: _Values) -> list[_Values]:
        return list(self._world.journal.read(int(values.get("after", 0))))

    def _down(self, _: _Values) -> _Values:
        self._world.remove()
        self._stop()
        return {}


def _answer(start_response: Callable[..., Any], status: int, value: Any) -> Iterable[bytes]:
    body = json.dumps(value).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]
