"""From a diffusion image to maps of its tensors: the brain, the noise, the tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from dipy.core.gradients import GradientTable
from dipy.denoise.localpca import mppca
from dipy.denoise.patch2self import patch2self
from dipy.reconst.dti import TensorModel
from dipy.segment.mask import median_otsu
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Denoising = Literal["none", "mppca", "patch2self"]

# What DIPY's documentation takes for images of 2 to 2.5 mm.
_MEDIAN_RADIUS, _MEDIAN_PASSES = 2, 1


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Maps of the diffusion tensor.

    Parameters
    ----------
    fa : ndarray, shape (x, y, z)
        Fractional anisotropy, unitless, from 0 to 1; 0 outside of the brain.
    md : ndarray, shape (x, y, z)
        Mean diffusivity, in 10^-3 mm^2/s.
    direction : ndarray, shape (x, y, z, 3)
        The first eigenvector, a unit vector in the axes of the voxels.
    """

    fa: Array
    md: Array
    direction: Array


def extract_brain(data: Array, gtab: GradientTable) -> Mask:
    """Return where the brain is, by a threshold of the smoothed images without diffusion weighting.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, volumes)
        The signal.
    gtab : GradientTable
        Which of the volumes are without weighting.

    Returns
    -------
    ndarray of bool, shape (x, y, z)

    References
    ----------
    Otsu 1979, IEEE Trans Syst Man Cybern 9:62; DIPY's ``median_otsu``.
    """
    _, mask = median_otsu(
        data, vol_idx=np.flatnonzero(gtab.b0s_mask), median_radius=_MEDIAN_RADIUS, numpass=_MEDIAN_PASSES
    )
    return np.asarray(mask, dtype=bool)


def denoise(data: Array, gtab: GradientTable, mask: Mask, method: Denoising) -> Array:
    """Return the signal with less noise.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, volumes)
        The signal.
    gtab : GradientTable
        b-values in s/mm^2.
    mask : ndarray of bool, shape (x, y, z)
        Where the brain is.
    method : {"none", "mppca", "patch2self"}
        Marchenko-Pastur PCA (Veraart et al. 2016, NeuroImage 142:394), or Patch2Self (Fadnavis et al. 2020,
        NeurIPS 33:16293).

    Returns
    -------
    ndarray, shape (x, y, z, volumes)
    """
    match method:
        case "none":
            return data
        case "mppca":
            return np.asarray(mppca(data, mask=mask, patch_radius=2))
        case "patch2self":
            return np.asarray(patch2self(data, gtab.bvals, shift_intensity=True, clip_negative_vals=False))
    raise ValueError(f"no denoising {method!r}: choose from none, mppca, patch2self")


def fit_tensor(data: Array, gtab: GradientTable, mask: Mask) -> Tensors:
    """Fit a diffusion tensor in each voxel of the brain, by weighted least squares.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, volumes)
        The signal.
    gtab : GradientTable
        b-values in s/mm^2, and directions in the axes of the voxels.
    mask : ndarray of bool, shape (x, y, z)
        Where the brain is.

    Returns
    -------
    Tensors
        FA, MD and the principal direction.

    References
    ----------
    Basser, Mattiello & LeBihan 1994, J Magn Reson B 103:247; the weights are those of Chung, Lu & Henry 2006,
    NeuroImage 33:531.
    """
    fit = TensorModel(gtab, fit_method="WLS").fit(data, mask=mask)
    return Tensors(
        fa=np.where(mask, np.nan_to_num(fit.fa), 0),
        md=np.where(mask, np.nan_to_num(fit.md), 0) * 1e3,
        direction=np.nan_to_num(fit.evecs[..., 0]),
    )
