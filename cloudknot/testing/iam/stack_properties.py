"""A template's properties as the services' own operations name them."""

from collections.abc import Mapping
from typing import Any

__all__ = ["to_camel_case"]

# Below these names, keys are the person's own words.
_FREE = frozenset({"Parameters", "Tags", "Options"})


def to_camel_case(value: Any) -> Any:
    """Return a template's properties as an API that begins its names in lower case spells them.

    Examples
    --------
    >>> to_camel_case({"Type": "MANAGED", "ComputeResources": {"MinvCpus": 0, "Tags": {"Lab": "x"}}})
    {'type': 'MANAGED', 'computeResources': {'minvCpus': 0, 'tags': {'Lab': 'x'}}}
    """
    if isinstance(value, Mapping):
        return {
            name[:1].lower() + name[1:]: part if name in _FREE else to_camel_case(part)
            for name, part in value.items()
            if part is not None
        }
    return [to_camel_case(part) for part in value] if isinstance(value, list) else value
