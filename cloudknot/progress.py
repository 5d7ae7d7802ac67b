"""A progress bar for maps that take a while."""

from __future__ import annotations

import sys
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
    if wanted or (wanted is None and (sys.stderr.isatty() or _is_notebook())):
        return ProgressBars()
    return lambda event: None


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    kernel = shell.get_ipython() if shell is not None else None
    return kernel is not None and "IPKernelApp" in getattr(kernel, "config", {})
