"""Independent reference for `metrics.diffusivity`: a float64 sparse solve with scipy alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

RESIDUAL = 1e-10  # |A c - b| / |b| of the solve
CUBE = (1.0, 1.0, 1.0)

Faces = tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def sparse_diffusivity(
    conductivity: NDArray[np.bool_ | np.floating],
    axis: str = "z",
    spacing: Sequence[float] = CUBE,
    *,
    periodic: bool = False,
) -> float:
    r"""Effective conductivity along `axis` by cell-centred finite volumes.

    Neighbouring cells exchange ``area / distance`` times the harmonic mean of their conductivities,
    the first and the last layer lie half a cell from planes at concentration 1 and 0, the sides are
    closed or periodic. Clusters that touch a single plane stay in the system and must come out with
    no flux; those that touch none would make it singular and are left out (where sides are
    periodic those stay: they see no source). Solved by conjugate gradients to a relative residual
    of `RESIDUAL`.
    """
    along = "zyx".index(axis)
    field = np.moveaxis(np.asarray(conductivity, dtype=float), along, 0)
    step = [spacing[along], *np.delete(np.asarray(spacing, dtype=float), along)]
    if not periodic:
        clusters, _ = ndimage.label(field > 0)
        field = field * np.isin(clusters, np.union1d(clusters[0], clusters[-1]))
    if not field.any():
        return 0.0
    index, values = _numbered(field)
    links = np.prod(step) / np.square(step)
    faces = list(_faces(index, values, links, (False, periodic, periodic)))
    inlet, outlet = (index[layer][field[layer] > 0] for layer in (0, -1))
    to_planes = np.zeros(len(values))
    for cells in (inlet, outlet):
        np.add.at(to_planes, cells, 2 * links[0] * values[cells])
    source = np.zeros(len(values))
    source[inlet] = 2 * links[0] * values[inlet]
    c = _solved(faces, to_planes, source)
    flux = np.sum(source[inlet] * (1 - c[inlet]))
    area = field[0].size * step[1] * step[2]
    return float(flux * field.shape[0] * step[0] / area)


def sparse_tensor(
    conductivity: NDArray[np.bool_ | np.floating], spacing: Sequence[float] = CUBE
) -> NDArray[np.float64]:
    """Mean flux over mean gradient in a volume repeated along all axes."""
    field = np.asarray(conductivity, dtype=float)
    index, values = _numbered(field)
    links = np.prod(spacing) / np.square(spacing)
    faces = list(_faces(index, values, links, (True, True, True)))
    tensor = np.zeros((3, 3))
    for along in range(3):
        source = np.zeros(len(values))
        for axis, first, second, g in faces:
            if axis == along:
                np.add.at(source, first, g * spacing[axis])
                np.add.at(source, second, -g * spacing[axis])
        c = _solved(faces, np.zeros(len(values)), source)
        for axis, first, second, g in faces:
            rise = c[second] - c[first] + (axis == along) * spacing[axis]
            # A face carries g * rise over the distance of one cell.
            tensor[axis, along] += np.sum(g * rise) * spacing[axis]
    return tensor / (field.size * np.prod(spacing))


def _numbered(field: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    index = np.full(field.shape, -1)
    index[field > 0] = np.arange(np.count_nonzero(field))
    return index, field[field > 0]


def _faces(
    index: NDArray[np.int64],
    values: NDArray[np.float64],
    links: NDArray[np.float64],
    rings: Sequence[bool],
) -> Iterator[Faces]:
    """Axis, cells before and behind, and conductance of all faces between conducting cells."""
    for axis, (link, ring) in enumerate(zip(links, rings, strict=True)):
        ahead = np.moveaxis(index, axis, 0)
        pairs = [(ahead[:-1], ahead[1:])]
        if ring and len(ahead) > 1:
            pairs.append((ahead[-1], ahead[0]))
        for first, second in pairs:
            both = (first >= 0) & (second >= 0)
            a, b = first[both], second[both]
            yield axis, a, b, link * 2 / (1 / values[a] + 1 / values[b])


def _solved(
    faces: Sequence[Faces], to_planes: NDArray[np.float64], source: NDArray[np.float64]
) -> NDArray[np.float64]:
    diagonal = to_planes.copy()
    rows, columns, entries = [], [], []
    for _, first, second, g in faces:
        rows += [first, second]
        columns += [second, first]
        entries += [-g, -g]
        np.add.at(diagonal, first, g)
        np.add.at(diagonal, second, g)
    n = len(source)
    diagonal[diagonal == 0] = 1  # of a cell by itself, with no source
    place = np.arange(n)
    matrix = sparse.csr_array(
        (
            np.concatenate([*entries, diagonal]),
            (np.concatenate([*rows, place]), np.concatenate([*columns, place])),
        ),
        shape=(n, n),
    )
    # Half of it, so that the residual itself, which the iteration only updates, is below it too.
    c, _ = cg(
        matrix, source, rtol=RESIDUAL / 2, atol=0, maxiter=20_000, M=sparse.diags(1 / diagonal)
    )
    residual = np.linalg.norm(matrix @ c - source)
    if residual > RESIDUAL * np.linalg.norm(source):
        raise RuntimeError(f"the reference solve did not converge: residual {residual:.2g}")
    return c
