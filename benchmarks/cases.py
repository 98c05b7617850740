"""The materials of the validation: what their shipped generators learn, and how they are judged.

A material is learnt twice: from slices of the whole volume, which is what the original's example
really does, and from one slice (three where the axes differ), which is what its title says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks import datasets
from metrics.files import one_line, replacing
from metrics.io import write
from metrics.volume import AXES, Volume
from slicegan.config import DataConfig

Seen = Literal["volume", "slice"]


@dataclass(frozen=True)
class Case:
    """A shipped generator: what it learns from, and how.

    Parameters
    ----------
    dataset : str
        Of `benchmarks.datasets`.
    seen : {"volume", "slice"}
        All slices of the volume along z, y and x; or the middle slice along z, and those along y
        and x as well where the axes differ.
    isotropic : bool
        Whether all axes are alike: one critic.
    preset : str
        Of networks and training.
    settings : tuple of str
        Changes of the preset.
    """

    dataset: str
    seen: Seen = "volume"
    isotropic: bool = True
    preset: str = "narrow"
    settings: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes normal to the single slices seen."""
        return AXES[:1] if self.isotropic else AXES

    def slices(self, real: Volume) -> str:
        """Which slices of the real volume training sees, in words."""
        if self.seen == "volume":
            count = sum(real.shape)
            return f"all {count} slices of the volume along z, y and x (none is left unseen)"
        places = (f"{axis} = {real.shape[AXES.index(axis)] // 2}" for axis in self.axes)
        number = "one slice" if self.isotropic else "three slices"
        return f"{number} of the volume: {', '.join(places)}"

    def training_data(self, real: Volume, folder: Path, name: str) -> DataConfig:
        """Write what training sees into a folder, and say how to read it."""
        folder.mkdir(parents=True, exist_ok=True)
        phases = {phase.name: phase.value for phase in real.phases}
        if self.seen == "volume":
            file = folder / f"{name}.tif"
            write(real, file)
            return DataConfig((str(file),), phases=phases, isotropic=self.isotropic)
        values = np.array([phase.value for phase in real.phases], np.uint8)
        files = {axis: folder / f"{name}_{axis}.tif" for axis in self.axes}
        for axis, file in files.items():
            with one_line(file, "written", "free some space"), replacing(file) as temporary:
                tifffile.imwrite(temporary, values[middle_slice(real, axis)])
        images = {axis: (str(file),) for axis, file in files.items()}
        known = real.unit != "voxel"
        return DataConfig(
            images["z"] if self.isotropic else images,
            phases=phases,
            spacing=real.spacing if known else None,
            unit=real.unit if known else None,
        )


# How `snow` was made, before `narrow` had fewer slices and other first weights.
_BEFORE = ("training.slices=12", "training.init=he", "training.steps=10000")

CASES = {
    "nmc": Case("nmc"),
    "nmc-slice": Case("nmc", "slice"),
    "berea": Case("berea"),
    "berea-slice": Case("berea", "slice"),
    "snow": Case("snow", settings=_BEFORE),
    "stack": Case("stack", isotropic=False),
    "stack-slices": Case("stack", "slice", isotropic=False),
}


def middle_slice(volume: Volume, axis: str) -> NDArray[np.integer]:
    """Labels of the middle slice normal to an axis."""
    index = AXES.index(axis)
    return volume.labels.take(volume.shape[index] // 2, axis=index)
