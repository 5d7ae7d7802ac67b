"""Looks over a client's shoulder: is what Batch is asked, and what it answers, as the model says."""

import json
from collections import Counter
from typing import Any

from tests.box.model import check_request, check_response

# Batch's model names two errors. That of too many requests is seen by its users (nextflow#709), and the last
# one is the box's own, for what it does not do.
_ERRORS = {
    "ClientException": 400,
    "ServerException": 500,
    "TooManyRequestsException": 429,
    "AccessDeniedException": 403,
    "UnsupportedOperation": 501,
}
_TYPE = "x-amzn-errortype"


class Recorder:
    """Checks each call of the clients that it watches, and fails the call that is amiss."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def watch(self, client: Any) -> Any:
        """Check all that this client of Batch asks from now on; returns the client."""
        client.meta.events.register("before-parameter-build.batch", self._check_request)
        client.meta.events.register("after-call.batch", self._check_reply)
        return client

    def _check_request(self, params: Any, model: Any, **_: Any) -> None:
        check_request(model.name, params)

    def _check_reply(self, http_response: Any, model: Any, **_: Any) -> None:
        said = json.loads(http_response.content)
        if http_response.status_code == 200:
            check_response(model.name, said)
            self.answered[model.name] += 1
        else:
            check_refusal(http_response.status_code, http_response.headers, said)
            self.refused[model.name] += 1


def check_refusal(status: int, headers: Any, said: Any) -> None:
    """Fail when a refusal has another shape than those of AWS Batch."""
    kind = headers.get(_TYPE)
    assert _ERRORS.get(kind) == status, f"{kind} has status {status}"
    assert isinstance(said, dict), said
    assert said.keys() == {"message"}, said
    assert said["message"]
    assert headers["content-type"] == "application/json"
