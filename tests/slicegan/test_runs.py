"""What a run writes, and which generator it keeps."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from refusing import refusal
from small_runs import CPU, differences, disk_full, draw_nothing, finished, leaves, start

from slicegan import evaluation, runs
from slicegan.calibration import waves
from slicegan.checkpoint import load_model, load_state
from slicegan.fidelity import Fidelity, PlaneErrors
from slicegan.record import Record
from slicegan.runs import Run
from slicegan.settings import from_json
from slicegan.training import Trainer

LOSSES = ["critic_real", "critic_fake", "penalty", "generator_loss", "wasserstein"]
ERRORS = ["fraction", "s2", "boundary", "lattice", "score", "fraction_se", "s2_se", "boundary_se"]
PLANES = [f"{name}_{plane}" for plane in ("z", "y", "x", "45z", "45y", "45x")
          for name in ("s2", "boundary")]  # fmt: skip


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a run of four steps that wrote all its files, pictures too."""
    yield finished(tmp_path_factory.mktemp("whole") / "run", seed=3)


def test_a_run_writes_the_files_that_are_documented_and_no_others(whole: Path) -> None:
    documented = set(re.findall(r"^``(.+?)``", runs.__doc__ or "", re.MULTILINE))
    written = {file.name + "/" * file.is_dir() for file in whole.iterdir()}
    assert written == documented | {"fidelity.png"}  # the plot behind "losses.png, ..."
    previews = list((whole / "previews").iterdir())
    assert {file.name for file in previews} == {"step_000002.png", "step_000004.png"}
    for picture in (*whole.glob("*.png"), *previews):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_log_has_a_row_for_each_evaluation(whole: Path) -> None:
    log = pd.read_csv(whole / "log.csv")
    assert list(log.columns) == ["step", "seconds", *LOSSES, *ERRORS, *PLANES]
    assert list(log["step"]) == [2, 4]
    assert log.notna().all(axis=None)
    assert 0 < log["seconds"][0] < log["seconds"][1]


def test_the_log_has_mean_losses_since_the_last_evaluation_and_the_last_step_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, seen = Trainer.advance, []

    def noted(trainer: Trainer) -> dict[str, torch.Tensor]:
        seen.append(advance(trainer))
        return seen[-1]

    monkeypatch.setattr(Trainer, "advance", noted)
    log = pd.read_csv(finished(tmp_path / "run", "training.steps=5") / "log.csv")
    assert list(log["step"]) == [2, 4, 5]
    for name in LOSSES[:-1]:
        values = [float(losses[name]) for losses in seen]
        expected = [sum(values[:2]) / 2, sum(values[2:4]) / 2, values[4]]
        # The log has six digits.
        assert list(log[name]) == pytest.approx(expected, rel=1e-5, abs=1e-12)
    assert list(log["wasserstein"]) == pytest.approx(
        list(log["critic_real"] - log["critic_fake"]), rel=0, abs=1e-6
    )


def test_record_and_facts_hold_all_that_the_result_depends_on(whole: Path) -> None:
    image = whole.parent / "image.npy"
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    record = from_json((whole / "config.json").read_bytes(), Record)
    assert record.config.training.steps == 4
    assert record.config.generator.filters == (4, 4, 4, 4)
    assert record.data.images == (str(image),)
    assert record.hashes == {str(image): digest}
    assert record.seed == 3
    assert record.versions.keys() >= {"python", "torch", "numpy", "slicegan"}
    for name in ("generator", "last"):
        model = load_model(whole / f"{name}.safetensors")
        facts = model.facts
        assert facts["seed"] == "3"
        assert facts["device"] == "cpu"
        assert facts["machine"] == record.machine
        written = json.loads((whole / "config.json").read_text())
        for key in ("training", "critic"):
            assert json.loads(facts[key]) == written["config"][key]
        for key in ("data", "hashes", "versions"):
            assert json.loads(facts[key]) == written[key]
        # What a run keeps has its fractions set by place, so that no wave is left.
        places = waves(model) if name == "generator" else {}
        expected = replace(record.config.generator, calibrated=True, **places)
        assert model.generator.config == expected
        assert [phase.value for phase in model.material.phases] == [0, 255]
    log = pd.read_csv(whole / "log.csv")
    last = json.loads(load_model(whole / "last.safetensors").facts["fidelity"])
    assert last["step"] == 4
    assert last["score"] == pytest.approx(log["score"].iloc[-1], rel=1e-5)  # six digits in the log


def test_the_best_generator_has_the_lowest_score_and_the_last_one_is_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fractions = iter([0.3, 0.1, 0.1, 0.2])
    evaluate, best, last = Run.evaluate, [], []

    def judged(*_: object, **__: object) -> Fidelity:
        return Fidelity(next(fractions), {"z": PlaneErrors(0.0, 0.0)})

    def noted(run: Run) -> None:
        evaluate(run)
        for kept, name in ((best, "generator"), (last, "last")):
            model = load_model(run.folder / f"{name}.safetensors")
            step = json.loads(model.facts["fidelity"])["step"]
            kept.append((step, leaves(model.generator.state_dict())))

    monkeypatch.setattr(runs, "judge", judged)
    monkeypatch.setattr(Run, "evaluate", noted)
    finished(tmp_path / "run", "training.steps=8")
    assert [step for step, _ in last] == [2, 4, 6, 8]
    # A score that is only as low as an earlier one is no better.
    assert [step for step, _ in best] == [2, 4, 4, 4]
    assert best == [last[0], last[1], last[1], last[1]]
    assert all(one[1] != other[1] for one, other in pairwise(last))


