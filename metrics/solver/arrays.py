"""Steady diffusion on whole arrays: the torch back end of `metrics.solver.multigrid`.

Of several volumes at once, on a GPU or a CPU. What does not conduct takes part with conductances of
0; its values mean nothing. Grids, colours and conductances are those of
`metrics.solver.cells_grid`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool3d, interpolate, pad

from metrics.solver.cells_grid import COARSEST, colours_along
from metrics.solver.multigrid import Scalars, inverse_of

AXES = (1, 2, 3)  # of (B, Z, Y, X)


class StencilLevel:
    """A grid of B volumes, with solution and source of each cell.

    Parameters
    ----------
    conductances : three (B, Z, Y, X) float32 tensors, longer by 1 along z, y and x
        Of the faces before, between and behind the cells; the last is the first again along a ring.
    rings : (bool, bool, bool)
        Axes along which the last cell is a neighbour of the first.
    """

    def __init__(self, conductances: Sequence[Tensor], rings: Sequence[bool]) -> None:
        self.conductances, self.rings = list(conductances), rings
        for axis, ring in zip(AXES, rings, strict=True):
            # A ring of one would be its own neighbour.
            if ring and self.conductances[axis - 1].shape[axis] == 2:
                self.conductances[axis - 1] = torch.zeros_like(self.conductances[axis - 1])
        pairs = (
            g.narrow(axis, 0, g.shape[axis] - 1) + g.narrow(axis, 1, g.shape[axis] - 1)
            for axis, g in zip(AXES, self.conductances, strict=True)
        )
        sums = functools.reduce(torch.add, pairs)
        inverse = torch.where(sums > 0, 1 / sums, 0)
        of_axes, self.colours = colours_along(inverse.shape[1:], rings)
        z, y, x = (torch.as_tensor(along, device=inverse.device) for along in of_axes)
        colour = (z[:, None, None] + y[:, None] + x) % self.colours
        # What relaxing a colour multiplies the residual by.
        self.inverse = [torch.where(colour == c, inverse, 0) for c in range(self.colours)]
        self.x, self.b = torch.zeros_like(inverse), torch.zeros_like(inverse)

    def start(self) -> None:
        torch.mul(self.inverse[0], self.b, out=self.x)

    def relax(self, colour: int) -> None:
        self.x.addcmul_(self.inverse[colour], self.residual())

    def restrict(self, coarse: StencilLevel) -> None:
        coarse.b.copy_(_sums(self.residual()))

    def prolong(self, coarse: StencilLevel) -> None:
        _, z, y, x = self.x.shape
        self.x += interpolate(coarse.x[:, None], scale_factor=2)[:, 0, :z, :y, :x]

    def solve(self) -> None:
        self.x = (self._inverse @ self.b.flatten(1)[..., None]).view_as(self.b)

    @functools.cached_property
    def _inverse(self) -> Tensor:
        """Of the matrix of conductances of each volume."""
        cells = self.b[0].numel()
        units = torch.eye(cells, device=self.b.device).view(cells, *self.b.shape[1:])
        matrices = []
        for i in range(len(self.b)):
            of_one = [g[i : i + 1] for g in self.conductances]
            matrix = _outflow(units, of_one, self.rings).view(cells, cells).cpu().double().numpy()
            matrix[np.diag_indices(cells)] += matrix.diagonal() == 0  # of what does not conduct
            matrices.append(torch.as_tensor(inverse_of(matrix), dtype=torch.float32))
        return torch.stack(matrices).to(self.b.device)

    def residual(self) -> Tensor:
        return self.b - _outflow(self.x, self.conductances, self.rings)

    def coarse(self) -> StencilLevel:
        """The grid of twice the spacing: half the conductances of all faces in one of its own."""
        above = []
        for axis, g in zip(AXES, self.conductances, strict=True):
            faces = [*range(0, g.shape[axis] - 1, 2), g.shape[axis] - 1]
            kept = g.index_select(axis, torch.tensor(faces, device=g.device))
            above.append(_sums(kept, along=axis) / 2)
        return StencilLevel(above, self.rings)


class Stencils:
    """B volumes between planes of concentration 1 and 0, their solution, and the grids.

    Parameters
    ----------
    bodies : sequence of (Z, Y, X) bool or float32 ndarray
        Where each volume conducts, or how well.
    spacing : (float, float, float)
        Edge lengths of a voxel.
    device : str
        Torch device.
    periodic : bool
        Whether what leaves through a side enters at the opposite one; else nothing leaves.
    """

    def __init__(
        self,
        bodies: Sequence[NDArray[Any]],
        spacing: Sequence[float],
        device: str,
        *,
        periodic: bool,
    ) -> None:
        conductivity = torch.as_tensor(np.stack(bodies), device=device).float()
        rings = (False, periodic, periodic)
        self.levels = [StencilLevel(_conductances(conductivity, spacing, rings), rings)]
        while max(self.levels[-1].b.shape[1:]) > COARSEST:
            self.levels.append(self.levels[-1].coarse())
        self.finest = self.levels[0]
        self.shape = tuple(conductivity.shape[1:])
        self.x = torch.zeros_like(conductivity, dtype=torch.float64)

    def fields(self) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(self.finest.x), torch.empty_like(self.finest.x)

    def source_size(self) -> Scalars:
        first = self.finest.conductances[0][:, :1]
        return np.sqrt(_totals(first, first))

    def set_profile(self) -> None:
        layers = self.shape[0]
        profile = (
            1 - (torch.arange(layers, dtype=self.x.dtype, device=self.x.device) + 0.5) / layers
        )
        self.x[:] = profile[:, None, None]

    def set_residual(self) -> Scalars:
        residual = torch.zeros_like(self.x)
        for axis, g in zip(AXES, self.finest.conductances, strict=True):
            residual += torch.diff(g * self._rise(axis), dim=axis)
        self.finest.b.copy_(residual)
        return _totals(residual, residual)

    def dot(self) -> Scalars:
        return _totals(self.finest.x, self.finest.b)

    def set_direction(self, p: Tensor, beta: Scalars) -> None:
        p.mul_(_each(beta, p)).add_(self.finest.x)

    def multiply(self, p: Tensor, q: Tensor) -> Scalars:
        q.copy_(_outflow(p, self.finest.conductances, self.finest.rings))
        return _totals(p, q)

    def advance(self, p: Tensor, q: Tensor, length: Scalars) -> Scalars:
        a = _each(length, p)
        self.x += a * p
        self.finest.b -= a * q
        return _totals(self.finest.b, self.finest.b)

    def fluxes(self) -> NDArray[np.float64]:
        return -(self.finest.conductances[0] * self._rise(1)).sum((2, 3)).cpu().numpy()

    def energy(self, other: Stencils) -> Scalars:
        total = np.zeros(len(self.x))
        for axis, g, ring in zip(AXES, self.finest.conductances, self.finest.rings, strict=True):
            faces = g.shape[axis] - ring  # the last of a ring is the first again
            a, b = (system._rise(axis).narrow(axis, 0, faces) for system in (self, other))
            total += _totals(g.narrow(axis, 0, faces) * a, b)
        return total

    def concentrations(self, bodies: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Solution at each voxel of the bodies; 0 where nothing conducts."""
        return list(np.where(np.stack(bodies), self.x.float().cpu().numpy(), np.float32(0)))

    def _rise(self, axis: int) -> Tensor:
        """Of the solution, across all faces normal to an axis."""
        wide = _padded(self.x, axis, self.finest.rings[axis - 1], before=float(axis == 1))
        return torch.diff(wide, dim=axis)


