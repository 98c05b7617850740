"""Two-point cluster function of a phase."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.connectivity import Clusters
from metrics.lags import LagCurve, check_max_lag
from metrics.machine.compiled import compiled
from metrics.machine.threads import thread_count
from metrics.volume import AXES, Volume, as_volume


class TwoPointCluster(LagCurve):
    """Two-point cluster function of a phase along each axis: a `LagCurve` of C2."""


def two_point_cluster(
    volume: Volume | NDArray[Any], *, phase: int | str, max_lag: int | None = None
) -> TwoPointCluster:
    r"""Two-point cluster function: how likely two points lie in the same cluster of a phase.

    .. math:: C_2(r) = P[x \text{ and } x + r \text{ in the same cluster}]

    along each axis, as pairs of voxels found over pairs possible: not periodic, C2(0) is the
    volume fraction, and L(r) <= C2(r) <= S2(r). Clusters are 6-connected (through faces).

    Not counted: connections that lie outside the volume. Parts of one cluster that meet only there
    are two clusters here, so C2 is too small by what a larger volume would join.

    Peak memory beyond the input: 7 bytes a voxel.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    phase : int or str
        Label or name of the phase.
    max_lag : int, optional
        Longest lag in voxels; half the shortest side of more than one voxel by default.

    Returns
    -------
    TwoPointCluster
        Probabilities, dimensionless, with lags in voxels.

    Raises
    ------
    InputError
        If the volume knows no such phase, or no side of it is longer than `max_lag`.

    References
    ----------
    S. Torquato, J. D. Beasley, Y. C. Chiew, Two-point cluster function for continuum percolation,
    J. Chem. Phys. 88, 6540, 1988, doi:10.1063/1.454440.

    Examples
    --------
    >>> import numpy as np
    >>> two_point_cluster(np.array([[[0, 0, 1, 0]]]), phase=0).axis["x"].round(3).tolist()
    [0.75, 0.333, 0.0]
    """
    v = as_volume(volume)
    lag = check_max_lag(v, max_lag)
    clusters = Clusters.of(v, phase).labels
    shifts = np.array([k * unit for unit, k in product(np.eye(3, dtype=int), range(lag + 1))])
    with ThreadPoolExecutor(thread_count()) as pool:
        found = list(pool.map(lambda shift: _pairs_in_cluster(clusters, *shift), shifts))
    counts = np.reshape(found, (3, lag + 1))
    return TwoPointCluster.of(v, lag, dict(zip(AXES, counts, strict=True)))


@compiled(nogil=True)
def _pairs_in_cluster(clusters, dz, dy, dx):  # type: ignore[no-untyped-def]
    """Pairs of voxels at the lag (dz, dy, dx) in the same cluster; 0 is no cluster."""
    nz, ny, nx = clusters.shape
    pairs = 0
    for z in range(nz - dz):
        for y in range(ny - dy):
            for x in range(nx - dx):
                cluster = clusters[z, y, x]
                pairs += (cluster != 0) & (cluster == clusters[z + dz, y + dy, x + dx])
    return pairs
