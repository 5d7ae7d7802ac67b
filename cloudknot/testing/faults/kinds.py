"""The kinds of faults, and how they are written down."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from cloudknot.testing.faults.batch_faults import (
    DuplicateEvents,
    LaunchFailure,
    PullFailure,
    SpotReclaim,
    Stale,
)
from cloudknot.testing.faults.fault import Fault
from cloudknot.testing.faults.wire_faults import (
    ResetConnection,
    ServerError,
    SlowConnection,
    Throttle,
    TruncateAnswer,
)

__all__ = ["KINDS", "from_json", "to_json"]

KINDS: dict[str, type[Fault]] = {
    kind.__name__: kind
    for kind in (
        Throttle,
        ServerError,
        SlowConnection,
        ResetConnection,
        TruncateAnswer,
        Stale,
        DuplicateEvents,
        LaunchFailure,
        PullFailure,
        SpotReclaim,
    )
}


def to_json(fault: Fault) -> dict[str, Any]:
    """Return a fault as plain values: its kind's name and its fields.

    Examples
    --------
    >>> to_json(DuplicateEvents(copies=3, share=0.5))
    {'kind': 'DuplicateEvents', 'share': 0.5, 'times': None, 'after': 0, 'copies': 3}
    """
    return {"kind": type(fault).__name__, **asdict(fault)}


def from_json(value: Mapping[str, Any]) -> Fault:
    """Return the fault that plain values stand for; fields may be left out that have a default.

    Raises
    ------
    ValueError
        When there is no such kind, when it has no such field, or when a field holds what it cannot.

    Examples
    --------
    >>> from_json({"kind": "DuplicateEvents", "copies": 3})
    DuplicateEvents(share=1.0, times=None, after=0, copies=3)
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"a fault is an object with a kind and its fields, not {value!r}")  # noqa: TRY004 - as all else in it
    given = dict(value)
    name = given.pop("kind", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"no kind of fault {name!r}: choose from {', '.join(KINDS)}")
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{name} has no field {', '.join(unknown)}: it has {', '.join(known)}")
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
