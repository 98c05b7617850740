"""A body with its known answers, and what every kind of body is built with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.volume import InputError, Phase, Volume, check_spacing

Shape = tuple[int, int, int]
Spacing = Sequence[float] | float
Triple = tuple[float, float, float]
Curve = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Body:
    """A volume and those of its answers that are known; the others are None.

    Parameters
    ----------
    volume : Volume
        The digitised body.
    phase : int
        The phase that all single-phase answers below are of.
    volume_fraction : mapping of int to float, optional
        Fraction of each phase.
    interface_areas : mapping of (int, int) to float, optional
        Area between each pair of phases per total volume, in ``1/unit``; absent pairs are 0.
    tpb_density : float, optional
        Length of the lines where three or more phases meet per total volume, in ``unit**-2``.
    two_point : callable ``(r, axis="z")``, optional
        Two-point probability S2 at distances `r` (in `unit`) along an axis.
    lineal_path : callable ``(r)``, optional
        Probability that a segment of length `r` (in `unit`) lies in the phase.
    effective_diffusivity : mapping of str to float, optional
        D_eff/D_0 along each axis for which it is known, no flux through the sides.
    euler_number : int, optional
        Euler characteristic.
    """

    volume: Volume
    phase: int = 0
    volume_fraction: Mapping[int, float] | None = None
    interface_areas: Mapping[tuple[int, int], float] | None = None
    tpb_density: float | None = None
    two_point: Curve | None = None
    lineal_path: Curve | None = None
    effective_diffusivity: Mapping[str, float] | None = None
    euler_number: int | None = None

    @property
    def specific_surface_area(self) -> float | None:
        """Area between `phase` and all others per total volume, in ``1/unit``."""
        if self.interface_areas is None:
            return None
        return float(sum(area for pair, area in self.interface_areas.items() if self.phase in pair))


def frame(shape: Shape, spacing: Spacing) -> tuple[Triple, Triple]:
    """Voxel edge lengths and side lengths of a volume."""
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape must be three positive voxel counts, got {shape}")
    edges = check_spacing(spacing)
    z, y, x = (n * h for n, h in zip(shape, edges, strict=True))
    return edges, (z, y, x)


def check_positive(**values: float) -> None:
    """Raise InputError for the first named value that is not positive and finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise InputError(f"{name} must be positive, got {value}")


def make_volume(labels: Any, n_phases: int, spacing: Triple, unit: str) -> Volume:
    """Volume of phases 0..n-1, all named even if a realisation misses one."""
    phases = tuple(Phase(str(label), label, label) for label in range(n_phases))
    return Volume(np.ascontiguousarray(labels, dtype=np.uint8), spacing, unit, phases)


def along_axis(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Reshape a 1D array to broadcast along one axis of a volume."""
    return values.reshape([-1 if i == axis else 1 for i in range(3)])


def voxel_centres(shape: Shape, spacing: Sequence[float]) -> list[NDArray[np.float64]]:
    """Open grid of voxel centres relative to the centre of the volume."""
    return [
        along_axis((np.arange(n) + 0.5 - n / 2) * h, i)
        for i, (n, h) in enumerate(zip(shape, spacing, strict=True))
    ]
