"""What solves a steady state for `metrics.diffusivity`: multigrid, or TauFactor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from metrics.machine.devices import check_device
from metrics.solver.cells import Cells
from metrics.solver.multigrid import solve
from metrics.solver.task import Solution, Task
from metrics.solver.taufactor import by_taufactor
from metrics.volume import InputError

Bodies = Sequence[NDArray[Any]]


def check_solver(solver: str, device: str | None) -> None:
    """Raise `InputError` for a solver or a device that is unknown or not there."""
    if solver not in SOLVERS:
        raise InputError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    check_device(device)


def by_multigrid(bodies: Bodies, task: Task) -> list[Solution]:
    """Solve conductivities along their first axis: on a CPU one by one, on a GPU all at once."""
    if task.device != "cpu":
        return by_multigrid_on_arrays(bodies, task)
    return [
        solution
        for body in bodies
        for solution in _solutions(
            Cells.between_planes(body, task.spacing, periodic=task.periodic), [body], task
        )
    ]


def by_multigrid_on_arrays(bodies: Bodies, task: Task) -> list[Solution]:
    """The same by torch, all at once: what runs on a GPU, on a CPU as well."""
    from metrics.solver.arrays import Stencils  # torch takes seconds to load

    system = Stencils(bodies, task.spacing, task.device, periodic=task.periodic)
    return list(_solutions(system, bodies, task))


def _solutions(system: Any, bodies: Bodies, task: Task) -> Iterable[Solution]:
    flow = solve(system, tol=task.tol, max_iterations=task.max_iterations)
    fields = system.concentrations(bodies) if task.concentration else [None] * len(bodies)
    for i, field in enumerate(fields):
        spread, residual = float(flow.spread[i]), float(flow.residual[i])
        met = max(spread, residual) < task.tol
        yield Solution(float(flow.value[i]), spread, int(flow.iterations[i]), met, field)


SOLVERS: dict[str, Callable[[Bodies, Task], list[Solution]]] = {
    "multigrid": by_multigrid,
    "multigrid_on_arrays": by_multigrid_on_arrays,
    "taufactor": by_taufactor,
}
