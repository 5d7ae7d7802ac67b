"""Maps of tensors: on real data as another implementation finds them, and noise that is taken away."""

from __future__ import annotations

import dipy.data
import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import GradientTable, gradient_table
from dipy.io.gradients import read_bvals_bvecs

from examples.tractometry import images
from examples.tractometry.phantom import tissue
from examples.tractometry.phantom.geometry import vary


@pytest.fixture(scope="module")
def real() -> tuple[np.ndarray, GradientTable]:
    """Ten by ten by ten voxels of a person's brain, in 64 directions; DIPY ships them."""
    image, bval, bvec = dipy.data.get_fnames(name="small_64D")
    bvals, bvecs = read_bvals_bvecs(bval, bvec)
    return np.asarray(nib.load(image).dataobj, dtype=float), gradient_table(bvals, bvecs=bvecs)


def fit_by_hand(data: np.ndarray, gtab: GradientTable) -> tuple[np.ndarray, ...]:
    """Return FA, MD and the least eigenvalue (10^-3 mm^2/s), fitted once plainly and once weighted.

    Salvador et al. 2005, Hum Brain Mapp 24:144.
    """
    b, (x, y, z) = gtab.bvals, gtab.bvecs.T
    design = np.column_stack(
        [-b * x * x, -b * y * y, -b * z * z, -2 * b * x * y, -2 * b * x * z, -2 * b * y * z, np.ones_like(b)]
    )
    logs = np.log(np.maximum(data.reshape(-1, len(b)), 1e-4))
    fa, md, least = [], [], []
    for log in logs:
        first = np.linalg.lstsq(design, log, rcond=None)[0]
        weight = np.exp(design @ first)
        xx, yy, zz, xy, xz, yz, _ = np.linalg.lstsq(design * weight[:, None], log * weight, rcond=None)[0]
        values = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        md.append(values.mean() * 1e3)
        least.append(values[0] * 1e3)
        fa.append(np.sqrt(1.5 * ((values - values.mean()) ** 2).sum() / (values**2).sum()))
    return tuple(np.reshape(found, data.shape[:3]) for found in (fa, md, least))


def test_fa_and_md_of_real_data_are_those_of_another_implementation(
    real: tuple[np.ndarray, GradientTable],
) -> None:
    data, gtab = real
    mask = np.ones(data.shape[:3], bool)
    tensors = images.fit_tensor(data, gtab, mask)
    fa, md, least = fit_by_hand(data, gtab)
    # No diffusion is negative: where noise makes it so, DIPY takes it for none, and the other one does not.
    is_tensor = least > 1e-3
    assert is_tensor.mean() > 0.9
    np.testing.assert_allclose(tensors.fa[is_tensor], fa[is_tensor], atol=1e-3)
    np.testing.assert_allclose(tensors.md[is_tensor], md[is_tensor], atol=1e-3)


def test_nothing_is_outside_of_the_brain(real: tuple[np.ndarray, GradientTable]) -> None:
    data, gtab = real
    mask = np.zeros(data.shape[:3], bool)
    mask[2:5] = True
    tensors = images.fit_tensor(data, gtab, mask)
    assert not tensors.fa[~mask].any()
    assert (tensors.fa[mask] > 0).mean() > 0.95


def test_the_brain_of_the_phantom_is_found() -> None:
    head = tissue.fill(vary(2), voxel_mm=4)
    profiles = {tract: np.full(100, 0.6) for tract in head.fractions}
    scan = tissue.add_rician_noise(tissue.mix(head, profiles, tissue.read_scheme()), snr=20, seed=2)
    mask = images.extract_brain(scan.data, scan.gtab)
    brain = head.brain | head.fluid
    dice = 2 * (mask & brain).sum() / (mask.sum() + brain.sum())
    assert dice > 0.9


@pytest.mark.parametrize("method", ["mppca", "patch2self"])
def test_denoising_brings_the_signal_nearer_to_the_truth(method: images.Denoising) -> None:
    shape = (8, 8, 8)
    direction = np.zeros((*shape, 3))
    direction[..., 0] = 1
    full, empty = np.ones(shape, bool), np.zeros(shape, bool)
    voxels = tissue.Tissue(
        affine=np.eye(4),
        fractions={"CST_R": np.ones(shape)},
        directions={"CST_R": direction},
        nodes={"CST_R": np.zeros(shape)},
        brain=full,
        surface=empty,
        fluid=empty,
        scalp=empty,
    )
    truth = tissue.mix(voxels, {"CST_R": np.full(100, 0.6)}, tissue.read_scheme())
    noisy = tissue.add_rician_noise(truth, snr=20, seed=3)
    cleaned = images.denoise(noisy.data, noisy.gtab, full, method)
    before, after = (np.sqrt(((data - truth.data) ** 2).mean()) for data in (noisy.data, cleaned))
    assert cleaned.shape == noisy.data.shape
    assert after < 0.95 * before


def test_no_denoising_changes_nothing(real: tuple[np.ndarray, GradientTable]) -> None:
    data, gtab = real
    assert images.denoise(data, gtab, np.ones(data.shape[:3], bool), "none") is data


def test_a_denoising_that_is_not_there_names_those_that_are(real: tuple[np.ndarray, GradientTable]) -> None:
    data, gtab = real
    with pytest.raises(ValueError, match="choose from none, mppca, patch2self"):
        images.denoise(data, gtab, np.ones(data.shape[:3], bool), "bilateral")  # type: ignore[arg-type]
