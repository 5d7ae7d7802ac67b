"""Patterns of policies: `*`, `?` and variables such as `${aws:username}`."""

import functools
import re
from collections.abc import Mapping

from cloudknot.testing.iam.values import ContextValue

__all__ = ["Context", "Variables", "fits", "fits_arn", "resolve"]

Context = Mapping[str, ContextValue]
"""Condition keys in lower case: their case does not count."""
Variables = Context | None
"""None in a policy of 2008, where `${` has no meaning."""
Pieces = tuple[tuple[str, bool], ...]
"""Text, and whether it stands for itself (it came from a variable)."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]+?)\s*,\s*'(.*)'\s*")
_COLONS_BEFORE_THE_NAME = 5


def fits(pattern: str, text: str, variables: Variables = None, *, ignoring_case: bool = False) -> bool:
    """Whether a text fits a pattern of `*` and `?`; a variable without a value fits nothing.

    Examples
    --------
    >>> fits("s3:Get*", "s3:getobject", ignoring_case=True)
    True
    """
    pieces = _pieces(pattern, variables)
    return pieces is not None and bool(_regex(pieces, ignoring_case).fullmatch(text))


def fits_arn(pattern: str, arn: str, variables: Variables = None) -> bool:
    """Whether an ARN fits a pattern, part by part.

    Before the resource's name a wildcard stays in its part, but for a `*` at the end of one: that may reach
    beyond the colon (IAM user guide, "IAM JSON policy elements: Resource").

    Examples
    --------
    >>> fits_arn("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a:b")
    True
    >>> fits_arn("arn:aws:s3:::buck?t", "arn:aws:s3:::bucket/a")
    False
    """
    pieces = _pieces(pattern, variables)
    return pieces is not None and bool(_arn_regex(pieces).fullmatch(arn))


def resolve(text: str, variables: Variables) -> str | None:
    """Return a text with its variables filled in; None where one has no value."""
    pieces = _pieces(text, variables)
    return None if pieces is None else "".join(piece for piece, _ in pieces)


def _pieces(pattern: str, variables: Variables) -> Pieces | None:
    if variables is None or "${" not in pattern:
        return ((pattern, False),)
    pieces: list[tuple[str, bool]] = []
    for number, piece in enumerate(_VARIABLE.split(pattern)):
        if number % 2 == 0:
            pieces.append((piece, False))
        elif (value := _value(piece, variables)) is None:
            return None
        else:
            pieces.append((value, True))
    return tuple(pieces)


def _value(name: str, variables: Context) -> str | None:
    if name in ("*", "?", "$"):
        return name
    default = None
    if found := _DEFAULT.fullmatch(name):
        name, default = found[1], found[2]
    value = variables.get(name.strip().lower(), default)
    return value if isinstance(value, str) else None  # a key of several values is no variable


@functools.lru_cache(maxsize=4096)
def _regex(pieces: Pieces, ignoring_case: bool) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    text = "".join(
        re.escape(piece) if is_literal else "".join(wild.get(char) or re.escape(char) for char in piece)
        for piece, is_literal in pieces
    )
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignoring_case else 0))


@functools.lru_cache(maxsize=4096)
def _arn_regex(pieces: Pieces) -> re.Pattern[str]:
    chars = [(char, is_literal) for piece, is_literal in pieces for char in piece]
    out: list[str] = []
    colons = 0
    for place, (char, is_literal) in enumerate(chars):
        colons += char == ":"
        is_in_name = colons >= _COLONS_BEFORE_THE_NAME
        if is_literal or char not in "*?":
            out.append(re.escape(char))
        elif char == "?":
            out.append("." if is_in_name else "[^:]")
        else:
            ends_part = place + 1 == len(chars) or chars[place + 1][0] == ":"
            out.append(".*" if is_in_name or ends_part else "[^:]*")
    return re.compile("".join(out), re.DOTALL)
