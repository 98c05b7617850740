"""Quantities of plane sections: what one micrograph says, and what follows from it in 3D."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64
from metrics.neighbourhood import (
    OFFSETS,
    Crossings,
    Neighbourhood,
    count_crossings,
    count_neighbourhood,
)
from metrics.surface import UNSEEN, by_pair, surface_of
from metrics.thickness import local_thickness
from metrics.volume import AXES, Volume, as_volume, axis_index

SLAB_VOXELS = 2**20  # looked at together


def boundary_lengths(volume: Volume | NDArray[Any], *, normal: str) -> dict[tuple[int, int], float]:
    r"""Length of the boundary of each pair of phases per area, on sections normal to an axis.

    Cauchy-Crofton in the plane: from how often straight lines in four directions cross from i to j,

    .. math:: L_{A,ij} = \frac{\pi}{2} \sum_k c_k \frac{C_k + a R_k}{N |u_k|}, \qquad a = 0.9,

    with pairs :math:`C_k` of neighbours at the in-plane offset :math:`u_k` (two sides of a pixel
    and two diagonals), one in i and one in j, N pixels, :math:`c_k` the share of the half circle
    nearest to :math:`\pm u_k`, and :math:`R_k` the returns as in `metrics.interface_areas`. In an
    isotropic material the area per volume is :math:`S_V = 4 L_A / \pi`.

    Not counted: the rim of the section. In a window of n pixels a side it thus reads about 1/n low,
    the same in two windows of equal size.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        All its layers count, each by itself; an image is a volume of one layer.
    normal : {"z", "y", "x"}
        Axis normal to the sections.

    Returns
    -------
    dict of (int, int) to float
        Pair of labels, lower first, to length per area in 1/unit; 0 for pairs that do not touch.

    References
    ----------
    E. E. Underwood, Quantitative Stereology, 1970 (L_A, S_V); J. Ohser, F. Muecklich, Statistical
    Analysis of Microstructures in Materials Science, 2000.

    Examples
    --------
    >>> image = np.zeros((1, 100, 100), int)
    >>> image[:, :, 50:] = 1
    >>> round(boundary_lengths(image, normal="z")[0, 1], 4)  # true: 0.01
    0.0094
    """
    v = as_volume(volume)
    return lengths_of(v, count_crossings(v), normal)


def boundary_length(volume: Volume | NDArray[Any], *, phase: int | str, normal: str) -> float:
    """Length of the boundary between one phase and all others per area, in 1/unit.

    Parameters, estimator, errors and references as in `boundary_lengths`.

    Examples
    --------
    >>> boundary_length(np.array([[[0, 1], [0, 1]]]), phase=1, normal="z") > 0
    True
    """
    v = as_volume(volume)
    return surface_of(boundary_lengths(v, normal=normal), v.label(phase))


def triple_point_density(volume: Volume | NDArray[Any], *, normal: str) -> float:
    r"""Points per area at which three phases meet, on sections normal to an axis.

    .. math:: Q_A = n_3 / A

    with the pixel corners :math:`n_3` whose four pixels hold three or more phases: on a field of
    correlation length 5 pixels 17 % more than there are points. In an isotropic material the length
    of triple-phase boundary per volume is :math:`L_V = 2 Q_A`.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        All its layers count, each by itself; an image is a volume of one layer.
    normal : {"z", "y", "x"}
        Axis normal to the sections.

    Returns
    -------
    float
        In 1/unit^2.

    References
    ----------
    E. E. Underwood, Quantitative Stereology, 1970.

    Examples
    --------
    >>> triple_point_density(np.array([[[0, 1], [2, 1]]]), normal="z")
    0.25
    """
    return triple_points_of(count_neighbourhood(as_volume(volume)), normal)


def section_thickness(volume: Volume | NDArray[Any], *, phase: int | str, normal: str) -> float:
    """Mean diameter of the largest disc that lies in a phase and covers a pixel, on sections.

    `metrics.local_thickness` in the plane, with its steps of two pixels. Sections cut grains
    anywhere: those of balls of diameter d show discs of pi d / 4 on average.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        All its layers count, each by itself; an image is a volume of one layer.
    phase : int or str
        Label or name of the phase.
    normal : {"z", "y", "x"}
        Axis normal to the sections.

    Returns
    -------
    float
        Mean over all pixels of the phase, in the volume's unit; nan where a layer is all of the
        phase, or no layer has it.

    Examples
    --------
    >>> bars = np.zeros((1, 12, 12), int)
    >>> bars[:, 4:8] = 1
    >>> section_thickness(bars, phase=1, normal="z")
    4.0
    """
    v, index = as_volume(volume), axis_index(normal)
    total, count = 0.0, 0
    for k in range(v.shape[index]):
        every: list[slice] = [slice(None)] * 3
        every[index] = slice(k, k + 1)
        layer = v.crop((every[0], every[1], every[2]))
        pixels = int(np.count_nonzero(layer.mask(phase)))
        if pixels:
            total += pixels * float(local_thickness(layer, phase=phase).mean)
            count += pixels
    return total / count if count else math.nan


def section_euler_density(volume: Volume | NDArray[Any], *, phase: int | str, normal: str) -> float:
    r"""Euler number of a phase per area, on sections normal to an axis: pieces less holes.

    .. math:: \chi_A = \frac{n_0 - n_1 + n_2}{A}

    with the pixels :math:`n_0` of the phase, pairs of them that share a side :math:`n_1`, and
    squares of four :math:`n_2`: pieces are 4-connected. It says nothing of the Euler number in 3D,
    which needs two parallel sections (the disector).

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        All its layers count, each by itself; an image is a volume of one layer.
    phase : int or str
        Label or name of the phase.
    normal : {"z", "y", "x"}
        Axis normal to the sections.

    Returns
    -------
    float
        In 1/unit^2.

    References
    ----------
    D. C. Sterio, J. Microsc. 134 (1984) 127, doi:10.1111/j.1365-2818.1984.tb02501.x (the disector).

    Examples
    --------
    >>> ring = np.ones((1, 3, 3), int)
    >>> ring[0, 1, 1] = 0
    >>> section_euler_density(ring, phase=1, normal="z")
    0.0
    """
    v = as_volume(volume)
    label = v.label(phase)
    down, across = (k for k in range(3) if k != axis_index(normal))
    step = max(1, SLAB_VOXELS // (v.shape[1] * v.shape[2]))
    euler = 0
    for first in range(0, v.shape[0], step):
        # Where sections lie along z, pairs reach into the next slab.
        slab = v.labels[first : first + step + (down == 0)] == label
        own = slab[:step]
        squares = _neighbours(_neighbours(slab, down), across)
        parts = own, _neighbours(slab, down), _neighbours(own, across), squares
        pixels, vertical, horizontal, full = (int(np.count_nonzero(of)) for of in parts)
        euler += pixels - vertical - horizontal + full
    return euler / _area(v, normal)


def _neighbours(inside: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether a pixel and the next one along an axis both lie inside."""
    along = np.moveaxis(inside, axis, 0)
    return np.moveaxis(along[1:] & along[:-1], 0, axis)


