"""Lineal path function of a phase."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Int64
from metrics.chords import Runs, count_runs
from metrics.lags import LagCurve, check_max_lag
from metrics.volume import AXES, Volume, as_volume


class LinealPath(LagCurve):
    """Lineal path function of a phase along each axis: a `LagCurve` of L."""


def lineal_path(
    volume: Volume | NDArray[Any], *, phase: int | str, max_lag: int | None = None
) -> LinealPath:
    r"""Lineal path function of a phase: how likely a segment lies wholly within it.

    .. math:: L(r) = P[\text{segment of length } r \text{ lies in the phase}]

    along each axis, as segments found over segments possible: unbiased, not periodic, L(0) is the
    volume fraction. A segment of lag k spans k + 1 voxel centres; what happens between them is
    not seen, so that L of a digitised curved body lies slightly above that of the body.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    phase : int or str
        Label or name of the phase.
    max_lag : int, optional
        Longest lag in voxels; half the shortest side of more than one voxel by default.

    Returns
    -------
    LinealPath
        Probabilities, dimensionless, with lags in voxels.

    Raises
    ------
    InputError
        If the volume knows no such phase, or no side of it is longer than `max_lag`.

    References
    ----------
    B. Lu, S. Torquato, Lineal-path function for random heterogeneous materials, Phys. Rev. A 45,
    922, 1992, doi:10.1103/PhysRevA.45.922.

    Examples
    --------
    >>> import numpy as np
    >>> lineal_path(np.array([[[0, 0, 0, 1]]]), phase=0).axis["x"].round(3).tolist()
    [0.75, 0.667, 0.5]
    """
    v = as_volume(volume)
    lag = check_max_lag(v, max_lag)
    label = v.label(phase)
    runs = count_runs(v, [label], AXES)
    found = {axis: _segments(runs[label, axis], lag) for axis in AXES}
    return LinealPath.of(v, lag, found)


def _segments(runs: Runs, max_lag: int) -> Int64:
    """Segments of each lag 0..max_lag within the runs: a run of n voxels holds n - k of lag k."""
    total = runs.complete + runs.cut
    n, k = np.arange(len(total)), np.arange(max_lag + 1)[:, None]
    return np.maximum(n - k, 0) @ total
