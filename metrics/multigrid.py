"""Steady diffusion between two planes: conjugate gradients, preconditioned by multigrid.

The grid is that of `metrics.diffusivity`: cell centres, a conductance for each face between
conducting voxels, planes of fixed concentration half a voxel outside. One layer of cells around the
volume, where the unknown is 0, stands for the planes: the kernels need no bounds.

A coarse cell is 2 x 2 x 2 fine ones, the conductance of its face half the sum of the four: of the
sum by twice the area, over twice the distance. A correction that is constant in a coarse cell is
thus as large as it should be, without the over-correction that plain aggregation needs. Before and
after the correction, cells of one parity are relaxed and then those of the other, in opposite
order: the cycle is symmetric, as conjugate gradients require.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

COARSEST = 4  # cells along the longest side
COARSEST_SWEEPS = 8
CHECK_EVERY = 2


class Flow(NamedTuple):
    """Solution for one volume.

    Attributes
    ----------
    value : float
        Conductance over that of an open volume: D_eff/D_0.
    spread : float
        (max - min) / mean of the fluxes through the layers.
    residual : float
        Euclidean norm of the residual over that of the source.
    iterations : int
    concentration : (Z, Y, X) float32 ndarray
        From 1 at the first plane to 0 at the last; 0 outside the phase.
    """

    value: float
    spread: float
    residual: float
    iterations: int
    concentration: Field


class Level(NamedTuple):
    """One grid: conductances of the faces before each cell, and what is kept between cycles."""

    faces: tuple[Field, Field, Field]
    inverse: Field  # of the sum over the six faces; 0 where nothing conducts
    x: Field
    b: Field


def solve(
    mask: NDArray[np.bool_], spacing: Sequence[float], *, tol: float, max_iterations: int
) -> Flow:
    """Steady state of the True voxels, which must connect the first and the last layer.

    Parameters
    ----------
    mask : (Z, Y, X) bool ndarray
        Conducting voxels; the flux is along the first axis, and nothing leaves through the sides.
    spacing : (float, float, float)
        Edge lengths of a voxel.
    tol : float
        Bound of both `Flow.spread` and `Flow.residual`.
    max_iterations : int
        Of conjugate gradients.
    """
    weights = tuple(np.float32((spacing[0] / step) ** 2) for step in spacing)
    levels = _levels(mask, weights)
    top, layers = levels[0], mask.shape[0]
    area = mask.shape[1] * mask.shape[2]
    x, p, q = (np.zeros_like(top.x) for _ in range(3))
    r = top.b  # conjugate gradients keep their residual where the first level expects it
    _set_source(top.faces[0], r)
    size = np.sqrt(_dot(r, r))
    rho = 1.0
    for iteration in range(1, max_iterations + 1):
        z = _cycle(levels, 0)
        before, rho = rho, _dot(r, z)
        _direction(p, z, rho / before if iteration > 1 else 0.0)
        step = rho / _multiply(top.faces, p, q)
        residual = np.sqrt(_advance(x, r, p, q, step)) / size
        even = iteration % CHECK_EVERY == 0
        if even and residual < tol and _spread(_fluxes(top.faces, x)[0]) < tol:
            break
    fluxes, energy = _fluxes(top.faces, x)
    value = energy * layers / area
    concentration = x[1:-1, 1:-1, 1:-1]
    return Flow(float(value), _spread(fluxes), float(residual), iteration, concentration)


def _spread(fluxes: NDArray[np.float64]) -> float:
    return float(np.ptp(fluxes) / fluxes.mean())


def _levels(mask: NDArray[np.bool_], weights: Sequence[np.float32]) -> list[Level]:
    shape = tuple(n + 2 for n in mask.shape)
    faces = _zeros(shape), _zeros(shape), _zeros(shape)
    _open_faces(np.ascontiguousarray(mask), *faces, *weights)
    levels = []
    while True:
        inverse = _zeros(shape)
        _inverse(*faces, inverse)
        levels.append(Level(faces, inverse, _zeros(shape), _zeros(shape)))
        if max(shape) - 2 <= COARSEST:
            return levels
        shape = tuple((n - 1) // 2 + 2 for n in shape)
        coarse = _zeros(shape), _zeros(shape), _zeros(shape)
        for axis in range(3):
            # Seen with the axis first, one kernel serves all three.
            _coarsen(np.moveaxis(faces[axis], axis, 0), np.moveaxis(coarse[axis], axis, 0))
        faces = coarse


def _zeros(shape: tuple[int, ...]) -> Field:
    return np.zeros(shape, np.float32)


def _cycle(levels: list[Level], depth: int) -> Field:
    """Approximate solution of one level for its source `b`."""
    level = levels[depth]
    x, b, inverse = level.x, level.b, level.inverse
    _start(x, b, inverse)
    _relax(level.faces, inverse, x, b, 1)
    if depth + 1 == len(levels):
        for _ in range(COARSEST_SWEEPS):
            _relax(level.faces, inverse, x, b, 0)
            _relax(level.faces, inverse, x, b, 1)
            _relax(level.faces, inverse, x, b, 0)
        return x
    _restrict(level.faces, inverse, x, b, levels[depth + 1].b)
    _prolong(x, inverse, _cycle(levels, depth + 1))
    _relax(level.faces, inverse, x, b, 1)
    _relax(level.faces, inverse, x, b, 0)
    return x


# Sums and differences of float32 within a row, sums over rows in float64.
_kernel: Any = numba.njit(parallel=True, cache=True, fastmath=True, error_model="numpy")


@_kernel
def _open_faces(mask, gz, gy, gx, wz, wy, wx):  # type: ignore[no-untyped-def]
    nz, ny, nx = mask.shape
    for k in numba.prange(nz + 1):
        for j in range(ny):
            for i in range(nx):
                here = k < nz and mask[k, j, i]
                before = k > 0 and mask[k - 1, j, i]
                if k == 0 or k == nz:
                    # Half a voxel from the plane.
                    gz[k + 1, j + 1, i + 1] = 2 * wz if here or before else 0
                elif here and before:
                    gz[k + 1, j + 1, i + 1] = wz
                if here:
                    if j > 0 and mask[k, j - 1, i]:
                        gy[k + 1, j + 1, i + 1] = wy
                    if i > 0 and mask[k, j, i - 1]:
                        gx[k + 1, j + 1, i + 1] = wx


@_kernel
def _inverse(gz, gy, gx, inverse):  # type: ignore[no-untyped-def]
    nz, ny, nx = inverse.shape
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                total = (
                    gz[k, j, i] + gz[k + 1, j, i] + gy[k, j, i] + gy[k, j + 1, i]
                    + gx[k, j, i] + gx[k, j, i + 1]
                )  # fmt: skip
                inverse[k, j, i] = 1 / total if total > 0 else 0


@_kernel
def _coarsen(fine, coarse):  # type: ignore[no-untyped-def]
    """Faces before each cell along the first axis: half the sum of the four in each."""
    nz, ny, nx = coarse.shape
    last = fine.shape[0] - 1
    for k in numba.prange(1, nz):
        # The plane behind the last layer, which need not be at an even place.
        source = last if k == nz - 1 else 2 * k - 1
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                total = np.float32(0)
                for b in range(2 * j - 1, min(2 * j + 1, fine.shape[1] - 1)):
                    for a in range(2 * i - 1, min(2 * i + 1, fine.shape[2] - 1)):
                        total += fine[source, b, a]
                coarse[k, j, i] = total / 2


@_kernel
def _set_source(gz, b):  # type: ignore[no-untyped-def]
    _, ny, nx = b.shape
    for j in numba.prange(1, ny - 1):
        for i in range(1, nx - 1):
            b[1, j, i] = gz[1, j, i]


@_kernel
def _start(x, b, inverse):  # type: ignore[no-untyped-def]
    """Relax the even cells of x = 0, and clear the odd ones."""
    nz, ny, nx = x.shape
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                x[k, j, i] = b[k, j, i] * inverse[k, j, i] if (k + j + i) % 2 == 0 else 0


@_kernel
def _relax(faces, inverse, x, b, parity):  # type: ignore[no-untyped-def]
    gz, gy, gx = faces
    nz, ny, nx = x.shape
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1 + (k + j + 1 + parity) % 2, nx - 1, 2):
                if inverse[k, j, i] > 0:
                    x[k, j, i] = inverse[k, j, i] * (
                        b[k, j, i]
                        + gz[k, j, i] * x[k - 1, j, i] + gz[k + 1, j, i] * x[k + 1, j, i]
                        + gy[k, j, i] * x[k, j - 1, i] + gy[k, j + 1, i] * x[k, j + 1, i]
                        + gx[k, j, i] * x[k, j, i - 1] + gx[k, j, i + 1] * x[k, j, i + 1]
                    )  # fmt: skip


@_kernel
def _restrict(faces, inverse, x, b, coarse):  # type: ignore[no-untyped-def]
    """Sum of the residuals in each coarse cell; those of odd cells, relaxed last, are 0."""
    gz, gy, gx = faces
    nz, ny, nx = coarse.shape
    last_z, last_y, last_x = x.shape[0] - 1, x.shape[1] - 1, x.shape[2] - 1
    for c in numba.prange(1, nz - 1):
        for d in range(1, ny - 1):
            for e in range(1, nx - 1):
                total = np.float32(0)
                for k in range(2 * c - 1, min(2 * c + 1, last_z)):
                    for j in range(2 * d - 1, min(2 * d + 1, last_y)):
                        for i in range(2 * e - 1, min(2 * e + 1, last_x)):
                            if (k + j + i) % 2 == 0 and inverse[k, j, i] > 0:
                                total += (
                                    b[k, j, i]
                                    - x[k, j, i] / inverse[k, j, i]
                                    + gz[k, j, i] * x[k - 1, j, i]
                                    + gz[k + 1, j, i] * x[k + 1, j, i]
                                    + gy[k, j, i] * x[k, j - 1, i]
                                    + gy[k, j + 1, i] * x[k, j + 1, i]
                                    + gx[k, j, i] * x[k, j, i - 1]
                                    + gx[k, j, i + 1] * x[k, j, i + 1]
                                )
                coarse[c, d, e] = total


@_kernel
def _prolong(x, inverse, coarse):  # type: ignore[no-untyped-def]
    nz, ny, nx = x.shape
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                if inverse[k, j, i] > 0:
                    x[k, j, i] += coarse[(k + 1) // 2, (j + 1) // 2, (i + 1) // 2]


@_kernel
def _multiply(faces, p, q):  # type: ignore[no-untyped-def]
    """Set q to A p, and return p q."""
    gz, gy, gx = faces
    nz, ny, nx = p.shape
    total = 0.0
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            row = np.float32(0)
            for i in range(1, nx - 1):
                here = p[k, j, i]
                out = (
                    gz[k, j, i] * (here - p[k - 1, j, i])
                    + gz[k + 1, j, i] * (here - p[k + 1, j, i])
                    + gy[k, j, i] * (here - p[k, j - 1, i])
                    + gy[k, j + 1, i] * (here - p[k, j + 1, i])
                    + gx[k, j, i] * (here - p[k, j, i - 1])
                    + gx[k, j, i + 1] * (here - p[k, j, i + 1])
                )
                q[k, j, i] = out
                row += here * out
            total += float(row)
    return total


@_kernel
def _advance(x, r, p, q, step):  # type: ignore[no-untyped-def]
    """Step along p, and return r r."""
    nz, ny, nx = x.shape
    a = np.float32(step)
    total = 0.0
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            row = np.float32(0)
            for i in range(1, nx - 1):
                x[k, j, i] += a * p[k, j, i]
                rest = r[k, j, i] - a * q[k, j, i]
                r[k, j, i] = rest
                row += rest * rest
            total += float(row)
    return total


@_kernel
def _direction(p, z, beta):  # type: ignore[no-untyped-def]
    nz, ny, nx = p.shape
    factor = np.float32(beta)
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                p[k, j, i] = z[k, j, i] + factor * p[k, j, i]


@_kernel
def _dot(a, b):  # type: ignore[no-untyped-def]
    nz, ny, nx = a.shape
    total = 0.0
    for k in numba.prange(1, nz - 1):
        for j in range(1, ny - 1):
            row = np.float32(0)
            for i in range(1, nx - 1):
                row += a[k, j, i] * b[k, j, i]
            total += float(row)
    return total


@_kernel
def _fluxes(faces, x):  # type: ignore[no-untyped-def]
    """Flux through each layer of faces, and the energy: sum of conductance times drop squared."""
    gz, gy, gx = faces
    nz, ny, nx = x.shape
    fluxes = np.zeros(nz - 1)
    energies = np.zeros(nz - 1)
    for k in numba.prange(1, nz):
        for j in range(1, ny - 1):
            flux, energy = np.float32(0), np.float32(0)
            for i in range(1, nx - 1):
                # In front of the first layer lies the plane of concentration 1.
                before = np.float32(1) if k == 1 else x[k - 1, j, i]
                here = x[k, j, i]
                drop = before - here
                flux += gz[k, j, i] * drop
                sideways, across = here - x[k, j - 1, i], here - x[k, j, i - 1]
                energy += (
                    gz[k, j, i] * drop * drop
                    + gy[k, j, i] * sideways * sideways + gx[k, j, i] * across * across
                )  # fmt: skip
            fluxes[k - 1] += flux
            energies[k - 1] += energy
    return fluxes, energies.sum()
