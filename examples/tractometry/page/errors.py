"""What is raised where a page cannot be made or published; the message is for the person who asked."""

from __future__ import annotations


class PageError(ValueError):
    """The page cannot be made or published: what was asked, what was found, what to do."""
