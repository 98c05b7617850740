"""The scripts that train: a shipped generator with its card, and tables of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from small_runs import SETTINGS, draw_nothing

from benchmarks.making import ingredients, time_to_fidelity, train_pretrained
from benchmarks.validation import cases
from metrics.shapes import gaussian_random_field
from slicegan.checkpoint import load_model
from slicegan.runs import Run


@pytest.fixture
def snow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small field stands in for the snow, a run of four steps for one of hours."""
    field = gaussian_random_field((40,) * 3, correlation_length=2, seed=1).volume
    monkeypatch.setattr(train_pretrained.datasets, "load", lambda name: field)
    case = cases.Case("snow", preset="tiny", settings=SETTINGS)
    monkeypatch.setattr(train_pretrained, "CASES", {"snow": case})
    monkeypatch.setattr(train_pretrained, "TEST_SIDE", 40)
    draw_nothing(monkeypatch)


def test_a_generator_is_trained_on_where_it_stopped_and_shipped_with_a_card(
    snow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["snow", "--seed", "3", "--out", "shipped"]
    with monkeypatch.context() as patch:
        patch.setattr(Run, "train", lambda run, *, progress: False)
        assert train_pretrained.main(argv) == 130
    assert not Path("shipped").exists()
    assert train_pretrained.main(argv) == 0
    card = json.loads(Path("shipped/snow.json").read_text())
    assert card["training"]["steps"] == 4 and card["training"]["seed"] == 3
    assert card["trained on"]["licence"] == "GPL-3.0-or-later"
    assert list(card["trained on"]["sha256 of the training file"]) == ["runs/snow.tif"]
    found = card["against the real volume"]
    assert "volume_fraction" in {row["metric"] for row in found["table"]}
    assert {row["axis"] for row in found["two-point correlation"]} == {"", *"zyx"}
    (errors,) = (card[key] for key in card if key.startswith("errors"))
    assert set(errors) == {"fraction", "s2", "boundary", "lattice"}
    assert "material" in found["answer"] or "Undecided" in found["answer"]
    model = load_model("shipped/snow.safetensors")
    assert json.loads(model.facts["hashes"]) == card["trained on"]["sha256 of the training file"]

    assert time_to_fidelity.main(["runs/snow_3", "--out", "tables"]) == 0
    table = pd.read_csv("tables/learning.csv")
    assert table.images[0] == "snow.tif" and table.settings[0].startswith("tiny ")
    assert "steps=4" in table.settings[0] and table.steps[0] == 4
    assert table.lattice.notna().all()
    assert time_to_fidelity.main(["shipped"]) == 2
    assert "shipped holds no run" in capsys.readouterr().err


def test_ingredients_go_on_where_they_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    quick = "norm_volumes=1 validation_volumes=1 steps="
    monkeypatch.setattr(ingredients, "VARIANTS", {"a": f"{quick}1", "b": f"{quick}2"})
    monkeypatch.setattr(ingredients, "TEST_SIDE", 32)
    argv = ["--seeds", "1", "--cache", str(tmp_path / "rows.json"), "--out", str(tmp_path)]
    assert ingredients.main([*argv, "--variants", "a"]) == 0
    first = json.loads((tmp_path / "rows.json").read_text())
    assert ingredients.main(argv) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows[0] == first[0] and [row["variant"] for row in rows] == ["a", "b"]
    table = pd.read_csv(tmp_path / "ingredients.csv")
    assert list(table.variant) == ["a", "b"] and list(table.seeds) == [1, 1]
