"""A resource as its stack's template wants it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.stacks.intrinsics import resolve
from cloudknot.testing.stacks.kind import Kind
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Source

__all__ = ["Wanted", "wanted_of"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A resource with the functions in it worked out."""

    logical_id: str
    kind: str
    properties: Mapping[str, Any]
    needs: frozenset[str] = frozenset()
    deletion: str = "Delete"
    replacement: str = "Delete"


def wanted_of(names: Names, source: Source, logical_id: str, kinds: Mapping[str, Kind]) -> Wanted:
    """Return a resource as the template wants it.

    Raises
    ------
    Refusal
        When a function in it cannot be worked out.
    """
    written = source.template["Resources"][logical_id]
    kind = kinds[written["Type"]]
    properties = resolve(written.get("Properties") or {}, names)
    if source.tags and "Tags" in kind.properties:
        properties["Tags"] = _with_tags(properties.get("Tags"), source.tags, kind)
    return Wanted(
        logical_id=logical_id,
        kind=written["Type"],
        properties=properties,
        needs=source.template.needs(logical_id),
        deletion=str(written.get("DeletionPolicy", "Delete")),
        replacement=str(written.get("UpdateReplacePolicy", "Delete")),
    )


def _with_tags(own: Any, tags: Mapping[str, str], kind: Kind) -> Any:
    """Return a resource's tags with those of its stack; its own come first."""
    if kind.tags == "map":
        return {**tags, **(own or {})}
    there = {tag["Key"] for tag in own or ()}
    added = [{"Key": name, "Value": value} for name, value in tags.items() if name not in there]
    return [*(own or ()), *added]
