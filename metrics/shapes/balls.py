"""Balls: one, packed, and overlapping at random."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, pi, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.shapes.body import (
    Body,
    Shape,
    Spacing,
    along_axis,
    check_positive,
    frame,
    make_volume,
    voxel_centres,
)
from metrics.volume import InputError


def sphere(
    shape: Shape,
    *,
    radius: float,
    offset: Sequence[float] = (0.0, 0.0, 0.0),
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """One ball of phase 1 in phase 0; exact of the continuous body.

    V = 4/3 pi R^3, S = 4 pi R^2. The answers of `phase` are of the ball. S2 wraps, and holds up to
    the distance between a ball and its periodic image.

    Parameters
    ----------
    offset : three float
        Centre of the ball relative to the centre of the volume, in `unit`.

    Raises
    ------
    InputError
        If the ball does not lie inside the volume.

    Examples
    --------
    >>> sphere((8, 8, 8), radius=3).euler_number
    1
    """
    edges, extent = frame(shape, spacing)
    check_positive(radius=radius)
    if (np.abs(offset) + radius > np.divide(extent, 2)).any():
        raise InputError(f"a ball of radius {radius} at {tuple(offset)} leaves the volume")
    total = prod(extent)
    squares = [(c - o) ** 2 for c, o in zip(voxel_centres(shape, edges), offset, strict=True)]
    fraction = _ball_overlap(0.0, radius) / total

    def two_point(r: ArrayLike, axis: str = "z") -> NDArray[np.float64]:
        return _ball_overlap(r, radius) / total

    return Body(
        volume=make_volume(sum(squares) <= radius**2, 2, edges, unit),
        phase=1,
        volume_fraction={0: 1 - fraction, 1: fraction},
        interface_areas={(0, 1): 4 * pi * radius**2 / total},
        tpb_density=0.0,
        two_point=two_point,
        euler_number=1,
    )


def fcc_spheres(
    n: int, *, contact: float = 1.0, cells: int = 1, spacing: float = 1.0, unit: str = "voxel"
) -> Body:
    """Face-centred cubic packing of equal balls of phase 1; exact of the continuous periodic body.

    Balls of radius R = contact a / (2 sqrt 2) in a cubic cell of edge a, four a cell. Where they
    overlap, each loses twelve caps of height h = R - a / (2 sqrt 2):
    V = 4 (4/3 pi R^3 - 12 pi h^2 (3R - h) / 3) and S = 4 (4 pi R^2 - 12 2 pi R h) a cell.

    Parameters
    ----------
    n : int
        Voxels along a cell.
    contact : float
        Radius over that of touching balls, at most 2/sqrt(3), beyond which the caps overlap.
    cells : int
        Cells along each axis.

    Raises
    ------
    InputError
        If `contact` is not in (0, 2/sqrt(3)] or the voxels are not cubes.

    Examples
    --------
    >>> round(fcc_spheres(16).volume_fraction[1], 4)
    0.7405
    """
    if not 0 < contact <= 2 / sqrt(3):
        raise InputError(f"contact must be above 0 and at most 2/sqrt(3), got {contact}")
    edges, extent = frame((n * cells,) * 3, spacing)
    if min(edges) != max(edges):
        raise InputError(f"a cubic cell needs cubic voxels, got spacing {edges}")
    cell = extent[0] / cells
    touching = cell / sqrt(8)
    radius, height = contact * touching, max(0.0, (contact - 1) * touching)
    inside = np.zeros((n, n, n), dtype=bool)
    for corner in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)):
        apart = [
            (c / cell - o + 0.5) % 1 - 0.5
            for c, o in zip(voxel_centres((n,) * 3, edges), corner, strict=True)
        ]
        inside |= sum((cell * d) ** 2 for d in apart) <= radius**2
    cap = pi * height**2 * (3 * radius - height) / 3
    solid = 4 * (4 / 3 * pi * radius**3 - 12 * cap) / cell**3
    return Body(
        volume=make_volume(np.tile(inside, (cells,) * 3), 2, edges, unit),
        phase=1,
        volume_fraction={0: 1 - solid, 1: solid},
        interface_areas={(0, 1): 4 * (4 * pi * radius**2 - 24 * pi * radius * height) / cell**3},
        tpb_density=0.0,
    )


def overlapping_spheres(
    shape: Shape,
    *,
    radius: float,
    density: float,
    seed: int,
    periodic: bool = True,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Balls of phase 1 with Poisson-distributed centres (Boolean model); exact of the law.

    Of the matrix, phase 0: phi = exp(-rho V1), S2(r) = exp(-rho V2(r)),
    L(r) = phi exp(-rho pi R^2 r), s = rho 4 pi R^2 phi, with V1 the volume of a ball and V2 that of
    two balls a distance r apart. phi and S2 hold for the voxels as well, which sample points; the
    lineal path of voxels is the larger, as balls between their centres go unseen. Periodic
    S2 holds up to the side of the volume less 2R.

    Parameters
    ----------
    radius : float
        Radius R, in `unit`.
    density : float
        Mean number of centres per volume rho, in ``unit**-3``.
    seed : int
        Names the realisation.

    Raises
    ------
    InputError
        If a ball does not fit into a periodic volume, or radius or density is not positive.

    References
    ----------
    S. Torquato, Random Heterogeneous Materials, 2002, doi:10.1007/978-1-4757-6355-3, chapter 5.

    Examples
    --------
    >>> body = overlapping_spheres((16, 16, 16), radius=4, density=0.002, seed=0)
    >>> round(body.volume_fraction[0], 3)
    0.585
    """
    edges, extent = frame(shape, spacing)
    check_positive(radius=radius, density=density)
    if periodic and 2 * radius >= min(extent):
        raise InputError(f"a ball of radius {radius} does not fit into the periodic volume")
    rng = np.random.default_rng(seed)
    margin = 0.0 if periodic else radius
    upper = np.add(extent, margin)
    count = rng.poisson(density * np.prod(upper + margin))
    centres = rng.uniform(-margin, upper, size=(count, 3))
    inside = np.zeros(shape, dtype=bool)
    for centre in centres:
        _paint_ball(inside, centre, radius, edges, periodic)
    ball = _ball_overlap(0.0, radius)
    matrix = exp(-density * ball)

    def two_point(r: ArrayLike, axis: str = "z") -> NDArray[np.float64]:
        return np.exp(-density * (2 * ball - _ball_overlap(r, radius)))

    def lineal_path(r: ArrayLike) -> NDArray[np.float64]:
        return matrix * np.exp(-density * pi * radius**2 * np.asarray(r, dtype=float))

    return Body(
        volume=make_volume(inside, 2, edges, unit),
        volume_fraction={0: matrix, 1: 1 - matrix},
        interface_areas={(0, 1): density * 4 * pi * radius**2 * matrix},
        tpb_density=0.0,
        two_point=two_point,
        lineal_path=lineal_path,
    )


def _ball_overlap(r: ArrayLike, radius: float) -> Any:
    """Volume shared by two balls whose centres are r apart."""
    q = np.minimum(np.asarray(r, dtype=float) / (2 * radius), 1)
    return 4 / 3 * pi * radius**3 * (1 - 1.5 * q + 0.5 * q**3)


def _paint_ball(
    inside: NDArray[np.bool_],
    centre: NDArray[np.float64],
    radius: float,
    spacing: Sequence[float],
    periodic: bool,
) -> None:
    """Mark the voxels whose centres lie in a ball; `centre` is measured from the first corner."""
    indices, squares = [], []
    for axis, (n, h) in enumerate(zip(inside.shape, spacing, strict=True)):
        first = np.ceil((centre[axis] - radius) / h - 0.5)
        last = np.floor((centre[axis] + radius) / h - 0.5)
        index = np.arange(first, last + 1, dtype=int)
        if not periodic:
            index = index[(index >= 0) & (index < n)]
        indices.append(index % n)
        squares.append(along_axis(((index + 0.5) * h - centre[axis]) ** 2, axis))
    inside[np.ix_(*indices)] |= sum(squares) <= radius**2
