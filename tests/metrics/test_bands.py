"""Verdicts on curves: their level and power on simulated ones, and exact small cases."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.arrays import Float64
from metrics.comparison.bands import judge_curves, noise_floor

LAGS = 16
MARGIN = 0.05


def curves(rng: np.random.Generator, count: int, scale: float) -> Float64:
    """Curves whose deviations are correlated over about four points, as those of S2 are."""
    noise = rng.normal(size=(count, LAGS + 3))
    smooth = np.lib.stride_tricks.sliding_window_view(noise, 4, axis=1).mean(axis=2) * 2
    return np.exp(-np.arange(LAGS) / 4) + scale * smooth


def judge(gen: Float64, real: Float64, margin: float = MARGIN, paired: bool = False) -> object:
    return judge_curves(gen, real, margin=margin, paired=paired, rng=np.random.default_rng(0))


@pytest.mark.parametrize("count", [2, 4, 5, 8, 16])
def test_band_of_one_law_excludes_zero_in_one_of_twenty_pairs(count: int) -> None:
    rng = np.random.default_rng(count)
    wrong = [
        judge(*curves(rng, 2 * count, 0.1).reshape(2, count, LAGS), margin=1e-9).p <= 0.05
        for _ in range(200)
    ]
    # Nominal 5 %; 200 pairs scatter by 1.5 %. A band of fixed errors reaches 9 to 12 %.
    assert np.mean(wrong) < 0.09


def test_shifted_curves_differ_where_they_are_shifted() -> None:
    rng = np.random.default_rng(1)
    gen, real = curves(rng, 8, 0.02), curves(rng, 8, 0.02)
    gen[:, 5:8] += 0.2
    found = judge(gen, real)
    assert found.verdict == "differs"
    assert np.flatnonzero(found.outside).tolist() == [5, 6, 7]
    assert found.point in (5, 6, 7)
    # .2 with errors of .02 / sqrt(8) * sqrt(2), over three points.
    assert found.difference.value == pytest.approx(0.2, abs=0.04)
    assert found.difference.low < 0.2 < found.difference.high
    assert found.p <= 0.05


def test_p_is_small_just_where_the_band_leaves_the_margin() -> None:
    rng = np.random.default_rng(2)
    for shift in np.linspace(0.02, 0.2, 19):
        for count in (3, 8):
            gen, real = curves(rng, count, 0.05) + shift, curves(rng, count, 0.05)
            found = judge(gen, real)
            assert (found.p <= 0.05) == found.outside.any()


def test_noise_never_makes_curves_the_same() -> None:
    rng = np.random.default_rng(3)
    quiet = judge(curves(rng, 8, 0.005), curves(rng, 8, 0.005))
    loud = judge(curves(rng, 8, 0.2), curves(rng, 8, 0.2))
    assert (quiet.verdict, loud.verdict) == ("same", "cannot tell")


def test_one_lag_outside_is_not_diluted_by_the_others() -> None:
    gen, real = np.zeros((8, 100)), np.zeros((8, 100))
    gen[:, 3] = 0.06
    found = judge(gen, real)
    assert (found.verdict, found.point, found.p) == ("differs", 3, pytest.approx(0, abs=1e-3))
    assert judge(gen, real, margin=0.07).verdict == "same"


def test_one_curve_each_cannot_tell_unless_it_is_the_same_data() -> None:
    one = curves(np.random.default_rng(4), 1, 0.1)
    found = judge(one, one + 1)
    assert (found.verdict, found.p) == ("cannot tell", 1)
    assert np.isnan(found.difference.low)
    assert judge(one, one, paired=True).verdict == "same"


def test_noise_floor_is_that_of_halves() -> None:
    rng = np.random.default_rng(5)
    assert np.isnan(noise_floor(curves(rng, 3, 0.1), rng=rng))
    small, large = (noise_floor(curves(rng, 8, s), rng=rng) for s in (0.01, 0.1))
    assert large == pytest.approx(10 * small, rel=0.6)  # two draws of eight curves
    assert noise_floor(np.ones((8, 3)), rng=rng) == 0
