"""Whether two samples of curves are the same, lag by lag and over all lags at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64
from metrics.intervals import (
    CONFIDENCE,
    Estimate,
    Interval,
    Verdict,
    difference,
    halves_difference,
    mean,
    resampled,
)

RESAMPLES = 10_000  # so that p-values reach down to 1e-4
FEWEST = 5  # volumes that can be resampled: of four, one resample in 64 repeats a single one


class CurveVerdict(NamedTuple):
    """How two samples of curves differ.

    Attributes
    ----------
    difference : Interval
        gen - real at the point where its magnitude is largest, with the simultaneous 95 % band.
    point : int
        That point of the curve.
    outside : (L,) bool ndarray
        Points at which the band lies wholly outside the margin.
    verdict : {"same", "differs", "cannot tell"}
    p : float
        P-value of the hypothesis that the curves differ by no more than the margin at every point.
    margin_needed : float
        Least margin at which they are the same.
    """

    difference: Interval
    point: int
    outside: NDArray[np.bool_]
    verdict: Verdict
    p: float
    margin_needed: float


def judge_curves(
    gen: Float64, real: Float64, *, margin: float, paired: bool, rng: np.random.Generator
) -> CurveVerdict:
    r"""Compare the mean curves of two samples with an absolute margin.

    `same`: at every point the 95 % Welch interval of the difference lies inside :math:`\pm m`. All
    of them must, so that the level holds without a correction (intersection-union test).
    `differs`: at some point the simultaneous 95 % band :math:`d_l \pm q s_l` lies wholly outside,
    q being the 95 % point of the largest studentised difference :math:`\max_l |d^*_l - d_l| /
    s^*_l` over bootstrap samples of volumes. Each is studentised by its own error s*: with the
    error of the sample instead the band of 8 volumes excludes 0 twice as often as it may. Below 5
    volumes: Welch's t, by Bonferroni over the points.

    Parameters
    ----------
    gen, real : (n, L) ndarray
        A curve a volume; n may differ.
    margin : float
        Difference m that still counts as the same, in the unit of the curves.
    paired : bool
        As in `metrics.intervals.difference`.
    rng : numpy.random.Generator
        Of the bootstrap.

    References
    ----------
    R. L. Berger, Technometrics 24 (1982) 295, doi 10.1080/00401706.1982.10487790 (the intersection
    of tests); P. Hall, The Bootstrap and Edgeworth Expansion, 1992, doi 10.1007/978-1-4612-4384-7
    (studentised resamples).
    """
    found = difference(gen, real, paired=paired)
    largest = found.excess(margin).max(initial=-np.inf)
    if paired or min(len(gen), len(real)) < FEWEST:
        points = found.value.size
        half = found.half_width((1 - CONFIDENCE) / 2 / points)
        p = min(1.0, points * float(found.p_value(margin).min(initial=1.0)))
    else:
        deviations = _largest_deviations(gen, real, rng)
        with np.errstate(invalid="ignore"):
            half = np.quantile(deviations, CONFIDENCE) * found.error
        p = float(1 + (deviations >= largest).sum()) / (1 + len(deviations)) if largest > 0 else 1.0
    outside = np.abs(found.value) - half > margin
    least = found.least_margin()
    inside = least < margin
    point = int(np.abs(found.value).argmax())
    value = found.value[point]
    return CurveVerdict(
        Interval(float(value), float(value - half[point]), float(value + half[point])),
        point,
        outside,
        "same" if inside.all() else "differs" if outside.any() else "cannot tell",
        p,
        float(least.max()),
    )


def noise_floor(curves: Float64, *, rng: np.random.Generator) -> float:
    """97.5 % point of the largest |difference| between the mean curves of random halves."""
    if len(curves) < 4:
        return np.nan
    largest = np.abs(halves_difference(curves, rng=rng)).max(axis=-1)
    return float(np.quantile(largest, (1 + CONFIDENCE) / 2))


def _largest_deviations(gen: Float64, real: Float64, rng: np.random.Generator) -> Float64:
    """Largest |d* - d| / s* over the points, of each bootstrap sample."""
    of_gen, of_real = (_resampled_means(sample, rng) for sample in (gen, real))
    error = np.hypot(of_gen.error, of_real.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = np.abs(of_gen.value - of_real.value) / error
    # 0 / 0: curves that are alike in every volume.
    return np.nan_to_num(deviations, nan=0.0, posinf=np.inf).max(axis=1)


def _resampled_means(sample: Float64, rng: np.random.Generator) -> Estimate:
    """Means of bootstrap samples less the mean of the sample, with their own errors."""
    n = len(sample)
    centred = sample - mean(sample).value
    weights = resampled(n, rng, RESAMPLES)
    value = weights @ centred
    variance = np.maximum(weights @ centred**2 - value**2, 0.0)
    return Estimate(value, np.sqrt(variance / (n - 1)), np.full(value.shape, n - 1.0))
