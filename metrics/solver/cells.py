"""Steady diffusion on the list of conducting cells: the numba back end of multigrid.

Neighbours are found by their numbers (`metrics.solver.cells_grid`), so that nothing is spent on
what does not conduct. The solution is float64, what corrects it float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float32
from metrics.solver import cells_loops
from metrics.solver.cells_grid import Grid, cell_numbers, grids
from metrics.solver.multigrid import Scalars, inverse_of

Conductivity = NDArray[np.bool_] | NDArray[np.float32]

NO_GRADIENT = np.zeros(3)


class CellLevel:
    """A grid with solution and source of its cells, and at their ends a 0 for where no cell is."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.ranges = grid.colours
        self.colours = len(self.ranges)
        self.x, self.b = (np.zeros(len(grid.inverse) + 1, np.float32) for _ in "xb")

    def start(self) -> None:
        _, first = self.ranges[0]
        np.multiply(self.grid.inverse[:first], self.b[:first], out=self.x[:first])
        self.x[first:] = 0

    def relax(self, colour: int) -> None:
        cells_loops.relax(self.grid, self.x, self.b, *self.ranges[colour])

    def restrict(self, coarse: CellLevel) -> None:
        coarse.b[:] = 0
        cells_loops.restrict(self.grid, self.x, self.b, coarse.b)

    def prolong(self, coarse: CellLevel) -> None:
        cells_loops.prolong(self.grid, self.x, coarse.x)

    def solve(self) -> None:
        self.x[:-1] = self._inverse @ self.b[:-1]

    @cached_property
    def _inverse(self) -> Float32:
        """Of the matrix of conductances."""
        grid, n = self.grid, len(self.x) - 1
        matrix = np.zeros((n, n + 1))
        for d, others in enumerate(grid.neighbours):
            along = grid.weights[d // 2] if grid.weights.ndim == 1 else grid.weights[d]
            np.subtract.at(matrix, (np.arange(n), others), along)
        sums = np.divide(1, grid.inverse, out=np.ones(n), where=grid.inverse > 0)
        return inverse_of(matrix[:, :n] + np.diag(sums)).astype(np.float32)


class Cells:
    """One volume: the equations, their solution, and the grids that systems may share.

    Parameters
    ----------
    levels : sequence of CellLevel
        Of the volume and of the coarse grids above it.
    shape : (int, int, int)
        Of the volume.
    rings : (bool, bool, bool)
        Axes along which the last cell is a neighbour of the first.
    step : (3,) float64 ndarray
        Rises from cell to cell along z, y, x of a gradient that is added to the solution.
    """

    def __init__(
        self,
        levels: Sequence[CellLevel],
        shape: tuple[int, ...],
        rings: Sequence[bool],
        step: NDArray[np.float64] = NO_GRADIENT,
    ) -> None:
        self.levels, self.shape, self.rings, self.step = levels, shape, rings, step
        self.finest = levels[0]
        self.grid = self.finest.grid
        self.x = np.zeros(len(self.finest.x))

    @classmethod
    def between_planes(
        cls, conductivity: Conductivity, spacing: Sequence[float], *, periodic: bool
    ) -> Cells:
        """A volume with planes of concentration 1 and 0 half a voxel before and behind it.

        Parameters
        ----------
        conductivity : (Z, Y, X) bool or float32 ndarray
            Where it conducts, or how well.
        spacing : (float, float, float)
            Edge lengths of a voxel.
        periodic : bool
            Whether what leaves through a side enters at the opposite one; else nothing leaves.
        """
        rings = (False, periodic, periodic)
        levels = _levels(grids(conductivity, spacing, planes=True, rings=rings))
        return cls(levels, conductivity.shape, rings)

    @classmethod
    def repeated(cls, conductivity: Conductivity, spacing: Sequence[float]) -> list[Cells]:
        """A volume repeated along all axes, under a gradient of 1 along each in turn."""
        rings = (True, True, True)
        levels = _levels(grids(conductivity, spacing, planes=False, rings=rings))
        return [
            cls(levels, conductivity.shape, rings, step)
            for step in np.diag(np.array(spacing, float))
        ]

    def fields(self) -> tuple[Float32, Float32]:
        return np.zeros_like(self.finest.x), np.empty_like(self.finest.x)

    def source_size(self) -> Scalars:
        return _one(cells_loops.source_size(self.grid))

    def set_profile(self) -> None:
        cells_loops.set_profile(self.grid, self.x)

    def set_residual(self) -> Scalars:
        return _one(cells_loops.set_residual(self.grid, self.x, self.step, self.finest.b))

    def dot(self) -> Scalars:
        return _one(cells_loops.dot(self.finest.x, self.finest.b))

    def set_direction(self, p: Float32, beta: Scalars) -> None:
        cells_loops.direction(p, self.finest.x, beta[0])

    def multiply(self, p: Float32, q: Float32) -> Scalars:
        return _one(cells_loops.multiply(self.grid, p, q))

    def advance(self, p: Float32, q: Float32, length: Scalars) -> Scalars:
        return _one(cells_loops.advance(self.x, self.finest.b, p, q, length[0]))

    def fluxes(self) -> NDArray[np.float64]:
        return np.array([cells_loops.fluxes(self.grid, self.x)])

    def energy(self, other: Cells) -> Scalars:
        return _one(cells_loops.energy(self.grid, self.x, other.x, self.step, other.step))

    def concentrations(self, bodies: Sequence[Conductivity]) -> list[Float32]:
        """Solution at each voxel of the body; 0 where nothing conducts."""
        x = self.x.astype(np.float32)
        return [x[cell_numbers(body, self.rings)] for body in bodies]


def _levels(of: Sequence[Grid]) -> list[CellLevel]:
    return [CellLevel(grid) for grid in of]


def _one(value: float) -> Scalars:
    return np.array([value])
