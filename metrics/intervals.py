"""Confidence intervals and verdicts for two samples of volumes."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Verdict = Literal["same", "differs", "cannot tell"]

CONFIDENCE = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % confidence limits; nan limits where one value has no spread."""

    value: float
    low: float
    high: float


def mean_interval(values: Floats) -> Interval:
    """Student's t interval of the mean of independent values; all nan without a value."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    mean, error = _mean_and_error(values)
    return _student(mean, error, len(values) - 1)


def normal_interval(value: float, error: float) -> Interval:
    """Interval of an estimate whose standard error is known."""
    return _student(value, error, np.inf)


def ratio_interval(gen: Floats, real: Floats, *, paired: bool = False) -> Interval:
    r"""Interval of the ratio of two means of positive values.

    Welch's t interval of the log ratio, its error by the delta method,

    .. math:: s^2 = \frac{s_g^2}{n_g \bar g^2} + \frac{s_r^2}{n_r \bar r^2} ,

    taken back by the exponential. `paired` samples are the same volumes measured twice: the error
    is then that of :math:`g_i / \bar g - r_i / \bar r`.

    References
    ----------
    B. L. Welch, Biometrika 34 (1947) 28, doi 10.1093/biomet/34.1-2.28.
    """
    ratio = gen.mean() / real.mean()
    log = difference_interval(gen / gen.mean(), real / real.mean(), paired=paired)
    return Interval(ratio, ratio * np.exp(log.low), ratio * np.exp(log.high))


def difference_interval(gen: Floats, real: Floats, *, paired: bool = False) -> Interval:
    """Welch's t interval of the difference gen - real of two means, for values that may be 0."""
    if paired:
        return mean_interval(gen - real)
    (mean_g, error_g), (mean_r, error_r) = _mean_and_error(gen), _mean_and_error(real)
    error = np.hypot(error_g, error_r)
    freedom = np.nan
    if error > 0:
        parts = error_g**4 / (len(gen) - 1) + error_r**4 / (len(real) - 1)
        freedom = error**4 / parts
    return _student(mean_g - mean_r, error, freedom)


def verdict(interval: Interval, low: float, high: float) -> Verdict:
    """Whether an interval lies inside (low, high), wholly outside, or neither.

    Not a p-value: a tiny difference in a large sample is still the same material, and a small
    sample of two different ones cannot tell.
    """
    if low < interval.low and interval.high < high:
        return "same"
    if interval.low > high or interval.high < low:
        return "differs"
    return "cannot tell"


def curve_distance(
    gen: Floats, real: Floats, *, paired: bool = False, rng: np.random.Generator
) -> Interval:
    """Mean absolute difference of two mean curves, with its percentile bootstrap interval.

    Parameters
    ----------
    gen, real : (n, L) ndarray
        A curve a volume. Volumes are resampled, never points of a curve.
    paired : bool
        Draw the same volumes on both sides.
    rng : numpy.random.Generator
    """
    value = _distance(gen.mean(axis=0), real.mean(axis=0))
    if min(len(gen), len(real)) < 2:
        return Interval(float(value), np.nan, np.nan)
    of_gen = _resampled(len(gen), rng)
    of_real = of_gen if paired else _resampled(len(real), rng)
    return _percentiles(float(value), _distance(of_gen @ gen, of_real @ real))


def halves_distance(curves: Floats, *, rng: np.random.Generator) -> Interval:
    """Mean absolute difference between random halves of one sample: the noise floor."""
    n = len(curves)
    if n < 4:
        return Interval(np.nan, np.nan, np.nan)
    orders = rng.permuted(np.tile(np.arange(n), (RESAMPLES, 1)), axis=1)
    first = curves[orders[:, : n // 2]].mean(axis=1)
    second = curves[orders[:, n // 2 :]].mean(axis=1)
    distances = _distance(first, second)
    return _percentiles(float(distances.mean()), distances)


def _mean_and_error(values: Floats) -> tuple[float, float]:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def _student(mean: float, error: float, freedom: float) -> Interval:
    from scipy.special import stdtrit

    if error == 0:
        return Interval(mean, mean, mean)
    half = stdtrit(freedom, 0.5 + CONFIDENCE / 2) * error
    return Interval(mean, mean - half, mean + half)


def _resampled(n: int, rng: np.random.Generator) -> Floats:
    """Weights of n volumes drawn n times with replacement, a row a resample."""
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n


def _distance(a: Floats, b: Floats) -> Floats:
    return np.abs(a - b).mean(axis=-1)


def _percentiles(value: float, resampled: Floats) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
