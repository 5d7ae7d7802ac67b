"""From tracts to a diffusion image: what is in each voxel, its tensors, and the signal of a scanner.

A voxel holds parts of bundles, each a tensor along the bundle with the fractional anisotropy (FA) that it has
there, and around them white matter without a direction, grey matter at the surface, fluid and scalp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import dipy.data
import numpy as np
from dipy.core.gradients import GradientTable, gradient_table
from dipy.io.gradients import read_bvals_bvecs
from dipy.sims.voxel import add_noise
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from examples.tractometry.atlas import N_NODES
from examples.tractometry.atlas import Points as Array
from examples.tractometry.phantom.geometry import CROSSING, Bundles

# Mean diffusivity in mm^2/s.
MD_MM2_S = 0.75e-3
_GREY_MM2_S, _FLUID_MM2_S, _SCALP_MM2_S = 0.85e-3, 3.0e-3, 0.9e-3
# Of the signal without diffusion weighting.
_S0 = {"white": 100.0, "grey": 120.0, "fluid": 200.0, "scalp": 60.0}
# White matter outside of the bundles: an FA that no tracking follows.
_BACKGROUND_FA = 0.1
# A streamline stands for fibres this far around it; so many of them in a voxel fill it.
_TUBE_MM = 1.6
_FILLED = 0.9
# The bundle that crosses has this part of what it would fill.
_CROSSING_SHARE = 0.45
# Parts of a voxel so small are none, and so large are all that bundles may have of it.
_LEAST, _MOST = 0.05, 0.95
# From outside to inside, in mm: skin, a gap (bone gives no signal), fluid, grey matter, white matter.
_SKIN_MM, _BONE_MM, _FLUID_MM, _GREY_MM = 4.0, 7.0, 10.0, 13.0
# The middle of a ventricle from the middle of the head, and its half axes, in mm.
_VENTRICLE_AT_MM, _VENTRICLE_MM = (0, 6, 12), (5, 14, 8)
_MARGIN_MM = 12.0
_N_B0 = 6


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A diffusion image.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, volumes)
        The signal.
    affine : ndarray, shape (4, 4)
        From voxels to mm.
    gtab : GradientTable
        b-values in s/mm^2, and directions.
    """

    data: NDArray[np.float32]
    affine: Array
    gtab: GradientTable


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """What is in each voxel.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        From voxels to mm.
    fractions : dict of str to ndarray, shape (x, y, z)
        The part of a voxel that each bundle has.
    directions : dict of str to ndarray, shape (x, y, z, 3)
        The bundle's direction there, a unit vector.
    nodes : dict of str to ndarray, shape (x, y, z)
        Where along the bundle that is, from 0 to 99.
    brain, surface, fluid, scalp : ndarray of bool, shape (x, y, z)
        The brain, its grey surface, the fluid around it and in it, the skin.
    """

    affine: Array
    fractions: Mapping[str, Array]
    directions: Mapping[str, Array]
    nodes: Mapping[str, Array]
    brain: NDArray[np.bool_]
    surface: NDArray[np.bool_]
    fluid: NDArray[np.bool_]
    scalp: NDArray[np.bool_]


@cache
def read_scheme() -> GradientTable:
    """Return a real scheme that DIPY ships, of 64 directions at b = 1000 s/mm^2, with six images at b = 0."""
    _, bval_file, bvec_file = dipy.data.get_fnames(name="small_64D")
    bvals, bvecs = read_bvals_bvecs(bval_file, bvec_file)
    is_weighted = bvals > 0
    return gradient_table(
        np.r_[np.zeros(_N_B0), bvals[is_weighted]], bvecs=np.r_[np.zeros((_N_B0, 3)), bvecs[is_weighted]]
    )


def fill(bundles: Bundles, voxel_mm: float) -> Tissue:
    """Return what is in each voxel of a head around some bundles.

    Parameters
    ----------
    bundles : dict of str to ndarray, shape (n, nodes, 3)
        Streamlines in mm.
    voxel_mm : float
        The edge of a voxel.
    """
    points = np.concatenate([lines.reshape(-1, 3) for lines in bundles.values()])
    low, high = points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM
    centre, radii = (low + high) / 2, (high - low) / 2
    # The head is an ellipsoid around them all, with room for grey matter, fluid and skin.
    radii = radii * np.linalg.norm((points - centre) / radii, axis=1).max() + _MARGIN_MM
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = centre - radii - _MARGIN_MM
    shape = tuple(np.ceil(2 * (radii + _MARGIN_MM) / voxel_mm).astype(int))
    grid = np.moveaxis(np.indices(shape), 0, -1) * voxel_mm + affine[:3, 3]
    # About how far a voxel lies inside of the head, in mm.
    depth = (1 - np.linalg.norm((grid - centre) / radii, axis=-1)) * radii.mean()
    placed = {tract: _place(lines, affine, shape) for tract, lines in bundles.items()}
    total = np.maximum(1, sum(fraction for fraction, _, _ in placed.values()) / _MOST)
    ventricle = np.linalg.norm((grid - centre - _VENTRICLE_AT_MM) / _VENTRICLE_MM, axis=-1) < 1
    brain = depth > _FLUID_MM
    is_tract = sum(fraction for fraction, _, _ in placed.values()) > 0
    return Tissue(
        affine=affine,
        fractions={tract: fraction / total for tract, (fraction, _, _) in placed.items()},
        directions={tract: direction for tract, (_, direction, _) in placed.items()},
        nodes={tract: node for tract, (_, _, node) in placed.items()},
        brain=brain,
        surface=brain & (depth < _GREY_MM),
        fluid=((depth > _BONE_MM) & ~brain) | (brain & ventricle & ~is_tract),
        scalp=(depth > 0) & (depth <= _SKIN_MM),
    )


