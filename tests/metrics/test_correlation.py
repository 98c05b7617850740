"""Two-point correlation: direct counting, limits, known laws, a control without edge handling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metrics.correlation import two_point_correlation, two_point_map
from metrics.shapes import checkerboard, gaussian_random_field, overlapping_spheres
from metrics.volume import InputError, Volume

LABELS = arrays(np.uint8, st.tuples(*[st.integers(2, 7)] * 3), elements=st.integers(0, 2)).filter(
    lambda labels: len(np.unique(labels)) == 3
)
# float32 transforms; the function promises 1e-6
EXACT = 1e-6


def counted(labels: np.ndarray, i: int, j: int, lag: int, periodic: bool) -> dict:
    """S2 and pairs at every lag vector, by shifting masks."""
    a, b = labels == i, labels == j
    reach = [range(-min(lag, n - 1), min(lag, n - 1) + 1) for n in labels.shape]
    found = {}
    for shift in np.array(np.meshgrid(*reach, indexing="ij")).reshape(3, -1).T:
        if periodic:
            hits = a & np.roll(b, tuple(-shift), (0, 1, 2))
        else:
            here, there = (
                tuple(
                    slice(max(0, s * d), n - max(0, -s * d))
                    for d, n in zip(shift, a.shape, strict=True)
                )
                for s in (-1, 1)
            )
            hits = a[here] & b[there]
        found[tuple(shift)] = hits.mean(), hits.size
    return found


@pytest.mark.parametrize("periodic", [False, True])
@given(labels=LABELS, lag=st.integers(0, 1), other=st.sampled_from([None, 0, 2]))
def test_equals_direct_counting(
    labels: np.ndarray, lag: int, other: int | None, periodic: bool
) -> None:
    found, pairs = two_point_map(labels, phase=1, other=other, max_lag=lag, periodic=periodic)
    middle = np.array(found.shape) // 2
    direct = counted(labels, 1, 1 if other is None else other, lag, periodic)
    assert found.size == len(direct)
    for shift, (value, count) in direct.items():
        at = tuple(middle + shift)
        assert found[at] == pytest.approx(value, abs=EXACT)
        assert pairs[at] == count


def test_lags_longer_than_a_thin_side_are_missing_there() -> None:
    s2 = two_point_correlation(np.random.default_rng(0).integers(0, 2, (1, 9, 9)), max_lag=4)
    assert np.isnan(s2.axis["z"][1:]).all()
    assert s2.pairs["z"].tolist() == [81, 0, 0, 0, 0]
    assert np.isfinite(s2.axis["x"]).all()


@pytest.mark.parametrize("periodic", [False, True])
def test_axes_and_pairs(periodic: bool) -> None:
    labels = np.random.default_rng(1).integers(0, 3, (9, 8, 7))
    s2 = two_point_correlation(labels, phase=1, other=2, max_lag=3, periodic=periodic)
    direct = counted(labels, 1, 2, 3, periodic)
    for axis, unit in zip("zyx", np.eye(3, dtype=int), strict=True):
        for lag in s2.lags:
            value, count = direct[tuple(lag * unit)]
            assert s2.axis[axis][lag] == pytest.approx(value, abs=EXACT)
            assert s2.pairs[axis][lag] == count


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 1.5)])
def test_radial_bins_hold_every_pair_once(spacing: tuple[float, float, float]) -> None:
    labels = np.random.default_rng(2).integers(0, 2, (9, 9, 9))
    s2 = two_point_correlation(Volume(labels, spacing), phase=1, max_lag=4)
    direct = counted(labels, 1, 1, 4, periodic=False)
    for k in range(len(s2.radial)):
        inside = {
            shift: hit
            for shift, hit in direct.items()
            if s2.r_edges[k] <= np.linalg.norm(np.multiply(shift, spacing)) < s2.r_edges[k + 1]
        }
        pairs = sum(count for _, count in inside.values())
        hits = sum(value * count for value, count in inside.values())
        assert s2.radial_pairs[k] == pairs
        if pairs:
            assert s2.radial[k] == pytest.approx(hits / pairs, abs=EXACT)


@given(LABELS)
def test_lag_zero_is_the_fraction_and_rows_add_up(labels: np.ndarray) -> None:
    for i in range(3):
        same = two_point_correlation(labels, phase=i, max_lag=1)
        assert same.radial[0] == pytest.approx(np.mean(labels == i), abs=EXACT)
        assert same.r[0] == 0
    # Whatever lies at the far end is some phase: the sum over j is P[x in i] on the overlap.
    rows = sum(
        two_point_correlation(labels, phase=0, other=j, max_lag=1).axis["x"] for j in range(3)
    )
    expected = [np.mean(labels == 0), np.mean(labels[:, :, :-1] == 0)]
    np.testing.assert_allclose(rows, expected, atol=3 * EXACT)


@given(LABELS)
def test_swapped_phases_mirror_the_map(labels: np.ndarray) -> None:
    forward, _ = two_point_map(labels, phase=0, other=2, max_lag=1)
    backward, _ = two_point_map(labels, phase=2, other=0, max_lag=1)
    np.testing.assert_allclose(forward, backward[::-1, ::-1, ::-1], atol=EXACT)


def test_permuted_axes_permute_the_result() -> None:
    labels = np.random.default_rng(3).integers(0, 2, (8, 10, 12))
    whole = two_point_correlation(labels, max_lag=4)
    turned = two_point_correlation(labels.transpose(2, 0, 1), max_lag=4)
    for new, old in zip("zyx", "xzy", strict=True):
        np.testing.assert_allclose(turned.axis[new], whole.axis[old], atol=EXACT)
    np.testing.assert_allclose(turned.radial, whole.radial, atol=EXACT)


def test_checkerboard_is_exact_when_periodic() -> None:
    body = checkerboard((8, 8, 8), cell=2, periodic=True)
    s2 = two_point_correlation(body.volume, phase=0, max_lag=4, periodic=True)
    np.testing.assert_allclose(s2.axis["y"], body.two_point(s2.lags, axis="y"), atol=EXACT)


def test_overlapping_spheres_follow_their_law_in_an_open_window() -> None:
    bodies = [
        overlapping_spheres((48,) * 3, radius=6, density=8e-4, seed=s, periodic=False)
        for s in range(10)
    ]
    curves = np.array([two_point_correlation(b.volume, max_lag=24).axis["x"] for b in bodies])
    exact = bodies[0].two_point(np.arange(25))
    error = curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
    assert (abs(curves.mean(axis=0) - exact) < 5 * error).all()  # 25 lags: 5 standard errors
    # Negative control: wrapping an open window joins unrelated ends and flattens the far lags.
    wrapped = [two_point_correlation(b.volume, max_lag=24, periodic=True).axis["x"] for b in bodies]
    fine = abs(np.diff(curves.mean(axis=0) - exact)[:4]).max()
    coarse = abs(np.diff(np.mean(wrapped, axis=0) - exact)[:4]).max()
    assert coarse > 3 * fine


def test_far_away_phases_are_independent() -> None:
    body = gaussian_random_field((96,) * 3, correlation_length=3, seed=0, fractions=(0.4, 0.6))
    s2 = two_point_correlation(body.volume, phase=0, max_lag=40, periodic=True)
    phi = s2.radial[0]
    # Beyond 8 correlation lengths; a shell of 1e4 pairs of independent cells leaves about 1e-3.
    np.testing.assert_allclose(s2.radial[30:], phi**2, atol=2e-3)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_any_label_type_and_layout(dtype: type) -> None:
    labels = np.random.default_rng(4).integers(0, 2, (6, 7, 8))
    expected = two_point_correlation(labels, phase=1, max_lag=3).radial
    view = np.asfortranarray(labels.astype(dtype))
    np.testing.assert_array_equal(two_point_correlation(view, phase=1, max_lag=3).radial, expected)


def test_doubled_spacing_doubles_distance_only() -> None:
    labels = np.random.default_rng(5).integers(0, 2, (8, 8, 8))
    single = two_point_correlation(labels, max_lag=3)
    double = two_point_correlation(Volume(labels, (2, 2, 2), "um"), max_lag=3)
    np.testing.assert_allclose(double.r, 2 * single.r)
    np.testing.assert_array_equal(double.radial, single.radial)
    assert double.unit == "um"


@pytest.mark.parametrize("lag", [-1, 8])
def test_impossible_lag(lag: int) -> None:
    with pytest.raises(InputError, match="max_lag"):
        two_point_correlation(np.zeros((8, 8, 8), int), max_lag=lag)
