"""Sections of generated volumes and windows of images, which are measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.comparison.measuring import Measured
from metrics.comparison.samples import Sample
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
from metrics.description import across
from metrics.section import normals
from metrics.volume import AXES, InputError, Volume, axis_index

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
        If an image or a volume is smaller than a window, or samples or seed are out of range.
    """
    by_normal = {axis: [v for v in images if normals(v) == (axis,)] for axis in AXES}
    by_normal = {axis: some for axis, some in by_normal.items() if some}
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


def _windows(
    by_normal: Mapping[str, Sequence[Volume]], side: int, samples: int, seed: int
) -> tuple[list[tuple[int, Volume]], int]:
    """Windows with their numbers, and how many there are.

    The same window of a picture that stands for several axes has one number: it is one sample.
    """
    numbers: dict[tuple[bytes, int], int] = {}
    found, available = [], set()
    for axis, some in by_normal.items():
        shape = window(axis, side)
        cut = [
            ((picture, place), block)
            for picture, v in ((v.labels.tobytes(), v) for v in some)
            for place, block in enumerate(cut_all([v], shape))
        ]
        available |= {key for key, _ in cut}
        for key, block in draw(cut, samples, seed):
            found.append((numbers.setdefault(key, len(numbers)), block))
    return found, len(available)


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

    Rows and columns count alike along all axes: what is measured along either stands along each,
    and `tabulate` takes the mean of what one sample has twice.
    """
    return measured._replace(
        rows=[row._replace(axis=axis) for row in measured.rows for axis in _everywhere(row.axis)],
        curves=[
            curve._replace(axis=axis)
            for curve in measured.curves
            for axis in _everywhere(curve.axis)
        ],
    )


def _everywhere(axis: str) -> Sequence[str]:
    """Axes for which a quantity of an isotropic image stands that has this one."""
    if not axis:
        return [axis]
    if axis == across("z"):
        return [across(each) for each in AXES]
    return AXES if axis != "z" else []  # no line of the image lies along z


def in_layers(images: Sample | Mapping[str, Sample], model: Volume) -> list[Volume]:
    """Images as volumes of one layer, normal to z or to the axes that they are given for.

    Pixels of arrays are voxels of `model`.

    Raises
    ------
    InputError
        If an axis has no image, or one is no image.
    """
    by_axis = images if isinstance(images, Mapping) else {"z": images}
    listed = {
        axis: [some] if isinstance(some, Volume | np.ndarray) else list(some)
        for axis, some in by_axis.items()
    }
    wanted = AXES if isinstance(images, Mapping) else ("z",)
    if missing := [axis for axis in wanted if not listed.get(axis)]:
        raise InputError(f"no image for axis {', '.join(missing)}: name those of z, y and x")
    layers = [_in_layer(image, axis, model) for axis, some in listed.items() for image in some]
    return [layer.loaded() if layer.stored else layer for layer in layers]


def _in_layer(image: Volume | NDArray[Any], axis: str, model: Volume) -> Volume:
    index = axis_index(axis)
    if isinstance(image, np.ndarray) and image.ndim == 2:
        return Volume(np.expand_dims(image, index), model.spacing, model.unit)
    if isinstance(image, Volume) and normals(image) == (axis,):
        return image
    raise InputError(
        f"an image normal to {axis} is expected, a 2D array or a volume of one layer along {axis}, "
        f"got {getattr(image, 'shape', type(image).__name__)}"
    )
