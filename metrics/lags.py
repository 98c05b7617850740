"""Curves over lags along the axes, and what functions of pairs of voxels share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from metrics.arrays import Float64, Int64
from metrics.volume import InputError, Volume, axis_index


@dataclass(frozen=True, eq=False)
class LagCurve:
    """A probability of a phase at each lag along each axis.

    Attributes
    ----------
    lags : (L + 1,) int64 ndarray
        Lags in voxels, 0..max_lag; times the axis' spacing they are lengths.
    axis : dict of str to (L + 1,) float64 ndarray
        Probability along z, y, x; nan where the volume is too thin for the lag.
    pairs : dict of str to (L + 1,) int64 ndarray
        Pairs of voxels, or segments, behind each value of `axis`.
    """

    lags: Int64
    axis: dict[str, Float64]
    pairs: dict[str, Int64]

    @classmethod
    def of(cls, v: Volume, max_lag: int, found: Mapping[str, Int64]) -> Self:
        """Curve of counts that were found along each axis, over those that are possible."""
        pairs = {axis: pairs_along(v, axis, max_lag) for axis in found}
        return cls(
            np.arange(max_lag + 1),
            {axis: probability(counts, pairs[axis]) for axis, counts in found.items()},
            pairs,
        )


def check_max_lag(volume: Volume, max_lag: int | None) -> int:
    """Longest lag in voxels: half the shortest side of more than one voxel if None is given."""
    if max_lag is None:
        return min([n for n in volume.shape if n > 1], default=1) // 2
    if not 0 <= max_lag < max(volume.shape):
        raise InputError(
            f"max_lag must be 0..{max(volume.shape) - 1} in {volume.shape}, got {max_lag}"
        )
    return max_lag


def pairs_along(v: Volume, axis: str, max_lag: int) -> Int64:
    """Pairs of voxels at each lag 0..max_lag along an axis."""
    n = v.shape[axis_index(axis)]
    return v.labels.size // n * np.maximum(n - np.arange(max_lag + 1), 0)


def probability(found: Int64, possible: Int64) -> Float64:
    """Ratio of counts, nan where nothing was possible."""
    return np.divide(found, possible, out=np.full(len(found), np.nan), where=possible > 0)
