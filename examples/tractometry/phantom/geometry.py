"""Where a person's tracts run: real bundles of four people, varied from person to person."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from examples.tractometry.atlas import ATLAS_PERSON, Points, core_of, read_bundles

Bundles = Mapping[str, Points]

# Not recognised: it is there to cross the corticospinal tract.
CROSSING = "Crossing"
# Those who lend the phantom's people their shapes: the atlas is never one of them.
DONORS = tuple(person for person in range(1, 6) if person != ATLAS_PERSON)
# Where the corticospinal tract is crossed, and by which part of the forceps: far from the other tracts.
CROSSED_NODE, _ARM_NODE = 75, 62
# How much people differ from those who lend them their shapes: standard deviations, in degrees, mm, and of 1.
_ROTATION_DEG, _SHIFT_MM, _SCALE = 3.0, 3.0, 0.03


def vary(seed: int) -> Bundles:
    """Return the tracts of a person, and the bundle that crosses one of them.

    Parameters
    ----------
    seed : int
        Who it is: whose shapes, turned, stretched and moved by how much.

    Returns
    -------
    dict of str to ndarray, shape (50, 100, 3)
        By tract, `CROSSING` among them: streamlines in mm.
    """
    random = np.random.default_rng([seed, 1])
    donor = read_bundles(int(random.choice(DONORS)))
    rotation = Rotation.from_euler("xyz", random.normal(0, _ROTATION_DEG, 3), degrees=True).as_matrix()
    matrix = rotation @ np.diag(random.normal(1, _SCALE, 3))
    shift = random.normal(0, _SHIFT_MM, 3)
    middle = np.concatenate([lines.reshape(-1, 3) for lines in donor.values()]).mean(axis=0)
    moved = {tract: (lines - middle) @ matrix.T + middle + shift for tract, lines in donor.items()}
    return {**moved, CROSSING: _cross(moved)}


def _cross(bundles: Bundles) -> Points:
    """Return the forceps, moved so that its right arm goes through the corticospinal tract."""
    forceps = bundles["CC_ForcepsMajor"]
    return forceps + (core_of(bundles["CST_R"])[CROSSED_NODE] - core_of(forceps)[_ARM_NODE])
