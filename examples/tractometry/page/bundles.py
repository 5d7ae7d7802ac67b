"""The shapes of bundles in AFQ-Browser's format, brought to the nodes of the profiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.tractometry.page.errors import PageError
from examples.tractometry.page.tables import name_some

STREAMLINES = "streamlines.json"
CORE = "coreFiber"
# What a page shows of a bundle: more streamlines hide each other, and more points are not seen.
MAX_LINES = 60
LINE_POINTS = 50
# No head is larger, in mm; and 16-bit numbers hold hundredths of a millimetre up to here.
MAX_MM = 320.0


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One tract's shape.

    Parameters
    ----------
    core : array of shape (nodes, 3)
        Where each node of the profile lies, in mm (right, anterior, superior).
    lines : array of shape (lines, LINE_POINTS, 3)
        Some streamlines, in mm, evenly sampled along their length and running as the core does.
    n_lines : int
        How many streamlines the file has.
    """

    core: NDArray[np.float64]
    lines: NDArray[np.float64]
    n_lines: int


def read_bundles(
    folder: Path, *, tracts: Sequence[str], n_nodes: int
) -> tuple[dict[str, Bundle], tuple[str, ...]]:
    """Read the shapes that a folder has; none where there is no file of them.

    Parameters
    ----------
    folder : Path
        It may hold ``streamlines.json``: ``{tract: {"coreFiber": [[x, y, z], ...], "1": [...], ...}}``, mm.
    tracts : sequence of str
        The tracts of the profiles.
    n_nodes : int
        The nodes of a profile.

    Returns
    -------
    dict of str to Bundle, tuple of str
        The shapes by tract, and notes on what was left out.

    Raises
    ------
    PageError
        The file is not in this format.
    """
    path = folder / STREAMLINES
    if not path.is_file():
        return {}, ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PageError(f"{path} is not JSON: {error}. Write it again, or remove it.") from error
    if not isinstance(found, dict):
        raise PageError(f"{path} must be an object of tracts, not a {type(found).__name__}.")
    unknown = [name for name in found if name not in tracts]
    notes = (
        (f"{STREAMLINES} has shapes of {name_some(unknown)}, which have no profiles: left out",)
        if unknown
        else ()
    )
    return {
        name: make_bundle(found[name], n_nodes=n_nodes, where=f"{path}, {name}")
        for name in tracts
        if name in found
    }, notes


def make_bundle(shape: Any, *, n_nodes: int, where: str) -> Bundle:
    """Return one tract's shape, of what the file says.

    Raises
    ------
    PageError
        There is no core, or a line is not a list of points in mm.
    """
    if not isinstance(shape, Mapping) or CORE not in shape:
        keys = name_some(list(shape)) if isinstance(shape, Mapping) else type(shape).__name__
        raise PageError(
            f"{where}: there is no {CORE}, but {keys}. Add the core: a point [x, y, z] in mm for each node."
        )
    core = _points(shape[CORE], f"{where}, {CORE}")
    core = core if len(core) == n_nodes else resample(core, n_nodes)
    names = [name for name in shape if name != CORE]
    chosen = np.unique(np.linspace(0, len(names) - 1, min(len(names), MAX_LINES)).round().astype(int))
    lines = [_points(shape[names[index]], f"{where}, {names[index]}") for index in chosen] if names else []
    along = [orient(resample(line, LINE_POINTS), core) for line in lines]
    return Bundle(core=core, lines=np.array(along).reshape(-1, LINE_POINTS, 3), n_lines=len(names))


def resample(line: NDArray[np.float64], n_points: int) -> NDArray[np.float64]:
    """Return a line with this many points, evenly spaced along its length.

    >>> resample(np.array([[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]), 3)[:, 0].tolist()
    [0.0, 2.0, 4.0]
    """
    lengths = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    places = np.linspace(0, lengths[-1], n_points)
    return np.column_stack([np.interp(places, lengths, line[:, axis]) for axis in range(3)])


def orient(line: NDArray[np.float64], core: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a line that runs as the core does, turned round if need be."""
    ends = core[[0, -1]]
    straight, turned = (np.linalg.norm(line[one] - ends, axis=1).sum() for one in ([0, -1], [-1, 0]))
    return line if straight <= turned else line[::-1]


def _points(line: Any, where: str) -> NDArray[np.float64]:
    """Return a line as an array of shape (points, 3), checked."""
    try:
        points = np.array(line, dtype=float)
    except (TypeError, ValueError) as error:
        raise PageError(f"{where}: must be a list of points [x, y, z] in mm: {error}.") from error
    if points.ndim != 2 or points.shape[1:] != (3,) or len(points) < 2:  # noqa: PLR2004  # rows; a line's ends
        raise PageError(f"{where}: must be two or more points [x, y, z] in mm; its shape is {points.shape}.")
    if not (np.abs(points) <= MAX_MM).all():
        far = np.nanmax(np.abs(points)) if np.isfinite(points).any() else np.nan
        raise PageError(
            f"{where}: a coordinate is {far:g}; they must lie within {MAX_MM:g} mm of the origin."
        )
    return points
