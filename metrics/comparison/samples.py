"""Two samples of volumes made comparable: same phases, voxel size and unit, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.neighbourhood import encode
from metrics.units import factor
from metrics.volume import InputError, Volume, as_volume

Sample = Volume | NDArray[Any] | Sequence[Volume | NDArray[Any]]


def match(gen: Sample, real: Sample) -> tuple[list[Volume], list[Volume]]:
    """Both samples as lists of volumes with the labels and names of the first real one.

    Phases match by rank of their labels; lengths in two known units are put into one.

    Raises
    ------
    InputError
        If a sample is empty, spacing, unit, number or names of phases differ, or a phase has no
        voxel in either sample. One that has none in one of them is compared: its fraction is 0.
    """
    of_gen, of_real = _volumes(gen, "gen"), _volumes(real, "real")
    model = of_real[0]
    for name, volumes in (("real", of_real), ("gen", of_gen)):
        for v in volumes:
            _check_alike(v, model, name)
    if missing := set(absent(of_real)) & set(absent(of_gen)):
        raise InputError(f"phase {min(missing)} has no voxel in gen nor in real: leave it out")
    of_gen, of_real = (
        [_with_phases_of(model, _in_unit(model.unit, v)) for v in sample]
        for sample in (of_gen, of_real)
    )
    return of_gen, of_real


def absent(volumes: Sequence[Volume]) -> list[str]:
    """Names of the phases of which no volume of a sample has a voxel."""
    return [
        phase.name
        for phase in volumes[0].phases
        if not any((layer == phase.label).any() for v in volumes for layer in v.labels)
    ]


def first_of(gen: Sample) -> Volume:
    """The first generated volume."""
    return _volumes(gen, "gen")[0]


def _volumes(sample: Sample, name: str) -> list[Volume]:
    if isinstance(sample, Volume | np.ndarray):
        return [as_volume(sample)]
    if not sample:
        raise InputError(f"{name} needs at least one volume")
    return [as_volume(v) for v in sample]


def _check_alike(v: Volume, model: Volume, name: str) -> None:
    if len(v.phases) < 2:
        raise InputError(
            f"{name} holds one phase only ({v.phases[0].name}): check its segmentation"
        )
    if len(v.phases) != len(model.phases):
        raise InputError(
            f"{len(v.phases)} phases in {name} against {len(model.phases)} in real: "
            "name the phases of both with their values (--phases), also one that gen has lost"
        )
    same = _in_unit(model.unit, v)
    if same.unit != model.unit or not np.allclose(same.spacing, model.spacing, rtol=1e-4, atol=0):
        raise InputError(
            f"voxels of {_voxel(v)} in {name} against {_voxel(model)} in real: "
            "resample one, or give the spacing if a file is wrong"
        )
    if _named(v) and _named(model) and _names(v) != _names(model):
        raise InputError(f"phases {_names(v)} in {name} against {_names(model)} in real")


def _in_unit(unit: str, v: Volume) -> Volume:
    """The same lengths in another unit, where both are known: 400 nm are 0.4 um."""
    times = factor(v.unit, unit)
    if times is None or times == 1:
        return v
    z, y, x = (edge * times for edge in v.spacing)
    return replace(v, spacing=(z, y, x), unit=unit)


def _with_phases_of(model: Volume, v: Volume) -> Volume:
    if v.phase_labels == model.phase_labels:
        return replace(v, phases=model.phases)
    v = v.loaded() if v.stored else v
    ranks = encode(v.labels, v.phase_labels)
    if model.phase_labels == tuple(range(len(model.phases))):
        return replace(v, labels=ranks, phases=model.phases)
    return replace(v, labels=np.array(model.phase_labels)[ranks], phases=model.phases)


def _named(v: Volume) -> bool:
    return _names(v) != [str(phase.value) for phase in v.phases]


def _names(v: Volume) -> list[str]:
    return [phase.name for phase in v.phases]


def _voxel(v: Volume) -> str:
    return " x ".join(f"{h:g}" for h in v.spacing) + f" {v.unit}"
