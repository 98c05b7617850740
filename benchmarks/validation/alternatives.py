"""What somebody with one slice would do without a generator: two bodies to compare with."""

from __future__ import annotations

import numpy as np

from benchmarks.validation.cases import middle_slice
from metrics.correlation import two_point_correlation
from metrics.fraction import volume_fraction
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import InputError, Volume

LONGEST = 64  # voxels: of a correlation length


def stacked_slice(real: Volume, side: int) -> list[Volume]:
    """The middle slice along z, repeated along z: right in two dimensions, wrong in three."""
    plane = middle_slice(real, "z")[np.newaxis]
    tall = Volume(np.repeat(plane, side, axis=0), real.spacing, real.unit, phases=real.phases)
    return [
        tall.crop((slice(side), slice(y, y + side), slice(x, x + side)))
        for y in range(0, plane.shape[1] - side + 1, side)
        for x in range(0, plane.shape[2] - side + 1, side)
    ]


def random_fields(real: Volume, side: int, count: int) -> list[Volume]:
    """Gaussian fields cut at levels, with the slice's fractions and correlation length.

    The length is that at which the autocovariance of the first phase falls to half, mean of the
    slice's rows and columns. Three phases are cut from two fields and touch each other.
    """
    plane = Volume(middle_slice(real, "z")[np.newaxis], phases=real.phases)
    fractions = list(volume_fraction(plane).values())
    s2 = two_point_correlation(plane, phase=real.phases[0].label, max_lag=LONGEST // 2)
    half = sum(half_length(s2.axis[axis]) for axis in "yx") / 2
    # The law scales with its length: how far half the covariance reaches is found once.
    law = gaussian_random_field(
        (1, 1, 1024), correlation_length=LONGEST, seed=0, fractions=(fractions[0], 1 - fractions[0])
    )
    assert law.two_point is not None
    length = LONGEST * half / half_length(law.two_point(np.arange(4 * LONGEST), "x"))
    draw = plurigaussian if len(fractions) == 3 else gaussian_random_field
    bodies = (
        draw((side,) * 3, correlation_length=length, seed=seed, fractions=fractions)
        for seed in range(count)
    )
    return [
        Volume(body.volume.labels, real.spacing, real.unit, phases=real.phases) for body in bodies
    ]


def half_length(s2: np.ndarray) -> float:
    """Lag in voxels at which the autocovariance has fallen to half.

    Raises
    ------
    InputError
        If it has not at the longest lag.
    """
    falling = (s2 - s2[0] ** 2) / (s2[0] - s2[0] ** 2)
    if falling.min() >= 0.5:
        raise InputError(f"features longer than {len(s2) - 1} voxels: coarsen the volume first")
    below = int(np.argmax(falling < 0.5))
    before, after = falling[below - 1], falling[below]
    return below - 1 + float((before - 0.5) / (before - after))
