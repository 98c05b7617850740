"""Confidence intervals of two samples of volumes, and whether they leave a margin."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from metrics.arrays import Float64

Verdict = Literal["same", "differs", "cannot tell"]
VERDICTS: tuple[Verdict, ...] = ("differs", "cannot tell", "same")  # the worst first

CONFIDENCE = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % confidence limits; nan limits where one value has no spread."""

    value: float
    low: float
    high: float

    def clipped(self, low: float, high: float) -> Interval:
        """Return the same estimate with limits between the values that are possible."""
        return Interval(self.value, *np.clip(self[1:], low, high).tolist())


class Estimate(NamedTuple):
    """An estimate, its standard error and its degrees of freedom; of a curve: arrays of them."""

    value: Float64
    error: Float64
    freedom: Float64

    def half_width(self, tail: float = (1 - CONFIDENCE) / 2) -> Float64:
        """Half the width of the t interval that leaves `tail` on either side."""
        from scipy.special import stdtrit

        half = stdtrit(self.freedom, 1 - tail) * self.error
        return np.where(self.error == 0, 0.0, half)

    def interval(self) -> Interval:
        """Student's t interval."""
        half = self.half_width()
        low, high = self.value - half, self.value + half
        return Interval(float(self.value), float(low), float(high))

    def excess(self, margin: float) -> Float64:
        """By how many standard errors the estimate lies outside +-margin (inside: negative)."""
        distance = np.abs(self.value) - margin
        sure = np.where(distance > 0, np.inf, -np.inf)  # without scatter
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.error == 0, sure, distance / self.error)

    def least_margin(self) -> Float64:
        """Margin that the interval would just lie inside: what is surely known."""
        return np.abs(self.value) + self.half_width()

    def p_value(self, margin: float) -> Float64:
        r"""Two-sided p-value of the hypothesis that the truth lies within +-margin.

        .. math:: p = \min\left(1,\; 2\, \bar F_\nu\left(\frac{|v| - m}{s}\right)\right)

        for the value v, its error s and the upper tail of Student's t law of :math:`\nu` degrees of
        freedom: p < .05 just where the 95 % interval lies wholly outside. 1 where the error is not
        known.
        """
        from scipy.special import stdtr

        p = np.fmin(1.0, 2 * stdtr(self.freedom, -self.excess(margin)))
        return np.where(self.error == 0, (self.excess(margin) < 0) * 1.0, np.nan_to_num(p, nan=1.0))


def mean(values: Float64) -> Estimate:
    """Mean of independent values, or of curves (n, L), with its standard error."""
    n = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(values.shape[1:], np.nan)
    return Estimate(values.mean(axis=0), error, np.full(values.shape[1:], n - 1.0))


