"""Interface areas between phases and the specific surface area of a phase."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metrics.neighbourhood import OFFSETS, Neighbourhood, count_crossings, count_neighbourhood
from metrics.volume import InputError, Volume, as_volume

Estimator = Literal["faces", "crofton", "crofton_adjacent"]
UNSEEN = 0.9  # share of the extrapolation to steps of no length


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

    .. math:: S_{ij} = 2 \sum_k c_k \frac{C_k + a R_k}{N |u_k|}, \qquad a = 0.9,

    with :math:`C_k` pairs of neighbours at offset :math:`u_k`, one in i and one in j, N voxels,
    :math:`c_k` the share of the sphere nearest to :math:`\pm u_k`, and :math:`R_k` the returns: two
    steps from i to j and back, or from j to i and back. A line that goes and returns between
    two voxels is not seen, and such are the more, the more returns there are: of two phases
    :math:`R_k = C_k - C_k(2) / 2`, with C(2) counted over twice the step, and a = 1 is linear
    extrapolation over the length of the step to none.

    ``crofton_adjacent`` has a = 0. It is the better one on plates of one voxel. Mean errors in %
    (`benchmarks/results/accuracy_surface.md` has them all):

    =============================================  ==============  ====================
    body, lengths in voxels                        ``crofton``     ``crofton_adjacent``
    =============================================  ==============  ====================
    ball of R 2, 4, 12                             6, 2, 0         -6, -1, 0
    overlapping balls, solid .6, R 2, 4, 8, 12     -6, -2, -1, 0   -23, -12, -6, -4
    Gaussian field of length 1.5, 2.5, 4           9, 4, 2         -8, -3, -1
    plates normal to (1, 0, 0), 1, 2, 4 thick      34, -7, -7      -7, -7, -7
    plates normal to (1, 2, 3), 1, 2, 3 thick      18, 10, 1       -7, 0, 0
    cylinder along z, R 1, 2, 3, 10                13, 1, -1, -2   -11, -4, -3, -2
    voxels 1 x 2 x 3: overlapping balls of R 12    -2              -8
    =============================================  ==============  ====================

    Not counted: the faces of the volume itself. A homogeneous material in a window of n voxels
    a side thus reads about 1/n low, the same in two windows of equal size.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    estimator : {"faces", "crofton", "crofton_adjacent"}
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
        return by_pair(v, _crofton(v, periodic, UNSEEN))
    if estimator == "crofton_adjacent":
        return by_pair(v, _crofton(v, periodic, 0.0))
    known = ", ".join(get_args(Estimator))
    raise InputError(f"estimator must be one of {known}, got {estimator!r}")


def specific_surface_area(
    volume: Volume | NDArray[Any],
    *,
    phase: int | str,
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
    label = v.label(phase)
    return surface_of(interface_areas(v, estimator=estimator, periodic=periodic), label)


def face_areas(counts: Neighbourhood) -> dict[tuple[int, int], float]:
    """Interface areas by voxel faces, from counts already taken."""
    v = counts.volume
    face_area = v.voxel_volume / np.array(v.spacing)
    total = np.tensordot(face_area, counts.faces, axes=1)
    return by_pair(v, total / (v.labels.size * v.voxel_volume))


def surface_of(areas: dict[tuple[int, int], float], phase: int) -> float:
    """Surface of one phase, or its boundary on sections: the sum over its pairs."""
    return sum(area for pair, area in areas.items() if phase in pair)


def _crofton(v: Volume, periodic: bool | str, unseen: float) -> NDArray[np.float64]:
    steps = OFFSETS * v.spacing
    weights = 2 * _direction_shares(steps) / np.linalg.norm(steps, axis=1)
    crossings = count_crossings(v, periodic=periodic)
    counts = crossings.pairs + unseen * crossings.returns
    return np.tensordot(weights, counts, axes=1) / v.labels.size


def _direction_shares(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of all directions that lie nearest to each line of directions +-step."""
    from scipy.spatial import SphericalVoronoi

    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    areas = SphericalVoronoi(np.concatenate([units, -units])).calculate_areas()
    return areas.reshape(2, -1).sum(axis=0) / areas.sum()


def by_pair(v: Volume, ordered: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    """Both orders of each pair of labels together, from values by ordered pairs of phases."""
    both_ways = ordered + ordered.T
    return {
        (v.phase_labels[i], v.phase_labels[j]): float(both_ways[i, j])
        for i, j in combinations(range(len(v.phase_labels)), 2)
    }
