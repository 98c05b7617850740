"""Local thickness of a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64
from metrics.volume import InputError, Volume, as_volume


@dataclass(frozen=True, eq=False)
class Thickness:
    """Local thickness of a phase: diameters of the largest balls that fit.

    Attributes
    ----------
    mean : float
        Mean over the volume of the phase, in unit; nan where it is not defined.
    diameters : (M,) float64 ndarray
        Diameters found, ascending, in unit; neighbours differ by two voxels or more.
    fractions : (M,) float64 ndarray
        Share of the phase's volume that has each diameter; they sum to 1.
    map : (Z, Y, X) float32 ndarray
        Diameter at each voxel, in unit; 0 outside the phase.
    """

    mean: float
    diameters: Float64
    fractions: Float64
    map: NDArray[np.float32]


def local_thickness(volume: Volume | NDArray[Any], *, phase: int | str) -> Thickness:
    r"""Local thickness of a phase, by porespy.

    .. math:: \tau(x) = 2 \max \{ r : x \in B(c, r) \subseteq \text{phase} \}

    the diameter of the largest ball that lies in the phase and covers x. Balls are centred on
    voxels and have whole radii in voxels, so thickness comes in steps of two voxels: a slab of t
    voxels has t, or t + 1 if t is odd. On bodies of curved surface the mean is too small, by about
    2 voxels for a cylinder and 2.5 for a ball, of any radius: below 10 voxels a diameter
    only ranks, and compares volumes of equal voxel size.

    The edge of the volume is no wall: balls reach past it, and near it thickness is what
    the part inside allows. A phase that fills the volume has no wall at all: its map and mean are
    nan. So is the mean of an absent phase.

    Peak memory beyond the input: 14 bytes a voxel, 4 of them the map.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Its voxels must be cubes.
    phase : int or str
        Label or name of the phase.

    Returns
    -------
    Thickness
        Diameters in the unit of the volume.

    Raises
    ------
    InputError
        If the volume knows no such phase, or its spacing differs between axes.

    References
    ----------
    T. Hildebrand, P. Rueegsegger, A new method for the model-independent assessment of thickness in
    three-dimensional images, J. Microsc. 185, 67, 1997, doi:10.1046/j.1365-2818.1997.1340694.x.
    J. T. Gostick et al., PoreSpy, J. Open Source Softw. 4, 1296, 2019, doi:10.21105/joss.01296.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((8, 5, 5), dtype=int)
    >>> labels[2:6] = 1
    >>> local_thickness(labels, phase=1).mean
    4.0
    """
    from porespy import filters

    v = as_volume(volume)
    step = v.spacing[0]
    if not np.allclose(v.spacing, step, rtol=1e-3, atol=0):  # files round the spacing
        raise InputError(
            f"local thickness needs cubic voxels, spacing is {v.spacing}: resample the volume"
        )
    inside = np.ascontiguousarray(v.mask(phase))
    if inside.all() or not inside.any():
        nothing = np.empty(0)
        blank = np.where(inside, np.float32(np.nan), np.float32(0))
        return Thickness(np.nan, nothing, nothing, blank)
    radii, indices = filters.local_thickness(inside, return_indices=True)
    diameters = 2 * step * radii
    voxels = np.bincount(indices.ravel(), minlength=len(radii))
    voxels[0] = 0  # outside the phase
    found = np.flatnonzero(voxels)[::-1]  # porespy lists the largest first
    fractions = voxels[found] / voxels.sum()
    mean = float(fractions @ diameters[found])
    return Thickness(mean, diameters[found], fractions, diameters.astype(np.float32)[indices])
