"""Two-point cluster function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from metrics.cluster import two_point_cluster
from metrics.lineal import lineal_path
from metrics.shapes import overlapping_spheres, sphere
from metrics.volume import AXES, InputError, Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("solid", 1, 1), Phase("other", 2, 2))
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


def shifted(field, axis, lag):
    moved = np.moveaxis(field, AXES.index(axis), 0)
    return moved[: max(len(moved) - lag, 0)], moved[lag:]


def plain_cluster(mask, axis, lag):
    """Share of the pairs in one cluster, scipy's labels (face neighbours) compared directly."""
    a, b = shifted(ndimage.label(mask)[0], axis, lag)
    return ((a == b) & (a > 0)).mean() if a.size else np.nan


def plain_two_point(mask, axis, lag):
    a, b = shifted(mask, axis, lag)
    return (a & b).mean() if a.size else np.nan


def curve(function, mask, axis, max_lag):
    return np.array([function(mask, axis, lag) for lag in range(max_lag + 1)])


def test_one_line():
    line = np.array([0, 0, 0, 1, 0, 0]).reshape(1, 1, 6)
    result = two_point_cluster(line, phase=0, max_lag=4)
    assert result.lags.tolist() == [0, 1, 2, 3, 4]
    assert result.axis["x"].tolist() == [5 / 6, 3 / 5, 1 / 4, 0, 0]
    assert result.pairs["x"].tolist() == [6, 5, 4, 3, 2]
    assert result.pairs["z"].tolist() == [6, 0, 0, 0, 0]
    assert np.isnan(result.axis["z"][1:]).all()


def test_a_path_around_the_obstacle_joins():
    """The two arms of a U are one cluster: C2 sees it, the lineal path does not."""
    labels = np.array([[[0, 1, 0], [0, 0, 0]]])
    assert two_point_cluster(labels, phase=0, max_lag=2).axis["x"][2] == 1.0
    assert lineal_path(labels, phase=0, max_lag=2).axis["x"][2] == 0.5


def test_corners_and_edges_do_not_join():
    """A checkerboard has no cluster of two voxels; joined through edges it would have one of 32."""
    board = np.indices((4, 4, 4)).sum(axis=0) % 2
    result = two_point_cluster(board, phase=1, max_lag=3)
    for axis in AXES:
        assert result.axis[axis].tolist() == [0.5, 0, 0, 0]
        assert curve(plain_two_point, board == 1, axis, 3)[2] == 0.5


def test_one_ball_is_one_cluster_and_two_are_two():
    ball = sphere((24, 24, 24), radius=8).volume.labels
    both = np.concatenate([ball, ball])
    one = two_point_cluster(ball, phase=1, max_lag=23)
    two = two_point_cluster(both, phase=1, max_lag=40)
    for axis in AXES:
        np.testing.assert_array_equal(one.axis[axis], curve(plain_two_point, ball == 1, axis, 23))
    # balls 24 apart: pairs at that lag lie in the phase, never in one cluster
    assert plain_two_point(both == 1, "z", 24) > 0.1
    assert two.axis["z"][20:].max() == 0
    # a ball's own pairs, by its diameters along z: one lag k in each line of n > k voxels
    lengths = (ball == 1).sum(axis=0)
    expected = [2 * np.maximum(lengths - k, 0).sum() / (24 * 24 * (48 - k)) for k in range(41)]
    np.testing.assert_allclose(two.axis["z"], expected, rtol=1e-12)


