"""Passes over the list of conducting cells: what `metrics.solver.cells` does in compiled loops."""

from __future__ import annotations

import numba
import numpy as np

from metrics.solver.cells_grid import inline, kernel, weight, weight_to_plane


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
    n = np.uint32(neighbours.shape[1])
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
def relax(grid, x, b, start, stop):  # type: ignore[no-untyped-def]
    """Solve for each cell of a colour."""
    for k in numba.prange(stop - start):
        i = np.uint64(start + k)  # unsigned: see grids
        x[i] = grid.inverse[i] * (b[i] + _from_neighbours(grid.neighbours, grid.weights, x, i))


@kernel
def restrict(grid, x, b, coarse):  # type: ignore[no-untyped-def]
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
def prolong(grid, x, coarse):  # type: ignore[no-untyped-def]
    """Add to each cell what its coarse cell has."""
    for i in numba.prange(len(grid.parents)):
        x[i] += coarse[grid.parents[i]]


@kernel
def multiply(grid, p, q):  # type: ignore[no-untyped-def]
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
def set_residual(grid, x, step, r):  # type: ignore[no-untyped-def]
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


@inline
def source_size(grid):  # type: ignore[no-untyped-def]
    """Norm of the conductances to the plane of concentration 1."""
    total = 0.0
    for colour in range(len(grid.begins)):
        for i in range(grid.begins[colour, 0], grid.begins[colour, 1]):
            total += np.float64(weight_to_plane(grid.weights, 0, i)) ** 2
    return np.sqrt(total)


@kernel
def set_profile(grid, x):  # type: ignore[no-untyped-def]
    """Concentration of an open volume."""
    layers = grid.begins.shape[1] - 1
    for k in numba.prange(layers):
        for colour in range(len(grid.begins)):
            for i in range(grid.begins[colour, k], grid.begins[colour, k + 1]):
                x[i] = 1 - (k + 0.5) / layers


@kernel
def advance(x, r, p, q, step):  # type: ignore[no-untyped-def]
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
def direction(p, z, beta):  # type: ignore[no-untyped-def]
    """Set p to z + beta p."""
    factor = np.float32(beta)
    for i in numba.prange(len(p) - 1):
        p[i] = z[i] + factor * p[i]


@kernel
def dot(a, b):  # type: ignore[no-untyped-def]
    """Return a b."""
    total = 0.0
    for i in numba.prange(len(a)):
        total += np.float64(a[i] * b[i])
    return total


@kernel
def fluxes(grid, x):  # type: ignore[no-untyped-def]
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
def energy(grid, x, y, step_x, step_y):  # type: ignore[no-untyped-def]
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
