"""Conjugate gradients preconditioned by multigrid: the algorithm, whatever it runs on.

It solves steady diffusion on the grid of `metrics.diffusivity`: cell centres, a conductance for
each face between conducting voxels, planes of fixed concentration half a voxel outside. Before and
after a coarse correction cells are relaxed colour by colour, in opposite order: the cycle is
symmetric, as conjugate gradients require. Each coarse grid is visited twice, which keeps the
iterations from growing with the volume.

What works on the voxels is a `System`: `metrics.solver.cells` on a CPU, `metrics.solver.arrays` on
a GPU. It may hold several volumes, each with its own scalars: a row of them is `Scalars`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Scalars = NDArray[np.float64]  # (B,), one a volume

CHECK_EVERY = 2
# Conjugate gradients in float32 only believe that their residual falls further: it is then made
# anew from the solution, which is float64.
ROUNDING = 1e-4
# What no plane is connected to has a singular matrix: a little of its diagonal is added, too little
# to be seen by the rest, enough for float32.
REGULAR = 1e-5


class Level(Protocol):
    """One grid, and what is kept of it between cycles: a source, and a solution for it."""

    colours: int  # no two neighbours are of one

    def start(self) -> None:
        """Relax the first colour from a solution of 0."""

    def relax(self, colour: int) -> None:
        """Solve for each cell of a colour, its neighbours fixed."""

    def restrict(self, coarse: Any) -> None:
        """Make the residual the source of the next coarser grid."""

    def prolong(self, coarse: Any) -> None:
        """Add the solution of the next coarser grid."""

    def solve(self) -> None:
        """Solve at once; of the coarsest grid."""


class System(Protocol):
    """Equations of B volumes of one shape, and their solution.

    The first level's source is their residual, its solution the preconditioned residual.
    """

    levels: Sequence[Any]
    shape: tuple[int, ...]

    def fields(self) -> tuple[Any, Any]:
        """A search direction of 0, and place for what the matrix makes of it."""

    def source_size(self) -> Scalars:
        """Norm of what flows in from the planes where the solution is 0."""

    def set_profile(self) -> None:
        """Start from the solution of an open volume."""

    def set_residual(self) -> Scalars:
        """Make the residual anew from the solution; its square."""

    def dot(self) -> Scalars:
        """Residual times preconditioned residual."""

    def set_direction(self, p: Any, beta: Scalars) -> None:
        """Set p to the preconditioned residual + beta p."""

    def multiply(self, p: Any, q: Any) -> Scalars:
        """Set q to A p; p q."""

    def advance(self, p: Any, q: Any, length: Scalars) -> Scalars:
        """Step along p; square of the residual that is left."""

    def fluxes(self) -> NDArray[np.float64]:
        """(B, Z + 1): through each layer of faces, from the first plane to the last."""

    def energy(self, other: Any) -> Scalars:
        """Sum over faces of conductance times both drops: of its solution, and of another's."""


class Flow(NamedTuple):
    """What is known of each of B volumes, all (B,) ndarrays.

    Attributes
    ----------
    value : float64
        Conductance over that of an open volume of conductivity 1.
    spread : float64
        (max - min) / mean of the fluxes through the layers.
    residual : float64
        Euclidean norm of the residual over that of the source.
    iterations : int64
    """

    value: Scalars
    spread: Scalars
    residual: Scalars
    iterations: NDArray[np.int64]


def solve(system: System, *, tol: float, max_iterations: int) -> Flow:
    """Steady state between planes before the first and behind the last layer.

    Parameters
    ----------
    system : System
        At least one cluster of each volume must connect both layers.
    tol : float
        Bound of both `Flow.spread` and `Flow.residual`.
    max_iterations : int
        Of conjugate gradients.
    """
    size = system.source_size()
    system.set_profile()

    def done(residual: Scalars) -> NDArray[np.bool_]:
        small = residual < tol * size
        return small & (_spread(system) < tol) if small.any() else small

    residual, iterations = _conjugate_gradients(system, done, max_iterations)
    layers, *section = system.shape
    value = system.energy(system) * layers / np.prod(section)
    return Flow(value, _spread(system), residual / size, iterations)


def homogenise(
    systems: Sequence[System], *, tol: float, max_iterations: int
) -> tuple[NDArray[np.float64], float]:
    """Energies of each pair of systems that differ in their mean gradient, and largest residual.

    `tol` bounds the residual over that of the mean gradient alone.
    """
    worst = max(_solve_gradient(system, tol, max_iterations) for system in systems)
    return np.array([[a.energy(b)[0] for b in systems] for a in systems]), worst


def _solve_gradient(system: System, tol: float, max_iterations: int) -> float:
    """Solve for the gradient of a system: its residual over that of the gradient alone."""
    size = np.sqrt(system.set_residual())  # the solution is 0 yet

    def done(residual: Scalars) -> NDArray[np.bool_]:
        return residual < tol * size

    residual, _ = _conjugate_gradients(system, done, max_iterations)
    return float(_ratio(residual, size, size > 0).max())


def inverse_of(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the matrix of the coarsest grid."""
    return np.asarray(np.linalg.inv(matrix + REGULAR * np.diag(matrix.diagonal())))


def _conjugate_gradients(
    system: System, done: Callable[[Scalars], NDArray[np.bool_]], max_iterations: int
) -> tuple[Scalars, NDArray[np.int64]]:
    """Improve each solution until it is done: norm of its residual, and its iterations."""
    p, q = system.fields()
    start = residual = np.sqrt(system.set_residual())
    at_rest = start == 0
    rho, iterations = np.ones_like(start), np.zeros(len(start), np.int64)
    for iteration in range(1, max_iterations + 1):
        if at_rest.all():
            break
        _cycle(system.levels, 0)
        before, rho = rho, system.dot()
        system.set_direction(p, _ratio(rho, before, ~at_rest))
        length = _ratio(rho, system.multiply(p, q), ~at_rest)
        residual = np.sqrt(system.advance(p, q, length))
        iterations[~at_rest] = iteration
        if iteration % CHECK_EVERY == 0:
            at_rest = at_rest | done(residual)
        worn = ~at_rest & (residual < ROUNDING * start)
        if worn.any():
            start = np.where(worn, np.sqrt(system.set_residual()), start)
            at_rest = at_rest | (start == 0)
    return residual, iterations


def _ratio(a: Scalars, b: Scalars, where: NDArray[np.bool_]) -> Scalars:
    """Ratio of a to b, and 0 elsewhere."""
    return np.divide(a, b, out=np.zeros_like(a), where=where)


def _spread(system: System) -> Scalars:
    fluxes = system.fluxes()
    return np.asarray(np.ptp(fluxes, axis=1) / fluxes.mean(axis=1))


def _cycle(levels: Sequence[Level], depth: int) -> None:
    """Solve one level for its source, approximately."""
    level = levels[depth]
    if depth + 1 == len(levels):
        level.solve()
        return
    forward, backward = range(1, level.colours), range(level.colours - 1, -1, -1)
    level.start()
    for _ in range(2 if depth else 1):
        # The colour that was relaxed last, the first, has no residual.
        for colour in forward:
            level.relax(colour)
        level.restrict(levels[depth + 1])
        _cycle(levels, depth + 1)
        level.prolong(levels[depth + 1])
        for colour in backward:
            level.relax(colour)
