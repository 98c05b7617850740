"""Effective diffusivity tensor of a volume that repeats itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.diffusivity import ConvergenceError, conductivity_of, diffusivities_of
from metrics.solver.cells import Cells
from metrics.solver.multigrid import homogenise
from metrics.volume import Volume, as_volume


def diffusivity_tensor(
    volume: Volume | NDArray[Any],
    *,
    phase: int | str | None = None,
    diffusivities: Mapping[int, float] | Mapping[str, float] | None = None,
    tol: float = 1e-3,
    max_iterations: int = 1000,
) -> NDArray[np.float64]:
    r"""Effective diffusivity tensor of a volume that is repeated along all axes.

    .. math:: \langle D (\nabla c) \rangle = D_\mathrm{eff} \langle \nabla c \rangle, \qquad
        \nabla \cdot D \nabla c = 0

    for a mean gradient along each axis in turn, on the finite volumes of `effective_diffusivity`,
    without planes: the last layer is a neighbour of the first. The tensor is symmetric, and that of
    a material of which the volume is a period, as periodic generated volumes are. A cut-out of a
    real one does not fit to itself at its faces: channels end there, and values are too low. Take
    `effective_diffusivity` for it.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume; a period of the material.
    phase : int or str
        Label or name of the only conducting phase, of diffusivity 1.
    diffusivities : mapping of int to float
        Instead of `phase`: diffusivity of each conducting phase by its label.
    tol : float
        Largest norm of the residual over that of the uniform gradient's. The error of the values is
        its square: under 1e-6 of the trace in the tests.
    max_iterations : int
        Of each of the three solves.

    Returns
    -------
    (3, 3) float64 ndarray
        Along z, y, x; relative to the phase, or in the units of the diffusivities.

    Raises
    ------
    InputError
        If a phase or diffusivity is unknown or out of range.
    ConvergenceError
        If a solve does not converge within `max_iterations`.

    References
    ----------
    Torquato S. (2002) Random Heterogeneous Materials. doi:10.1007/978-1-4757-6355-3, ch. 13.

    Examples
    --------
    >>> import numpy as np
    >>> layers = np.arange(8).reshape(8, 1, 1) % 2 * np.ones((1, 4, 4), int)
    >>> diffusivity_tensor(layers, diffusivities={0: 1.0, 1: 0.25}).diagonal().round(6).tolist()
    [0.4, 0.625, 0.625]
    """
    v = as_volume(volume)
    values = diffusivities_of(phase, diffusivities)
    # A cell is no neighbour of itself: a single layer is measured as two that are alike.
    repeats = [2 if n == 1 else 1 for n in v.shape]
    conductivity = np.tile(conductivity_of(v, values), repeats)
    systems = Cells.repeated(conductivity, v.spacing)
    energies, residual = homogenise(systems, tol=tol, max_iterations=max_iterations)
    if residual > tol:
        raise ConvergenceError(
            f"diffusivity tensor of phase {', '.join(map(str, values))} did not converge in "
            f"{max_iterations} iterations: residual {residual:.2g}, tol is {tol:g}; raise "
            "max_iterations, or tol"
        )
    # Conductances are in units of that between two cells along z.
    return energies / (conductivity.size * v.spacing[0] ** 2)
