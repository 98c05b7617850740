"""Generators of random weights whose volumes hold all phases, and small enough for any test."""

from __future__ import annotations

from typing import Any, Literal

import torch

from metrics.volume import Phase
from slicegan.checkpoint import Model
from slicegan.config import GeneratorConfig, Layer, Material
from slicegan.networks import Generator, initialise

ANODE = Material(
    "phases",
    (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 254)),
    (0.5, 0.4, 0.3),
    "um",
)
INNER, LAST = Layer(4, 2, 2), Layer(4, 2, 3)


def random_generator(config: GeneratorConfig, seed: int = 0) -> Generator:
    """Generator in eval mode, in float64, so that nearly equal logits are no ties.

    BatchNorm has the statistics of its own volumes, and each last kernel sums to zero: no phase
    outweighs the others.
    """
    random = torch.Generator().manual_seed(seed)
    generator = Generator(config).double()
    initialise(generator, "he", random)
    last: Any = generator.resize if config.kind == "resize" else generator.convs[-1]
    with torch.no_grad():
        inputs = 1 if config.kind == "resize" else 0
        sizes = generator.fine_sizes(8)
        last.weight -= last.weight.mean(dim=(inputs, 2, 3, 4), keepdim=True)
        for _ in range(30):
            shape = (2, config.latent_channels, 8, 8, 8)
            latent = torch.randn(shape, generator=random, dtype=torch.float64)
            fine = [torch.randn((2, 1, n, n, n), generator=random).double() for n in sizes]
            generator(latent, fine)
    return generator.eval()


def small_model(
    kind: Literal["transpose", "resize"] = "transpose",
    material: Material = ANODE,
    *,
    seed: int = 0,
    **options: Any,
) -> Model:
    """Model with 4 voxels a site, unless `options` of its `GeneratorConfig` say otherwise."""
    defaults = {
        "kind": kind,
        "latent_channels": 4,
        "filters": (8,),
        "layers": (INNER, LAST) if kind == "transpose" else (INNER,),
        "channels": material.channels,
        "output": "softmax" if material.kind == "phases" else "tanh",
    }
    config = GeneratorConfig(**{**defaults, **options})
    return Model(random_generator(config, seed), material, {})
