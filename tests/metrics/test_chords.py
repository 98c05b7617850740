"""Chord lengths and lineal path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.chords import Chords, chord_length
from metrics.lineal import lineal_path
from metrics.shapes import overlapping_spheres
from metrics.volume import AXES, InputError, Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("solid", 1, 1), Phase("other", 2, 2))
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


def lines(mask, axis):
    return np.moveaxis(mask, AXES.index(axis), -1).reshape(-1, mask.shape[AXES.index(axis)])


def plain_chords(mask, axis):
    """Lengths of complete and of cut runs, by where the phase begins and ends in each line."""
    complete, cut = [], []
    for line in lines(mask, axis):
        steps = np.diff(np.pad(line.astype(int), 1))
        for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            (cut if begin == 0 or end == len(line) else complete).append(end - begin)
    return complete, cut


def plain_mean(mask, axis):
    changes = np.diff(lines(mask, axis).astype(int), axis=1)
    if not changes.any():
        return np.nan
    return mask.mean() / (np.abs(changes).mean() / 2)


def plain_path(mask, axis, lag):
    """Share of windows of lag + 1 voxels that are all phase."""
    if lag >= mask.shape[AXES.index(axis)]:
        return np.nan
    return np.lib.stride_tricks.sliding_window_view(lines(mask, axis), lag + 1, 1).all(-1).mean()


def test_counts_and_mean_of_one_line():
    line = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1]).reshape(1, 1, 10)
    chords = chord_length(Volume(line, spacing=(1, 1, 0.5)), phase=0, axis="x")
    assert chords.lengths[:3].tolist() == [0.5, 1.0, 1.5]
    assert chords.counts.tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert (chords.count, chords.cut) == (2, 1)
    # half the voxels are pore, 5 changes in 9 pairs are 5/18 chords a voxel
    assert chords.mean == pytest.approx(0.5 / (5 / 18) * 0.5, rel=1e-15)


def test_lineal_path_of_one_line():
    line = np.array([0, 0, 0, 1, 0, 0]).reshape(1, 6, 1)
    path = lineal_path(line, phase=0, max_lag=4)
    assert path.lags.tolist() == [0, 1, 2, 3, 4]
    assert path.axis["y"].tolist() == [5 / 6, 3 / 5, 1 / 4, 0, 0]
    assert path.pairs["y"].tolist() == [6, 5, 4, 3, 2]
    assert path.pairs["x"].tolist() == [6, 0, 0, 0, 0]
    assert np.isnan(path.axis["x"][1:]).all()


@pytest.mark.parametrize("axis", AXES)
def test_stripes_have_chords_of_one_length(axis):
    stripes = np.resize([1, 1, 0, 0, 0], 26)  # begins and ends alike: whole periods of pairs
    labels = np.moveaxis(np.broadcast_to(stripes, (3, 4, 26)), -1, AXES.index(axis))
    chords = chord_length(labels, phase=0, axis=axis)
    assert np.flatnonzero(chords.counts).tolist() == [2]  # bin 2 holds chords of 3 voxels
    assert chords.counts[2] == chords.count == 5 * 12
    # 15 of 26 voxels, one chord in 5: 3 but for the odd voxel
    assert chords.mean == pytest.approx(15 / 26 * 5, rel=1e-15)


@settings(max_examples=30)
@given(LABELS, st.sampled_from(AXES), st.integers(0, 2))
def test_agrees_with_plain_counting(labels, axis, phase):
    volume = Volume(labels, phases=PHASES)
    chords = chord_length(volume, phase=phase, axis=axis)
    complete, cut = plain_chords(labels == phase, axis)
    side = labels.shape[AXES.index(axis)]
    assert chords.counts.tolist() == np.bincount(complete, minlength=side + 1)[1:].tolist()
    assert (chords.count, chords.cut) == (len(complete), len(cut))
    # equal but for the order of a few float64 operations
    assert chords.mean == pytest.approx(plain_mean(labels == phase, axis), rel=1e-12, nan_ok=True)
    path = lineal_path(volume, phase=phase, max_lag=max(labels.shape) - 1).axis[axis]
    expected = [plain_path(labels == phase, axis, lag) for lag in range(max(labels.shape))]
    np.testing.assert_allclose(path, expected, rtol=1e-12)


@settings(max_examples=30)
@given(LABELS)
def test_lineal_path_starts_at_the_fraction_and_falls(labels):
    for phase in range(3):
        path = lineal_path(Volume(labels, phases=PHASES), phase=phase)
        for curve in path.axis.values():
            assert curve[0] == np.mean(labels == phase)
            # unbiased estimates need not fall, the segments found do
        for axis, found in path.axis.items():
            assert (np.diff(np.nan_to_num(found) * path.pairs[axis]) <= 1e-9).all()


@settings(max_examples=30)
@given(LABELS, st.permutations(range(3)))
def test_permuting_flipping_relabelling(labels, order):
    volume = Volume(labels, spacing=(1, 2, 3), phases=PHASES)
    new_labels = np.array([30, 10, 20])[labels[::-1, :, ::-1].transpose(order)]
    phases = (Phase("solid", 10, 10), Phase("other", 20, 20), Phase("pore", 30, 30))
    spacing = tuple(volume.spacing[k] for k in order)
    permuted = Volume(new_labels, spacing=spacing, phases=phases)
    for new, old in enumerate(order):
        a = chord_length(volume, phase=0, axis=AXES[old])
        b = chord_length(permuted, phase=30, axis=AXES[new])
        assert_same_chords(a, b)
        paths = [lineal_path(volume, phase=0), lineal_path(permuted, phase=30)]
        np.testing.assert_array_equal(paths[0].axis[AXES[old]], paths[1].axis[AXES[new]])


@settings(max_examples=30)
@given(LABELS, st.sampled_from(AXES))
def test_doubling_the_spacing_doubles_lengths_only(labels, axis):
    one, two = (
        chord_length(Volume(labels, spacing=(s, 2 * s, 3 * s), phases=PHASES), phase=1, axis=axis)
        for s in (0.3, 0.6)
    )
    assert_same_chords(one, Chords(two.mean / 2, two.lengths / 2, two.counts, two.count, two.cut))


def assert_same_chords(a, b):
    assert a.mean == b.mean or (np.isnan(a.mean) and np.isnan(b.mean))
    np.testing.assert_array_equal(a.lengths, b.lengths)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert (a.count, a.cut) == (b.count, b.cut)


@pytest.mark.parametrize("axis", AXES)
def test_any_integer_layout(axis, tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, size=(6, 7, 8), dtype=np.uint8)
    wide = np.zeros((6, 14, 8), dtype=np.int64)
    wide[:, ::2] = labels
    np.save(tmp_path / "v.npy", labels)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    expected = chord_length(labels, phase=1, axis=axis)
    assert expected.count > 20
    for same in (labels.astype(bool), np.asfortranarray(labels), wide[:, ::2], mapped):
        assert_same_chords(chord_length(same, phase=1, axis=axis), expected)


@pytest.mark.parametrize("axis", AXES)
def test_nothing_ends(axis):
    """An absent phase, one that fills the volume, and one voxel along the axis."""
    volume = Volume(np.zeros((2, 3, 4), dtype=int), phases=PHASES)
    absent = chord_length(volume, phase=2, axis=axis)
    assert np.isnan(absent.mean) and absent.count == absent.cut == absent.counts.sum() == 0
    assert (lineal_path(volume, phase=2).axis[axis] == 0).all()
    full = chord_length(volume, phase=0, axis=axis)
    assert np.isnan(full.mean) and full.count == 0
    assert full.cut == 24 // volume.shape[AXES.index(axis)]
    assert (lineal_path(volume, phase=0).axis[axis] == 1).all()
    dot = chord_length(np.zeros((1, 1, 1), dtype=int), phase=0, axis=axis)
    assert np.isnan(dot.mean) and (dot.count, dot.cut) == (0, 1)


def test_the_mean_has_no_edge_bias():
    """Random voxels of fraction p have chords of 1/(1 - p); the window is only two chords long."""
    p, n = 0.9, 20
    labels = (np.random.default_rng(1).random((n, 200, 200)) < p).astype(np.uint8)
    chords = chord_length(labels, phase=1, axis="z")
    # standard error over seeds 0.035; four of them
    assert chords.mean == pytest.approx(1 / (1 - p), abs=0.14)
    # Leaving out the cut chords gives half the truth: what `mean` must not do.
    assert np.average(chords.lengths, weights=chords.counts) < 0.55 / (1 - p)
    # Chords per place they could be in follow the geometric law p^(n-1), as the docstring says.
    length = np.arange(1, 11)
    per_place = chords.counts[:10] / (n - length - 1)
    # some 1500 to 4000 chords a bin, so four standard errors of a ratio are 13 %
    np.testing.assert_allclose(per_place / per_place[0], p ** (length - 1), rtol=0.13)
    assert chords.counts[9] / chords.counts[0] < 0.7 * p**9  # and without the places they do not


def test_matrix_between_random_balls():
    """Of voxels in a Boolean model, phi, S2 and L are known exactly, and so is the mean chord."""
    density = 1 / (6 * np.pi * 3**2)  # mean chord of 6 between the continuous balls
    means, paths = [], []
    for seed in range(4):
        body = overlapping_spheres((120,) * 3, radius=3, density=density, seed=seed)
        means += [chord_length(body.volume, phase=0, axis=axis).mean for axis in AXES]
        paths += list(lineal_path(body.volume, phase=0, max_lag=20).axis.values())
    phi, at_one = body.two_point([0.0, 1.0])
    # standard error of the mean of 4 volumes 0.7 %, four of them
    assert np.mean(means) == pytest.approx(phi / (phi - at_one), rel=0.03)
    # half a voxel longer than that of the continuous body, to first order in voxel over chord
    assert phi / (phi - at_one) == pytest.approx(6 + 0.5, abs=0.1)
    lags = np.arange(21)
    law = phi * (at_one / phi) ** lags  # collinear balls: each adds the same volume to the union
    # standard error of 4 volumes 0.0025, four of them
    np.testing.assert_allclose(np.mean(paths, axis=0), law, atol=0.01)
    # voxels miss what is between them; equal at lag 0 up to rounding
    assert (law >= body.lineal_path(lags) - 1e-12).all()


def test_one_body_at_three_resolutions():
    """The excess over 1/(rho pi R^2) is half a voxel: it halves with the voxel."""
    excess = []
    for spacing in (2.0, 1.0, 0.5):
        side = round(60 / spacing)
        body = overlapping_spheres(
            (side,) * 3, radius=10, density=1 / (10 * np.pi * 100), seed=2, spacing=spacing
        )
        excess.append(
            np.mean([chord_length(body.volume, phase=0, axis=axis).mean for axis in AXES])
        )
    # the same balls each time, so the differences are sharp: 0.5 and 0.25 within a tenth of a voxel
    assert excess[0] - excess[1] == pytest.approx(0.5, abs=0.2)
    assert excess[1] - excess[2] == pytest.approx(0.25, abs=0.1)


def test_bad_input():
    labels = np.zeros((2, 3, 4), dtype=int)
    with pytest.raises(InputError, match="no phase 7"):
        chord_length(labels, phase=7, axis="z")
    with pytest.raises(InputError, match="axis must be one of z, y, x"):
        chord_length(labels, phase=0, axis="w")
    with pytest.raises(InputError, match="no phase 7"):
        lineal_path(labels, phase=7)
    for lag in (4, -1):
        with pytest.raises(InputError, match=r"max_lag must be 0\.\.3"):
            lineal_path(labels, phase=0, max_lag=lag)
