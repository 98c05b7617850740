"""Effective diffusivities known from a measurement: a generator is chosen by them, too.

Sections say nothing of transport: while planes hardly change, the effective diffusivity of a phase
near its percolation threshold falls through the right value and on. A lab often knows that value,
from impedance or from diffusion cells. Then each evaluation of a run compares it with that of the
generated volumes, and it decides with the errors of planes which step is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrics.arrays import Float64
from metrics.diffusivity import effective_diffusivity
from metrics.volume import AXES, InputError, Phase, Volume
from slicegan.config import Material

METRIC = "effective_diffusivity"


@dataclass(frozen=True)
class Target:
    """D_eff/D_0 of a phase in which alone there is diffusion, along an axis; "": mean over axes."""

    phase: Phase
    axis: str
    value: float

    def measured(self, volumes: Sequence[Volume], material: Material) -> Float64:
        """D_eff/D_0 of each volume; nan where a solve does not converge."""
        sized = [replace(v, spacing=material.spacing, unit=material.unit) for v in volumes]
        return np.array([np.mean([self._along(v, axis) for axis in self.axes]) for v in sized])

    def _along(self, volume: Volume, axis: str) -> float:
        found = effective_diffusivity(volume, phase=self.phase.label, axis=axis, throw=False)
        return found.value if found.converged else math.nan

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes along which it is measured."""
        return (self.axis,) if self.axis else AXES


def targets_of(
    given: Mapping[str, float], material: Material, *, isotropic: bool
) -> tuple[Target, ...]:
    """Targets from ``effective_diffusivity:PHASE`` or ``effective_diffusivity:PHASE:AXIS``.

    Raises
    ------
    InputError
        If a quantity, phase or axis is unknown, an axis is missing where the axes differ, or a
        value is not above 0 and below 1.
    """
    targets = [_target(name, value, material, isotropic) for name, value in given.items()]
    for index, one in enumerate(targets):
        if any((one.phase, one.axis) == (other.phase, other.axis) for other in targets[:index]):
            raise InputError(f"target {list(given)[index]}: it has one already, give one value")
    return tuple(targets)


def check_reachable(targets: Sequence[Target], fractions: Sequence[float]) -> None:
    """Raise `InputError` for a D_eff/D_0 above the phase's fraction, which no structure reaches.

    `fractions` are those of the images, in label order; parallel channels reach them (Wiener 1912).
    """
    for target in targets:
        share = fractions[target.phase.label]
        if target.value > share:
            raise InputError(
                f"a target of {target.value:g} for {target.phase.name}, which fills {share:.3g} of "
                "the images: D_eff/D_0 cannot exceed that fraction; give it relative to the bulk"
            )


def _target(name: str, value: float, material: Material, isotropic: bool) -> Target:
    """One of them."""
    metric, _, rest = name.partition(":")
    phases = {phase.name: phase for phase in material.phases}
    # A name of a phase may hold a colon itself.
    phase, _, axis = (rest, "", "") if rest in phases else rest.rpartition(":")
    if metric != METRIC or not rest:
        raise InputError(
            f"target {name}: expected {METRIC}:PHASE=VALUE or {METRIC}:PHASE:AXIS=VALUE"
        )
    if phase not in phases:
        known = ", ".join(phases) or f"none, they are {material.kind}"
        raise InputError(f"target {name}: no such phase in the images ({known})")
    if rest.endswith(":"):
        raise InputError(f"target {name}: leave out the last colon, or name an axis after it")
    if isotropic and axis:
        raise InputError(f"target {name}: the axes of an isotropic material are alike, name none")
    if not isotropic and axis not in AXES:
        raise InputError(f"target {name}: the axes differ, name one: {METRIC}:{phase}:z=VALUE")
    if not (math.isfinite(value) and 0 < value < 1):
        raise InputError(f"target {name}: D_eff/D_0 lies between 0 and 1, got {value:g}")
    return Target(phases[phase], axis, value)
