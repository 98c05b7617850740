"""Volume fractions, whole and along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.neighbourhood import Neighbourhood, count_neighbourhood
from metrics.volume import Volume, as_volume, axis_index


def volume_fraction(volume: Volume | NDArray[Any]) -> dict[int, float]:
    r"""Volume fraction of every phase.

    .. math:: \phi_i = N_i / N

    with :math:`N_i` voxels of phase i among all N voxels.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray

    Returns
    -------
    dict of int to float
        Label to fraction, dimensionless; they sum to 1. A phase that the volume knows but does
        not hold has fraction 0.

    Examples
    --------
    >>> import numpy as np
    >>> volume_fraction(np.array([[[0, 0, 0, 2]]]))
    {0: 0.75, 2: 0.25}
    """
    return fractions_of(count_neighbourhood(as_volume(volume)))


def fractions_of(counts: Neighbourhood) -> dict[int, float]:
    """Volume fractions from counts already taken."""
    fractions = counts.voxels / counts.voxels.sum()
    return dict(zip(counts.volume.phase_labels, fractions.tolist(), strict=True))


def fraction_profile(volume: Volume | NDArray[Any], *, axis: str) -> dict[int, NDArray[np.float64]]:
    """Volume fraction of every phase in each layer normal to an axis.

    A generator that drifts towards its edges, or a stack with a gradient, shows here.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    axis : {"z", "y", "x"}

    Returns
    -------
    dict of int to (N,) float64 ndarray
        Label to the fraction in each of the N layers along `axis`, dimensionless.

    Examples
    --------
    >>> import numpy as np
    >>> fraction_profile(np.array([[[0, 0, 1, 1]]]), axis="x")[1].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    v, along = as_volume(volume), axis_index(axis)
    n = v.shape[along]
    found = {label: np.zeros(n, np.int64) for label in v.phase_labels}
    for z, layer in enumerate(v.labels):
        for label, counts in found.items():
            if along == 0:
                counts[z] = np.count_nonzero(layer == label)
            else:
                counts += np.count_nonzero(layer == label, axis=2 - along)
    return {label: counts * n / v.labels.size for label, counts in found.items()}
