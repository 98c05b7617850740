"""Measured diffusivities: read, compared with generated volumes, and what they decide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from refusing import refusal
from small_runs import CPU, SETTINGS, draw_nothing, image_file, resumed
from training_images import training_data

from metrics.volume import Phase, Volume
from slicegan import runs
from slicegan.checkpoint import load_model
from slicegan.cli import main
from slicegan.config import DataConfig, Material
from slicegan.fidelity import Fidelity, PlaneErrors, judge, reference
from slicegan.runs import Run
from slicegan.settings import override, preset
from slicegan.targets import Target, targets_of

MATERIAL = Material(phases=(Phase("pore", 0, 0), Phase("a:b", 1, 255)), spacing=(2.0, 1.0, 1.0))
PORE, OTHER = MATERIAL.phases


def channels(axis: int, side: int = 16) -> Volume:
    """Straight channels of the first phase along an axis, a quarter of each section."""
    labels = np.ones((side,) * 3, np.uint8)
    corner = [slice(None, side // 2)] * 3
    corner[axis] = slice(None)
    labels[tuple(corner)] = 0
    return Volume(labels, phases=MATERIAL.phases)


def test_names_are_read_for_either_kind_of_material() -> None:
    given = {"effective_diffusivity:pore": 0.2, "effective_diffusivity:a:b": 0.1}
    assert targets_of(given, MATERIAL, isotropic=True) == (
        Target(PORE, "", 0.2),
        Target(OTHER, "", 0.1),
    )
    given = {"effective_diffusivity:pore:y": 0.2, "effective_diffusivity:a:b:x": 0.1}
    assert targets_of(given, MATERIAL, isotropic=False) == (
        Target(PORE, "y", 0.2),
        Target(OTHER, "x", 0.1),
    )


@pytest.mark.parametrize(
    ("name", "value", "isotropic", "named"),
    [
        ("tortuosity:pore", 0.2, True, "expected effective_diffusivity:PHASE"),
        ("effective_diffusivity", 0.2, True, "expected effective_diffusivity:PHASE"),
        ("effective_diffusivity:grain", 0.2, True, "no such phase in the images (pore, a:b)"),
        ("effective_diffusivity:pore:z", 0.2, True, "alike, name none"),
        ("effective_diffusivity:pore", 0.2, False, "name one: effective_diffusivity:pore:z"),
        ("effective_diffusivity:pore:", 0.2, True, "leave out the last colon"),
        ("effective_diffusivity:pore:", 0.2, False, "leave out the last colon"),
        ("effective_diffusivity:pore:w", 0.2, False, "name one: effective_diffusivity:pore:z"),
        ("effective_diffusivity:pore", 0.0, True, "between 0 and 1, got 0"),
        ("effective_diffusivity:pore", 1.5, True, "between 0 and 1, got 1.5"),
        ("effective_diffusivity:pore", float("nan"), True, "between 0 and 1, got nan"),
    ],
)
def test_bad_targets_are_refused(name: str, value: float, isotropic: bool, named: str) -> None:
    assert named in refusal(targets_of, {name: value}, MATERIAL, isotropic=isotropic)


def test_grey_images_have_no_phases_to_aim_at() -> None:
    line = refusal(
        targets_of, {"effective_diffusivity:pore": 0.2}, Material("grey"), isotropic=True
    )
    assert "none, they are grey" in line


def test_straight_channels_conduct_their_fraction_along_their_axis_alone() -> None:
    volumes = [channels(0)] * 4
    assert Target(PORE, "z", 0.5).measured(volumes, MATERIAL).tolist() == [0.25] * 4
    assert Target(PORE, "x", 0.5).measured(volumes, MATERIAL).tolist() == [0.0] * 4
    assert Target(PORE, "", 0.5).measured(volumes, MATERIAL).tolist() == [0.25 / 3] * 4


def test_voxels_that_are_no_cubes_keep_their_edges() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (12, 12, 12))
    labels[:, :, :4] = 0
    volume, cubes = Volume(labels, phases=MATERIAL.phases), replace(MATERIAL, spacing=(1, 1, 1))
    target = Target(PORE, "y", 0.5)
    flat, cubic = (target.measured([volume], material)[0] for material in (MATERIAL, cubes))
    assert flat != pytest.approx(cubic, rel=0.01)


def test_errors_of_the_mean_are_judged_and_count() -> None:
    volumes = [channels(0), channels(1), channels(2)]
    image = np.ones((1, 32, 32), np.uint8)
    image[:, :16, :16] = 0
    data = training_data({"zyx": [image]})
    right, wrong = Target(PORE, "", 0.25 / 3), Target(PORE, "", 0.1 / 3)
    without, met, missed = (
        judge(volumes, reference(replace(data, targets=targets)))
        for targets in ((), (right,), (right, wrong))
    )
    assert "diffusivity" not in without.row()
    assert met.diffusivity == pytest.approx(0, abs=1e-9)
    assert missed.diffusivity == pytest.approx(1.5)  # the worst of the targets
    # All three conduct alike.
    assert missed.row()["diffusivity_se"] == pytest.approx(0, abs=1e-9)
    parts = sum(missed.row()[name] / bar for name, bar in (("fraction", 0.01), ("s2", 0.02)))
    parts += missed.boundary / 0.05 + missed.lattice / 0.03
    assert missed.score == pytest.approx((parts + 1.5 / 0.1) / 5)
    assert met.score < missed.score
    one = judge(volumes[:1], reference(replace(data, targets=(right,))))
    assert np.isnan(one.row()["diffusivity_se"])


def test_what_is_not_known_of_the_planes_is_no_good_score() -> None:
    broken = Fidelity(np.nan, {"z": PlaneErrors(0.0, 0.0)})
    assert np.isnan(broken.score)


def test_solves_that_do_not_converge_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = iter([(0.9, False), (0.2, True), (0.3, True), (0.9, False), (0.9, False)])

    def solve(*_: object, **__: object) -> SimpleNamespace:
        value, converged = next(solved)
        return SimpleNamespace(value=value, converged=converged)

    monkeypatch.setattr("slicegan.targets.effective_diffusivity", solve)
    image = np.zeros((1, 32, 32), np.uint8)
    image[:, :16] = 1
    source = training_data({"z": [image], "y": [image], "x": [image]})
    wanted = reference(replace(source, targets=(Target(PORE, "z", 0.25),)))
    assert judge([channels(0)] * 3, wanted).diffusivity == pytest.approx(0)
    assert judge([channels(0)] * 2, wanted).diffusivity == np.inf


def started(folder: Path, targets: dict[str, float]) -> Run:
    image = image_file(folder.parent / "image.npy")
    config = override(preset("tiny"), [*SETTINGS])
    data = DataConfig((image,), phases={"pore": 0, "grain": 255}, targets=targets)
    return Run.start(folder, data, config, seed=0, device=CPU)


def test_a_run_keeps_the_step_that_comes_nearest_and_goes_on_with_its_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    run = started(tmp_path / "run", {"effective_diffusivity:pore": 0.3})
    # Planes alone would take the second step.
    found = iter([Fidelity(0.01, {}, diffusivity=0.05), Fidelity(0.001, {}, diffusivity=0.5)])
    planes = {"z": PlaneErrors(0.01, 0.01)}
    monkeypatch.setattr(runs, "judge", lambda *_, **__: replace(next(found), planes=planes))
    monkeypatch.setattr(Run, "keep_better", lambda *_, **__: None)
    assert run.train()
    kept = json.loads(load_model(run.folder / "generator.safetensors").facts["fidelity"])
    assert (kept["step"], kept["diffusivity"]) == (2, 0.05)
    monkeypatch.undo()
    draw_nothing(monkeypatch)
    again = resumed(run.folder, steps=6)
    log = pd.read_csv(again / "log.csv")
    assert log["step"].tolist() == [2, 4, 6]
    assert np.isfinite(log["diffusivity"]).all()
    assert "diffusivity" in json.loads(load_model(again).facts["fidelity"])


def test_the_command_takes_targets_and_refuses_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    image = image_file(tmp_path / "image.npy")
    begin = ["train", image, "--phases", "pore=0,grain=255", "--preset", "tiny", "--set", *SETTINGS]
    begin += ["--steps", "2", "--out", str(tmp_path / "run"), "--no-report"]
    for item, named in (
        ("effective_diffusivity:pore", "expected effective_diffusivity:PHASE=VALUE"),
        ("effective_diffusivity:pore=much", "expected effective_diffusivity:PHASE=VALUE"),
        ("effective_diffusivity:grains=.1", "no such phase"),
        ("effective_diffusivity:pore=.9", "D_eff/D_0 cannot exceed that fraction"),
    ):
        assert main([*begin, "--target", item]) == 2
        error = capsys.readouterr().err
        assert named in error and error.count("\n") == 1
    item = "effective_diffusivity:pore=.2"
    assert main([*begin, "--target", item, item]) == 2
    assert "given twice" in capsys.readouterr().err
    assert main([*begin, "--target", item]) == 0
    assert "target: D_eff/D_0 of pore 0.2" in capsys.readouterr().out
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--target", item]) == 2
    assert "--resume takes its target from the run" in capsys.readouterr().err
