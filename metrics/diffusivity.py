"""Effective diffusivity of a phase from the steady state between two faces."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from metrics.connectivity import through_mask
from metrics.volume import InputError, Volume, as_volume, axis_index

CHECK_EVERY = 100


class ConvergenceError(RuntimeError):
    """The iterative solve reached its limit before its tolerance."""


@dataclass(frozen=True)
class Diffusivity:
    """Effective diffusivity of one phase along one axis, and how it was obtained.

    Parameters
    ----------
    value : float
        D_eff/D_0, dimensionless; 0 where nothing percolates.
    volume_fraction : float
        TOTAL fraction of the phase, dead ends and isolated clusters included.
    percolating_fraction : float
        Through-connected voxels of the phase / all voxels of the phase.
    converged : bool
        Whether the solve met its tolerance; True where nothing had to be solved.
    residual : float
        Spread of the fluxes through the layers, (max - min) / mean.
    iterations : int
        Iterations used; 0 where nothing had to be solved.
    method : str
        Solver asked for.
    """

    value: float
    volume_fraction: float
    percolating_fraction: float
    converged: bool
    residual: float
    iterations: int
    method: str

    @property
    def tau(self) -> float:
        """Tortuosity factor, total fraction / value; inf where nothing percolates."""
        return self.volume_fraction / self.value if self.value else math.inf

    @property
    def percolates(self) -> bool:
        """Whether the phase connects the two faces."""
        return self.percolating_fraction > 0


@overload
def effective_diffusivity(
    volume: Volume | NDArray[Any],
    *,
    phase: int,
    axis: str,
    method: str = ...,
    tol: float = ...,
    max_iterations: int = ...,
    device: str | None = ...,
    throw: bool = ...,
) -> Diffusivity: ...


@overload
def effective_diffusivity(
    volume: Sequence[Volume | NDArray[Any]],
    *,
    phase: int,
    axis: str,
    method: str = ...,
    tol: float = ...,
    max_iterations: int = ...,
    device: str | None = ...,
    throw: bool = ...,
) -> list[Diffusivity]: ...


def effective_diffusivity(
    volume: Volume | NDArray[Any] | Sequence[Volume | NDArray[Any]],
    *,
    phase: int,
    axis: str,
    method: str = "taufactor",
    tol: float = 2e-3,
    max_iterations: int = 50_000,
    device: str | None = None,
    throw: bool = True,
) -> Diffusivity | list[Diffusivity]:
    r"""Diffusivity of a volume in which only one phase conducts, relative to that phase.

    .. math:: \frac{D_\mathrm{eff}}{D_0} = \frac{J L}{A \, \Delta c}, \qquad
        \tau = \frac{\phi}{D_\mathrm{eff} / D_0}

    J is the steady flux at :math:`\nabla^2 c = 0` in the phase, by finite volumes on the voxel
    grid: planes of constant concentration half a voxel outside the first and the last layer
    (distance L, area A), no flux through the sides nor into other phases. Clusters that do not
    touch both faces carry no flux and are taken out before the solve; :math:`\phi` stays the
    total fraction, so a phase with dead ends has a larger tau. Compare tools on D_eff, never on
    tau: they differ in its fraction. Coarse voxels give too low a value where necks are a few
    voxels wide, and small volumes scatter. A section that is the same in all layers conducts
    exactly its area fraction, and is not solved. Peak memory is about 70 bytes a voxel, 42 with
    `multigrid`.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray, or a sequence of them
        Segmented volume. Several of equal shape and spacing are solved as one batch.
    phase : int
        Label of the conducting phase.
    axis : {"z", "y", "x"}
        Direction of the mean flux.
    method : {"taufactor", "multigrid"}
        Solver, of one and the same discretisation: successive over-relaxation in float32, by
        TauFactor; or conjugate gradients preconditioned by multigrid (`metrics.multigrid`), which
        takes tens of iterations instead of thousands, on the CPU.
    tol : float
        Largest relative spread of the layer fluxes that counts as converged; with `taufactor` also
        change of the value in 100 iterations, with `multigrid` relative residual. The error of the
        value is smaller. `taufactor`: against a float64 solve of 254 random volumes at most 1.5e-3
        at the default, 95 % under 4e-4; rounding to float32 keeps a spread of 1e-4 to 1e-3, and of
        8e-3 in 800 layers of 24 x 24 voxels, whatever the tolerance. `multigrid` takes the value
        from the energy of the field, whose error is the square of the field's: at the default at
        most 1e-4 off a float64 solve of 48 random fields, half of them under 6e-7.
    max_iterations : int
        Limit of the solve. Tortuous phases are slow with `taufactor`: tau = 66 in 64 layers takes
        25000.
    device : str, optional
        Torch device of `taufactor`; None is the CPU.
    throw : bool
        Raise where the solve does not converge, rather than return it with `converged` False.

    Returns
    -------
    Diffusivity or list of Diffusivity
        Dimensionless; one for each volume of a sequence.

    Raises
    ------
    InputError
        If phase, axis, method, device or a limit is unknown or out of range, or if the volumes
        of a sequence differ in shape or spacing.
    ConvergenceError
        If a solve does not converge within `max_iterations`.

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
    batch = [volume] if isinstance(volume, Volume | np.ndarray) else volume
    volumes = [as_volume(v) for v in batch]
    check_solver(method, device)
    _check(volumes, tol, max_iterations)

    along = axis_index(axis)
    masks = [np.moveaxis(through_mask(v, phase=phase, axis=axis), along, 0) for v in volumes]
    # Exact where all layers have the same section, be it none; the others are solved.
    solutions = [_Solution(float(mask[0].mean())) for mask in masks]
    unsolved = [i for i, mask in enumerate(masks) if (mask != mask[0]).any()]
    if unsolved:
        spacing = volumes[0].spacing
        solved = _METHODS[method](
            np.stack([masks[i] for i in unsolved]),
            (spacing[along], *spacing[:along], *spacing[along + 1 :]),
            tol=tol,
            max_iterations=max_iterations,
            device=device or "cpu",
        )
        for i, solution in zip(unsolved, solved, strict=True):
            solutions[i] = solution

    results = [
        _result(v, phase, mask, solution, method)
        for v, mask, solution in zip(volumes, masks, solutions, strict=True)
    ]
    failed = [result for result in results if not result.converged]
    if failed and throw:
        worst = max(result.residual for result in failed)
        raise ConvergenceError(
            f"diffusivity of phase {phase} along {axis} did not converge in {max_iterations} "
            f"iterations for {len(failed)} of {len(results)} volumes: layer fluxes differ by "
            f"{worst:.2g}, tol is {tol:g}; raise max_iterations, or tol"
        )
    return results if batch is volume else results[0]


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
    """Raise `InputError` for a solver that is unknown, or cannot run on the device."""
    if method not in _METHODS:
        raise InputError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    check_device(device)
    if method == "multigrid" and device not in (None, "cpu"):
        raise InputError(f"the solver multigrid runs on the cpu, not on {device}: use taufactor")


