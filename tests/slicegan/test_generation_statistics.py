"""Statistics of volumes: the same in volumes of every size, periodic or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from small_models import small_model

from metrics import tpb_density, two_point_correlation, volume_fraction
from metrics.volume import Volume
from slicegan.checkpoint import Model
from slicegan.generation import generate
from slicegan.networks import Generator

SMALL, LARGE = 4, 12  # latent sites


def two_point(volume: Volume) -> np.ndarray:
    """S2 of all phases together, at 1 to 4 voxels: P[equal labels], mean of the axes.

    Pairs start at whole sites of 4 voxels, as the places in a site have their own statistics.
    """
    n = min(volume.shape) - 4
    axes = [np.moveaxis(volume.labels, axis, 0) for axis in range(3)]
    return np.array([np.mean([v[r : r + n] == v[:n] for v in axes]) for r in range(1, 5)])


def sigmas(first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
    """Differences of the means of independent volumes in standard errors."""
    means = [np.mean(sample, axis=0) for sample in (first, second)]
    errors = [np.var(sample, axis=0, ddof=1) / len(sample) for sample in (first, second)]
    return (means[0] - means[1]) / np.sqrt(sum(errors))


def volumes(model: Model, latent: int, count: int, seed: int) -> list[Volume]:
    volumes = generate(model, model.generator.size(latent), seed=seed, count=count)
    return list(volumes)


def as_the_original(model: Model, latent: int) -> Model:
    """The original's resize net: n voxels before the last layer become 2 n - 2, for any n."""
    config = model.generator.config
    (layer,) = config.layers
    n = layer.stride * (latent - 1) + layer.kernel - 2 * layer.padding
    generator = Generator(replace(config, upsampling=(2 * n - 2) / n)).double()
    generator.load_state_dict(model.generator.state_dict())
    return replace(model, generator=generator.eval())


@pytest.mark.parametrize("kind", ["transpose", "resize"])
def test_features_have_one_size_in_volumes_of_every_size(
    kind: Literal["transpose", "resize"],
) -> None:
    model = small_model(kind)
    small = [two_point(volume) for volume in volumes(model, SMALL, 200, seed=1)]
    large = [two_point(volume) for volume in volumes(model, LARGE, 12, seed=2)]
    # 4 standard errors, with 11 degrees of freedom: four lags pass by chance 99 times in 100.
    assert np.abs(sigmas(small, large)).max() < 4


def test_features_of_the_original_grow_with_the_volume() -> None:
    model = small_model("resize")
    samples = []
    for latent, count in ((SMALL, 200), (LARGE, 12)):
        original = as_the_original(model, latent)
        samples.append([two_point(volume) for volume in volumes(original, latent, count, seed=1)])
    # Factor 1.67 against 1.91: neighbours are less often equal in the small volumes.
    assert sigmas(*samples)[0] < -8


def measures(volume: Volume, periodic: bool) -> np.ndarray:
    """Fractions, S2 at 1 to 4 voxels, and TPB density."""
    # Without periods, the voxel edges on the faces of the volume have no four voxels to count.
    n = min(volume.shape)
    inside = 1 if periodic else (1 - 1 / n) ** 2
    curves = two_point_correlation(volume, phase=0, max_lag=4, periodic=periodic).axis
    return np.concatenate(
        [
            list(volume_fraction(volume).values()),
            np.mean(list(curves.values()), axis=0)[1:],
            [tpb_density(volume, periodic=periodic) / inside],
        ]
    )


def test_periodic_volumes_have_the_same_statistics() -> None:
    samples: list[list[np.ndarray]] = [[], []]
    options: list[dict[str, Any]] = [{"seed": 1}, {"seed": 2, "periodic": "zyx"}]
    for sample, option in zip(samples, options, strict=True):
        for volume in generate(small_model("resize"), 24, count=24, **option):
            sample.append(measures(volume, "periodic" in option))
    # 4 standard errors, with at least 23 degrees of freedom: chance exceeds them once in 200.
    assert np.abs(sigmas(*samples)).max() < 4
    # Negative control: other weights are seen by every quantity but the fractions.
    others = [
        measures(volume, False)
        for volume in generate(small_model("resize", seed=1), 24, count=24, seed=3)
    ]
    assert np.abs(sigmas(samples[0], others)).max() > 8