def test_planes_that_the_images_say_nothing_of_are_left_out_of_the_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = Fidelity(0.1, {"z": PlaneErrors(0.0, 0.0)})
    monkeypatch.setattr(runs, "judge", lambda *_, **__: flat)
    facts = load_model(finished(tmp_path / "run", "training.steps=2") / "last.safetensors").facts
    # Strict JSON: no word like NaN.
    fidelity = json.loads(facts["fidelity"], parse_constant=pytest.fail)
    assert fidelity.keys() >= {"fraction", "s2_z"}
    assert not {"s2_45z", "lattice"} & fidelity.keys()


def test_validation_noise_is_the_same_at_each_evaluation_and_no_seed_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, seeds = runs.generate, []

    def noted(model, size, *, seed):
        seeds.append((size, seed))
        return generate(model, size, seed=seed)

    monkeypatch.setattr(runs, "generate", noted)
    finished(tmp_path / "one", "training.validation_volumes=3")
    first, second = seeds[:3], seeds[3:]
    assert first == second
    assert len({seed for _, seed in first}) == 3
    assert all(size == 64 and seed >= 2**63 for size, seed in first)
    assert 2**63 > evaluation.SEED >= 2**62  # nor that of the last choice
    finished(tmp_path / "other", "training.validation_volumes=3", seed=1)
    assert seeds[6:] == seeds[:6]  # whatever the seed of the run


def test_evaluating_more_often_changes_nothing_that_is_learnt(tmp_path: Path) -> None:
    often = finished(tmp_path / "often", "training.evaluate_every=1")
    seldom = finished(tmp_path / "seldom", "training.evaluate_every=4")
    other = finished(tmp_path / "other", "training.evaluate_every=4", seed=1)
    one, two, three = (
        leaves(load_state(folder / "state.pt")["trainer"]) for folder in (often, seldom, other)
    )
    assert one == two
    assert {place for place in one if one[place] != three[place]} >= {
        "/random",
        "/generator/convs.0.weight",
        "/players/0/critic/convs.0.weight",
    }
    assert len(pd.read_csv(often / "log.csv")) == 4
    assert len(pd.read_csv(seldom / "log.csv")) == 1
    weights = [
        leaves(load_model(folder / "last.safetensors").generator.state_dict())
        for folder in (often, seldom)
    ]
    assert weights[0] == weights[1]


def test_one_seed_gives_one_run_bit_for_bit_and_another_seed_another(
    whole: Path, tmp_path: Path
) -> None:
    assert differences(whole, finished(tmp_path / "same", seed=3)) == []
    differing = differences(whole, finished(tmp_path / "other", seed=4))
    assert "/last/weights/convs.0.weight" in differing
    assert "/log/0/score" in differing


def test_the_averaged_generator_is_saved_with_statistics_of_its_own(tmp_path: Path) -> None:
    run = start(tmp_path / "run", "training.generator_volumes=3")
    assert run.train()
    saved = load_model(tmp_path / "run" / "last.safetensors").generator
    average, trained = run.trainer.average.module, run.trainer.generator
    assert torch.equal(saved.convs[0].weight, average.convs[0].weight)
    assert not torch.equal(saved.convs[0].weight, trained.convs[0].weight)
    # The first layer's by definition: over batches, the mean of the mean and of the variance.
    random = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(3):
        batches.append(average.convs[0](torch.randn(3, 2, 3, 3, 3, generator=random)))
        run.trainer.fine_noise(3, random)
    mean = torch.stack([batch.mean(dim=(0, 2, 3, 4)) for batch in batches]).mean(dim=0)
    variance = torch.stack([batch.var(dim=(0, 2, 3, 4)) for batch in batches]).mean(dim=0)
    # Sums of a thousand numbers in float32, in another order.
    assert torch.allclose(saved.norms[0].running_mean, mean, rtol=1e-4, atol=1e-5)
    assert torch.allclose(saved.norms[0].running_var, variance, rtol=1e-4, atol=1e-5)
    for norm, other in zip(saved.norms, trained.norms, strict=True):
        assert not torch.allclose(norm.running_mean, other.running_mean, rtol=1e-2, atol=1e-3)
        assert not torch.allclose(norm.running_var, other.running_var, rtol=1e-2, atol=1e-3)


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    start(folder)  # an empty one will do
    before = {file: file.read_bytes() for file in folder.iterdir()}
    message = refusal(start, folder)
    assert message == f"{folder} is in use: name a new folder, or go on with --resume"
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    assert "is in use" in refusal(start, tmp_path / "file")


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused_before_anything_is_written(
    seed: int, tmp_path: Path
) -> None:
    assert f"got {seed}" in refusal(start, tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    image = start(tmp_path / "run").record.data.images[0]
    inside = Path(image) / "run"  # in a file
    run = Run.resume(tmp_path / "run", device=CPU)
    message = refusal(Run.start, inside, run.record.data, run.record.config, seed=0, device=CPU)
    assert message.startswith(f"{inside}: cannot be written (Not a directory)")


def test_a_disk_full_at_the_start_leaves_a_folder_in_which_one_can_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", disk_full)
        assert "No space left on device" in refusal(start, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
    finished(tmp_path / "run", "training.steps=2")


def test_the_summary_says_where_the_run_stands(whole: Path, tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    assert run.summary() == f"{tmp_path / 'run'}: step 0 of 4, not yet evaluated"
    run.train()
    kept = json.loads(load_model(tmp_path / "run").facts["fidelity"])
    first, second, third = run.summary().splitlines()
    assert first == f"{tmp_path / 'run'}: step 4 of 4"
    fraction = f"fraction {kept['fraction']:.2g} +- {kept['fraction_se']:.1g}"
    assert second.startswith(f"kept: step {kept['step']}, {fraction} (good: ")
    assert third.endswith(f"next: slicegan generate {tmp_path / 'run'} --size 128")
