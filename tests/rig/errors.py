"""What is raised where the rig cannot give what is asked of it."""

from __future__ import annotations


class EngineUnavailableError(Exception):
    """There is no docker engine, image or registry, and none may or can be made here; says what to do."""
