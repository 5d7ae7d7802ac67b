"""What is raised where the rig cannot give what is asked of it."""

from __future__ import annotations


class EngineUnavailableError(Exception):
    """There is no engine, image, registry or browser, and none may or can be had here; says what to do."""
