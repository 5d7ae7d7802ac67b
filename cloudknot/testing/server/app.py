"""The door: who asks for what, whether it may, whether something shall go wrong, and who answers."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from cloudknot.testing.batch.errors import BatchError
from cloudknot.testing.faults.wire import apply
from cloudknot.testing.iam import current
from cloudknot.testing.iam.actions import asks_of
from cloudknot.testing.iam.denials import denial
from cloudknot.testing.iam.names import known_in_moto
from cloudknot.testing.iam.principals import find, session_kind
from cloudknot.testing.iam.refusals import Refused, not_to_session, unknown_key, unverified
from cloudknot.testing.iam.resource_policies import decide_with_resource
from cloudknot.testing.iam.signatures import check, secret_of
from cloudknot.testing.iam.values import Ask, Principal
from cloudknot.testing.server.control import Control
from cloudknot.testing.server.deletions import answers_by_key, deleting
from cloudknot.testing.server.moto_answers import MotoAnswers
from cloudknot.testing.server.records import Record, send
from cloudknot.testing.server.tags import tags_of
from cloudknot.testing.server.world import World
from cloudknot.testing.wire.requests import WireRequest, read_request

__all__ = ["Door"]

_LOG = logging.getLogger(__name__)
_UNVERIFIED = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}
_Environ = dict[str, Any]
_Start = Callable[..., Any]
_App = Callable[[_Environ, _Start], Iterable[bytes]]


class Door:
    """The box's WSGI application.

    Parameters
    ----------
    world : World
        What is behind it.
    moto : WSGI application
        Answers for every service but Batch.
    control : Control
        Answers below `/_box/`.
    """

    def __init__(self, world: World, moto: _App, control: Control) -> None:
        self._world = world
        self._moto = MotoAnswers(moto)
        self._control = control

    def __call__(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        """Answer one request."""
        path = str(environ.get("PATH_INFO", ""))
        if path.startswith("/_box/"):
            return self._control(environ, start_response)
        if path == "/v2" or path.startswith("/v2/"):
            return self._registry(environ, start_response)
        return self._aws(environ, start_response)

    def _aws(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        request = read_request(environ)
        record = Record(self._world.journal, self._world.clock.now, request, environ, start_response)
        try:
            check(environ, request, secret_of)
            who = _who(request, self._world.settings.account_id)
        except Refused as refused:
            return record.counted(record.refuse(refused.code, refused.message, refused.status))
        record.principal = who.arn
        fault = self._world.faults.on_request(request.service, request.operation or "", who.arn)
        if fault is not None:
            return record.counted(apply(fault, request, environ, record.start, self._permitted(record, who)))
        return record.counted(self._permitted(record, who)(environ, record.start))

    def _registry(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        """Answer docker; what needed a permission of ECR's is a call of ECR's."""
        asks: list[Ask] = []
        status = [0]

        def start(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            status[0] = int(line.split(maxsplit=1)[0])
            return start_response(line, headers, *rest)

        principal, needed = current.principal.set(None), current.needed.set(asks)
        try:
            return self._world.registry(environ, start)
        finally:
            who = current.principal.get()
            if isinstance(who, Principal):
                self._world.journal.write(
                    at=self._world.clock.now(),
                    principal=who.arn,
                    service="ecr",
                    operation=asks[0].action.partition(":")[2],
                    actions=tuple((ask.action, ask.resource) for ask in asks),
                    status=status[0],
                    error="DENIED" if status[0] == HTTPStatus.FORBIDDEN else "",
                    sent_bytes=int(environ.get("CONTENT_LENGTH") or 0),
                    received_bytes=0,
                )
            current.needed.reset(needed)
            current.principal.reset(principal)

    def _permitted(self, record: Record, who: Principal) -> _App:
        def answer(environ: _Environ, start_response: _Start) -> Iterable[bytes]:
            request, account = record.request, self._world.settings.account_id
            record.asks = asks_of(
                request,
                account=account,
                known=known_in_moto(account, request.region),
                tags_of=tags_of(self._world.regions),
                now=self._world.clock.now,
            )
            service = self._service(record, who)
            if answers_by_key(request):
                service = deleting(service, request, [_refusal(request, who, ask)[2] for ask in record.asks])
            else:
                for ask in record.asks:
                    if (refused := _denied(record, who, ask)) is not None:
                        return refused
            key = current.access_key.set(record.request.access_key)
            principal = current.principal.set(who)
            needed = current.needed.set(record.needed)
            try:
                return service(environ, start_response)
            finally:
                current.needed.reset(needed)
                current.principal.reset(principal)
                current.access_key.reset(key)

        return answer

    def _service(self, record: Record, who: Principal) -> _App:
        if record.request.service == "batch":
            return self._batch(record)

        def answer(environ: _Environ, start_response: _Start) -> Iterable[bytes]:
            def denied(ask: Ask) -> Iterable[bytes] | None:
                # Asked for with the keys of the request: of the condition keys, most are the request's.
                context = {**record.asks[0].context, **ask.context} if record.asks else ask.context
                return _denied(record, who, replace(ask, context=context))

            return self._moto.answer(record.request, environ, start_response, record.refuse, denied)

        return answer

    def _batch(self, record: Record) -> _App:
        request = record.request

        def answer(environ: _Environ, start_response: _Start) -> Iterable[bytes]:
            size = int(environ.get("CONTENT_LENGTH") or 0)
            try:
                api = self._world.regions[request.region].api
                reply = api.handle(request.operation or "", dict(request.params), size=size)
            except BatchError as error:
                return record.refuse(error.code, error.message, error.status)
            except Exception as error:
                _LOG.exception("%s failed", request.operation)
                words = f"{type(error).__name__}: {error} (a fault of the box, told in its log)"
                return record.refuse("ServerException", words, HTTPStatus.INTERNAL_SERVER_ERROR)
            body = json.dumps(reply).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            return send(start_response, HTTPStatus.OK, headers, body)

        return answer


def _who(request: WireRequest, account_id: str) -> Principal:
    if request.service == "sts" and request.operation in _UNVERIFIED:
        raise unverified(request)
    if request.access_key is None:  # of the few requests that nobody signs
        return Principal(arn="anonymous", account=account_id, kind="anonymous")
    who = find(request.access_key, request.region)
    if who is None:
        raise unknown_key(request)
    if (refused := not_to_session(request, session_kind(request.access_key))) is not None:
        raise refused
    return who


def _denied(record: Record, who: Principal, ask: Ask) -> Iterable[bytes] | None:
    """Return the refusal of a permission, or None where it is granted."""
    status, code, message = _refusal(record.request, who, ask)
    return record.refuse(code, message, status) if code else None


def _refusal(request: WireRequest, who: Principal, ask: Ask) -> tuple[int, str, str]:
    """Return status, code and words of a refusal; no words where the permission is granted."""
    decision = decide_with_resource(who, ask)
    return (0, "", "") if decision.is_allowed else denial(request, who, ask, decision)
