"""How much memory a measure takes, said before it is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metrics.correlation import FFT_ROWS, padded
from metrics.description import CURVE, METRICS, known_metrics
from metrics.solver.methods import check_solver

# Bytes a voxel beyond the volume, measured on three phases of 160^3 voxels; measures that are not
# here take none.
VOXEL_BYTES = {
    "chord_length": 1,
    "euler_density": 10,
    "percolating_fraction": 3,
    "active_tpb_density": 3,
    "cluster_density": 3,
    "largest_cluster": 8,
    "section_euler_density": 4,
    "local_thickness": 18,
}
SOLVER_BYTES = {"multigrid": 66, "taufactor": 70}  # of a phase that fills the volume
CLUSTER_BYTES = 4  # of each phase: clusters are found once for all measures that count them
CLUSTERED = ("percolating_fraction", "active_tpb_density", "cluster_density", "largest_cluster")
LAG_BYTES = 54  # of a lag vector of S2, in float64 and int64
COMPLEX_BYTES, FLOAT_BYTES = 8, 4
FIXED_BYTES = 2**22


def peak_bytes(
    metrics: str | Sequence[str],
    shape: Sequence[int],
    phases: int,
    *,
    max_lag: int | None = None,
    periodic: bool = False,
    solver: str = "multigrid",
) -> int:
    """Bytes that measuring a volume takes at most, beyond the volume itself.

    Within 20 % of what a process took for volumes of more than 100^3 voxels, on one thread; of the
    solver an upper bound, that of a phase which fills the volume.

    Parameters
    ----------
    metrics : str or sequence of str
        Among `ALL_METRICS`, measured one after the other as `compare` does.
    shape : (int, int, int)
        Voxels along z, y, x.
    phases : int
        Number of phases.
    max_lag, periodic
        Of the two-point correlation; half the shortest side by default.
    solver : str
        Of the effective diffusivity, on the CPU.

    Raises
    ------
    InputError
        If a metric or the solver is unknown.

    Examples
    --------
    >>> peak_bytes("local_thickness", (100, 100, 100), 2)
    22194304
    """
    names = known_metrics([metrics] if isinstance(metrics, str) else metrics, (*METRICS, CURVE))
    voxels = math.prod(shape)
    each = dict.fromkeys(names, 0) | {
        name: nbytes * voxels for name, nbytes in VOXEL_BYTES.items() if name in names
    }
    check_solver(solver, None)
    if "effective_diffusivity" in each:
        each["effective_diffusivity"] = SOLVER_BYTES[solver] * voxels
    if CURVE in each:
        each[CURVE] = _of_correlation(shape, max_lag, periodic)
    kept = CLUSTER_BYTES * phases * voxels if any(name in names for name in CLUSTERED) else 0
    return FIXED_BYTES + kept + max(each.values(), default=0)


def _of_correlation(shape: Sequence[int], max_lag: int | None, periodic: bool) -> int:
    """Bytes of S2 of one phase: transforms of planes and of lags, or window sums; and the lags."""
    longest = min(n for n in shape if n > 1 or max(shape) == 1) // 2 if max_lag is None else max_lag
    reach = [min(longest, n - 1) for n in shape]
    sizes = padded(shape, reach, periodic=periodic)
    row = COMPLEX_BYTES * (sizes[2] // 2 + 1)
    lags = (reach[0] + 1) * (2 * reach[1] + 1)
    spectrum = shape[0] * sizes[1] * row
    product = (reach[0] + 1) * sizes[1] * row
    lines = 3 * FFT_ROWS * sizes[0] * row
    back = lags * (row + FLOAT_BYTES * sizes[2])
    transforms = spectrum + product + max(lines, back)
    windows = 0 if periodic else FLOAT_BYTES * (2 * reach[0] + 1) * shape[1] * shape[2]
    all_lags = lags * (2 * reach[2] + 1)
    return math.prod(shape) + max(transforms, windows + LAG_BYTES * all_lags)
