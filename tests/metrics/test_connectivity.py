"""Percolation: exact bodies, the known threshold, and scipy.ndimage as independent labelling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from metrics.connectivity import percolation, through_mask
from metrics.volume import AXES, InputError, Volume

SMALL = arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 1))


def scipy_through(mask: np.ndarray, axis: str) -> tuple[np.ndarray, int, int]:
    """Through-connected voxels, clusters and through-clusters by scipy.ndimage."""
    clusters, count = ndimage.label(mask)
    first, last = (np.take(clusters, layer, axis=AXES.index(axis)) for layer in (0, -1))
    numbers = set(first.ravel().tolist()) & set(last.ravel().tolist()) - {0}
    return np.isin(clusters, list(numbers)), count, len(numbers)


def test_bar_goes_through_and_stubs_do_not():
    labels = np.zeros((4, 1, 7), dtype=np.uint8)
    labels[:, 0, 0] = 1
    labels[:2, 0, 2] = 1
    labels[3:, 0, 4] = 1
    labels[1, 0, 6] = 1
    result = percolation(labels, phase=1, axis="z")
    assert result.percolates
    assert result.percolating_fraction == 4 / 8
    assert (result.clusters, result.through_clusters) == (4, 1)
    assert result.labels is None
    np.testing.assert_array_equal(
        through_mask(labels, phase=1, axis="z").nonzero(), [[0, 1, 2, 3], [0] * 4, [0] * 4]
    )


def test_both_faces_touched_by_different_clusters_is_not_through():
    labels = np.zeros((4, 1, 3), dtype=np.uint8)
    labels[:3, 0, 0] = labels[1:, 0, 2] = 1
    result = percolation(labels, phase=1, axis="z")
    assert (result.percolates, result.percolating_fraction, result.clusters) == (False, 0.0, 2)
    assert not through_mask(labels, phase=1, axis="z").any()


@pytest.mark.parametrize("contact", [(1, 1, 0), (1, 1, 1)], ids=["edge", "corner"])
def test_contacts_over_edges_and_corners_do_not_connect(contact):
    labels = np.zeros((2, 2, 2), dtype=np.uint8)
    labels[0, 0, 0] = labels[contact] = 1
    assert not percolation(labels, phase=1, axis="z").percolates
    # Negative control: 26 neighbours would join them.
    assert ndimage.label(labels, structure=np.ones((3, 3, 3)))[1] == 1


def test_single_layer_is_all_through():
    labels = np.array([[[1, 0, 1, 1]]])
    result = percolation(labels, phase=1, axis="z")
    assert (result.percolating_fraction, result.clusters, result.through_clusters) == (1.0, 2, 2)
    assert not percolation(labels, phase=1, axis="x").percolates


def test_absent_phase_is_a_value():
    half = Volume(np.arange(4).reshape(4, 1, 1) // 2).crop(np.s_[:2, :, :])
    result = percolation(half, phase=1, axis="z", labels=True)
    assert (result.percolates, result.percolating_fraction, result.clusters) == (False, 0.0, 0)
    assert not result.labels.any()


def test_whole_volume_is_one_cluster():
    result = percolation(np.full((3, 4, 5), 7), phase=7, axis="y", labels=True)
    assert (result.percolating_fraction, result.clusters, result.through_clusters) == (1.0, 1, 1)
    assert (result.labels == 1).all()


@pytest.mark.parametrize(("occupied", "percolates"), [(0.22, False), (0.42, True)])
def test_random_sites_percolate_above_the_known_threshold(occupied, percolates):
    # Threshold 0.3116 for 6 neighbours on the infinite simple cubic lattice (Stauffer & Aharony);
    # 0.1 away from it the chance of the other outcome in 40^3 is negligible.
    labels = (np.random.default_rng(1).random((40, 40, 40)) < occupied).astype(np.uint8)
    for axis in AXES:
        assert percolation(labels, phase=1, axis=axis).percolates == percolates


@settings(max_examples=30, deadline=None)
@given(SMALL, st.sampled_from(AXES))
def test_agrees_with_scipy(labels, axis):
    volume = Volume(labels, phases=Volume(np.array([[[0, 1]]])).phases)
    members, clusters, through_clusters = scipy_through(labels == 1, axis)
    result = percolation(volume, phase=1, axis=axis, labels=True)
    np.testing.assert_array_equal(through_mask(volume, phase=1, axis=axis), members)
    assert (result.clusters, result.through_clusters) == (clusters, through_clusters)
    assert result.percolating_fraction == members.sum() / max(labels.sum(), 1)
    np.testing.assert_array_equal(result.labels > 0, labels == 1)
    pairs = np.unique(np.stack([result.labels.ravel(), ndimage.label(labels)[0].ravel()]), axis=1)
    assert pairs.shape[1] == clusters + (labels == 0).any()  # the same partition


@settings(max_examples=20, deadline=None)
@given(SMALL)
def test_mirror_permutation_and_relabelling_change_nothing(labels):
    base = Volume(labels, phases=Volume(np.array([[[0, 1]]])).phases)
    renamed = Volume(labels * 200, phases=Volume(np.array([[[0, 200]]])).phases)
    expected = percolation(base, phase=1, axis="z").percolating_fraction
    for other in (labels[::-1], labels[:, :, ::-1], labels.transpose(0, 2, 1)):
        moved = Volume(other, phases=base.phases)
        assert percolation(moved, phase=1, axis="z").percolating_fraction == expected
    turned = Volume(labels.transpose(2, 1, 0), phases=base.phases)
    assert percolation(turned, phase=1, axis="x").percolating_fraction == expected
    assert percolation(renamed, phase=200, axis="z").percolating_fraction == expected


def test_dtype_order_and_storage_do_not_matter(tmp_path):
    labels = (np.random.default_rng(3).random((9, 14, 11)) < 0.4).astype(np.uint8)
    stored = np.memmap(tmp_path / "labels.raw", dtype=np.uint8, mode="w+", shape=labels.shape)
    stored[...] = labels
    every_second = np.repeat(labels, 2, axis=1)[:, ::2]
    others = [labels.astype(bool), labels.astype(np.int64), np.asfortranarray(labels)]
    for axis in AXES:
        expected = scipy_through(labels == 1, axis)[0]
        for other in [labels, stored, every_second, *others]:
            found = through_mask(other, phase=1, axis=axis)
            assert found.dtype == bool
            np.testing.assert_array_equal(found, expected)


def test_unknown_phase_and_axis_are_refused():
    labels = np.array([[[0, 1]]])
    with pytest.raises(InputError, match="no phase 2"):
        percolation(labels, phase=2, axis="z")
    with pytest.raises(InputError, match="axis must be one of"):
        through_mask(labels, phase=1, axis="w")
