"""What is shown while something takes a while: a bar for a map, a line for the build of an image."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cloudknot.events import Event, ItemsSettled, Observer, RunSettled, RunSubmitted

# A map that is done before this shows no bar.
_DELAY_S = 1.5


class ProgressBars:
    """An observer that shows a bar for each running map on standard error, or in the notebook."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Open, move or close the run's bar."""
        if isinstance(event, RunSubmitted):
            if event.run.length > 1:
                self._open(event)
        elif isinstance(event, ItemsSettled | RunSettled):
            bar = self._bars.get(event.run.run_id)
            if bar is None:
                return
            bar.set_postfix_str(f"{event.counts.failed} failed" if event.counts.failed else "", refresh=False)
            bar.update(event.counts.ended - bar.n)
            if isinstance(event, RunSettled):
                self._bars.pop(event.run.run_id).close()

    def _open(self, event: RunSubmitted) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415  # loaded when it is used

        self._bars[event.run.run_id] = tqdm(
            total=event.run.length,
            initial=event.counts.ended,
            desc=event.run.name,
            delay=_DELAY_S,
            unit="item",
        )


def make_progress_bar(wanted: bool | None) -> Observer:
    """Return the observer that shows progress, or one that does nothing.

    Parameters
    ----------
    wanted : bool, optional
        None shows bars on a terminal and in a notebook.
    """
    return ProgressBars() if _is_shown(wanted) else lambda event: None


class BuildLine:
    """Shows on one line how a build goes on: called with each line that it says, and an empty one."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, line: str) -> None:
        """Show a line in place of the one before; keep the last."""
        if line:
            if self._bar is None:
                from tqdm.auto import tqdm  # noqa: PLC0415  # loaded when it is used

                self._bar = tqdm(bar_format="{desc}", dynamic_ncols=True)
            self._bar.set_description_str(line.strip())
        elif self._bar is not None:
            self._bar.close()
            self._bar = None


def make_build_line(wanted: bool | None) -> Callable[[str], None]:
    """Return what shows how a build goes on, or what does nothing; ``wanted`` as for the bar."""
    return BuildLine() if _is_shown(wanted) else lambda line: None


def _is_shown(wanted: bool | None) -> bool:
    return sys.stderr.isatty() or _is_notebook() if wanted is None else wanted


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    kernel = shell.get_ipython() if shell is not None else None
    return kernel is not None and "IPKernelApp" in getattr(kernel, "config", {})
