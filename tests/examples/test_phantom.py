"""The phantom has the tracts, the tensors and the noise that were put into it."""

from __future__ import annotations

import numpy as np
import pytest
from dipy.reconst.dti import TensorModel

from examples.tractometry.atlas import ATLAS_PERSON, AXES, N_NODES, core_of, read_atlas, read_bundles
from examples.tractometry.phantom import geometry, tissue
from examples.tractometry.phantom.geometry import CROSSED_NODE, CROSSING, DONORS, vary

PEOPLE = range(12)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, None] - other[None], axis=-1)


def test_the_atlas_is_nobody_of_the_phantom() -> None:
    assert ATLAS_PERSON not in DONORS
    for tract in read_atlas():
        for donor in DONORS:
            assert not np.allclose(tract.lines, read_bundles(donor)[tract.name])


@pytest.mark.parametrize("person", range(1, 6))
def test_streamlines_run_the_same_way_in_all_people(person: int) -> None:
    for tract, lines in read_bundles(person).items():
        core = core_of(lines)
        assert (core[-1] - core[0])[AXES[tract]] > 10, "from left to right, or from below to above, in mm"
        as_it_is, turned = (
            np.linalg.norm(line - core, axis=-1).mean(axis=-1) for line in (lines, lines[:, ::-1])
        )
        assert (as_it_is < turned).all()


def test_a_person_is_always_the_same_and_like_nobody_else() -> None:
    for tract, lines in vary(3).items():
        assert np.array_equal(lines, vary(3)[tract])
        assert not np.allclose(lines, vary(4)[tract])


@pytest.mark.parametrize("person", PEOPLE)
def test_one_tract_is_crossed_and_the_others_are_far_from_it(person: int) -> None:
    cores = {tract: core_of(lines) for tract, lines in vary(person).items()}
    crossing, crossed = cores[CROSSING], cores["CST_R"]
    near = distances(crossed, crossing)
    at, by = np.unravel_index(near.argmin(), near.shape)
    assert near.min() < 1
    assert abs(int(at) - CROSSED_NODE) <= 5
    ways = [line[i + 2] - line[i - 2] for line, i in ((crossed, at), (crossing, by))]
    cosine = abs(ways[0] @ ways[1]) / np.prod([np.linalg.norm(way) for way in ways])
    assert np.degrees(np.arccos(cosine)) > 60
    for tract in ("AF_L", "CC_ForcepsMajor"):
        assert distances(cores[tract], crossing).min() > 15


def test_without_noise_a_voxel_has_the_tensor_that_was_put_in() -> None:
    shape = (4, 3, 2)
    random = np.random.default_rng(0)
    direction = random.normal(size=(*shape, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    nodes = np.linspace(0, N_NODES - 1, 24).reshape(shape)
    full, empty = np.ones(shape, bool), np.zeros(shape, bool)
    voxels = tissue.Tissue(
        affine=np.eye(4),
        fractions={"CST_R": np.ones(shape)},
        directions={"CST_R": direction},
        nodes={"CST_R": nodes},
        brain=full,
        surface=empty,
        fluid=empty,
        scalp=empty,
    )
    profile = np.linspace(0.2, 0.8, N_NODES)
    scan = tissue.mix(voxels, {"CST_R": profile}, tissue.read_scheme())
    fit = TensorModel(scan.gtab).fit(scan.data)
    np.testing.assert_allclose(fit.fa, np.interp(nodes, np.arange(N_NODES), profile), atol=1e-4)
    np.testing.assert_allclose(fit.md, tissue.MD_MM2_S, rtol=1e-4)
    assert (np.abs((fit.evecs[..., 0] * direction).sum(axis=-1)) > 0.9999).all()


def test_a_head_has_all_tracts_within_its_brain() -> None:
    head = tissue.fill(vary(1), voxel_mm=5)
    for tract, fraction in head.fractions.items():
        assert (fraction > 0.5).sum() > 50, tract
        assert (fraction[~head.brain] == 0).all(), tract
    assert sum(head.fractions.values()).max() <= 0.95 + 1e-9
    kinds = np.stack([head.brain, head.scalp]).sum(axis=0)
    assert kinds.max() == 1


def test_the_noise_is_that_of_a_magnitude_image() -> None:
    data = np.zeros((20, 20, 20, 2), np.float32)
    data[..., 1] = 100.0
    scan = tissue.Scan(data=data, affine=np.eye(4), gtab=tissue.read_scheme())
    noisy = tissue.add_rician_noise(scan, snr=20, seed=1).data
    sigma = 100 / 20
    assert noisy[..., 0].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)  # Rayleigh, in the air
    assert noisy[..., 1].std() == pytest.approx(sigma, rel=0.02)
    assert np.array_equal(noisy, tissue.add_rician_noise(scan, snr=20, seed=1).data)
    assert not np.array_equal(noisy, tissue.add_rician_noise(scan, snr=20, seed=2).data)


def test_the_scheme_is_the_real_one_with_more_images_without_weighting() -> None:
    gtab = tissue.read_scheme()
    assert (gtab.b0s_mask.sum(), (~gtab.b0s_mask).sum()) == (6, 64)
    assert np.unique(np.round(gtab.bvals[~gtab.b0s_mask], -2)).tolist() == [1000]
    assert geometry.DONORS == (2, 3, 4, 5)
