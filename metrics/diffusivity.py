"""Effective diffusivity of one or several phases from the steady state between two faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.connectivity import Clusters
from metrics.solver.methods import SOLVERS, check_solver
from metrics.solver.task import Solution, Task
from metrics.volume import InputError, Volume, as_volume, axis_index

TOL = 2e-3
MAX_ITERATIONS = 50_000


class ConvergenceError(RuntimeError):
    """The iterative solve reached its limit before its tolerance."""


@dataclass(frozen=True)
class Diffusivity:
    """Effective diffusivity along one axis, and how it was obtained.

    Parameters
    ----------
    value : float
        D_eff/D_0, dimensionless; 0 where nothing percolates. Of several phases D_eff, in the units
        of their diffusivities.
    volume_fraction : float
        TOTAL fraction of what conducts, dead ends and isolated clusters included.
    mean_diffusivity : float
        Mean over all voxels: the volume fraction, or the sum of fraction times diffusivity. The
        value of straight channels.
    percolating_fraction : float
        Through-connected voxels of what conducts / all its voxels.
    converged : bool
        Whether the solve met its tolerance; True where nothing had to be solved.
    residual : float
        Spread of the fluxes through the layers, (max - min) / mean.
    iterations : int
        Iterations used; 0 where nothing had to be solved.
    solver : str
        Solver asked for.
    concentration : (Z, Y, X) float32 ndarray or None
        On request: from 1 at the plane before the first layer to 0 at that behind the last; 0 where
        nothing conducts.
    """

    value: float
    volume_fraction: float
    mean_diffusivity: float
    percolating_fraction: float
    converged: bool
    residual: float
    iterations: int
    solver: str
    concentration: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def tau(self) -> float:
        """Tortuosity factor, mean diffusivity / value; inf where nothing percolates."""
        return self.mean_diffusivity / self.value if self.value else math.inf

    @property
    def percolates(self) -> bool:
        """Whether what conducts connects the two faces."""
        return self.percolating_fraction > 0


def effective_diffusivity(
    volume: Volume | NDArray[Any],
    *,
    phase: int | str | None = None,
    axis: str,
    diffusivities: Mapping[int, float] | Mapping[str, float] | None = None,
    periodic_sides: bool = False,
    concentration: bool = False,
    solver: str = "multigrid",
    tol: float = TOL,
    max_iterations: int = MAX_ITERATIONS,
    device: str | None = None,
    throw: bool = True,
) -> Diffusivity:
    r"""Diffusivity of a volume in which one phase conducts, relative to it; or several phases.

    .. math:: \frac{D_\mathrm{eff}}{D_0} = \frac{J L}{A \, \Delta c}, \qquad
        \tau = \frac{\phi}{D_\mathrm{eff} / D_0}

    J is the steady flux at :math:`\nabla \cdot D \nabla c = 0`, by finite volumes on the voxel
    grid: planes of constant concentration half a voxel outside the first and the last layer
    (distance L, area A), no flux into phases that do not conduct, nor through the sides unless they
    are periodic. Between voxels of different diffusivity the two halves are in series (harmonic
    mean), and tau is the mean diffusivity over the effective one. Clusters that do not touch both
    faces carry no flux and are taken out before the solve; :math:`\phi` stays the total fraction,
    so a phase with dead ends has a larger tau. Compare tools on D_eff, never on tau: they differ in
    its fraction. Coarse voxels give too low a value where necks are a few voxels wide, and small
    volumes scatter. Compared with a sparse solve the iteration is off by 6e-6 or less on the bodies
    of `benchmarks.trust.accuracy_diffusivity`; by up to 1e-4 has been seen where diffusivities
    differ 1000 times, 3e-4 with voxels of edges 10 to 1, 1e-3 at 30 to 1 and 2e-3 at 100 to 1,
    where it may not converge. A section that is the same in all layers conducts exactly its area
    fraction, and is not solved. Peak memory is 70 to 85 bytes a conducting voxel, 95 if their
    diffusivities differ; on a GPU some 95 bytes a voxel, of all volumes of a batch; with
    `taufactor` 70 bytes a voxel.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.
    phase : int or str
        Label or name of the only conducting phase.
    axis : {"z", "y", "x"}
        Direction of the mean flux.
    diffusivities : mapping of int to float
        Instead of `phase`: diffusivity of each conducting phase by its label, 0 or more; other
        phases do not conduct. Not with `taufactor`.
    periodic_sides : bool
        Whether what leaves through a side enters at the opposite one. Not with `taufactor`.
    concentration : bool
        Also return the concentration of each voxel. Not with `taufactor`.
    solver : {"multigrid", "taufactor", "multigrid_on_arrays"}
        Of one and the same discretisation: conjugate gradients preconditioned by multigrid
        (`metrics.solver.multigrid`), in tens of iterations; or successive over-relaxation in
        float32, by TauFactor, in hundreds to thousands. `multigrid_on_arrays` is the multigrid of
        GPUs, by torch, on any device.
    tol : float
        Largest relative spread of the layer fluxes that counts as converged; with `multigrid` also
        relative residual, with `taufactor` change of the value in 100 iterations. The error of the
        value is smaller. `multigrid` takes the value from the energy of the field, whose error is
        the square of the field's: at the default at most 4e-5 off a float64 solve of 48 random
        fields, half of them under 8e-7; any tolerance down to 1e-12 can be asked for. `taufactor`:
        at most 1.5e-3 off 254 such fields, 95 % under 4e-4; rounding to float32 keeps a
        spread of 1e-4 to 1e-3, and of 8e-3 in 800 layers of 24 x 24 voxels, whatever the tolerance.
    max_iterations : int
        Limit of the solve. Tortuous phases are slow with `taufactor`: tau = 66 in 64 layers takes
        25000.
    device : str, optional
        Torch device; None is the CPU, on which `multigrid` works without torch.
    throw : bool
        Raise where the solve does not converge, rather than return it with `converged` False.

    Returns
    -------
    Diffusivity
        Dimensionless.

    Raises
    ------
    InputError
        If phase, axis, solver, device or a limit is unknown or out of range.
    ConvergenceError
        If the solve does not converge within `max_iterations`.

    References
    ----------
    Cooper S.J. et al. (2016) TauFactor: an open-source application for calculating tortuosity
    factors from tomographic data. SoftwareX 5, 203-210. doi:10.1016/j.softx.2016.09.002.
    Kench S., Squires I., Cooper S. (2023) TauFactor 2: a GPU accelerated python tool for
    microstructural analysis. J. Open Source Softw. 8(88), 5358. doi:10.21105/joss.05358.

    Examples
    --------
    >>> import numpy as np
    >>> bar_and_blob = np.array([[[1, 0, 1, 0]], [[1, 0, 0, 0]]])
    >>> result = effective_diffusivity(bar_and_blob, phase=1, axis="z")
    >>> result.value, result.tau, result.volume_fraction
    (0.25, 1.5, 0.375)
    """
    (result,) = effective_diffusivities(
        [volume],
        phase=phase,
        axis=axis,
        diffusivities=diffusivities,
        periodic_sides=periodic_sides,
        concentration=concentration,
        solver=solver,
        tol=tol,
        max_iterations=max_iterations,
        device=device,
        throw=throw,
    )
    return result


def effective_diffusivities(
    volumes: Sequence[Volume | NDArray[Any]],
    *,
    phase: int | str | None = None,
    axis: str,
    diffusivities: Mapping[int, float] | Mapping[str, float] | None = None,
    periodic_sides: bool = False,
    concentration: bool = False,
    solver: str = "multigrid",
    tol: float = TOL,
    max_iterations: int = MAX_ITERATIONS,
    device: str | None = None,
    throw: bool = True,
) -> list[Diffusivity]:
    """`effective_diffusivity` of each of several volumes, which a GPU solves as one batch.

    Volumes have one shape and spacing, which is an `InputError` otherwise; all else is as there.

    Examples
    --------
    >>> import numpy as np
    >>> bars = [np.ones((2, 2, 2), int), np.eye(2, dtype=int)[None].repeat(2, axis=0)]
    >>> [found.value for found in effective_diffusivities(bars, phase=1, axis="z")]
    [1.0, 0.5]
    """
    batch = [as_volume(v) for v in volumes]
    check_solver(solver, device)
    _check(batch, tol, max_iterations)
    if solver == "taufactor" and (diffusivities is not None or periodic_sides or concentration):
        raise InputError(
            "taufactor has neither diffusivities, nor periodic sides, nor concentrations here: "
            "use multigrid"
        )
    values = diffusivities_of(phase, diffusivities)
    if not batch:
        return []

    bodies = [_Body.of(v, values, axis, periodic_sides) for v in batch]
    task = Task(
        _along_first(batch[0].spacing, axis),
        tol=tol,
        max_iterations=max_iterations,
        device=device or "cpu",
        periodic=periodic_sides,
        concentration=concentration,
    )
    results = _solved(bodies, axis, solver, task)
    failed = [result for result in results if not result.converged]
    if failed and throw:
        worst = max(result.residual for result in failed)
        phases = ", ".join(map(str, values))
        raise ConvergenceError(
            f"diffusivity of phase {phases} along {axis} did not converge in {max_iterations} "
            f"iterations for {len(failed)} of {len(results)} volumes: layer fluxes differ by "
            f"{worst:.2g}, tol is {tol:g}; raise max_iterations, or tol"
        )
    return results


def diffusivity_in(
    clusters: Clusters, v: Volume, *, axis: str, solver: str, device: str | None
) -> Diffusivity:
    """`effective_diffusivity` of a phase of which the clusters are known, converged or not."""
    task = Task(_along_first(v.spacing, axis), TOL, MAX_ITERATIONS, device or "cpu")
    (result,) = _solved([_Body.of_clusters(clusters, axis)], axis, solver, task)
    return result


def _along_first(spacing: tuple[float, float, float], axis: str) -> tuple[float, ...]:
    along = axis_index(axis)
    return (spacing[along], *spacing[:along], *spacing[along + 1 :])


def _solved(bodies: Sequence[_Body], axis: str, solver: str, task: Task) -> list[Diffusivity]:
    # Exact where all layers have the same section, be it none; the others are solved.
    exact = [body.exact(task.concentration) for body in bodies]
    unsolved = [body.conductivity for body, known in zip(bodies, exact, strict=True) if not known]
    solved = iter(SOLVERS[solver](unsolved, task) if unsolved else ())
    return [
        body.result(known or next(solved), axis, solver)
        for body, known in zip(bodies, exact, strict=True)
    ]


def _check(volumes: list[Volume], tol: float, max_iterations: int) -> None:
    if not tol > 0:
        raise InputError(f"tol must be positive, got {tol!r}")
    if max_iterations < 1:
        raise InputError(f"max_iterations must be at least 1, got {max_iterations!r}")
    for what in ("shape", "spacing"):
        found = {getattr(v, what) for v in volumes}
        if len(found) > 1:
            raise InputError(f"volumes of one batch must have one {what}, got {sorted(found)}")


def diffusivities_of(
    phase: int | str | None, given: Mapping[Any, float] | None
) -> dict[int | str, float]:
    """Diffusivity of each conducting phase."""
    if (phase is None) == (given is None):
        raise InputError("give either the conducting phase, or diffusivities")
    values: dict[Any, float] = {phase: 1.0} if given is None else dict(given)
    if wrong := [d for d in values.values() if not 0 <= d < math.inf]:
        raise InputError(f"diffusivities must be 0 or positive numbers, got {wrong[0]!r}")
    conducting = {label: d for label, d in values.items() if d > 0 and label is not None}
    if not conducting:
        raise InputError("no phase has a diffusivity above 0: nothing conducts")
    return conducting


def conductivity_of(v: Volume, values: Mapping[Any, float]) -> NDArray[np.float32]:
    """Diffusivity of each voxel."""
    conductivity = np.zeros(v.shape, np.float32)
    for label, d in values.items():
        conductivity[v.mask(label)] = d
    return conductivity


@dataclass(frozen=True, eq=False)
class _Body:
    """What conducts of a volume, seen along its flux."""

    conductivity: NDArray[Any]  # (L, H, W) bool or float32, of through-connected voxels
    voxels: int  # that conduct, connected or not
    mean: float  # over all voxels

    @classmethod
    def of(cls, v: Volume, values: Mapping[Any, float], axis: str, periodic: bool) -> _Body:
        if list(values.values()) == [1.0]:
            (phase,) = values
            return cls.of_clusters(Clusters.of(v, phase), axis, periodic)
        conductivity = conductivity_of(v, values)
        mean = float(conductivity.mean(dtype=float))
        clusters = Clusters.of_mask(conductivity > 0)
        conductivity *= clusters.through(axis, periodic_sides=periodic)
        return cls(np.moveaxis(conductivity, axis_index(axis), 0), clusters.voxels, mean)

    @classmethod
    def of_clusters(cls, clusters: Clusters, axis: str, periodic: bool = False) -> _Body:
        mask = clusters.through(axis, periodic_sides=periodic)
        mean = clusters.voxels / mask.size
        return cls(np.moveaxis(mask, axis_index(axis), 0), clusters.voxels, mean)

    def exact(self, concentration: bool) -> Solution | None:
        """Solution of a body whose layers all have the same section; None for others."""
        section = self.conductivity[0]
        if (self.conductivity != section).any():
            return None
        layers = len(self.conductivity)
        c = None
        if concentration:
            profile = (1 - (np.arange(layers) + 0.5) / layers).astype(np.float32)
            c = profile[:, np.newaxis, np.newaxis] * (self.conductivity != 0)
        return Solution(float(section.mean(dtype=float)), concentration=c)

    def result(self, solution: Solution, axis: str, solver: str) -> Diffusivity:
        c = solution.concentration
        if c is not None:
            c = np.moveaxis(c, 0, axis_index(axis))
        percolating = int(np.count_nonzero(self.conductivity))
        return Diffusivity(
            volume_fraction=self.voxels / self.conductivity.size,
            mean_diffusivity=self.mean,
            percolating_fraction=percolating / max(self.voxels, 1),
            solver=solver,
            **(solution._asdict() | {"concentration": c}),
        )
