"""What can go wrong with a box itself."""

import cloudknot

__all__ = ["BoxError"]


class BoxError(cloudknot.KnotError):
    """A box cannot be started, is not up, or does not do what it was asked."""
