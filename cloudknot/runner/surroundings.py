"""What items of one run may change for those of the next in the same worker."""

from __future__ import annotations

import contextlib
import os
import sys


class Surroundings:
    """A worker's working directory, environment and streams, as they were at its start.

    Parameters
    ----------
    log : int
        File descriptor of what standard output and standard error go to.
    """

    def __init__(self, log: int) -> None:
        self._log = log
        self._cwd = os.getcwd()  # noqa: PTH109  # as it is, not resolved
        self._environment = dict(os.environ)

    def restore(self) -> None:
        """Bring them back."""
        with contextlib.suppress(OSError):  # the folder may be gone
            os.chdir(self._cwd)
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        for handle in (1, 2):
            os.dup2(self._log, handle)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