def _conductances(
    conductivity: Tensor, spacing: Sequence[float], rings: Sequence[bool]
) -> list[Tensor]:
    """Of half a cell of one conductivity and half of another in series; none counts infinite."""
    conductances = []
    for axis, ring in zip(AXES, rings, strict=True):
        resistance = 1 / _padded(conductivity, axis, ring)
        n = conductivity.shape[axis] + 1
        in_series = resistance.narrow(axis, 0, n) + resistance.narrow(axis, 1, n)
        conductances.append(2 * (spacing[0] / spacing[axis - 1]) ** 2 / in_series)
    conductances[0][:, 0] = 2 * conductivity[:, 0]
    conductances[0][:, -1] = 2 * conductivity[:, -1]
    return conductances


def _padded(v: Tensor, axis: int, ring: bool, before: float = 0.0) -> Tensor:
    """A layer more at both ends: of the opposite end of a ring, else `before` and 0."""
    n = v.shape[axis]
    first, last = v.narrow(axis, 0, 1), v.narrow(axis, n - 1, 1)
    if not ring:
        first, last = torch.zeros_like(first), torch.full_like(last, before)
    return torch.cat([last, v, first], dim=axis)


def _outflow(x: Tensor, conductances: Sequence[Tensor], rings: Sequence[bool]) -> Tensor:
    """Flux from each cell to its neighbours and planes of 0.

    From differences: see `metrics.solver.cells_loops`.
    """
    total = torch.zeros_like(x)
    for axis, g, ring in zip(AXES, conductances, rings, strict=True):
        total -= torch.diff(g * torch.diff(_padded(x, axis, ring), dim=axis), dim=axis)
    return total


def _sums(v: Tensor, along: int | None = None) -> Tensor:
    """Sums over 2 x 2 x 2 cells, or over the 2 x 2 faces normal to an axis; fewer at odd ends."""
    size = [1 if axis == along else 2 for axis in AXES]
    z, y, x = (-n % k for n, k in zip(v.shape[1:], size, strict=True))
    even = pad(v, (0, x, 0, y, 0, z))[:, None]
    return avg_pool3d(even, size, divisor_override=1)[:, 0]


def _totals(a: Tensor, b: Tensor) -> Scalars:
    """Sum of a b over each volume."""
    return (a * b).sum(AXES, dtype=torch.float64).cpu().numpy()


def _each(scalars: Scalars, like: Tensor) -> Tensor:
    """A scalar a volume, to be multiplied with."""
    return torch.as_tensor(scalars, dtype=like.dtype, device=like.device)[:, None, None, None]
