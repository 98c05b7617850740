"""Shipped generators: there by name, small, and each with its own card.

That they make what they made is in tests/fidelity; how it compares with the real volumes is in
benchmarks/results.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.validation.cases import CASES, STUDIES
from slicegan.checkpoint import PRETRAINED, load_model, pretrained

MEGABYTES = 8


def card(name: str) -> dict[str, Any]:
    return json.loads(PRETRAINED.joinpath(f"{name}.json").read_text(encoding="utf-8"))


def test_what_is_shipped() -> None:
    assert set(pretrained()) <= set(CASES)
    assert {study.models[0] for study in STUDIES.values()} <= set(pretrained())


@pytest.mark.parametrize("name", pretrained())
def test_a_shipped_generator_is_small_and_its_card_is_its_own(name: str) -> None:
    size = len(PRETRAINED.joinpath(f"{name}.safetensors").read_bytes())
    assert size < MEGABYTES * 10**6
    facts, written = load_model(name).facts, card(name)
    assert written["name"] == name
    assert json.loads(facts["hashes"]) == written["trained on"]["sha256 of the training file"]
    assert facts["seed"] == str(written["training"]["seed"])
    fidelity = json.loads(facts["fidelity"])
    assert fidelity["step"] == written["training"]["steps of the generator shipped"]
    # Where it was trained is no one's business.
    assert not any(path.startswith("/") for path in json.loads(facts["hashes"]))
