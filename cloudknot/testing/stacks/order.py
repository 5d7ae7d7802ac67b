"""Which resource needs which, and the order that follows from it."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from cloudknot.testing.stacks.refusals import Refusal

__all__ = ["in_order", "needs_of"]

_IN_TEXT = re.compile(r"\$\{([^!][^}]*)\}")


def needs_of(part: Any) -> frozenset[str]:
    """Return the names that a part of a template speaks of: by Ref, GetAtt, Sub and DependsOn.

    Examples
    --------
    >>> sorted(needs_of({"DependsOn": "A", "Properties": {"X": {"Fn::Sub": "${B.Arn}/${!no}/${C}"}}}))
    ['A', 'B', 'C']
    """
    found: set[str] = set()
    if isinstance(part, Mapping):
        given = part.get("DependsOn", ()) if "Type" in part or "DependsOn" in part else ()
        found.update([given] if isinstance(given, str) else given)
        for key, value in part.items():
            if key == "Ref" and isinstance(value, str) and len(part) == 1:
                found.add(value)
            elif key == "Fn::GetAtt":
                found.add(value[0] if isinstance(value, list) else str(value).partition(".")[0])
            elif key == "Fn::Sub":
                found |= _in_sub(value)
            elif key not in ("Metadata", "DependsOn"):
                found |= needs_of(value)
    elif isinstance(part, list):
        for value in part:
            found |= needs_of(value)
    return frozenset(found)


def _in_sub(given: Any) -> frozenset[str]:
    text, own = (given[0], given[1]) if isinstance(given, list) else (given, {})
    named = {name.strip().partition(".")[0] for name in _IN_TEXT.findall(str(text)) if name not in own}
    return frozenset(named) | needs_of(own)


def in_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names so that each comes after those that it needs, and else as they stand.

    Raises
    ------
    Refusal
        When some need each other.
    """
    waiting, done = list(needs), dict[str, None]()
    while waiting:
        ready = next((name for name in waiting if all(part in done for part in needs[name])), None)
        if ready is None:
            raise Refusal(f"Circular dependency between resources: [{', '.join(sorted(waiting))}]")
        waiting.remove(ready)
        done[ready] = None
    return list(done)
