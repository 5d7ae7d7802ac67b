"""Pages of a list, as Batch cuts them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from cloudknot.testing.batch.refusals import refusal

__all__ = ["page"]

T = TypeVar("T")

_MOST = 100


def page(
    records: Sequence[T], params: Mapping[str, Any], *, most: int = _MOST
) -> tuple[list[T], dict[str, str]]:
    """Return the part that is asked for, and `nextToken` where there is more.

    Raises
    ------
    ClientException
        When `maxResults` or `nextToken` is not one; the words are not confirmed.

    Examples
    --------
    >>> part, rest = page("abc", {"maxResults": 2})
    >>> part, page("abc", rest)
    (['a', 'b'], (['c'], {}))
    """
    size = params.get("maxResults", most)
    if not 1 <= size <= most:
        raise refusal(f"maxResults must be between 1 and {most}, got {size}")
    first = _read(params["nextToken"]) if "nextToken" in params else 0
    last = first + size
    rest = (
        {"nextToken": base64.urlsafe_b64encode(f"from:{last}".encode()).decode()}
        if last < len(records)
        else {}
    )
    return list(records[first:last]), rest


def _read(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from:"))
    except (binascii.Error, ValueError):
        raise refusal("nextToken is not valid") from None
