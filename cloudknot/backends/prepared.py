"""What a place has ready for a function, and what it has removed again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a function runs in.

    Parameters
    ----------
    image : str
        The name of the container image; empty where there is none.
    by_value : frozenset of str
        Installed modules that must travel, because no image has them.
    """

    image: str = ""
    by_value: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What a place has removed.

    Parameters
    ----------
    containers : int
        How many containers.
    images : tuple of str
        The names of the images.
    definitions : tuple of str
        The names of the job definitions.
    """

    containers: int = 0
    images: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
