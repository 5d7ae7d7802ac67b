"""Which jobs ListJobs returns, page by page (API reference, ListJobs). Pure."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cloudknot.testing.batch.jobs import Job, to_ms
from cloudknot.testing.batch.refusals import refusal

__all__ = ["list_page"]

_MOST = 1000
_MOST_FILTERED = 100
_ARN = "arn:"

Test = Callable[[Job], bool]


def list_page(jobs: Iterable[Job], params: Mapping[str, Any]) -> tuple[list[Job], str | None]:
    """Return the jobs that are asked for, and the token of the next page if there is one.

    Parameters
    ----------
    jobs : iterable of Job
        All of a queue or an array, in the order in which they are listed.
    params : mapping
        ListJobs' own: `jobStatus`, `filters`, `maxResults`, `nextToken`.

    Raises
    ------
    ClientException
        When a filter's value or the token is not one. The words are not confirmed.
    """
    filters = params.get("filters") or []
    is_meant = _test(filters, params.get("jobStatus"))
    most = params.get("maxResults", _MOST_FILTERED if filters else _MOST)
    token = params.get("nextToken")
    if (token := params.get("nextToken")) is not None:
        jobs = _behind(jobs, *_read(token))
    found: list[Job] = []
    for job in jobs:
        if not is_meant(job):
            continue
        if len(found) == most:
            return found, _write(found[-1])
        found.append(job)
    return found, None


def _behind(jobs: Iterable[Job], number: int, index: int) -> Iterable[Job]:
    # The token is the place of the last job that was given: what has moved since then shifts nothing. Queues
    # are listed from the newest job, arrays from the first child (not confirmed for lists without filters).
    return (
        job
        for job in jobs
        if job.order.number < number or (job.order.number == number and (job.index or 0) > index)
    )


def _test(filters: list[Mapping[str, Any]], status: str | None) -> Test:
    if not filters:
        wanted = status or "RUNNING"
        return lambda job: job.state.value == wanted
    name = filters[0]["name"]
    tests = [_FILTERS[name](value) for value in filters[0].get("values") or ()]
    if name == "SHARE_IDENTIFIER" and status:
        return lambda job: job.state.value == status and any(is_meant(job) for is_meant in tests)
    return lambda job: any(is_meant(job) for is_meant in tests)


def _by_name(value: str) -> Test:
    wanted = value.lower()
    if wanted.endswith("*"):
        return lambda job: job.order.name.lower().startswith(wanted[:-1])
    return lambda job: job.order.name.lower() == wanted


def _by_definition(value: str) -> Test:
    if value.startswith(_ARN):
        return lambda job: job.order.definition == value
    if value.endswith("*"):
        return lambda job: job.order.definition_name.startswith(value[:-1])
    return lambda job: job.order.definition_name == value


def _moment(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise refusal(f"Filter value {value} is not a number of milliseconds") from None


def _before(value: str) -> Test:
    moment = _moment(value)
    return lambda job: to_ms(job.created_at) < moment


def _after(value: str) -> Test:
    moment = _moment(value)
    return lambda job: to_ms(job.created_at) > moment


_FILTERS: dict[str, Callable[[str], Test]] = {
    "JOB_NAME": _by_name,
    "JOB_DEFINITION": _by_definition,
    "BEFORE_CREATED_AT": _before,
    "AFTER_CREATED_AT": _after,
    "SHARE_IDENTIFIER": lambda value: lambda job: job.order.share_identifier == value,
}


def _write(job: Job) -> str:
    number, index = job.place
    return base64.urlsafe_b64encode(f"{number}:{index}".encode()).decode()


def _read(token: str) -> tuple[int, int]:
    try:
        number, index = base64.urlsafe_b64decode(token).decode().split(":")
        return int(number), int(index)
    except (binascii.Error, ValueError):
        raise refusal("nextToken is not valid") from None
