"""What a generator is and where it comes from, in a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slicegan.checkpoint import Model
from slicegan.fidelity import against_bars
from slicegan.networks import count_weights


def about(model: Model) -> list[str]:
    """Lines on material, network, training and errors; facts that a file lacks are left out.

    Examples
    --------
    >>> from slicegan.config import GeneratorConfig, Material
    >>> from slicegan.networks import Generator
    >>> config = GeneratorConfig(channels=1, output="tanh", filters=(8, 6, 4, 4))
    >>> for line in about(Model(Generator(config), Material("grey"), {"seed": "3"})):
    ...     print(line)
    makes: grey volumes
    network: transpose, 38,700 weights, 32 voxels a latent site
    """
    return list(_lines(model))


def facts(model: Model) -> dict[str, Any]:
    """Facts of a file, decoded where they are JSON."""
    return {name: _decoded(fact) for name, fact in model.facts.items()}


def _lines(model: Model) -> Iterator[str]:
    material, known = model.material, facts(model)
    made = ", ".join(f"{phase.name} = value {phase.value}" for phase in material.phases)
    size = " x ".join(f"{edge:g}" for edge in material.spacing)
    plain = material.unit == "voxel" and size == "1 x 1 x 1"
    voxels = "" if plain else f"; voxels of {size} {material.unit}"
    yield f"makes: {made or f'{material.kind} volumes'}{voxels}"
    generator = model.generator
    size = f"{count_weights(generator):,} weights"
    yield f"network: {generator.config.kind}, {size}, {generator.stride} voxels a latent site"
    data, fidelity, training = (
        fact if isinstance(fact := known.get(name), dict) else {}
        for name in ("data", "fidelity", "training")
    )
    if files := _files(data.get("images")):
        steps = f"step {fidelity.get('step')} of {training.get('steps')}"
        yield f"learnt from: {files}; {steps}, seed {known.get('seed')}, {known.get('device')}"
    numbers = {name: x for name, x in fidelity.items() if isinstance(x, float)}
    if errors := against_bars(numbers):
        yield f"errors against its images: {errors}"


def _files(images: Any) -> str:
    """Names of the training images, by axis if they are given so; none of anything else."""
    if isinstance(images, dict):
        return ", ".join(f"{axis}: {_names(files)}" for axis, files in images.items())
    return _names(images)


def _names(files: Any) -> str:
    return ", ".join(Path(str(file)).name for file in files) if isinstance(files, list) else ""


def _decoded(fact: str) -> Any:
    try:
        return json.loads(fact)
    except (ValueError, RecursionError):
        return fact
