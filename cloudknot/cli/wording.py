"""Times, sizes and lists of items in words."""

from __future__ import annotations

from collections.abc import Sequence


def describe_seconds(seconds: float) -> str:
    """Return a duration to about three figures.

    Examples
    --------
    >>> [describe_seconds(seconds) for seconds in (2e-6, 0.0123, 2.345, 83.4, 600, 7260)]
    ['2 µs', '12.3 ms', '2.35 s', '1 min 23 s', '10 min', '2 h 1 min']
    """
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    if seconds < 59.95:  # noqa: PLR2004  # what would be rounded to 60 s
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if number]
    return " ".join(parts[:2])


def describe_bytes(size: int) -> str:
    """Return a size in MiB or GiB.

    Examples
    --------
    >>> describe_bytes(45 << 20), describe_bytes(3 << 29)
    ('45 MiB', '1.5 GiB')
    """
    mib = size / (1 << 20)
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.3g} GiB"  # noqa: PLR2004  # three figures


def describe_indices(indices: Sequence[int], most: int | None = None) -> str:
    """Return rising indices as ranges; with ``most`` only so many of them.

    Examples
    --------
    >>> describe_indices([0, 1, 2, 7, 9, 10])
    '0-2, 7, 9, 10'
    >>> describe_indices([0, 2, 4, 6, 8], most=2)
    '0, 2, ...'
    """
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    shown = [text for first, last in ranges for text in _describe_range(first, last)]
    return ", ".join(shown if most is None or len(shown) <= most else [*shown[:most], "..."])


def count(number: float, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "run"), count(1.5, "day")
    ('1 run', '1.5 days')
    """
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _describe_range(first: int, last: int) -> list[str]:
    if last - first > 1:
        return [f"{first}-{last}"]
    return [str(index) for index in range(first, last + 1)]
