"""Two-point cluster function of a phase."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Int64
from metrics.connectivity import SLAB_VOXELS, Clusters
from metrics.lags import LagCurve, check_max_lag
from metrics.machine.compiled import compiled
from metrics.machine.memory import check_memory
from metrics.machine.threads import thread_count
from metrics.volume import AXES, LARGE, Volume, as_volume

NUMBER_BYTES = 4  # of a cluster


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

    Peak memory beyond the input: 7 bytes a voxel; of more than 512^3 voxels that of two slabs, and
    8 bytes a voxel of `max_lag` layers.

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
        If the volume knows no such phase, no side of it is longer than `max_lag`, or so many layers
        do not fit into memory.

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
    if v.labels.size > LARGE:  # slab by slab: kept layers, and once more together with a slab
        layers = 2 * min(lag, v.shape[0]) * v.shape[1] * v.shape[2]
        nbytes = NUMBER_BYTES * (layers + SLAB_VOXELS)
        check_memory(nbytes, remedy="ask for shorter lags (max_lag)")
    counts = np.zeros((3, lag + 1), np.int64)
    before = np.empty((0, *v.shape[1:]), np.uint32)  # the layers that pairs with this slab reach
    for slab in Clusters.of(v, phase).slabs():
        counts += _pairs(before, slab, lag)
        missing = max(lag - len(slab), 0)
        kept = before[max(len(before) - missing, 0) :], slab[max(len(slab) - lag, 0) :]
        before = np.concatenate(kept)
    return TwoPointCluster.of(v, lag, dict(zip(AXES, counts, strict=True)))


def _pairs(before: NDArray[Any], slab: NDArray[Any], lag: int) -> Int64:
    """Pairs of one cluster along z, y, x at each lag, whose second voxel lies in the slab."""
    reach = np.concatenate([before, slab]) if len(before) else slab

    def count(shift: NDArray[np.int64]) -> int:
        along_z = reach[max(len(before) - shift[0], 0) :]
        return int(_pairs_in_cluster(along_z if shift[0] else slab, *shift))

    shifts = np.array([k * unit for unit, k in product(np.eye(3, dtype=int), range(lag + 1))])
    with ThreadPoolExecutor(thread_count()) as pool:
        return np.reshape(list(pool.map(count, shifts)), (3, lag + 1))


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