class _Solution(NamedTuple):
    """What a solver says of one volume: fields of `Diffusivity`."""

    value: float
    residual: float = 0.0
    iterations: int = 0
    converged: bool = True


def _check(volumes: list[Volume], tol: float, max_iterations: int) -> None:
    if not tol > 0:
        raise InputError(f"tol must be positive, got {tol!r}")
    if max_iterations < 1:
        raise InputError(f"max_iterations must be at least 1, got {max_iterations!r}")
    for what in ("shape", "spacing"):
        found = {getattr(v, what) for v in volumes}
        if len(found) > 1:
            raise InputError(f"volumes of one batch must have one {what}, got {sorted(found)}")


def _result(
    v: Volume, phase: int, mask: NDArray[np.bool_], solution: _Solution, method: str
) -> Diffusivity:
    voxels = int(np.count_nonzero(v.mask(phase)))
    return Diffusivity(
        volume_fraction=voxels / v.labels.size,
        percolating_fraction=int(np.count_nonzero(mask)) / max(voxels, 1),
        method=method,
        **solution._asdict(),
    )


def _solve_taufactor(
    masks: NDArray[np.bool_],
    spacing: tuple[float, ...],
    *,
    tol: float,
    max_iterations: int,
    device: str,
) -> list[_Solution]:
    """Solve (B, X, Y, Z) through-connected masks along X: all that touches TauFactor's API."""
    import torch
    from taufactor import AnisotropicSolver

    class Solver(AnisotropicSolver):
        def vertical_flux(self) -> torch.Tensor:
            # TauFactor takes weights above 8 for closed voxels, as open ones have where the
            # spacing along the flux is the largest; closed voxels have inf.
            flux = self.field[:, 2:-1, 1:-1, 1:-1] - self.field[:, 1:-2, 1:-1, 1:-1]
            closed = torch.isinf(self.factor)
            return flux.masked_fill_(closed[:, :-1] | closed[:, 1:], 0)

    solutions = [_Solution(0.0, converged=False)] * len(masks)
    # It prints and warns of what is told here by `converged`.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        omega = _relaxation(masks.shape[1], spacing)
        solver = Solver(masks.astype(np.uint8), spacing, omega=omega, device=device)
        while solver.iter < max_iterations and not all(s.converged for s in solutions):
            # Its own test stops the batch as one, on an absolute change of tau; ours stops each
            # volume where it would stop alone.
            limit = min(solver.iter + CHECK_EVERY, max_iterations)
            solver.solve(iter_limit=limit, verbose=False, conv_crit=-np.inf)
            solver.compute_metrics()
            fluxes = solver.flux_1d.astype(float)
            residuals = np.ptp(fluxes, axis=1) / np.abs(fluxes.mean(axis=1))
            for i, (value, residual) in enumerate(
                zip(solver.D_eff.tolist(), residuals.tolist(), strict=True)
            ):
                before = solutions[i]
                if not before.converged:
                    steady = abs(value - before.value) < tol * value
                    solutions[i] = _Solution(
                        value, residual, solver.iter, converged=steady and residual < tol
                    )
    return solutions


def _relaxation(layers: int, spacing: tuple[float, ...]) -> float:
    """TauFactor's factor for the layers; nearer to 2 where steps along the flux are the longest."""
    weights = [(spacing[0] / step) ** 2 for step in spacing]
    return 2 - math.pi / (1.5 * layers * max(1.0, math.sqrt(sum(weights) / 3)))


def _solve_multigrid(
    masks: NDArray[np.bool_],
    spacing: tuple[float, ...],
    *,
    tol: float,
    max_iterations: int,
    device: str,
) -> list[_Solution]:
    from metrics.multigrid import solve

    flows = [solve(mask, spacing, tol=tol, max_iterations=max_iterations) for mask in masks]
    return [
        _Solution(f.value, f.spread, f.iterations, converged=max(f.spread, f.residual) < tol)
        for f in flows
    ]


_METHODS = {"taufactor": _solve_taufactor, "multigrid": _solve_multigrid}
