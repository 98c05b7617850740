"""Plane walls: layers, cubes, and sectors that meet in a straight line."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod, radians

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.shapes.body import (
    Body,
    Shape,
    Spacing,
    along_axis,
    frame,
    make_volume,
    voxel_centres,
)
from metrics.volume import AXES, InputError, axis_index


def slab(
    shape: Shape,
    *,
    thickness: int = 4,
    axis: str = "z",
    periodic: bool = False,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Layers of phases 0 and 1 in turn, `thickness` voxels each, normal to `axis`: see `laminate`.

    Examples
    --------
    >>> slab((4, 2, 2), thickness=2).interface_areas
    {(0, 1): 0.25}
    """
    return laminate(
        shape,
        thicknesses=(thickness, thickness),
        axis=axis,
        periodic=periodic,
        spacing=spacing,
        unit=unit,
    )


def laminate(
    shape: Shape,
    *,
    thicknesses: Sequence[int],
    axis: str = "z",
    phase: int = 0,
    periodic: bool = False,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Layers of n phases normal to `axis`, repeated; exact of the digitised body.

    D_eff/D_0 is 0 across the layers (in series with layers that block) and phi along them (in
    parallel). S2 is that of the periodic body: a window of finite size sees it only if it wraps.

    Parameters
    ----------
    thicknesses : sequence of two or more int
        Layer thickness of phases 0, 1, ... in voxels; their sum must divide the length of `axis`.
    phase : int
        Phase that S2 and D_eff are of.

    Raises
    ------
    InputError
        If the layers do not fill the volume, or `phase` is none of them.

    Examples
    --------
    >>> laminate((6, 2, 2), thicknesses=(1, 2), phase=1).volume_fraction
    {0: 0.3333333333333333, 1: 0.6666666666666666}
    """
    edges, extent = frame(shape, spacing)
    along, period, n = axis_index(axis), sum(thicknesses), len(thicknesses)
    if n < 2 or min(thicknesses) < 1 or shape[along] % period:
        raise InputError(
            f"thicknesses must be two or more counts whose sum divides the {shape[along]} voxels "
            f"along {axis}, got {tuple(thicknesses)}"
        )
    if phase not in range(n):
        raise InputError(f"phase must be one of the {n} layers, got {phase}")
    layers = np.resize(np.repeat(np.arange(n), thicknesses), shape[along])
    repeats = shape[along] // period
    areas: dict[tuple[int, int], float] = {}
    for first in range(n):
        pair = (min(first, (first + 1) % n), max(first, (first + 1) % n))
        faces = repeats - (first == n - 1 and not periodic)
        areas[pair] = areas.get(pair, 0.0) + faces / extent[along]
    fraction = {label: count / period for label, count in enumerate(thicknesses)}
    layer, cell = thicknesses[phase] * edges[along], period * edges[along]

    def two_point(r: ArrayLike, axis: str = "z") -> NDArray[np.float64]:
        if axis_index(axis) != along:
            return np.full(np.shape(r), fraction[phase])
        return _layer_overlap(r, layer, cell)

    return Body(
        volume=make_volume(np.broadcast_to(along_axis(layers, along), shape), n, edges, unit),
        phase=phase,
        volume_fraction=fraction,
        interface_areas=areas,
        tpb_density=0.0,
        two_point=two_point,
        effective_diffusivity={name: 0.0 if name == axis else fraction[phase] for name in AXES},
    )


def checkerboard(
    shape: Shape,
    *,
    cell: int = 1,
    periodic: bool = False,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Cubes of `cell` voxels, phases 0 and 1 in turn along every axis; exact of the digitised body.

    Cubes of one phase share edges and corners but no face, so that nothing percolates. S2 is that
    of the periodic body.

    Raises
    ------
    InputError
        If a side of the volume is not a multiple of two cells.

    Examples
    --------
    >>> checkerboard((2, 2, 2)).specific_surface_area
    1.5
    """
    edges, extent = frame(shape, spacing)
    if cell < 1 or any(n % (2 * cell) for n in shape):
        raise InputError(f"every side must be a multiple of two cells of {cell}, got {shape}")
    parity = sum(along_axis(np.arange(n) // cell, i) for i, n in enumerate(shape)) % 2
    faces = sum(
        (n // cell - (not periodic)) / length for n, length in zip(shape, extent, strict=True)
    )

    def two_point(r: ArrayLike, axis: str = "z") -> NDArray[np.float64]:
        length = cell * edges[axis_index(axis)]
        return _layer_overlap(r, length, 2 * length)

    return Body(
        volume=make_volume(parity, 2, edges, unit),
        volume_fraction={0: 0.5, 1: 0.5},
        interface_areas={(0, 1): float(faces)},
        tpb_density=0.0,
        two_point=two_point,
        effective_diffusivity=dict.fromkeys(AXES, 0.0),
    )


def three_phase_corner(
    shape: Shape,
    *,
    axis: str = "z",
    periodic: bool = False,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Three blocks meeting in one straight line along `axis`; exact of the digitised body.

    Of the two other axes, u before v: phase 0 is the first half along u, and phases 1 and 2 share
    the second half, split along v. Periodic, the blocks meet in four lines.

    Raises
    ------
    InputError
        If the volume is thinner than two voxels across the line.

    Examples
    --------
    >>> three_phase_corner((5, 2, 2)).tpb_density
    0.25
    """
    edges, extent = frame(shape, spacing)
    u, v = (i for i in range(3) if i != axis_index(axis))
    if min(shape[u], shape[v]) < 2:
        raise InputError(f"a corner along {axis} needs two voxels across it, got {shape}")
    near_u, near_v = (along_axis(np.arange(shape[i]) < shape[i] // 2, i) for i in (u, v))
    labels = np.broadcast_to(np.where(near_u, 0, np.where(near_v, 1, 2)), shape)
    split_u, split_v = (shape[i] // 2 / shape[i] for i in (u, v))
    walls = 2 if periodic else 1
    return Body(
        volume=make_volume(labels, 3, edges, unit),
        volume_fraction={0: split_u, 1: (1 - split_u) * split_v, 2: (1 - split_u) * (1 - split_v)},
        interface_areas={
            (0, 1): walls * split_v / extent[u],
            (0, 2): walls * (1 - split_v) / extent[u],
            (1, 2): walls * (1 - split_u) / extent[v],
        },
        tpb_density=walls**2 / (extent[u] * extent[v]),
    )


def tilted_triple_line(
    shape: Shape,
    *,
    direction: Sequence[float],
    offset: Sequence[float] = (0.0, 0.0, 0.0),
    angle: float = 0.0,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Three sectors of 120 degrees around a straight line; exact of the continuous body.

    The TPB density is the length of the line inside the volume over the volume.

    Parameters
    ----------
    direction : three float
        Direction of the line (z, y, x), of any length.
    offset : three float
        A point of the line relative to the centre of the volume, in `unit`.
    angle : float
        Rotation of the sectors about the line, in degrees.

    Raises
    ------
    InputError
        If the direction is zero or the line misses the volume.

    Examples
    --------
    >>> tilted_triple_line((4, 4, 4), direction=(0, 0, 2)).tpb_density
    0.0625
    """
    edges, extent = frame(shape, spacing)
    point, line = np.asarray(offset, dtype=float), np.asarray(direction, dtype=float)
    if not np.linalg.norm(line) > 0:
        raise InputError(f"direction must not be zero, got {tuple(direction)}")
    line = line / np.linalg.norm(line)
    with np.errstate(all="ignore"):  # a line along a face meets it at infinity
        enter, leave = np.sort((np.outer((-0.5, 0.5), extent) - point) / line, axis=0)
    length = float(leave.min() - enter.max())
    if not length > 0:
        raise InputError(f"a line along {tuple(direction)} at {tuple(offset)} misses the volume")
    first = np.cross(line, np.eye(3)[np.abs(line).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(line, first)
    position = [c - o for c, o in zip(voxel_centres(shape, edges), point, strict=True)]
    along_first = sum(c * e for c, e in zip(position, first, strict=True))
    along_second = sum(c * e for c, e in zip(position, second, strict=True))
    turn = (np.arctan2(along_second, along_first) - radians(angle)) / (2 * pi) % 1
    return Body(
        volume=make_volume(np.minimum(3 * turn, 2), 3, edges, unit),
        tpb_density=length / prod(extent),
    )


def _layer_overlap(r: ArrayLike, layer: float, period: float) -> NDArray[np.float64]:
    """Fraction covered by layers and by their copies moved by r."""
    moved = np.mod(r, period)
    return (np.maximum(layer - moved, 0) + np.maximum(layer - period + moved, 0)) / period
