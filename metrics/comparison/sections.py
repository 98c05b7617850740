"""Sections of generated volumes and windows of images, which are measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metrics.arrays import Float64
from metrics.comparison.measuring import Curve, Measured
from metrics.comparison.subvolumes import (
    SMALLEST,
    WANTED,
    Sampling,
    Shape,
    check_draw,
    count,
    cut_all,
    draw,
)
from metrics.description import Row, across
from metrics.section import normals
from metrics.volume import AXES, InputError, Volume

PLANES = 8  # of a generated cube, normal to each axis


def plan_sections(
    gen: Sequence[Volume],
    images: Sequence[Volume],
    *,
    side: int | None = None,
    samples: int = 16,
    seed: int = 0,
) -> Sampling:
    """Cut images into square windows, and volumes into cubes of that side, seen plane by plane.

    Windows are as large as gives at least 8 of them for each axis that images are normal to, and 8
    cubes, or as many as can be had of 16 pixels a side or more. A cube is one sample: of 8 evenly
    spaced planes normal to each axis, that are windows as those of the images, the mean counts.

    Parameters
    ----------
    gen : sequence of Volume
    images : sequence of Volume
        Of one layer.
    side : int, optional
        Side of the windows in pixels, instead of the rule above.
    samples : int
        At most that many windows, and cubes, drawn at random among the available.
    seed : int

    Raises
    ------
    InputError
        If an image has several layers, an image or a volume is smaller than a window, or samples
        or seed are out of range.
    """
    by_normal = _by_normal(images)
    sides = [n for v in gen for n in v.shape] + [n for v in images for n in v.shape if n > 1]
    limit = min(sides)
    if limit < SMALLEST:
        raise InputError(
            f"an image or a volume is {limit} voxels wide, the smallest window {SMALLEST}: "
            "give a larger one"
        )
    check_draw(samples, seed)
    if side is None:

        def rank(side: int) -> tuple[int, int]:
            windows = (count(some, window(axis, side)) for axis, some in by_normal.items())
            return min(count(gen, (side,) * 3), *windows, WANTED), side

        side = max(range(SMALLEST, limit + 1), key=rank)
    elif not SMALLEST <= side <= limit:
        raise InputError(f"windows of {side} pixels do not fit: choose {SMALLEST} to {limit}")
    cubes = cut_all(gen, (side,) * 3)
    planes = [
        (k, plane)
        for k, cube in enumerate(draw(cubes, samples, seed))
        for plane in sections_of(cube)
    ]
    windows, available = _windows(by_normal, side, samples, seed)
    return Sampling(
        (1, side, side),
        [plane for _, plane in planes],
        [v for _, v in windows],
        (len(cubes), available),
        ([k for k, _ in planes], [k for k, _ in windows]),
    )


def _by_normal(images: Sequence[Volume]) -> dict[str, list[Volume]]:
    """Images by the axis that they are normal to."""
    if odd := [v.shape for v in images if len(normals(v)) != 1]:
        raise InputError(f"an image of one layer is expected, got {odd[0]} voxels")
    found = {axis: [v for v in images if normals(v) == (axis,)] for axis in AXES}
    return {axis: some for axis, some in found.items() if some}


def _windows(
    by_normal: Mapping[str, Sequence[Volume]], side: int, samples: int, seed: int
) -> tuple[list[tuple[int, Volume]], int]:
    """Windows with their numbers, and how many there are: an image for two axes is one sample."""
    found: list[tuple[int, Volume]] = []
    starts: dict[str, int] = {}
    available, next_ = 0, 0
    for axis, some in by_normal.items():
        all_windows = cut_all(some, window(axis, side))
        drawn = draw(all_windows, samples, seed)
        same = [other for other in starts if _same_images(by_normal[other], some)]
        if not same:
            available += len(all_windows)
            next_ += len(drawn)
        starts[axis] = starts[same[0]] if same else next_ - len(drawn)
        found += enumerate(drawn, starts[axis])
    return found, available


def _same_images(some: Sequence[Volume], others: Sequence[Volume]) -> bool:
    """Whether images of two axes are the same pictures."""
    return len(some) == len(others) and all(
        np.array_equal(a.labels.squeeze(), b.labels.squeeze())
        for a, b in zip(some, others, strict=True)
    )


def window(normal: str, side: int) -> Shape:
    """Shape of a window normal to an axis."""
    z, y, x = (1 if axis == normal else side for axis in AXES)
    return z, y, x


def sections_of(cube: Volume) -> list[Volume]:
    """Evenly spaced planes of a cube, as volumes of one layer: normal to z, to y, to x."""
    side = cube.shape[0]
    at = np.unique(np.linspace(0, side, PLANES, endpoint=False).astype(int) + side // (2 * PLANES))
    every = slice(None)
    return [
        cube.crop(tuple(slice(k, k + 1) if a == axis else every for a in AXES))  # type: ignore[arg-type]
        for axis in AXES
        for k in at.tolist()
    ]


def in_every_direction(measured: Measured) -> Measured:
    """What was measured on an isotropic image, normal to z, as if on one normal to each axis.

    Rows and columns count alike along all axes.
    """
    normal = "z"
    along = [axis for axis in AXES if axis != normal]
    rows: dict[tuple[str, str], list[Row]] = {}
    found = []
    for row in measured.rows:
        if row.axis in along:
            rows.setdefault((row.metric, row.phase), []).append(row)
        elif row.axis == across(normal):
            found += [row._replace(axis=across(axis)) for axis in AXES]
        elif not row.axis:
            found.append(row)
    for both in rows.values():
        mean = _mean([row.value for row in both])
        found += [both[0]._replace(axis=axis, value=mean) for axis in AXES]
    curves: dict[str, list[Curve]] = {}
    every = []
    for curve in measured.curves:
        if curve.axis in along:
            curves.setdefault(curve.phase, []).append(curve)
        else:
            every += [curve._replace(axis=across(axis)) for axis in AXES]
    for of_phase in curves.values():
        values: Float64 = np.mean([curve.value for curve in of_phase], axis=0)
        every += [of_phase[0]._replace(axis=axis, value=values) for axis in AXES]
    return measured._replace(rows=found, curves=every)


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are defined; nan if none is."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