def _place(lines: Array, affine: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return a bundle's part, direction and node in each voxel."""
    voxel_mm = affine[0, 0]
    step = np.gradient(lines, axis=1)
    # Dense enough that no voxel on the way is left out.
    dense = np.linspace(0, N_NODES - 1, 4 * N_NODES)
    low = np.floor(dense).astype(int).clip(0, N_NODES - 2)
    part = (dense - low)[None, :, None]
    points = lines[:, low] * (1 - part) + lines[:, low + 1] * part
    tangents = step[:, low] * (1 - part) + step[:, low + 1] * part
    voxels = np.round((points - affine[:3, 3]) / voxel_mm).astype(int).reshape(-1, 3)
    flat = np.ravel_multi_index(tuple(voxels.T), shape)
    length = np.prod(shape)

    def spread(values: Array) -> Array:
        summed = np.bincount(flat, weights=values.ravel(), minlength=length).reshape(shape)
        return gaussian_filter(summed, _TUBE_MM / voxel_mm, mode="constant")

    steps = np.linalg.norm(np.diff(points, axis=1), axis=-1).mean()
    count = spread(np.ones(points.shape[:2])) * steps / voxel_mm
    weight = np.maximum(count, 1e-9)
    direction = np.stack([spread(tangents[..., axis]) for axis in range(3)], axis=-1)
    norm = np.linalg.norm(direction, axis=-1, keepdims=True)
    node = spread(np.broadcast_to(dense, points.shape[:2])) * steps / voxel_mm / weight
    fraction = np.clip(count / _FILLED, 0, 1)
    fraction[fraction < _LEAST] = 0
    return fraction, direction / np.maximum(norm, 1e-9), node


def mix(tissue: Tissue, profiles: Mapping[str, Array], gtab: GradientTable) -> Scan:
    """Return the image of a scanner without noise.

    Parameters
    ----------
    tissue : Tissue
        What is in each voxel.
    profiles : dict of str to ndarray, shape (100,)
        FA (unitless) along each bundle.
    gtab : GradientTable
        The scheme.
    """
    bvals, bvecs = gtab.bvals, gtab.bvecs
    shape = tissue.brain.shape
    data = np.zeros((*shape, len(bvals)), np.float32)

    def put(where: NDArray[np.bool_], s0: float, md_mm2_s: float) -> None:
        data[where] = s0 * np.exp(-bvals * md_mm2_s)

    white = tissue.brain & ~tissue.surface & ~tissue.fluid
    put(tissue.scalp, _S0["scalp"], _SCALP_MM2_S)
    put(tissue.surface, _S0["grey"], _GREY_MM2_S)
    data[white] = _S0["white"] * _attenuation(_background(shape)[white], _BACKGROUND_FA, bvals, bvecs)
    put(tissue.fluid, _S0["fluid"], _FLUID_MM2_S)
    inside = sum(tissue.fractions.values()) > 0
    inside &= tissue.brain
    rest = np.ones(int(inside.sum()))
    signal = np.zeros((len(rest), len(bvals)))
    for tract, fraction in tissue.fractions.items():
        share = fraction[inside] * (_CROSSING_SHARE if tract == CROSSING else 1)
        rest -= share
        fa = np.interp(tissue.nodes[tract][inside], np.arange(N_NODES), profiles[tract])
        signal += share[:, None] * _attenuation(tissue.directions[tract][inside], fa[:, None], bvals, bvecs)
    data[inside] = _S0["white"] * signal + rest[:, None] * data[inside]
    return Scan(data=data, affine=tissue.affine, gtab=gtab)


def _attenuation(directions: Array, fa: float | Array, bvals: Array, bvecs: Array) -> Array:
    """Return the signal of tensors that are round about a direction, as part of that without weighting.

    Basser & Pierpaoli 1996, J Magn Reson B 111:209: with FA and MD, the eigenvalue along the direction is
    ``MD (1 + 2 k)`` and that across it ``MD (1 - k)``, where ``k = FA / sqrt(3 - 2 FA^2)``.
    """
    k = fa / np.sqrt(3 - 2 * np.square(fa))
    along, across = MD_MM2_S * (1 + 2 * k), MD_MM2_S * (1 - k)
    cosines = directions @ bvecs.T
    attenuation: Array = np.exp(-bvals * (across + (along - across) * np.square(cosines)))
    return attenuation


def _background(shape: tuple[int, ...]) -> Array:
    """Return directions that change slowly from place to place, always the same."""
    random = np.random.default_rng(0)
    field = np.stack([gaussian_filter(random.normal(size=shape), 4) for _ in range(3)], axis=-1)
    unit: Array = field / np.linalg.norm(field, axis=-1, keepdims=True)
    return unit


def add_rician_noise(scan: Scan, snr: float, seed: int) -> Scan:
    """Return an image with the noise of a magnitude image.

    Parameters
    ----------
    scan : Scan
        Without noise.
    snr : float
        Signal of white matter without diffusion weighting, over the noise's standard deviation.
    seed : int
        Of the noise.
    """
    noisy = add_noise(scan.data, snr, _S0["white"], noise_type="rician", rng=np.random.default_rng([seed, 2]))
    return Scan(data=noisy.astype(np.float32), affine=scan.affine, gtab=scan.gtab)