def difference(gen: Float64, real: Float64, *, paired: bool = False) -> Estimate:
    r"""Difference gen - real of two means, with Welch's error and degrees of freedom.

    .. math:: s^2 = \frac{s_g^2}{n_g} + \frac{s_r^2}{n_r}, \quad
        \nu = s^4 \Big/ \left(\frac{s_g^4}{n_g^2 (n_g - 1)} + \frac{s_r^4}{n_r^2 (n_r - 1)}\right)

    Parameters
    ----------
    gen, real : (n,) or (n, L) ndarray
        Values or curves of independent volumes.
    paired : bool
        Both are measured on the same volumes: values that are all equal differ by nothing, however
        few they are, and the error is that of the differences.

    References
    ----------
    B. L. Welch, Biometrika 34 (1947) 28, doi 10.1093/biomet/34.1-2.28.
    """
    if paired:
        found = mean(gen - real)
        return found._replace(error=np.zeros_like(found.error)) if (gen == real).all() else found
    of_gen, of_real = mean(gen), mean(real)
    error = np.hypot(of_gen.error, of_real.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = of_gen.error**4 / of_gen.freedom + of_real.error**4 / of_real.freedom
        freedom = error**4 / parts
    return Estimate(of_gen.value - of_real.value, error, freedom)


def log_ratio(gen: Float64, real: Float64, *, paired: bool = False) -> Estimate:
    r"""Logarithm of the ratio of two means of positive values, its error by the delta method.

    .. math:: s^2 = \frac{s_g^2}{n_g \bar g^2} + \frac{s_r^2}{n_r \bar r^2}

    `paired` as in `difference`.
    """
    relative = difference(gen / gen.mean(), real / real.mean(), paired=paired)
    return relative._replace(value=np.log(gen.mean() / real.mean()))


def further_values(found: Estimate, scarcer: Estimate, count: int, margin: float) -> float:
    r"""How many more values of one sample would decide whether a difference lies within a margin.

    At the difference d and the spread that are found, the interval of half width t s leaves the
    margin m on one side or the other once :math:`t s < |m - |d||`. Of
    :math:`s^2 = s_o^2 + s_c^2` the part :math:`s_c^2` of the sample with `count` values shrinks as
    1 / n.

    Returns
    -------
    float
        0 if it is decided; nan if no number would do, since the other sample scatters too much.

    Examples
    --------
    >>> some = Estimate(np.array(0.0), np.array(1.0), np.array(np.inf))
    >>> further_values(some, some, 10, margin=1.0)  # 1.96 has to become 1
    29.0
    """
    gap = abs(margin - abs(float(found.value)))
    half = float(found.half_width())
    if half < gap:
        return 0.0
    if not gap or not half > 0:
        return float("nan")
    allowed = (float(found.error) * gap / half) ** 2
    rest = allowed - (float(found.error) ** 2 - float(scarcer.error) ** 2)
    return float(np.ceil(count * float(scarcer.error) ** 2 / rest) - count) if rest > 0 else np.nan


def mean_interval(values: Float64) -> Interval:
    """Student's t interval of the mean of independent values; all nan without a value."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    return mean(values).interval()


def normal_interval(value: float, error: float) -> Interval:
    """Interval of an estimate whose standard error is known."""
    return Estimate(np.asarray(value), np.asarray(error), np.asarray(np.inf)).interval()


def ratio_interval(gen: Float64, real: Float64, *, paired: bool = False) -> Interval:
    """Interval of the ratio of two means of positive values: that of `log_ratio`, taken back."""
    return Interval(*np.exp(log_ratio(gen, real, paired=paired).interval()).tolist())


def difference_interval(gen: Float64, real: Float64, *, paired: bool = False) -> Interval:
    """Welch's t interval of the difference gen - real of two means, for values that may be 0."""
    return difference(gen, real, paired=paired).interval()


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


def curve_distance(gen: Float64, real: Float64, *, rng: np.random.Generator) -> Interval:
    """Mean absolute difference of two mean curves, with its percentile bootstrap interval.

    Parameters
    ----------
    gen, real : (n, L) ndarray
        A curve a volume. Volumes are resampled, never points of a curve.
    rng : numpy.random.Generator
    """
    value = _distance(gen.mean(axis=0) - real.mean(axis=0))
    if min(len(gen), len(real)) < 2:
        return Interval(float(value), np.nan, np.nan)
    of_gen, of_real = (resampled(len(sample), rng, RESAMPLES) for sample in (gen, real))
    return _percentiles(float(value), _distance(of_gen @ gen - of_real @ real))


def halves_distance(curves: Float64, *, rng: np.random.Generator) -> Interval:
    """Mean absolute difference between random halves of one sample: the noise floor."""
    if len(curves) < 4:
        return Interval(np.nan, np.nan, np.nan)
    distances = _distance(halves_difference(curves, rng=rng))
    return _percentiles(float(distances.mean()), distances)


def halves_difference(curves: Float64, *, rng: np.random.Generator) -> Float64:
    """Differences of the mean curves of random halves of one sample, a row a draw."""
    n = len(curves)
    orders = rng.permuted(np.tile(np.arange(n), (RESAMPLES, 1)), axis=1)
    first, second = curves[orders[:, : n // 2]], curves[orders[:, n // 2 :]]
    return first.mean(axis=1) - second.mean(axis=1)


def resampled(n: int, rng: np.random.Generator, count: int) -> Float64:
    """Weights of n volumes drawn n times with replacement, a row a resample."""
    return rng.multinomial(n, np.full(n, 1 / n), size=count) / n


def _distance(differences: Float64) -> Float64:
    return np.abs(differences).mean(axis=-1)


def _percentiles(value: float, resampled: Float64) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
