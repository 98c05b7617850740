"""Independent reference for `metrics.diffusivity`: a float64 sparse solve with scipy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

RESIDUAL = 1e-10  # |A c - b| / |b| of the solve


def sparse_diffusivity(
    mask: NDArray[np.bool_], axis: str = "z", spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> float:
    r"""D_eff/D_0 of the True voxels of `mask` along `axis` by cell-centred finite volumes.

    Neighbouring cells exchange ``area / distance``, the first and the last layer lie half a
    cell from planes at concentration 1 and 0, the sides are closed. Clusters that touch a single
    plane stay in the system and must come out with no flux; those that touch none would make it
    singular and are left out. Solved by conjugate gradients to a relative residual of `RESIDUAL`.
    """
    along = "zyx".index(axis)
    mask = np.moveaxis(np.asarray(mask, dtype=bool), along, 0)
    step = [spacing[along], *np.delete(np.asarray(spacing, dtype=float), along)]
    clusters, _ = ndimage.label(mask)
    mask = mask & np.isin(clusters, np.union1d(clusters[0], clusters[-1]))
    unknowns = np.count_nonzero(mask)
    if unknowns == 0:
        return 0.0

    index = np.full(mask.shape, -1)
    index[mask] = np.arange(unknowns)
    conductance = np.prod(step) / np.square(step)
    diagonal = np.zeros(unknowns)
    rows, columns, values = [], [], []
    for dimension, link in enumerate(conductance):
        ahead = np.moveaxis(index, dimension, 0)
        first, second = ahead[:-1].ravel(), ahead[1:].ravel()
        both = (first >= 0) & (second >= 0)
        first, second = first[both], second[both]
        rows += [first, second]
        columns += [second, first]
        values.append(np.full(2 * first.size, -link))
        np.add.at(diagonal, np.concatenate([first, second]), link)
    inlet, outlet = index[0][mask[0]], index[-1][mask[-1]]
    half_cell = 2 * conductance[0]
    np.add.at(diagonal, np.concatenate([inlet, outlet]), half_cell)
    source = np.zeros(unknowns)
    source[inlet] = half_cell

    diagonal_index = np.arange(unknowns)
    matrix = sparse.csr_array(
        (
            np.concatenate([*values, diagonal]),
            (
                np.concatenate([*rows, diagonal_index]),
                np.concatenate([*columns, diagonal_index]),
            ),
        ),
        shape=(unknowns, unknowns),
    )
    # Half of it, so that the residual itself, which the iteration only updates, is below it too.
    field, _ = cg(
        matrix, source, rtol=RESIDUAL / 2, atol=0, maxiter=20_000, M=sparse.diags(1 / diagonal)
    )
    residual = np.linalg.norm(matrix @ field - source)
    if residual > RESIDUAL * np.linalg.norm(source):
        raise RuntimeError(f"the reference solve did not converge: residual {residual:.2g}")
    flux = half_cell * np.sum(1 - field[inlet])
    area = mask[0].size * step[1] * step[2]
    return float(flux * mask.shape[0] * step[0] / area)