def normals(volume: Volume) -> tuple[str, ...]:
    """Axes normal to the sections of a volume: all three, or that across its only layer."""
    thin = tuple(axis for axis, n in zip(AXES, volume.shape, strict=True) if n == 1)
    return thin or AXES


def triple_points_of(counts: Neighbourhood, normal: str) -> float:
    """`triple_point_density`, from counts already taken."""
    return float(counts.edges[axis_index(normal)]) / _area(counts.volume, normal)


def _area(v: Volume, normal: str) -> float:
    """Area of all sections together, in unit^2."""
    return v.labels.size * v.voxel_volume / v.spacing[axis_index(normal)]


def lengths_of(v: Volume, crossings: Crossings, normal: str) -> dict[tuple[int, int], float]:
    """`boundary_lengths`, from counts already taken."""
    across = axis_index(normal)
    in_plane = OFFSETS[:, across] == 0
    steps = OFFSETS[in_plane] * v.spacing
    weights = math.pi / 2 * _direction_shares(np.delete(steps, across, axis=1))
    counts = (crossings.pairs + UNSEEN * crossings.returns)[in_plane]
    ordered = np.tensordot(weights / np.linalg.norm(steps, axis=1), counts, axes=1) / v.labels.size
    return by_pair(v, ordered)


def _direction_shares(steps: Float64) -> Float64:
    """Share of all directions in the plane that lie nearest to each line of directions +-step."""
    angles = np.arctan2(steps[:, 1], steps[:, 0]) % math.pi
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order[0]] + math.pi)
    shares = np.empty(len(steps))
    shares[order] = (gaps + np.roll(gaps, 1)) / (2 * math.pi)
    return shares
