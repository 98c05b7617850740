"""Intervals over generators: known components of variance, and the whole path on a tiny case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import datasets
from benchmarks.making import ambiguity
from benchmarks.validation import cases
from metrics.volume import Volume

INDEX = pd.MultiIndex.from_tuples([("surface", "pore")], names=ambiguity.KEYS)


def test_variance_is_parted_between_generators_and_volumes() -> None:
    """Generators of deviation 2, their volumes of deviation 1: a share of 4 / 5."""
    random = np.random.default_rng(0)
    shares, held = [], 0
    for _ in range(300):
        centres = 10 + 2 * random.standard_normal(4)
        each = [pd.DataFrame([c + random.standard_normal(8)], INDEX) for c in centres]
        row = ambiguity.summary(each, pd.DataFrame([[10.0, 10.0]], INDEX)).iloc[0]
        shares.append(row["share"])
        held += row["over generators low"] < 10 < row["over generators high"]
    assert held / 300 == pytest.approx(0.95, abs=0.04)  # three deviations of 300 draws
    # Of four generators a variance has the median .79 of its mean: 4 * .79 / (4 * .79 + 1) = .76.
    assert np.median(shares) == pytest.approx(0.76, abs=0.03)


def test_one_law_has_no_share() -> None:
    random = np.random.default_rng(1)
    each = [pd.DataFrame([10 + random.standard_normal(50)], INDEX) for _ in range(4)]
    row = ambiguity.summary(each, pd.DataFrame([[10.0, 10.0]], INDEX)).iloc[0]
    # A variance of four means is chi-squared over 3: with .95 below 2.6 of what 50 volumes leave.
    assert row["share"] < 1.6 / 50
    # t with 49 degrees of freedom, of 50 values of deviation 1.
    assert row["of one"] == pytest.approx(2.01 / 50**0.5, rel=0.2)


def test_seeds_are_trained_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 2, (8, 8, 8), dtype=np.uint8)
    real = Volume(np.kron(blocks, np.ones((8, 8, 8), np.uint8)))
    monkeypatch.setattr(datasets, "load", lambda _: real)
    small = ("generator.filters=[4,4,4,4]", "critic.filters=[2,2,2]", "training.steps=2")
    small += ("training.norm_volumes=4", "training.calibration_volumes=4")
    small += ("training.validation_volumes=2",)
    monkeypatch.setitem(
        cases.CASES, "snow-slice", replace(cases.CASES["snow-slice"], preset="tiny", settings=small)
    )
    study = replace(cases.STUDIES["snow"], window=32)
    monkeypatch.setitem(cases.STUDIES, "snow", study)
    argv = ["snow-slice", "--seeds", "2", "--volumes", "2", "--runs", str(tmp_path / "runs")]
    assert ambiguity.main([*argv, "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "ambiguity_snow-slice.csv", dtype={"phase": str})
    assert {"volume_fraction", "effective_diffusivity"} <= set(table["metric"])
    share = table[table["metric"] == "volume_fraction"].set_index("phase")
    # The parts of the real volume fill it: their mean is its fraction.
    assert share["real"]["0"] == pytest.approx((real.labels == 0).mean())
    assert share["generators"].sum() == pytest.approx(1)
    assert (share["lowest"] < share["generators"]).all()
    stale = replace(cases.CASES["snow-slice"], settings=(*small, "training.penalty=3"))
    monkeypatch.setitem(cases.CASES, "snow-slice", stale)
    assert ambiguity.main(argv) == 2
    assert "a run of other settings than snow-slice has" in capsys.readouterr().err
    assert "training 0 to 1" in (tmp_path / "ambiguity_snow-slice.md").read_text()
    assert ambiguity.main(["snow-slice", "--seeds", "1"]) == 2
    assert "2 or more" in capsys.readouterr().err
