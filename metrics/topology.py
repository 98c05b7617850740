"""Euler number of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from metrics.volume import InputError, Volume, as_volume

# skimage counts the orthogonal steps to the farthest neighbour instead of the neighbours.
STEPS = {6: 1, 26: 3}
# Voxels looked at together, and layers at most: what bounds the memory.
SLAB_VOXELS = 2**25
LAYERS = 64


def euler_number(
    volume: Volume | NDArray[Any], *, phase: int | str, connectivity: Literal[6, 26] = 6
) -> int:
    r"""Euler number of a phase.

    .. math:: \chi = \text{objects} - \text{tunnels} + \text{enclosed cavities}

    so a ball has 1, a torus 0 and a hollow ball 2; a well connected network is far below 0. With
    connectivity 6 voxels of the phase touch through faces, and those of its complement through
    faces, edges and corners (26); with 26 it is the other way round. Where the two results differ
    much, necks are no thicker than the voxels and neither is to be trusted.

    Outside the volume is complement, so what the edge cuts is closed there: pieces cut off count
    as objects, and loops that close outside do not count. Divided by the volume, the number of a
    window depends on its size: compare windows of equal size only.

    Peak memory beyond the input: 17 bytes for each voxel of 65 layers (z), of 2^25 voxels at most.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    phase : int or str
        Label or name of the phase.
    connectivity : {6, 26}
        Neighbours of a voxel of the phase.

    Returns
    -------
    int
        Euler number, dimensionless, of the whole volume; 0 of an absent phase.

    Raises
    ------
    InputError
        If the volume knows no such phase, or the connectivity is not 6 or 26.

    References
    ----------
    J. Ohser, W. Nagel, K. Schladitz, The Euler number of discretized sets, Lecture Notes in Physics
    600, 275, 2002, doi:10.1007/3-540-45782-8_12.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.ones((3, 3, 3), dtype=int)
    >>> labels[1, 1, 1] = 0
    >>> euler_number(labels, phase=1)
    2
    """
    v = as_volume(volume)
    label = v.label(phase)
    if connectivity not in STEPS:
        raise InputError(f"connectivity must be 6 or 26, got {connectivity}")
    return euler_numbers(v, [label], connectivity)[label]


def euler_numbers(v: Volume, labels: Sequence[int], connectivity: Literal[6, 26]) -> dict[int, int]:
    """Euler number of each of these phases; the volume is gone through once."""
    from skimage import measure

    def count(layers: NDArray[Any], label: int) -> int:
        return int(measure.euler_number(layers == label, connectivity=STEPS[connectivity]))

    # Slabs share a layer, and the Euler number is additive: X(A + B) = X(A) + X(B) - X(A and B).
    found = dict.fromkeys(labels, 0)
    step = max(1, min(LAYERS, SLAB_VOXELS // (v.shape[1] * v.shape[2])))
    for first in range(0, max(v.shape[0] - 1, 1), step):
        slab = v.labels[first : first + step + 1]
        for label in labels:
            found[label] += count(slab, label) - (count(slab[:1], label) if first else 0)
    return found
