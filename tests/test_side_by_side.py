"""Tests that share something run in one process."""

from __future__ import annotations

import os

import pytest

from tests.side_by_side import group_of


def test_several_processes_keep_groups_together(request: pytest.FixtureRequest) -> None:
    is_one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    # As pytest-xdist notes the group, and its scheduler reads it.
    name = request.node.nodeid.rpartition("@")[2]
    assert not is_one_of_several or name == group_of(request.node)