@settings(max_examples=30)
@given(LABELS, st.integers(0, 2))
def test_agrees_with_plain_counting_and_lies_between_the_others(labels, phase):
    volume, lag = Volume(labels, phases=PHASES), max(labels.shape) - 1
    result = two_point_cluster(volume, phase=phase, max_lag=lag)
    path = lineal_path(volume, phase=phase, max_lag=lag)
    for axis in AXES:
        expected = curve(plain_cluster, labels == phase, axis, lag)
        np.testing.assert_allclose(result.axis[axis], expected, rtol=1e-12)
        assert result.axis[axis][0] == np.mean(labels == phase)
        known = ~np.isnan(expected)
        assert (path.axis[axis][known] <= result.axis[axis][known]).all()
        upper = curve(plain_two_point, labels == phase, axis, lag)
        # both are ratios of the same counts, rounded alike but for the last bit
        assert (result.axis[axis][known] <= upper[known] + 1e-15).all()
        np.testing.assert_array_equal(path.pairs[axis], result.pairs[axis])


@settings(max_examples=30)
@given(LABELS, st.permutations(range(3)))
def test_permuting_flipping_relabelling_spacing(labels, order):
    volume = Volume(labels, phases=PHASES)
    new_labels = np.array([30, 10, 20])[labels[::-1, :, ::-1].transpose(order)]
    phases = (Phase("solid", 10, 10), Phase("other", 20, 20), Phase("pore", 30, 30))
    permuted = Volume(new_labels, spacing=(1, 2, 3), phases=phases)
    before, after = two_point_cluster(volume, phase=0), two_point_cluster(permuted, phase=30)
    for new, old in enumerate(order):
        np.testing.assert_array_equal(before.axis[AXES[old]], after.axis[AXES[new]])


def test_any_integer_layout():
    labels = np.random.default_rng(0).integers(0, 2, size=(6, 7, 8), dtype=np.uint8)
    wide = np.zeros((6, 14, 8), dtype=np.int64)
    wide[:, ::2] = labels
    expected = two_point_cluster(labels, phase=1)
    assert expected.axis["z"][3] > 0
    for same in (labels.astype(bool), np.asfortranarray(labels), wide[:, ::2]):
        result = two_point_cluster(same, phase=1)
        for axis in AXES:
            np.testing.assert_array_equal(result.axis[axis], expected.axis[axis])


def test_clusters_of_balls_below_and_above_percolation():
    """Far apart, balls are in one cluster only where balls percolate (fraction 0.29)."""
    far = {}
    for fraction in (0.1, 0.6):
        density = -np.log(1 - fraction) / (4 / 3 * np.pi * 4**3)
        body = overlapping_spheres((64,) * 3, radius=4, density=density, seed=0)
        result = two_point_cluster(body.volume, phase=1, max_lag=32)
        found = np.mean([result.axis[axis][32] for axis in AXES])
        apart = np.mean([plain_two_point(body.volume.mask(1), axis, 32) for axis in AXES])
        far[fraction] = found / apart
    # 32 is four diameters: clusters that long are rare well below the threshold
    assert far[0.1] < 0.1
    assert far[0.6] > 0.99


def test_absent_and_full():
    volume = Volume(np.zeros((2, 3, 4), dtype=int), phases=PHASES)
    for axis in AXES:
        assert two_point_cluster(volume, phase=2).axis[axis].tolist() == [0, 0]
        assert two_point_cluster(volume, phase=0).axis[axis].tolist() == [1, 1]


def test_bad_input():
    labels = np.zeros((2, 3, 4), dtype=int)
    with pytest.raises(InputError, match="no phase 7"):
        two_point_cluster(labels, phase=7)
    with pytest.raises(InputError, match=r"max_lag must be 0\.\.3"):
        two_point_cluster(labels, phase=0, max_lag=4)


def test_layers_that_do_not_fit_are_refused(monkeypatch):
    labels = np.ones((4, 30, 30), np.uint8)
    monkeypatch.setattr("metrics.machine.memory.free_memory", lambda: 1000)
    # In memory, and one layer deep: nothing is carried.
    assert two_point_cluster(labels, phase=1, max_lag=20).axis["x"][20] == 1
    for module in ("cluster", "connectivity"):
        monkeypatch.setattr(f"metrics.{module}.LARGE", 0)
    with pytest.raises(InputError, match="ask for shorter lags"):
        two_point_cluster(labels, phase=1, max_lag=20)
