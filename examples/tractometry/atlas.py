"""The tracts that are looked for, as the streamlines of somebody whose bundles DIPY ships."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dipy.data
import numpy as np
from dipy.io.streamline import load_tractogram
from dipy.tracking.streamline import set_number_of_points
from numpy.typing import NDArray

Points = NDArray[np.float64]

N_NODES = 100
# DIPY has bundles of five people; this one is the atlas and nobody else.
ATLAS_PERSON = 1
# Tracts, and the axis that tells their ends apart: a tract runs to the right, to the front, or upwards. The
# arcuate from the temporal lobe to the frontal lobe, the corticospinal tract from brainstem to cortex, the
# forceps from left to right.
AXES = {"AF_L": 2, "CST_R": 2, "CC_ForcepsMajor": 0}


@dataclass(frozen=True, kw_only=True)
class Tract:
    """A tract of an atlas.

    Parameters
    ----------
    name : str
        Such as ``"CST_R"``.
    lines : ndarray, shape (n, 100, 3)
        Its streamlines, in mm, evenly spaced; all run the same way.
    """

    name: str
    lines: Points

    @property
    def core(self) -> Points:
        """Return the mean streamline, evenly spaced: shape (100, 3), in mm."""
        return core_of(self.lines)


def read_atlas() -> Sequence[Tract]:
    """Return the tracts of the atlas: DIPY's three, of its first person."""
    return [Tract(name=name, lines=lines) for name, lines in read_bundles(ATLAS_PERSON).items()]


@cache
def read_bundles(person: int) -> Mapping[str, Points]:
    """Return the three bundles of one of the five people that DIPY ships.

    Parameters
    ----------
    person : int
        From 1 to 5.

    Returns
    -------
    dict of str to ndarray, shape (50, 100, 3)
        By tract: the points of its streamlines, in mm.
    """
    archive = Path(dipy.data.__file__).parent / "files" / "minimal_bundles.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as packed:
        return {
            tract: _read(Path(packed.extract(f"sub_{person}/{tract}.trk", folder)), axis)
            for tract, axis in AXES.items()
        }


def _read(path: Path, axis: int) -> Points:
    lines = load_tractogram(str(path), "same", bbox_valid_check=False).streamlines
    return orient(np.array(set_number_of_points(lines, N_NODES), dtype=float), axis)


def core_of(lines: Points) -> Points:
    """Return the mean of streamlines, evenly spaced.

    Parameters
    ----------
    lines : ndarray, shape (n, 100, 3)
        Streamlines that run the same way, in mm.
    """
    return np.asarray(set_number_of_points(lines.mean(axis=0), N_NODES), dtype=float)


def orient(lines: Points, axis: int) -> Points:
    """Return streamlines turned so that all run as their middle one does.

    Parameters
    ----------
    lines : ndarray, shape (n, nodes, 3)
        Streamlines, in mm.
    axis : int
        The middle one then runs to the right (0), to the front (1) or upwards (2).

    Examples
    --------
    >>> up = np.linspace([0, 0, 0], [0, 0, 9], 4)
    >>> bool((orient(np.stack([up[::-1], up]), 2) == up).all())
    True
    """
    turned = lines[:, ::-1]
    middle = lines[0]
    for _ in range(3):
        is_turned = _distances(turned, middle) < _distances(lines, middle)
        middle = np.where(is_turned[:, None, None], turned, lines).mean(axis=0)
    aligned = np.where(is_turned[:, None, None], turned, lines)
    way = middle[-1] - middle[0]
    return aligned[:, ::-1] if way[axis] < 0 else aligned


def _distances(lines: Points, middle: Points) -> Points:
    distances: Points = np.linalg.norm(lines - middle, axis=-1).mean(axis=-1)
    return distances
