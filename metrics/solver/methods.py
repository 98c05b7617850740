"""What solves a steady state for `metrics.diffusivity`: multigrid, or TauFactor."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.solver.cells import Cells
from metrics.solver.multigrid import solve
from metrics.volume import InputError

CHECK_EVERY = 100


class Solution(NamedTuple):
    """What a solver says of one volume: fields of `Diffusivity`."""

    value: float
    residual: float = 0.0
    iterations: int = 0
    converged: bool = True
    concentration: NDArray[np.float32] | None = None  # along the first axis


class Task(NamedTuple):
    """What is asked of a solver."""

    spacing: tuple[float, ...]  # along the flux first
    tol: float
    max_iterations: int
    device: str = "cpu"
    periodic: bool = False
    concentration: bool = False


def check_device(device: str | None) -> None:
    """Raise `InputError` for a torch device that is unknown or not there; None is the CPU."""
    if device is None:
        return
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise InputError(f"unknown device {device!r}: use cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"no device {device!r} on this machine: use cpu")


def check_solver(method: str, device: str | None) -> None:
    """Raise `InputError` for a solver or a device that is unknown or not there."""
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    check_device(device)


def by_taufactor(bodies: Sequence[NDArray[np.bool_]], task: Task) -> list[Solution]:
    """Solve through-connected masks along their first axis: all that touches TauFactor's API."""
    import torch
    from taufactor import AnisotropicSolver

    class Solver(AnisotropicSolver):
        def vertical_flux(self) -> torch.Tensor:
            # TauFactor takes weights above 8 for closed voxels, as open ones have where the
            # spacing along the flux is the largest; closed voxels have inf.
            flux = self.field[:, 2:-1, 1:-1, 1:-1] - self.field[:, 1:-2, 1:-1, 1:-1]
            closed = torch.isinf(self.factor)
            return flux.masked_fill_(closed[:, :-1] | closed[:, 1:], 0)

    masks = np.stack(bodies)
    solutions = [Solution(0.0, converged=False)] * len(masks)
    # It prints and warns of what is told here by `converged`.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        omega = _relaxation(masks.shape[1], task.spacing)
        solver = Solver(masks.astype(np.uint8), task.spacing, omega=omega, device=task.device)
        while solver.iter < task.max_iterations and not all(s.converged for s in solutions):
            # Its own test stops the batch as one, on an absolute change of tau; ours stops each
            # volume where it would stop alone.
            limit = min(solver.iter + CHECK_EVERY, task.max_iterations)
            solver.solve(iter_limit=limit, verbose=False, conv_crit=-np.inf)
            solver.compute_metrics()
            fluxes = solver.flux_1d.astype(float)
            residuals = np.ptp(fluxes, axis=1) / np.abs(fluxes.mean(axis=1))
            for i, (value, residual) in enumerate(
                zip(solver.D_eff.tolist(), residuals.tolist(), strict=True)
            ):
                before = solutions[i]
                if not before.converged:
                    steady = abs(value - before.value) < task.tol * value
                    solutions[i] = Solution(
                        value, residual, solver.iter, converged=steady and residual < task.tol
                    )
    return solutions


def _relaxation(layers: int, spacing: tuple[float, ...]) -> float:
    """TauFactor's factor for the layers; nearer to 2 where steps along the flux are the longest."""
    weights = [(spacing[0] / step) ** 2 for step in spacing]
    return 2 - math.pi / (1.5 * layers * max(1.0, math.sqrt(sum(weights) / 3)))


def by_multigrid(bodies: Sequence[NDArray[Any]], task: Task) -> list[Solution]:
    """Solve conductivities along their first axis: on a CPU one by one, on a GPU all at once."""
    solutions = []
    for system, group in _systems(bodies, task):
        flow = solve(system, tol=task.tol, max_iterations=task.max_iterations)
        fields = system.concentrations(group) if task.concentration else [None] * len(group)
        for i, field in enumerate(fields):
            spread, residual = float(flow.spread[i]), float(flow.residual[i])
            met = max(spread, residual) < task.tol
            value, iterations = float(flow.value[i]), int(flow.iterations[i])
            solutions.append(Solution(value, spread, iterations, met, field))
    return solutions


def _systems(
    bodies: Sequence[NDArray[Any]], task: Task
) -> Iterator[tuple[Any, Sequence[NDArray[Any]]]]:
    """Systems of equations, each with the bodies that it is for."""
    if task.device == "cpu":
        for body in bodies:
            yield Cells.between_planes(body, task.spacing, periodic=task.periodic), [body]
    else:
        from metrics.solver.arrays import Stencils  # torch takes seconds to load

        yield Stencils(bodies, task.spacing, task.device, periodic=task.periodic), bodies


METHODS = {"multigrid": by_multigrid, "taufactor": by_taufactor}
