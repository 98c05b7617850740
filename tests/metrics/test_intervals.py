"""Intervals against scipy and simulation, verdicts at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from metrics.intervals import (
    Interval,
    curve_distance,
    difference,
    difference_interval,
    halves_distance,
    mean_interval,
    ratio_interval,
    verdict,
)

RNG = np.random.default_rng(0)
GEN, REAL = RNG.normal(10, 1, 8), RNG.normal(11, 2, 5)


def test_mean_equals_scipy() -> None:
    expected = stats.ttest_1samp(GEN, 0).confidence_interval(0.95)
    found = mean_interval(GEN)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_difference_equals_scipy_welch() -> None:
    expected = stats.ttest_ind(GEN, REAL, equal_var=False).confidence_interval(0.95)
    found = difference_interval(GEN, REAL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_ratio_is_scale_free_and_inverts() -> None:
    found, scaled = ratio_interval(GEN, REAL), ratio_interval(7 * GEN, 7 * REAL)
    assert (found.value, found.low, found.high) == pytest.approx(
        (scaled.value, scaled.low, scaled.high)
    )
    swapped = ratio_interval(REAL, GEN)
    assert (1 / swapped.value, 1 / swapped.high, 1 / swapped.low) == pytest.approx(
        (found.value, found.low, found.high)
    )


def test_ratio_covers_the_truth_of_lognormal_samples() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.lognormal(0, 0.2, (4000, 2, 8))
    hits = [i.low < 1 < i.high for i in (ratio_interval(a, b) for a, b in pairs)]
    # Nominal 95 %; 4000 pairs scatter by .35 %, and the delta method costs about 1 %.
    assert 0.93 < np.mean(hits) < 0.965


def test_paired_samples_share_their_scatter() -> None:
    gen = 1.02 * REAL
    paired, free = ratio_interval(gen, REAL, paired=True), ratio_interval(gen, REAL)
    assert paired.high - paired.low < 1e-12
    assert free.high - free.low > 0.1


def test_no_spread_is_a_point_and_one_value_has_no_interval() -> None:
    ones = np.ones(4)
    assert ratio_interval(ones, ones) == Interval(1, 1, 1)
    assert np.isnan(mean_interval(np.ones(1)).low)
    assert np.isnan(ratio_interval(np.ones(1), ones).low)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.96, 1.04, "same"),
        (1.06, 1.2, "differs"),
        (0.5, 0.9, "differs"),
        (0.99, 1.06, "cannot tell"),
        (0.9, 1.2, "cannot tell"),
        (np.nan, np.nan, "cannot tell"),
    ],
)
def test_verdicts(low: float, high: float, expected: str) -> None:
    assert verdict(Interval(1, low, high), 0.95, 1.05) == expected


def test_curves_of_one_law_stay_near_the_floor_and_others_do_not() -> None:
    rng = np.random.default_rng(2)
    real, gen = (rng.normal(0, 0.01, (8, 30)) for _ in range(2))
    floor = halves_distance(real, rng=rng)
    assert floor.low < floor.value < floor.high
    assert curve_distance(gen, real, rng=rng).low < floor.high
    other = curve_distance(gen + 0.05, real, rng=rng)
    assert other.value == pytest.approx(0.05, rel=0.1)  # noise of .01/sqrt(8) in 30 points
    assert other.low > floor.high
    # Means over 8 curves of noise .01 shift the distance by .001.
    assert other.low == pytest.approx(0.05, abs=0.005) and other.high == pytest.approx(
        0.05, abs=0.005
    )
    two = curve_distance(gen[:2] + 0.05, real[:2], rng=rng)
    assert two.low <= two.value <= two.high


def test_a_sample_has_no_distance_to_itself() -> None:
    curves = np.random.default_rng(3).normal(size=(8, 5))
    assert curve_distance(curves, curves, rng=np.random.default_rng(0)).value == 0
    paired = difference(curves, curves, paired=True)
    assert not paired.value.any()
    assert not paired.error.any()


def test_one_value_of_the_same_data_differs_by_nothing() -> None:
    one = np.array([2.0])
    assert difference(one, one, paired=True).interval() == Interval(0, 0, 0)
    assert np.isnan(difference(one, one + 1, paired=True).interval().low)


@given(
    values=st.tuples(*[st.lists(st.floats(0.5, 2), min_size=2, max_size=9)] * 2),
    margin=st.floats(0.01, 0.5),
)
def test_p_is_below_the_level_just_where_the_interval_leaves_the_margin(
    values: tuple[list[float], list[float]], margin: float
) -> None:
    found = difference(*map(np.array, values))
    if found.error == 0:
        return
    low, high = found.interval()[1:]
    assume(min(abs(abs(low) - margin), abs(abs(high) - margin)) > 1e-9)
    outside = low > margin or high < -margin
    assert (found.p_value(margin) < 0.05) == outside


def test_p_of_a_difference_known_exactly() -> None:
    exact = difference(np.ones(4), np.full(4, 1.5))
    assert (exact.p_value(0.4), exact.p_value(0.6)) == (0, 1)
    unknown = difference(np.ones(1), np.ones(4))
    assert unknown.p_value(0.1) == 1


def test_p_values_of_one_law_are_uniform_at_margin_zero() -> None:
    rng = np.random.default_rng(5)
    p = [float(difference(*rng.normal(1, 0.2, (2, 8))).p_value(0)) for _ in range(4000)]
    # Welch's test is exact to a percent here; 4000 draws scatter by .35 %.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012)


def test_limits_are_clipped_to_what_is_possible() -> None:
    assert Interval(0.9, 0.7, 1.2).clipped(0, 1) == Interval(0.9, 0.7, 1)


def test_too_few_curves_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    assert np.isnan(halves_distance(np.ones((3, 5)), rng=rng).high)
    assert np.isnan(curve_distance(np.ones((1, 5)), np.ones((4, 5)), rng=rng).high)
