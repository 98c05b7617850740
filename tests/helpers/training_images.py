"""Training data made of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from metrics.volume import Phase
from slicegan.config import Kind, Material
from slicegan.data import TrainingData
from slicegan.sources import Source


def training_data(
    images: Mapping[str, Sequence[np.ndarray]],
    *,
    phases: int = 2,
    kind: Kind = "phases",
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    flips: tuple[bool, bool] = (False, False),
) -> TrainingData:
    """Stacks of images by the axes they are normal to; ``"zyx"`` is an isotropic material."""
    isotropic = list(images) == ["zyx"]
    sources = [
        Source(tuple(axes), tuple(map(torch.tensor, stacks)), phases, isotropic, flips)
        for axes, stacks in images.items()
    ]
    named = tuple(Phase(f"phase {k}", k, k) for k in range(phases if kind == "phases" else 0))
    return TrainingData(Material(kind, named, spacing), tuple(sources), isotropic, ())


def slices_of(volume: np.ndarray) -> dict[str, list[np.ndarray]]:
    """All slices of a volume, normal to each axis."""
    return {"z": [volume], "y": [volume.swapaxes(0, 1)], "x": [np.moveaxis(volume, 2, 0)]}
