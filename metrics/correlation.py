"""Two-point correlation functions of phases, by FFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64, Int64
from metrics.lags import check_max_lag
from metrics.pair_counts import count_pairs
from metrics.transforms import correlate, padded, spectrum
from metrics.volume import AXES, LARGE, Volume, as_volume


@dataclass(frozen=True)
class TwoPoint:
    """Two-point correlation along each axis and radially.

    Attributes
    ----------
    lags : (L + 1,) int64 ndarray
        Lags along an axis in voxels, 0..max_lag; times the axis' spacing they are lengths.
    axis : dict of str to (L + 1,) float64 ndarray
        S2 along +z, +y, +x; nan where the volume is too thin for the lag.
    pairs : dict of str to (L + 1,) int64 ndarray
        Voxel pairs behind each value of `axis`.
    r_edges : (M + 1,) float64 ndarray
        Edges of the radial bins, in unit: ``r_edges[k] <= |r| < r_edges[k + 1]``.
    r : (M,) float64 ndarray
        Mean distance of the pairs in each bin, in unit; the first is 0.
    radial : (M,) float64 ndarray
        S2 over all directions within each bin, every pair weighted alike.
    radial_pairs : (M,) int64 ndarray
        Voxel pairs behind each value of `radial`.
    unit : str
        Unit of `r`.
    """

    lags: Int64
    axis: dict[str, Float64]
    pairs: dict[str, Int64]
    r_edges: Float64
    r: Float64
    radial: Float64
    radial_pairs: Int64
    unit: str


def two_point_correlation(
    volume: Volume | NDArray[Any],
    *,
    phase: int | str = 0,
    other: int | str | None = None,
    max_lag: int | None = None,
    periodic: bool = False,
) -> TwoPoint:
    r"""Two-point correlation function of a phase, or of two phases.

    .. math:: S_2^{ij}(r) = P[x \in i, \; x + r \in j]

    estimated as pairs of voxels found over pairs of voxels possible at each lag: unbiased, S2(0)
    is the volume fraction (0 between two phases), and far away it tends to the product of both
    fractions. Periodic volumes wrap around, so every lag has as many pairs as voxels.

    Exact to 1e-6 (float32 transforms of the phase's deviation from its mean). Peak memory beyond
    the input, at 256^3 and max_lag 64: 11 bytes a voxel, 20 between two phases, 7 periodic. Of more
    than 512^3 voxels pairs are counted block by block, exactly (`metrics.pair_counts`).

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    phase, other : int or str
        Labels or names i and j; `other` defaults to `phase`.
    max_lag : int, optional
        Largest lag in voxels; half the shortest side (one-voxel sides apart) by default.
    periodic : bool
        Whether the volume repeats along all axes.

    Returns
    -------
    TwoPoint
        Dimensionless values; the radial part reaches to max_lag times the smallest spacing, in
        bins as wide as that spacing and centred on its multiples (the last lacks what lies
        beyond max_lag along an axis).

    Raises
    ------
    InputError
        If a phase is unknown, or max_lag is negative or not below the longest side.

    References
    ----------
    S. Torquato, Random Heterogeneous Materials, 2002, doi 10.1007/978-1-4757-6355-3.

    Examples
    --------
    >>> import numpy as np
    >>> s2 = two_point_correlation(np.array([[[0, 1, 0, 1]]]), phase=1, max_lag=2, periodic=True)
    >>> s2.axis["x"].round(6).tolist()
    [0.5, 0.0, 0.5]
    """
    v = as_volume(volume)
    lag = check_max_lag(v, max_lag)
    reach = _reach(v, lag)
    probability, pairs = _map(v, phase, other, reach, periodic)
    zero = [n - 1 - last for n, last in zip(pairs.shape, reach, strict=True)]
    lags = np.arange(lag + 1)
    axis, axis_pairs = {}, {}
    for d, name in enumerate(AXES):
        line = tuple(slice(c, None) if k == d else c for k, c in enumerate(zero))
        missing = (0, lag - reach[d])
        axis[name] = np.pad(probability[line], missing, constant_values=np.nan)
        axis_pairs[name] = np.pad(pairs[line], missing)
    if other is None:
        pairs[1:] *= 2  # each lag stands for its opposite as well
    return TwoPoint(lags, axis, axis_pairs, *_radial(v, probability, pairs, zero, lag), unit=v.unit)


def two_point_map(
    volume: Volume | NDArray[Any],
    *,
    phase: int | str = 0,
    other: int | str | None = None,
    max_lag: int | None = None,
    periodic: bool = False,
) -> tuple[Float64, Int64]:
    """Two-point correlation at every lag vector up to max_lag along each axis.

    Parameters, estimator and errors as in `two_point_correlation`.

    Returns
    -------
    probability, pairs : (2 Lz + 1, 2 Ly + 1, 2 Lx + 1) ndarray
        S2 (float64) and voxel pairs behind it (int64). Lag zero is in the middle; La is max_lag,
        or the side less one where that is smaller.
    """
    v = as_volume(volume)
    found = _map(v, phase, other, _reach(v, check_max_lag(v, max_lag)), periodic)
    if other is None:
        probability, pairs = (np.concatenate([half[:0:-1, ::-1, ::-1], half]) for half in found)
        return probability, pairs
    return found


def _reach(v: Volume, max_lag: int) -> list[int]:
    return [min(max_lag, n - 1) for n in v.shape]


def _map(
    v: Volume, phase: int | str, other: int | str | None, reach: Sequence[int], periodic: bool
) -> tuple[Float64, Int64]:
    """Map of all lags; of one phase only those with z >= 0: opposite ones are the same pairs."""
    lags = [np.arange(-lag, lag + 1) for lag in reach]
    if other is None:
        lags[0] = lags[0][reach[0] :]
    if periodic:
        pairs = np.full([len(along) for along in lags], v.labels.size)
    else:
        z, y, x = np.ix_(*[n - abs(lag) for n, lag in zip(v.shape, lags, strict=True)])
        pairs = z * y * x
    if v.labels.size > LARGE:
        first, second = v.label(phase), v.label(phase if other is None else other)
        return count_pairs(v, first, second, lags, periodic=periodic) / pairs, pairs
    i = v.mask(phase)
    j = i if other is None else v.mask(other)
    phi_i, phi_j = i.mean(), j.mean()
    sizes = padded(v.shape, reach, periodic=periodic)
    of_i = spectrum(i, sizes, mean=phi_i)
    of_j = of_i if j is i else spectrum(j, sizes, mean=phi_j)
    covariance = correlate(of_i, of_j, sizes, lags)
    del of_i, of_j
    if periodic:
        mean_product = np.full(covariance.shape, phi_i * phi_j)
    else:
        # (i - phi_i)(j - phi_j) summed over the overlap leaves the means of its two windows.
        sums_i = _window_sums(i, reach)
        sums_j = sums_i if j is i else _window_sums(j, reach)
        kept = np.s_[-len(lags[0]) :]
        mean_i, mean_j = sums_i[kept] / pairs, sums_j[::-1, ::-1, ::-1][kept] / pairs
        mean_product = phi_j * mean_i + phi_i * mean_j - phi_i * phi_j
    return covariance / pairs + mean_product, pairs


def _window_sums(mask: NDArray[np.bool_], reach: Sequence[int]) -> Int64:
    """For each lag r, the voxels of the mask at an x whose x + r lies in the volume too.

    That is a box sum of the mask; a cumulative sum along each axis in turn gives all of them,
    keeping only the 2 L + 1 windows that are asked for.
    """
    sums: NDArray[Any] = mask
    kind = np.int32 if mask.size < 2**31 else np.int64  # that holds the largest sum
    for axis, lag in enumerate(reach):
        sums = np.moveaxis(sums, axis, 0)
        n = len(sums)
        windows = np.empty((2 * lag + 1, *sums.shape[1:]), kind)
        # x runs over [-r, n) for r < 0 and over [0, n - r) for r >= 0: both grow towards r = 0.
        windows[0] = sums[lag:].sum(axis=0, dtype=kind)
        windows[1 : lag + 1] = sums[:lag][::-1]
        np.cumsum(windows[: lag + 1], axis=0, out=windows[: lag + 1])
        if lag:
            windows[-1] = sums[: n - lag].sum(axis=0, dtype=kind)
            windows[lag + 1 : -1] = sums[n - lag : n - 1][::-1]
            back = windows[:lag:-1]
            np.cumsum(back, axis=0, out=back)
        sums = np.moveaxis(windows, 0, axis)
    return sums


def _radial(
    v: Volume, probability: Float64, pairs: Int64, zero: Sequence[int], lag: int
) -> tuple[Float64, Float64, Float64, Int64]:
    width = min(v.spacing)
    edges = np.append(0, np.arange(0.5, lag + 1)) * width
    offsets = [(np.arange(n) - c) * h for n, c, h in zip(pairs.shape, zero, v.spacing, strict=True)]
    squares = np.ix_(*[o**2 for o in offsets])
    distance = np.sqrt(squares[0] + squares[1] + squares[2]).ravel()
    bins = np.digitize(distance, edges) - 1

    flat_pairs = pairs.ravel().astype(float)  # exact up to 2^53 pairs

    def total(weights: Float64) -> Float64:
        return np.bincount(bins, weights, minlength=lag + 2)[: lag + 1].astype(float)

    count = total(flat_pairs)
    with np.errstate(invalid="ignore"):  # an empty bin is nan
        radial = total(flat_pairs * probability.ravel()) / count
        r = total(flat_pairs * distance) / count
    return edges, r, radial, count.astype(np.int64)
