"""Conducting cells as a list, and the coarser grids above them: what multigrid works on.

Only cells that conduct are kept. They are numbered by colour, so that no two neighbours are of one
colour: first those whose indices have an even sum, then the odd ones; where an odd number of cells
closes to a ring, a third colour breaks it. Within a colour the order is that of the volume.

A coarse cell is 2 x 2 x 2 fine ones, the conductance of its face half the sum of the four: of the
sum by twice the area, over twice the distance. A correction that is constant in a coarse cell is
thus as large as it should be, without the over-correction that plain aggregation needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float32
from metrics.machine.compiled import compiled

Numbers = NDArray[np.int32]
# Unsigned, as numba looks for negative indices of others: a pass takes a third of the time.
Links = NDArray[np.uint32]

COARSEST = 4  # cells along the longest side

kernel: Any = compiled(parallel=True, fastmath=True, error_model="numpy")
inline: Any = compiled(fastmath=True, error_model="numpy")


class Grid(NamedTuple):
    """One grid of n conducting cells in Z layers.

    Attributes
    ----------
    neighbours : (6, n) uint32 ndarray
        Numbers of the cells before and after along z, y, x; n where there is none.
    weights : (3,) or (6, n) float32 ndarray
        Conductances: of all faces normal to z, y, x; or of each face of each cell, to a plane where
        a cell of the first or last layer has no neighbour.
    inverse : (n,) float32 ndarray
        One over the sum of the conductances of a cell, planes included; 0 where that is 0.
    begins : (colours, Z + 1) uint32 ndarray
        Number of the first cell of each layer of each colour, and of the one after the last.
    parents : (n,) uint32 ndarray
        Number of the coarse cell around each; empty for the coarsest grid.
    planes : bool
        Whether the first and the last layer lie half a cell from planes.
    """

    neighbours: Links
    weights: Float32
    inverse: Float32
    begins: Links
    parents: Links
    planes: bool

    @property
    def colours(self) -> list[tuple[int, int]]:
        """First cell of each colour, and the one after its last."""
        return list(pairwise([*self.begins[:, 0].tolist(), int(self.begins[-1, -1])]))


def grids(
    conductivity: NDArray[np.bool_ | np.float32],
    spacing: Sequence[float],
    *,
    planes: bool,
    rings: Sequence[bool],
) -> list[Grid]:
    """The grid of a body and the coarser ones above it.

    Parameters
    ----------
    conductivity : (Z, Y, X) bool or float32 ndarray
        Where it conducts; or how well, 0 where not.
    spacing : (float, float, float)
        Edge lengths of a cell. Conductances are in units of that between two cells of conductivity
        1 along z.
    planes : bool
        Whether planes lie half a cell before the first and behind the last layer.
    rings : (bool, bool, bool)
        Axes along which the last cell is a neighbour of the first.
    """
    links = np.array([(spacing[0] / step) ** 2 for step in spacing], np.float32)
    numbers, begins = _numbered(conductivity != 0, rings)
    neighbours = _neighbours(numbers, begins, rings)
    weights = links
    if conductivity.dtype != np.bool_:
        weights = np.zeros(neighbours.shape, np.float32)
        _harmonic(np.ascontiguousarray(conductivity), numbers, neighbours, links, planes, weights)
    levels: list[Grid] = []
    while True:
        inverse = np.empty(neighbours.shape[1], np.float32)
        _invert(neighbours, weights, begins, planes, inverse)
        if max(numbers.shape) <= COARSEST:
            none = np.empty(0, np.uint32)
            return [*levels, Grid(neighbours, weights, inverse, begins, none, planes)]
        above = np.zeros([(n + 1) // 2 for n in numbers.shape], np.bool_)
        _cover(numbers, above)
        coarse, coarse_begins = _numbered(above, rings)
        parents = np.empty(neighbours.shape[1], np.uint32)
        _adopt(numbers, coarse, parents)
        levels.append(Grid(neighbours, weights, inverse, begins, parents, planes))
        numbers, begins = coarse, coarse_begins
        neighbours = _neighbours(numbers, begins, rings)
        weights = np.zeros(neighbours.shape, np.float32)
        _coarsen(levels[-1], weights)


def cell_numbers(conductivity: NDArray[Any], rings: Sequence[bool]) -> Numbers:
    """Number that `grids` gives each cell, -1 where nothing conducts."""
    return _numbered(conductivity != 0, rings)[0]


def colours_along(
    shape: Sequence[int], rings: Sequence[bool]
) -> tuple[list[NDArray[np.int64]], int]:
    """Numbers along z, y, x whose sum, modulo that of the colours, is the colour of a cell."""
    along, colours = [np.arange(n) % 2 for n in shape], 2
    for numbers, ring in zip(along, rings, strict=True):
        if ring and len(numbers) % 2 and len(numbers) > 1:
            numbers[-1], colours = 2, 3
    return along, colours


def _numbered(mask: NDArray[np.bool_], rings: Sequence[bool]) -> tuple[Numbers, Links]:
    """Number of each True cell, -1 elsewhere; and where layers and colours begin."""
    mask = np.ascontiguousarray(mask)
    along, colours = colours_along(mask.shape, rings)
    counts = np.zeros((colours, len(mask)), np.int64)
    _count(mask, *along, counts)
    begins = np.zeros((len(counts), len(mask) + 1), np.uint32)
    begins[:, 1:] = counts.cumsum().reshape(counts.shape)
    begins[1:, 0] = begins[:-1, -1]
    numbers = np.empty(mask.shape, np.int32)
    _enumerate(mask, *along, begins, numbers)
    return numbers, begins


def _neighbours(numbers: Numbers, begins: Links, rings: Sequence[bool]) -> Links:
    places = []
    for n, ring in zip(numbers.shape, rings, strict=True):
        both = np.arange(n) + np.array([[-1], [1]])
        # A ring of one would be its own neighbour.
        places.append(both % n if ring and n > 1 else np.where(both < n, both, -1))
    found = np.empty((6, int(begins[-1, -1])), np.uint32)
    _link(numbers, *places, found)
    return found


@inline
def weight(weights, d, i):  # type: ignore[no-untyped-def]
    """Conductance of face d (as in `Grid.neighbours`) of cell i."""
    if weights.ndim == 1:
        return weights[d // 2]
    else:
        return weights[d, i]


@inline
def weight_to_plane(weights, d, i):  # type: ignore[no-untyped-def]
    """Conductance of cell i of an end layer to its plane, half a cell away."""
    if weights.ndim == 1:
        return 2 * weights[0]
    else:
        return weights[d, i]


@kernel
def _count(mask, cz, cy, cx, counts):  # type: ignore[no-untyped-def]
    nz, ny, nx = mask.shape
    colours = len(counts)
    for k in numba.prange(nz):
        for j in range(ny):
            for i in range(nx):
                if mask[k, j, i]:
                    counts[(cz[k] + cy[j] + cx[i]) % colours, k] += 1


@kernel
def _enumerate(mask, cz, cy, cx, begins, numbers):  # type: ignore[no-untyped-def]
    nz, ny, nx = mask.shape
    colours = len(begins)
    for k in numba.prange(nz):
        following = begins[:, k].copy()
        for j in range(ny):
            for i in range(nx):
                if mask[k, j, i]:
                    colour = (cz[k] + cy[j] + cx[i]) % colours
                    numbers[k, j, i] = following[colour]
                    following[colour] += 1
                else:
                    numbers[k, j, i] = -1


@kernel
def _link(numbers, z, y, x, neighbours):  # type: ignore[no-untyped-def]
    """Numbers of the neighbours at the places before and after along z, y and x."""
    nz, ny, nx = numbers.shape
    n = np.int32(neighbours.shape[1])
    for k in numba.prange(nz):
        for j in range(ny):
            for i in range(nx):
                here = numbers[k, j, i]
                if here >= 0:
                    for side in range(2):
                        along_z = numbers[z[side, k], j, i] if z[side, k] >= 0 else np.int32(-1)
                        along_y = numbers[k, y[side, j], i] if y[side, j] >= 0 else np.int32(-1)
                        along_x = numbers[k, j, x[side, i]] if x[side, i] >= 0 else np.int32(-1)
                        neighbours[side, here] = along_z if along_z >= 0 else n
                        neighbours[2 + side, here] = along_y if along_y >= 0 else n
                        neighbours[4 + side, here] = along_x if along_x >= 0 else n


@kernel
def _harmonic(conductivity, numbers, neighbours, links, planes, weights):  # type: ignore[no-untyped-def]
    """Conductance of each face: half a cell of one conductivity, half of the other, in series."""
    nz, ny, nx = numbers.shape
    n = neighbours.shape[1]
    of_cell = np.empty(n, np.float32)
    for k in numba.prange(nz):
        for j in range(ny):
            for i in range(nx):
                if numbers[k, j, i] >= 0:
                    of_cell[numbers[k, j, i]] = conductivity[k, j, i]
    for k in numba.prange(nz):
        for j in range(ny):
            for i in range(nx):
                here = numbers[k, j, i]
                if here >= 0:
                    a = of_cell[here]
                    for d in range(6):
                        if neighbours[d, here] < n:
                            b = of_cell[neighbours[d, here]]
                            weights[d, here] = 2 * a * b / (a + b) * links[d // 2]
                    if planes and k == 0:
                        weights[0, here] = 2 * a * links[0]
                    if planes and k == nz - 1:
                        weights[1, here] = 2 * a * links[0]


@kernel
def _invert(neighbours, weights, begins, planes, inverse):  # type: ignore[no-untyped-def]
    n = neighbours.shape[1]
    last = begins.shape[1] - 2
    for k in numba.prange(last + 1):
        for colour in range(len(begins)):
            for i in range(begins[colour, k], begins[colour, k + 1]):
                total = np.float32(0)
                for d in range(6):
                    if neighbours[d, i] < n:
                        total += weight(weights, d, i)
                if planes and k == 0:
                    total += weight_to_plane(weights, 0, i)
                if planes and k == last:
                    total += weight_to_plane(weights, 1, i)
                inverse[i] = 1 / total if total > 0 else 0


@kernel
def _cover(numbers, above):  # type: ignore[no-untyped-def]
    """Mark the coarse cells that hold a cell."""
    nz, ny, nx = numbers.shape
    for c in numba.prange(len(above)):
        for k in range(2 * c, min(2 * c + 2, nz)):
            for j in range(ny):
                for i in range(nx):
                    if numbers[k, j, i] >= 0:
                        above[c, j // 2, i // 2] = True


@kernel
def _adopt(numbers, coarse, parents):  # type: ignore[no-untyped-def]
    nz, ny, nx = numbers.shape
    for k in numba.prange(nz):
        for j in range(ny):
            for i in range(nx):
                if numbers[k, j, i] >= 0:
                    parents[numbers[k, j, i]] = coarse[k // 2, j // 2, i // 2]


@kernel
def _coarsen(fine, weights):  # type: ignore[no-untyped-def]
    """Half the conductances of all faces that bound a coarse cell."""
    n = len(fine.parents)
    last = fine.begins.shape[1] - 2
    for c in numba.prange(last // 2 + 1):
        for k in range(2 * c, min(2 * c + 2, last + 1)):
            for colour in range(len(fine.begins)):
                for i in range(fine.begins[colour, k], fine.begins[colour, k + 1]):
                    parent = fine.parents[i]
                    for d in range(6):
                        other = fine.neighbours[d, i]
                        if other < n and fine.parents[other] != parent:
                            weights[d, parent] += weight(fine.weights, d, i) / 2
                    if fine.planes and k == 0:
                        weights[0, parent] += weight_to_plane(fine.weights, 0, i) / 2
                    if fine.planes and k == last:
                        weights[1, parent] += weight_to_plane(fine.weights, 1, i) / 2
