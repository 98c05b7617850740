"""S2 on planes: pooled over volumes, of planes normal to an axis and at 45 degrees to two.

An array (phases, z, y, x) or (phases, rows, columns) holds S2 of each phase at the lags of a volume
or a plane, lag zero in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from metrics.arrays import Float64
from metrics.correlation import two_point_map
from metrics.volume import Volume
from slicegan.sources import Source


class PairCounts(NamedTuple):
    """Pairs of voxels (z, y, x) at each lag, and how many lie in each phase (phases, z, y, x)."""

    hits: Float64
    pairs: Float64


def pair_counts(volume: Volume, lag: int) -> PairCounts:
    """Pairs of a volume at lags up to `lag` along each axis."""
    # Of two phases the other has the same S2 - phi^2, up to the pairs lost at the edges.
    phases = volume.independent_phases
    maps = [two_point_map(volume, phase=phase.label, max_lag=lag) for phase in phases]
    pairs = maps[0][1].astype(np.float64)
    return PairCounts(np.stack([s2 for s2, _ in maps]) * pairs, pairs)


def pooled(counts: Iterable[PairCounts]) -> Float64:
    """S2 of each phase at all lags (phases, z, y, x), every pair of voxels counting alike."""
    total = summed(counts)
    return total.hits / total.pairs


def summed(counts: Iterable[PairCounts]) -> PairCounts:
    """Counts of several volumes together."""
    hits, pairs = np.zeros(1), np.zeros(1)
    for count in counts:
        hits, pairs = hits + count.hits, pairs + count.pairs
    return PairCounts(hits, pairs)


def expected_diagonal(s2: Float64) -> Float64:
    """S2 on a 45-degree plane of an isotropic body, from that on an axis plane.

    Parameters
    ----------
    s2 : (phases, 2 L + 1, 2 L + 1) ndarray
        Unchanged by the symmetries of a square, lag zero in the middle.

    Returns
    -------
    (phases, 2 L + 1, 2 D + 1) ndarray
        Lags along the axis in rows, along the diagonal in columns, as far as the map reaches.
    """
    from scipy.interpolate import CubicSpline

    lag = s2.shape[-1] // 2
    steps = np.arange(int(lag / math.sqrt(2)) + 1)
    # One quadrant: across lag zero S2 has a kink, which a spline would smooth.
    quadrant = CubicSpline(range(lag + 1), s2[:, lag:, lag:], axis=2)(math.sqrt(2) * steps)
    quadrant[:, 0] = s2[:, lag + steps, lag + steps]  # in the image's own diagonal
    mirrored: Float64 = quadrant[:, abs(np.arange(-lag, lag + 1))]
    return mirrored[:, :, abs(np.arange(-steps[-1], steps[-1] + 1))]


def diagonal(s2: Float64, axis: int) -> Float64:
    """The same from the map (phases, z, y, x) of a volume: the mean of both diagonals."""
    s2 = np.moveaxis(s2, axis + 1, 1)
    lag = s2.shape[-1] // 2
    reach = int(lag / math.sqrt(2))
    steps = np.arange(-reach, reach + 1)
    both: Float64 = s2[:, :, lag + steps, lag + steps] + s2[:, :, lag + steps, lag - steps]
    return both / 2


def symmetric(s2: Float64, source: Source) -> Float64:
    """Mean of S2 over the turns and flips of a source; turned by 180 degrees it is the same."""
    if source.turns:
        s2 = (s2 + s2.swapaxes(1, 2)) / 2
    if source.turns or any(source.flips):
        s2 = (s2 + s2[:, ::-1]) / 2
    return s2


def boundary_length(s2: Float64, steps: tuple[float, float]) -> Float64:
    """Boundary per area, but for a factor: how often a neighbour has left, over its distance."""
    i, j = (n // 2 for n in s2.shape[1:])
    here = s2[:, i, j]
    length: Float64 = (here - s2[:, i + 1, j]) / steps[0] + (here - s2[:, i, j + 1]) / steps[1]
    return length
