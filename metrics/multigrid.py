"""Steady diffusion on voxels: conjugate gradients, preconditioned by multigrid.

The grid is that of `metrics.diffusivity`: cell centres, a conductance for each face between
conducting voxels, planes of fixed concentration half a voxel outside. Before and after a coarse
correction cells are relaxed colour by colour, in opposite order: the cycle is symmetric, as
conjugate gradients require. Each coarse grid is visited twice, which keeps the iterations from
growing with the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import gt
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from metrics.grids import (
    Floats,
    Grid,
    cell_numbers,
    grids,
    inline,
    kernel,
    weight,
    weight_to_plane,
)

COARSEST_SWEEPS = 8
CHECK_EVERY = 2
# Conjugate gradients in float32 only believe that their residual falls further: it is then made
# anew from the solution, which is float64.
ROUNDING = 1e-4


class Flow(NamedTuple):
    """Solution for one volume.

    Attributes
    ----------
    value : float
        Conductance over that of an open volume of conductivity 1.
    spread : float
        (max - min) / mean of the fluxes through the layers.
    residual : float
        Euclidean norm of the residual over that of the source.
    iterations : int
    x : (n + 1,) float64 ndarray
        Concentration of each conducting cell, from 1 at the first plane to 0 at the last, by its
        number in `metrics.grids`; 0 at the end.
    """

    value: float
    spread: float
    residual: float
    iterations: int
    x: NDArray[np.float64]


class Level(NamedTuple):
    """A grid, and what is kept of it between cycles: solution and source, 0 where no cell is."""

    grid: Grid
    x: Floats
    b: Floats


def solve(
    conductivity: NDArray[np.bool_ | np.float32],
    spacing: Sequence[float],
    *,
    tol: float,
    max_iterations: int,
    periodic: bool = False,
) -> Flow:
    """Steady state between planes before the first and behind the last layer.

    Parameters
    ----------
    conductivity : (Z, Y, X) bool or float32 ndarray
        Where it conducts, or how well. The flux is along the first axis, and at least one cluster
        must connect both layers.
    spacing : (float, float, float)
        Edge lengths of a voxel.
    tol : float
        Bound of both `Flow.spread` and `Flow.residual`.
    max_iterations : int
        Of conjugate gradients.
    periodic : bool
        Whether what leaves through a side enters at the opposite one; else nothing leaves.
    """
    rings = (False, periodic, periodic)
    levels = _levels(grids(conductivity, spacing, planes=True, rings=rings))
    grid, x = levels[0].grid, np.zeros(len(levels[0].x))
    _set_profile(grid, x)
    size = _size_of_source(grid)

    def done(residual: float) -> bool:
        return residual < tol * size and _spread(_fluxes(grid, x)) < tol

    residual, iterations = _conjugate_gradients(levels, x, np.zeros(3), done, max_iterations)
    layers, section = conductivity.shape[0], conductivity[0].size
    value = _energy(grid, x, x, np.zeros(3), np.zeros(3)) * layers / section
    return Flow(value, _spread(_fluxes(grid, x)), residual / size, iterations, x)


def homogenise(
    conductivity: NDArray[np.bool_ | np.float32],
    spacing: Sequence[float],
    *,
    tol: float,
    max_iterations: int,
) -> tuple[NDArray[np.float64], float]:
    """Conductivity tensor of a volume that is repeated along all axes, and the largest residual.

    Parameters are those of `solve`; `tol` bounds the residual over that of the mean gradient alone.
    """
    levels = _levels(grids(conductivity, spacing, planes=False, rings=(True, True, True)))
    grid = levels[0].grid
    steps = np.diag(np.asarray(spacing, float))  # of the mean concentration from cell to cell
    fields, worst = [], 0.0
    for step in steps:
        x = np.zeros(len(levels[0].x))
        size = float(np.sqrt(_set_residual(grid, x, step, levels[0].b)))
        done = partial(gt, tol * size)
        residual, _ = _conjugate_gradients(levels, x, step, done, max_iterations)
        fields.append((x, step))
        worst = max(worst, residual / size if size else 0.0)
    energies = [[_energy(grid, x, y, a, b) for y, b in fields] for x, a in fields]
    return np.array(energies) / (conductivity.size * spacing[0] ** 2), worst


def _conjugate_gradients(
    levels: Sequence[Level],
    x: NDArray[np.float64],
    step: NDArray[np.float64],
    done: Callable[[float], bool],
    max_iterations: int,
) -> tuple[float, int]:
    """Improve x until its residual is small enough; norm of the residual, iterations."""
    grid, _, r = levels[0]  # the residual is kept where the first level expects its source
    p, q = np.zeros_like(r), np.empty_like(r)
    rho = 0.0
    for iteration in range(1, max_iterations + 1):
        if not rho:
            residual = start = np.sqrt(_set_residual(grid, x, step, r))
            if not start:
                return 0.0, iteration - 1
        z = _cycle(levels, 0)
        before, rho = rho, _dot(r, z)
        _direction(p, z, rho / before if before else 0.0)
        length = rho / _multiply(grid, p, q)
        residual = np.sqrt(_advance(x, r, p, q, length))
        if iteration % CHECK_EVERY == 0 and done(residual):
            break
        if residual < ROUNDING * start:
            rho = 0.0
    return float(residual), iteration


def concentration(flow: Flow, conductivity: NDArray[np.generic], *, periodic: bool) -> Floats:
    """Concentration of each voxel of a solved volume; 0 where nothing conducts."""
    numbers = cell_numbers(conductivity, (False, periodic, periodic))
    return flow.x.astype(np.float32)[numbers]


def _levels(of: Sequence[Grid]) -> list[Level]:
    return [
        Level(grid, *(np.zeros(len(grid.inverse) + 1, np.float32) for _ in range(2))) for grid in of
    ]


def _spread(fluxes: NDArray[np.float64]) -> float:
    return float(np.ptp(fluxes) / fluxes.mean())


def _cycle(levels: Sequence[Level], depth: int) -> Floats:
    """Approximate solution of one level for its source."""
    grid, x, b = levels[depth]
    coarsest = depth + 1 == len(levels)
    forward = grid.colours
    backward = forward[::-1]
    x[:] = 0
    for turn in range(COARSEST_SWEEPS if coarsest else 2 if depth else 1):
        # The colour that was relaxed last has no residual.
        for colour in forward[1:] if turn else forward:
            _relax(grid, x, b, *colour)
        if not coarsest:
            below = levels[depth + 1].b
            below[:] = 0
            _restrict(grid, x, b, below)
            _prolong(grid, x, _cycle(levels, depth + 1))
        for colour in backward[1:] if coarsest else backward:
            _relax(grid, x, b, *colour)
    return x


@inline
def _from_neighbours(neighbours, weights, x, i):  # type: ignore[no-untyped-def]
    """Sum of conductance times value over the neighbours of cell i; none counts 0."""
    if weights.ndim == 1:
        return (
            weights[0] * (x[neighbours[0, i]] + x[neighbours[1, i]])
            + weights[1] * (x[neighbours[2, i]] + x[neighbours[3, i]])
            + weights[2] * (x[neighbours[4, i]] + x[neighbours[5, i]])
        )
    else:
        return (
            weights[0, i] * x[neighbours[0, i]] + weights[1, i] * x[neighbours[1, i]]
            + weights[2, i] * x[neighbours[2, i]] + weights[3, i] * x[neighbours[3, i]]
            + weights[4, i] * x[neighbours[4, i]] + weights[5, i] * x[neighbours[5, i]]
        )  # fmt: skip


@inline
def _to_neighbours(neighbours, weights, x, i):  # type: ignore[no-untyped-def]
    """Flux from cell i to its neighbours.

    From differences: as a difference of sums, the rounding of the sum of conductances would act as
    a sink, and fluxes through the layers differ by a thousandth.
    """
    n = np.int32(neighbours.shape[1])
    here, none = x[i], np.float32(0)
    total = none
    if weights.ndim == 1:
        for axis in range(3):
            before, after = neighbours[2 * axis, i], neighbours[2 * axis + 1, i]
            total += weights[axis] * (
                (here - x[before] if before < n else none)
                + (here - x[after] if after < n else none)
            )
    else:
        for d in range(6):
            other = neighbours[d, i]
            total += weights[d, i] * (here - x[other] if other < n else none)
    return total


@kernel
def _relax(grid, x, b, start, stop):  # type: ignore[no-untyped-def]
    for i in numba.prange(start, stop):
        x[i] = grid.inverse[i] * (b[i] + _from_neighbours(grid.neighbours, grid.weights, x, i))


@kernel
def _restrict(grid, x, b, coarse):  # type: ignore[no-untyped-def]
    """Sum of the residuals in each coarse cell; those of the colour relaxed last are 0."""
    layers = grid.begins.shape[1] - 1
    for c in numba.prange((layers + 1) // 2):
        for k in range(2 * c, min(2 * c + 2, layers)):
            for colour in range(len(grid.begins) - 1):
                for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                    if grid.inverse[i] > 0:
                        coarse[grid.parents[i]] += (
                            b[i]
                            - x[i] / grid.inverse[i]
                            + _from_neighbours(grid.neighbours, grid.weights, x, i)
                        )


@kernel
def _prolong(grid, x, coarse):  # type: ignore[no-untyped-def]
    for i in numba.prange(len(grid.parents)):
        x[i] += coarse[grid.parents[i]]


@kernel
def _multiply(grid, p, q):  # type: ignore[no-untyped-def]
    """Set q to A p, and return p q."""
    total = 0.0
    for i in numba.prange(len(grid.inverse)):
        out = _to_neighbours(grid.neighbours, grid.weights, p, i)
        q[i] = out
        total += np.float64(p[i] * out)
    if grid.planes:
        for d in range(2):
            layer = d * (grid.begins.shape[1] - 2)
            for colour in range(len(grid.begins)):
                for i in range(grid.begins[colour, layer], grid.begins[colour, layer + 1]):
                    out = weight_to_plane(grid.weights, d, i) * p[i]
                    q[i] += out
                    total += np.float64(p[i] * out)
    return total


@kernel
def _set_residual(grid, x, step, r):  # type: ignore[no-untyped-def]
    """Set r to what flows into each cell and not out again, and return r r.

    To x a gradient is added that makes these steps from cell to cell along z, y, x.
    """
    n = len(grid.inverse)
    layers = grid.begins.shape[1] - 1
    total = 0.0
    for k in numba.prange(layers):
        of_layer = 0.0
        for colour in range(len(grid.begins)):
            for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                rest = 0.0
                for d in range(6):
                    other = grid.neighbours[d, i]
                    if other < n:
                        rise = x[other] - x[i] + (2 * (d % 2) - 1) * step[d // 2]
                        rest += weight(grid.weights, d, i) * rise
                if grid.planes and k == 0:
                    rest += weight_to_plane(grid.weights, 0, i) * (1 - x[i])
                if grid.planes and k == layers - 1:
                    rest -= weight_to_plane(grid.weights, 1, i) * x[i]
                r[i] = rest
                of_layer += rest * rest
        total += of_layer
    return total


@kernel
def _size_of_source(grid):  # type: ignore[no-untyped-def]
    """Norm of the conductances to the plane of concentration 1."""
    total = 0.0
    for colour in range(len(grid.begins)):
        for i in numba.prange(grid.begins[colour, 0], grid.begins[colour, 1]):
            total += np.float64(weight_to_plane(grid.weights, 0, i)) ** 2
    return np.sqrt(total)


@kernel
def _set_profile(grid, x):  # type: ignore[no-untyped-def]
    """Concentration of an open volume."""
    layers = grid.begins.shape[1] - 1
    for k in numba.prange(layers):
        for colour in range(len(grid.begins)):
            for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                x[i] = 1 - (k + 0.5) / layers


@kernel
def _advance(x, r, p, q, step):  # type: ignore[no-untyped-def]
    """Step along p, and return r r."""
    a = np.float32(step)
    total = 0.0
    for i in numba.prange(len(x) - 1):
        x[i] += np.float64(a * p[i])
        rest = r[i] - a * q[i]
        r[i] = rest
        total += np.float64(rest * rest)
    return total


@kernel
def _direction(p, z, beta):  # type: ignore[no-untyped-def]
    factor = np.float32(beta)
    for i in numba.prange(len(p) - 1):
        p[i] = z[i] + factor * p[i]


@kernel
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in numba.prange(len(a)):
        total += np.float64(a[i] * b[i])
    return total


@kernel
def _fluxes(grid, x):  # type: ignore[no-untyped-def]
    """Flux through each layer of faces, from the first plane to the last."""
    n = len(grid.inverse)
    layers = grid.begins.shape[1] - 1
    fluxes = np.zeros(layers + 1)
    for k in numba.prange(layers):
        flux, behind = 0.0, 0.0
        for colour in range(len(grid.begins)):
            for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                before = grid.neighbours[0, i]
                if before < n:
                    flux += weight(grid.weights, 0, i) * (x[before] - x[i])
                if k == 0:
                    flux += weight_to_plane(grid.weights, 0, i) * (1 - x[i])
                if k == layers - 1:
                    behind += weight_to_plane(grid.weights, 1, i) * x[i]
        fluxes[k] = flux
        if k == layers - 1:
            fluxes[layers] = behind
    return fluxes


@kernel
def _energy(grid, x, y, step_x, step_y):  # type: ignore[no-untyped-def]
    """Sum over faces of conductance, drop of x and drop of y, each with its gradient's steps."""
    n = len(grid.inverse)
    layers = grid.begins.shape[1] - 1
    energies = np.zeros(layers)
    for k in numba.prange(layers):
        energy = 0.0
        for colour in range(len(grid.begins)):
            for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                for axis in range(3):
                    before = grid.neighbours[2 * axis, i]
                    if before < n:
                        drops = x[before] - x[i] - step_x[axis], y[before] - y[i] - step_y[axis]
                        energy += weight(grid.weights, 2 * axis, i) * drops[0] * drops[1]
                if grid.planes and k == 0:
                    energy += weight_to_plane(grid.weights, 0, i) * (1 - x[i]) * (1 - y[i])
                if grid.planes and k == layers - 1:
                    energy += weight_to_plane(grid.weights, 1, i) * x[i] * y[i]
        energies[k] = energy
    return energies.sum()
