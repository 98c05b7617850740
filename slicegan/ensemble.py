"""Several generators of one image, of seeds one after the other: what the image leaves open.

Each is a run in a folder of its own, ``member_0``, ``member_1``, ... (`runs.start_members`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from metrics.volume import InputError
from slicegan.checkpoint import Model, load_model, members

T = TypeVar("T")


def load_models(source: str | os.PathLike[str]) -> list[Model]:
    """Read the generators of an ensemble, or the only one of any other source.

    Raises
    ------
    InputError
        As `load_model`, of a member that has not been evaluated yet too; or if members make
        different materials.
    """
    models = [load_model(folder) for folder in members(source) or [Path(source)]]
    if any(model.material != models[0].material for model in models):
        raise InputError(f"{source}: its generators are of different materials: keep one of them")
    return models


def member_of(ensemble: Sequence[T], seed: int, index: int) -> T:
    """Which member makes volume number `index` of a seed: seeds and numbers both take turns."""
    return ensemble[(seed + index) % len(ensemble)]
