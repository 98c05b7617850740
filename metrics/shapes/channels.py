"""Open channels through a wall, with known effective diffusivity."""

from __future__ import annotations

from math import cos, pi, radians, tan

import numpy as np
from numpy.typing import NDArray

from metrics.shapes.body import (
    Body,
    Shape,
    Spacing,
    check_positive,
    frame,
    make_volume,
    voxel_centres,
)
from metrics.volume import AXES, InputError, axis_index


def straight_channel(
    shape: Shape,
    *,
    section: NDArray[np.bool_] | None = None,
    axis: str = "z",
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Open channel of constant cross-section along `axis`; exact of the digitised body.

    D_eff/D_0 = phi along the channel, and 0 along a direction that a whole row of wall blocks
    (no answer is given along a direction that none does).

    Parameters
    ----------
    section : 2D bool ndarray, optional
        Open voxels over the two other axes; by default a centred block half as wide as the volume.

    Raises
    ------
    InputError
        If `section` has not the shape of the volume across `axis`, or is all open or all wall.

    Examples
    --------
    >>> straight_channel((3, 4, 4)).effective_diffusivity
    {'z': 0.25, 'y': 0.0, 'x': 0.0}
    """
    edges, extent = frame(shape, spacing)
    along = axis_index(axis)
    u, v = (i for i in range(3) if i != along)
    if section is None:
        middle = [np.abs(2 * np.arange(shape[i]) + 1 - shape[i]) < shape[i] / 2 for i in (u, v)]
        section = np.outer(*middle)
    opening = np.asarray(section, dtype=bool)
    if opening.shape != (shape[u], shape[v]) or opening.all() or not opening.any():
        raise InputError(f"section must be open in part and of shape {(shape[u], shape[v])}")
    fraction = float(opening.mean())
    steps = [np.count_nonzero(np.diff(opening, axis=i)) for i in (0, 1)]
    wall = (steps[0] * edges[v] + steps[1] * edges[u]) / (extent[u] * extent[v])
    values = {axis: fraction}
    values |= {AXES[i]: 0.0 for i, j in ((u, 1), (v, 0)) if not opening.any(axis=j).all()}
    labels = np.broadcast_to(np.expand_dims(~opening, along), shape)
    return Body(
        volume=make_volume(labels, 2, edges, unit),
        volume_fraction={0: fraction, 1: 1 - fraction},
        interface_areas={(0, 1): float(wall)},
        tpb_density=0.0,
        effective_diffusivity=values,
    )


def tilted_channel(
    shape: Shape,
    *,
    thickness: float,
    angle: float,
    axis: str = "z",
    tilt: str = "x",
    periodic: bool = False,
    spacing: Spacing = 1.0,
    unit: str = "voxel",
) -> Body:
    """Plane-walled slit from face to face, inclined to `axis`; exact of the continuous body.

    D_eff/D_0 = phi cos^2(a) / (1 - 2 d cos(a) t / L) with phi = t / (W cos(a)), L the length along
    `axis` and W the width along `tilt`. The divisor is the gain at the two ends, which the faces
    cut obliquely; from their Schwarz-Christoffel map, up to exp(-pi L / (t cos(a))),
    d = -(g + 2 ln 2 + (psi(p) + psi(1 - p)) / 2) / pi, p = 1/2 - a / pi, g Euler's constant and psi
    the digamma function. The thin limit phi cos^2(a) is a strict lower bound, phi an upper one.
    Stair-cased walls of voxels approach this value at first order in voxel size over t.

    Parameters
    ----------
    thickness : float
        Distance t between the walls, in `unit`.
    angle : float
        Angle a between slit and `axis`, in degrees, within (-90, 90).
    tilt : str
        Axis towards which the slit leans. The third axis lies in the slit: D_eff/D_0 = phi.
    periodic : bool
        The slit wraps through the sides normal to `tilt`, and D_eff is that with periodic sides.

    Raises
    ------
    InputError
        If the slit does not fit between the sides (periodic: overlaps itself).

    References
    ----------
    T. A. Driscoll and L. N. Trefethen, Schwarz-Christoffel Mapping, 2002,
    doi:10.1017/CBO9780511546808.

    Examples
    --------
    >>> round(tilted_channel((64, 1, 64), thickness=8, angle=0).effective_diffusivity["z"], 6)
    0.125
    """
    from scipy.special import digamma

    edges, extent = frame(shape, spacing)
    check_positive(thickness=thickness)
    along, across = axis_index(axis), axis_index(tilt)
    if along == across or not abs(angle) < 90:
        raise InputError(f"a slit along {axis} cannot lean {angle} degrees towards {tilt}")
    lean, length, width = radians(angle), extent[along], extent[across]
    opening = thickness / cos(lean)
    need = opening if periodic else opening + length * abs(tan(lean)) + 2 * edges[across]
    if need > width:
        raise InputError(
            f"the slit needs {need:.4g} {unit} along {tilt}, the volume has {width:.4g}"
        )
    centres = voxel_centres(shape, edges)
    apart = centres[across] - tan(lean) * centres[along]
    if periodic:
        apart = (apart / width + 0.5) % 1 * width - width / 2
    corner = 0.5 - abs(lean) / pi
    ends = -(np.euler_gamma + 2 * np.log(2) + (digamma(corner) + digamma(1 - corner)) / 2) / pi
    fraction = opening / width
    value = fraction * cos(lean) ** 2 / (1 - 2 * ends * cos(lean) * thickness / length)
    third = next(name for name in AXES if name not in (axis, tilt))
    labels = np.broadcast_to(np.abs(apart) > opening / 2, shape)
    return Body(
        volume=make_volume(labels, 2, edges, unit),
        volume_fraction={0: fraction, 1: 1 - fraction},
        interface_areas={(0, 1): 2 / (cos(lean) * width)},
        tpb_density=0.0,
        effective_diffusivity={axis: float(value), third: fraction}
        | ({} if periodic else {tilt: 0.0}),
    )
