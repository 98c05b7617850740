"""Interface areas between phases and the specific surface area of a phase."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metrics.neighbourhood import OFFSETS, Neighbourhood, count_neighbourhood, count_pairs
from metrics.volume import InputError, Volume, as_volume

Estimator = Literal["faces", "crofton"]


def interface_areas(
    volume: Volume | NDArray[Any],
    *,
    estimator: Estimator = "faces",
    periodic: bool | str = False,
) -> dict[tuple[int, int], float]:
    r"""Interface area of each pair of phases per total volume.

    ``faces`` adds up voxel faces: with :math:`F_a` faces between i and j normal to axis a, each of
    area :math:`A_a`,

    .. math:: S_{ij} = \sum_a F_a A_a / V .

    Exact on axis-aligned bodies; 3/2 too large on an isotropic interface, at every resolution.

    ``crofton`` counts how often straight lines in 13 directions cross from i to j
    (Cauchy-Crofton):

    .. math:: S_{ij} = 2 \sum_k c_k \frac{C_k}{N |u_k|}

    with :math:`C_k` pairs of neighbours at offset :math:`u_k`, one in i and one in j, N voxels,
    and :math:`c_k` the share of the sphere nearest to :math:`\pm u_k`. For curved interfaces:
    within 1 % on balls of 6 to 30 voxels radius. A single plane is off by -7 % (normal to an axis)
    to +2 % with its direction, and features thinner than a voxel diagonal are crossed unseen.

    Not counted: the faces of the volume itself. A homogeneous material in a window of n voxels
    a side thus reads about 1/n low, the same in two windows of equal size.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    estimator : {"faces", "crofton"}
        Never compare values of different estimators.
    periodic : bool or str
        Axes along which the last layer touches the first: all, none, or e.g. ``"yx"``.

    Returns
    -------
    dict of (int, int) to float
        Pair of labels, lower first, to area per total volume in 1/unit; 0 for pairs that do not
        touch.

    References
    ----------
    J. Ohser, F. Muecklich, Statistical Analysis of Microstructures in Materials Science, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> interface_areas(np.array([[[0, 0, 1, 1]]]))
    {(0, 1): 0.25}
    """
    v = as_volume(volume)
    if estimator == "faces":
        return face_areas(count_neighbourhood(v, periodic=periodic))
    if estimator == "crofton":
        return _by_pair(v, _crofton(v, periodic))
    raise InputError(f"estimator must be 'faces' or 'crofton', got {estimator!r}")


def specific_surface_area(
    volume: Volume | NDArray[Any],
    *,
    phase: int,
    estimator: Estimator = "faces",
    periodic: bool | str = False,
) -> float:
    r"""Area between one phase and all others per total volume.

    .. math:: S_i = \sum_{j \ne i} S_{ij}

    Parameters, estimators, bias and references as in `interface_areas`.

    Returns
    -------
    float
        Area per total volume, in 1/unit.

    Raises
    ------
    InputError
        If the volume has no such phase, or the estimator is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> specific_surface_area(np.array([[[0, 1, 2, 2]]]), phase=1)
    0.5
    """
    v = as_volume(volume)
    v.check_phase(phase)
    return surface_of(interface_areas(v, estimator=estimator, periodic=periodic), phase)


def face_areas(counts: Neighbourhood) -> dict[tuple[int, int], float]:
    """Interface areas by voxel faces, from counts already taken."""
    v = counts.volume
    face_area = v.voxel_volume / np.array(v.spacing)
    total = np.tensordot(face_area, counts.faces, axes=1)
    return _by_pair(v, total / (v.labels.size * v.voxel_volume))


def surface_of(areas: dict[tuple[int, int], float], phase: int) -> float:
    """Surface of one phase: the sum of its interfaces."""
    return sum(area for pair, area in areas.items() if phase in pair)


def _crofton(v: Volume, periodic: bool | str) -> NDArray[np.float64]:
    steps = OFFSETS * v.spacing
    weights = 2 * _direction_shares(steps) / np.linalg.norm(steps, axis=1)
    return np.tensordot(weights, count_pairs(v, periodic=periodic), axes=1) / v.labels.size


def _direction_shares(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of all directions that lie nearest to each line of directions +-step."""
    from scipy.spatial import SphericalVoronoi

    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    areas = SphericalVoronoi(np.concatenate([units, -units])).calculate_areas()
    return areas.reshape(2, -1).sum(axis=0) / areas.sum()


def _by_pair(v: Volume, ordered: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    both_ways = ordered + ordered.T
    return {
        (v.phase_labels[i], v.phase_labels[j]): float(both_ways[i, j])
        for i, j in combinations(range(len(v.phase_labels)), 2)
    }
