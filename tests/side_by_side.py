"""Which tests stay together where several processes run them: ``pytest -n 2 --dist loadgroup``."""

from __future__ import annotations

import pytest

# The first that a test uses, by a fixture or as its place, is what it shares with others.
_SHARED = {"aws": "aws", "lab_box": "aws", "docker": "engine", "engine": "engine", "browser": "browser"}


def group_of(item: pytest.Item) -> str:
    """Return the name of the tests that run in the same process as this one.

    One process has the images of cloudknot, which are built, counted and removed, one has the lab in the box,
    and one a browser. All others go by their files, so that what is made once for a file is made once. So do
    the tests of the box itself: of the docker engine they use what nobody else knows of.
    """
    if "box" not in item.path.parts:
        place = getattr(item, "callspec", None) and item.callspec.params.get("place")
        used = {str(place), *getattr(item, "fixturenames", ())}
        for name, group in _SHARED.items():
            if name in used:
                return group
    return item.nodeid.partition("::")[0]
