"""Shipped generators make what they made, and the test that says so can fail.

Limits are those of ``benchmarks/results/regression.csv``: the mean of the same four seeds may move
by a five-hundredth of the deviation from seed to seed, less than 2 % noise on the weights moves it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import binary_erosion

from benchmarks.validation import regression
from metrics.fraction import volume_fraction
from metrics.shapes import gaussian_random_field
from metrics.volume import Volume
from slicegan.checkpoint import Model, load_model, pretrained
from slicegan.places import lattice

TABLE = Path(__file__).parents[2] / "benchmarks" / "results" / "regression.csv"
SHARE = 0.002  # of the deviation from seed to seed
NOISE = 0.02  # of the root mean square of a layer's weights
PERIOD = 16
# Largest spread over places: the noise of four volumes of 96^3 makes .04 of a phase of .15.
LATTICE = 0.06


def expected(name: str) -> pd.DataFrame:
    table = pd.read_csv(TABLE, keep_default_na=False)
    return table[table.model == name].set_index(regression.KEYS)


def moved(name: str, found: pd.DataFrame) -> pd.DataFrame:
    """Quantities beyond their limits."""
    wanted = expected(name).loc[found.index]
    # The table has six digits.
    allowed = SHARE * wanted["deviation"] + 1e-5 * abs(wanted["mean"])
    return found[abs(found["mean"] - wanted["mean"]) > allowed]


@pytest.fixture(scope="module", params=pretrained())
def shipped(request: pytest.FixtureRequest) -> tuple[str, Model, list[Volume]]:
    model = load_model(request.param)
    return request.param, model, regression.volumes_of(model)


def test_volumes_have_the_figures_of_the_table(shipped: tuple[str, Model, list[Volume]]) -> None:
    name, _, volumes = shipped
    found = regression.quantities(volumes)
    assert set(found.index) == set(expected(name).index)
    assert moved(name, found).empty


def test_labels_are_the_same_to_the_voxel(shipped: tuple[str, Model, list[Volume]]) -> None:
    name, model, _ = shipped
    assert regression.checksum(model) == expected(name)["labels"].iloc[0]


def test_places_have_one_law(shipped: tuple[str, Model, list[Volume]]) -> None:
    _, _, volumes = shipped
    assert lattice(volumes, PERIOD).worst < LATTICE
    # Negative control: in half of the places the last phase, the rarest or not, never occurs.
    planted = []
    for volume in volumes:
        first, last = volume.phase_labels[0], volume.phase_labels[-1]
        rare = (np.indices(volume.shape)[0] % PERIOD < PERIOD // 2) & (volume.labels == last)
        planted.append(relabelled(volume, np.where(rare, first, volume.labels)))
    assert lattice(planted, PERIOD).worst > 0.9


def relabelled(volume: Volume, labels: np.ndarray) -> Volume:
    return Volume(labels, volume.spacing, volume.unit, phases=volume.phases)


def shuffled(volume: Volume) -> Volume:
    """Its slices along z in another order: every slice is right, the volume is not."""
    return relabelled(volume, np.random.default_rng(0).permutation(volume.labels, axis=0))


def eroded(volume: Volume) -> Volume:
    """The first phase less its outermost voxels, which the last one gets."""
    first, last = volume.phase_labels[0], volume.phase_labels[-1]
    inside = volume.labels == first
    skin = inside & ~binary_erosion(inside, border_value=1)
    return relabelled(volume, np.where(skin, last, volume.labels))


def another_material(volume: Volume) -> Volume:
    """A random field of the same fractions."""
    fractions = np.array(list(volume_fraction(volume).values()))
    body = gaussian_random_field(
        volume.shape, correlation_length=4, fractions=tuple(fractions / fractions.sum()), seed=0
    )
    return relabelled(volume, body.volume.labels)


@pytest.mark.parametrize("spoil", [shuffled, eroded, another_material])
def test_spoilt_volumes_fail(
    shipped: tuple[str, Model, list[Volume]], spoil: Callable[[Volume], Volume]
) -> None:
    name, _, volumes = shipped
    found = regression.quantities([spoil(volume) for volume in volumes], transport=False)
    assert len(moved(name, found)) > 3


def test_a_little_noise_on_the_weights_fails(shipped: tuple[str, Model, list[Volume]]) -> None:
    name, model, _ = shipped
    noisy = Model(copy.deepcopy(model.generator), model.material, {})
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for conv in noisy.generator.convs:
            size = conv.weight.square().mean().sqrt()
            conv.weight += NOISE * size * torch.randn(conv.weight.shape, generator=random)
    found = regression.quantities(regression.volumes_of(noisy), transport=False)
    assert not moved(name, found).empty
    assert regression.checksum(noisy) != expected(name)["labels"].iloc[0]
