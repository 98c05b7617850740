"""Grey images and volumes as bytes, all by one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.images import BYTES, as_bytes, grey_pixels
from metrics.io.volumes import grey_voxels
from metrics.volume import InputError

Grey = NDArray[np.uint8]
VoxelSize = tuple[tuple[float, float, float], str]

# Of all values, on either side, that share a byte: a few hot pixels would squeeze all others.
CLIPPED = 0.001
LOOKED_AT = 2**24  # values of an image, at most, for the scale
UNKNOWN: VoxelSize = ((1.0, 1.0, 1.0), "voxel")


@dataclass(frozen=True, eq=False)
class Greys:
    """Grey values of images, or of volumes.

    Attributes
    ----------
    arrays : list of (H, W) or (Z, Y, X) uint8 ndarray
    low, high : float
        Values in the files that are 0 and 255 here.
    voxels : list of ((float, float, float), str)
        Voxel size and unit of each; 1 voxel of images.
    """

    arrays: list[Grey]
    low: float
    high: float
    voxels: list[VoxelSize]

    def in_file(self, level: float) -> float:
        """Value in the files of a grey level from 0 to 255."""
        return self.low + level * (self.high - self.low) / BYTES

    def level(self, value: float) -> int:
        """Grey level, at most 254, that this value in the files has.

        Raises
        ------
        InputError
            If it lies outside the greys.
        """
        level = (value - self.low) * BYTES / ((self.high - self.low) or 1.0)
        if not -0.5 <= level < BYTES - 0.5:  # nor nan
            raise InputError(
                f"the threshold {value:g} lies outside the greys, {self.low:g} to {self.high:g}: "
                "give one between them"
            )
        return round(level)


def read_greys(
    paths: Sequence[str],
    *,
    volumes: bool = False,
    holding: Sequence[float] = (),
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
) -> Greys:
    """Read grey images, or volumes with their voxel size, by one scale.

    Bytes stay as they are. Of other types the scale is linear, from the value that a thousandth of
    all values are below to that which a thousandth are above; what lies beyond is 0 and 255. It
    also holds the values `holding`.

    Raises
    ------
    InputError
        As `metrics.io.images.read_image` and `metrics.read`, or if files have different types,
        whose values mean different greys.
    """
    if volumes:
        read = [grey_voxels(path, spacing=spacing, unit=unit) for path in paths]
        found, voxels = [values for values, _ in read], [size for _, size in read]
    else:
        found, voxels = [grey_pixels(path) for path in paths], [UNKNOWN] * len(paths)
    if len(types := {values.dtype.name for values in found}) > 1:
        raise InputError(
            f"{' '.join(paths)}: of types {', '.join(sorted(types))}, whose greys are not alike: "
            "save all with as many bits"
        )
    if types == {"uint8"}:
        return Greys(found, 0, BYTES, voxels)
    low, high = _range(found)
    if holding and all(map(math.isfinite, holding)):
        low, high = min(low, *holding), max(high, *holding)
        if high == max(holding):  # the last level parts nothing
            high += 2 * (high - low) / BYTES
    return Greys([as_bytes(values, low, high) for values in found], low, high, voxels)


def _range(found: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """What becomes 0 and what becomes 255."""
    looked_at = np.concatenate(
        # Not always the same columns: sides are rarely multiples of an odd number.
        [values.reshape(-1)[:: -(-values.size // LOOKED_AT) | 1] for values in found]
    )
    low, high = np.quantile(looked_at, (CLIPPED, 1 - CLIPPED))
    if low == high:
        low, high = looked_at.min(), looked_at.max()
    return float(low), float(high)
