"""TauFactor's over-relaxation: all that touches its API."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrics.solver.task import Solution, Task

CHECK_EVERY = 100


def by_taufactor(bodies: Sequence[NDArray[np.bool_]], task: Task) -> list[Solution]:
    """Solve through-connected masks along their first axis."""
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
