"""Independent reference for `metrics`: plain counting of voxels, faces and edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.volume import Volume


def counted_fractions(volume: Volume) -> dict[int, float]:
    return {label: float((volume.labels == label).mean()) for label in volume.phase_labels}


def counted_areas(volume: Volume, periodic: bool = False) -> dict[tuple[int, int], float]:
    """Faces between different labels times their area, per total volume."""
    areas: dict[tuple[int, int], float] = {}
    for axis, h in enumerate(volume.spacing):
        near, far = volume.labels, np.roll(volume.labels, -1, axis)
        if not periodic:
            near, far = (np.delete(part, -1, axis) for part in (near, far))
        for i, j in product(volume.phase_labels, repeat=2):
            count = int(((near == i) & (far == j)).sum())
            if i != j and count:
                pair = (min(i, j), max(i, j))
                areas[pair] = areas.get(pair, 0.0) + count / (h * volume.labels.size)
    return areas


def counted_tpb(volume: Volume, periodic: bool = False) -> float:
    """Edges whose four voxels hold three labels or more, times length, per total volume."""
    labels = np.pad(volume.labels, 1, mode="wrap")[1:, 1:, 1:] if periodic else volume.labels
    length = 0.0
    for axis, h in enumerate(volume.spacing):
        a = np.moveaxis(labels, axis, 0)[: volume.shape[axis]]
        four = np.sort([a[:, :-1, :-1], a[:, 1:, :-1], a[:, :-1, 1:], a[:, 1:, 1:]], axis=0)
        length += h * np.count_nonzero((np.diff(four, axis=0) != 0).sum(axis=0) >= 2)
    return float(length / (volume.labels.size * volume.voxel_volume))


def counted_two_point(mask: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """Periodic S2 at every lag along an axis."""
    lags = range(mask.shape[axis])
    return np.array([(mask & np.roll(mask, lag, axis)).mean() for lag in lags])


def assert_mean(samples: Sequence[Any], expected: Any, bias: float = 0.0) -> None:
    """Mean of independent samples agrees with its expectation, up to a relative bias.

    4.5 standard errors leave 1 in 100 000 to chance, and the seeds are fixed.
    """
    values = np.asarray(samples, dtype=float)
    chance = 4.5 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    mean = values.mean(axis=0)
    agrees = np.abs(mean - expected) <= chance + bias * np.abs(expected)
    assert np.all(agrees), f"mean {mean}, expected {expected} within {chance} and bias {bias}"
