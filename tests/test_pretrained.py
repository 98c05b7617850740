"""Shipped generators: there by name, small, and as good as their cards say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import slicegan
from metrics import specific_surface_area, volume_fraction
from slicegan.checkpoint import PRETRAINED, Model, load_model, pretrained

FRESH_SEEDS = range(100, 104)  # the card's are 0 to 7
MEGABYTES = {"snow": 4}


def card(name: str) -> dict[str, Any]:
    return json.loads(PRETRAINED.joinpath(f"{name}.json").read_text(encoding="utf-8"))


def real(name: str, metric: str) -> dict[str, float]:
    """Values of the real volume on the card, by phase."""
    rows = card(name)["against the real volume"]["table"]
    return {row["phase"]: row["real"] for row in rows if row["metric"] == metric}


def as_on_the_card(name: str, model: Model) -> bool:
    """Whether fresh volumes have the real fractions to 0.03 and the real surface to 10 %.

    That is some four times the spread of the mean of four volumes, and the card's own deviation.
    """
    volumes = [slicegan.generate(model, 64, seed=seed) for seed in FRESH_SEEDS]
    first = volumes[0].phases[0]
    fraction = np.mean([volume_fraction(volume)[first.label] for volume in volumes])
    surface = np.mean(
        [
            specific_surface_area(volume, phase=first.label, estimator="crofton")
            for volume in volumes
        ]
    )
    return bool(
        abs(fraction - real(name, "volume_fraction")[first.name]) < 0.03
        and abs(surface / real(name, "specific_surface_area")[first.name] - 1) < 0.1
    )


def test_what_is_shipped() -> None:
    assert pretrained() == list(MEGABYTES)


@pytest.mark.parametrize("name", MEGABYTES)
def test_a_shipped_generator_is_small_and_its_card_is_its_own(name: str) -> None:
    size = len(PRETRAINED.joinpath(f"{name}.safetensors").read_bytes())
    assert size < MEGABYTES[name] * 10**6
    facts, written = load_model(name).facts, card(name)
    assert json.loads(facts["hashes"]) == written["trained on"]["sha256 of the training file"]
    assert facts["seed"] == str(written["training"]["seed"])
    fidelity = json.loads(facts["fidelity"])
    assert fidelity["step"] == written["training"]["steps of the generator shipped"]
    # Where it was trained is no one's business.
    assert not any(path.startswith("/") for path in json.loads(facts["hashes"]))


@pytest.mark.parametrize("name", MEGABYTES)
def test_a_shipped_generator_is_as_good_as_its_card_says(name: str) -> None:
    model = load_model(name)
    assert as_on_the_card(name, model)
    weights = model.generator.state_dict()
    random = torch.Generator().manual_seed(0)
    for key, weight in weights.items():
        if weight.ndim > 1:  # the same numbers, in another order
            order = torch.randperm(weight.numel(), generator=random)
            weights[key] = weight.flatten()[order].view_as(weight)
    model.generator.load_state_dict(weights)
    assert not as_on_the_card(name, model)
