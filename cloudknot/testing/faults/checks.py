"""What the fields of a fault may hold."""

from typing import Any

__all__ = ["check_choice", "check_count", "check_number", "check_pattern", "check_service", "check_words"]


def check_number(
    name: str, value: Any, *, at_least: float = 0, above: float | None = None, at_most: float | None = None
) -> None:
    """Refuse what is no number, or out of its bounds.

    Raises
    ------
    ValueError
        When it is.

    Examples
    --------
    >>> check_number("share", 1.5, at_most=1)
    Traceback (most recent call last):
    ...
    ValueError: share must be a number from 0 to 1, not 1.5
    """
    lowest = f"above {above:g}" if above is not None else f"from {at_least:g}"
    bounds = lowest if at_most is None else f"{lowest} to {at_most:g}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (
        not is_number
        or not value >= at_least  # so that NaN is refused
        or (above is not None and value <= above)
        or (at_most is not None and value > at_most)
        or value == float("inf")
    ):
        raise ValueError(f"{name} must be a number {bounds}, not {value!r}")


def check_count(name: str, value: Any, *, at_least: int) -> None:
    """Refuse what is no whole number, or too small."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be a whole number from {at_least}, not {value!r}")


def check_pattern(name: str, value: Any) -> None:
    """Refuse what is no pattern of a name, in which `*` and `?` stand for any characters."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a name or a pattern such as '*', not {value!r}")


def check_service(name: str, value: Any) -> None:
    """Refuse what cannot be a service as botocore names it."""
    check_pattern(name, value)
    if value != value.lower():
        raise ValueError(f"{name} must be as botocore names it, such as {value.lower()!r}, not {value!r}")


def check_words(name: str, value: Any) -> None:
    """Refuse words that say nothing; None stands for AWS's own."""
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"{name} must be words, or None for AWS's own, not {value!r}")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
