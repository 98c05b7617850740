"""How much memory a measure takes, said before it is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metrics.connectivity import SLAB_VOXELS
from metrics.description import CURVE, METRICS, known_metrics
from metrics.io.omezarr import CHUNK
from metrics.io.stored import LAYER_BYTES
from metrics.neighbourhood import AHEAD_VOXELS
from metrics.pair_counts import LAG_BYTES, pair_bytes
from metrics.solver.methods import check_solver
from metrics.topology import LAYERS
from metrics.topology import SLAB_VOXELS as EULER_VOXELS
from metrics.transforms import FFT_ROWS, padded
from metrics.volume import LARGE

# Bytes a voxel beyond the volume, measured on three phases of 160^3 voxels; measures that are not
# here take none.
VOXEL_BYTES = {
    "chord_length": 1,
    "euler_density": 10,
    "percolating_fraction": 3,
    "active_tpb_density": 3,
    "cluster_density": 3,
    "largest_cluster": 3,
    "local_thickness": 18,
}
SOLVER_BYTES = {"multigrid": 66, "taufactor": 70}  # of a phase that fills the volume
CLUSTER_BYTES = 4  # of each phase: clusters are found once for all measures that count them
COUNTED = ("volume_fraction", "specific_surface_area", "interface_area", "tpb_density")
CLUSTERED = ("percolating_fraction", "active_tpb_density", "cluster_density", "largest_cluster")
COMPLEX_BYTES, FLOAT_BYTES = 8, 4
# Bytes of a voxel of what is looked at together of more than 512^3: a layer, a slab, a block.
RUN_BYTES = 10  # of each phase
EULER_BYTES = 17
CLUSTER_SLAB_BYTES = 8
ACTIVE_SLAB_BYTES = 12
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
    in_parts = voxels > LARGE
    each = dict.fromkeys(names, 0) | {
        name: nbytes * voxels for name, nbytes in VOXEL_BYTES.items() if name in names
    }
    if in_parts:
        each |= {name: nbytes for name, nbytes in _of_parts(shape, phases).items() if name in names}
    check_solver(solver, None)
    if "section_thickness" in each:  # layer by layer
        each["section_thickness"] = VOXEL_BYTES["local_thickness"] * voxels // min(shape)
    if "effective_diffusivity" in each:
        each["effective_diffusivity"] = SOLVER_BYTES[solver] * voxels
    if CURVE in each:
        if in_parts:
            each[CURVE] = pair_bytes(shape, _reach(shape, max_lag))
        else:
            each[CURVE] = _of_correlation(shape, max_lag, periodic)
    clustered = any(name in names for name in CLUSTERED) and not in_parts
    kept = CLUSTER_BYTES * phases * voxels if clustered else 0
    return FIXED_BYTES + kept + max(each.values(), default=0)


def label_bytes(shape: Sequence[int]) -> int:
    """Bytes of the labels of a volume while it is measured, of one byte each.

    More than 512^3 lie in memory already, or are read in layers of chunks: two are kept, and of the
    next one values and labels are there.
    """
    voxels = math.prod(shape)
    return voxels if voxels <= LARGE else 4 * min(LAYER_BYTES, CHUNK * shape[1] * shape[2])


def _of_parts(shape: Sequence[int], phases: int) -> dict[str, int]:
    """Bytes of what is measured slab by slab."""
    voxels, layer = math.prod(shape), math.prod(shape[1:])
    slab = min(voxels, max(SLAB_VOXELS, layer))
    return {
        **dict.fromkeys(COUNTED, AHEAD_VOXELS),
        "chord_length": RUN_BYTES * phases * layer,
        "euler_density": EULER_BYTES * (min(voxels, LAYERS * layer, EULER_VOXELS) + layer),
        **dict.fromkeys(CLUSTERED, CLUSTER_SLAB_BYTES * slab),
        "active_tpb_density": ACTIVE_SLAB_BYTES * slab + voxels,
    }


def _reach(shape: Sequence[int], max_lag: int | None) -> list[int]:
    longest = min(n for n in shape if n > 1 or max(shape) == 1) // 2 if max_lag is None else max_lag
    return [min(longest, n - 1) for n in shape]


def _of_correlation(shape: Sequence[int], max_lag: int | None, periodic: bool) -> int:
    """Bytes of S2 of one phase: transforms of planes and of lags, or window sums; and the lags."""
    reach = _reach(shape, max_lag)
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
