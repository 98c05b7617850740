"""The generator that a run ends with: the better of two, judged on more than an evaluation."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import CPU, draw_nothing, start

import slicegan
from slicegan import evaluation
from slicegan.calibration import image_fractions
from slicegan.checkpoint import Model, load_model
from slicegan.evaluation import CHOSEN, choose
from slicegan.fidelity import Fidelity, PlaneErrors
from slicegan.runs import Run

NAMES = ("generator.safetensors", "last.safetensors")


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose best generator is that of step 2, the last that of step 4, not yet chosen."""
    scores = iter((0.1, 0.2))
    with monkeypatch.context() as patch:
        patch.setattr("slicegan.runs.judge", lambda *_, **__: fidelity(next(scores)))
        patch.setattr(Run, "keep_better", lambda *_, **__: None)
        run = start(tmp_path / "run")
        assert run.train()
    assert steps(run) == [2, 4]
    return run


def fidelity(error: float) -> Fidelity:
    return Fidelity(error, {"z": PlaneErrors(0.0, 0.0)})


def steps(run: Run) -> list[int]:
    facts = [load_model(run.folder / name).facts for name in NAMES]
    return [json.loads(fact["fidelity"])["step"] for fact in facts]


def judged_as(patch: pytest.MonkeyPatch, *errors: float) -> Iterator[float]:
    left = iter(errors)
    patch.setattr(evaluation, "judge", lambda *_, **__: fidelity(next(left)))
    return left


@pytest.mark.parametrize(("errors", "step"), [((0.1, 0.3), 2), ((0.3, 0.1), 4)])
def test_the_better_of_best_and_last_is_kept_with_its_errors(
    errors: tuple[float, float], step: int, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, *errors)
    assert Run.resume(trained.folder, device=CPU).train()
    kept = load_model(trained.folder)
    found = json.loads(kept.facts["fidelity"])
    assert (found["step"], found["fraction"]) == (step, 0.1)
    assert kept.facts[CHOSEN] == "4"
    assert steps(trained) == [step, 4]


def test_it_is_chosen_once(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    left = judged_as(monkeypatch, 0.1, 0.3, 9.0)
    for _ in range(2):
        assert Run.resume(trained.folder, device=CPU).train()
    assert next(left) == 9.0
    # Trained on, it is a new question.
    with pytest.raises(StopIteration):
        Run.resume(trained.folder, device=CPU, steps=5).train()


def test_one_generator_is_judged_once(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_as(monkeypatch, 0.5)
    last = trained.folder / NAMES[1]
    kept = choose([last, last], trained.data, trained.reference, trained.record.config, device=CPU)
    assert json.loads(kept.facts["fidelity"])["fraction"] == 0.5


def test_it_is_made_on_the_device_of_the_run(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_as(monkeypatch, 0.5, 0.5)
    moved: list[torch.device] = []
    to = Model.to
    monkeypatch.setattr(Model, "to", lambda self, device: moved.append(device) or to(self, device))
    trained.keep_better()
    assert moved == [trained.trainer.device] * 2


def test_a_choice_that_was_stopped_is_made_by_the_resumed_run(
    trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained.folder / NAMES[0]).read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evaluation, "judge", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        Run.resume(trained.folder, device=CPU).train()
    assert (trained.folder / NAMES[0]).read_bytes() == before
    assert Run.resume(trained.folder, device=CPU).train()
    assert load_model(trained.folder).facts[CHOSEN] == "4"


def test_the_choice_has_noise_of_its_own_and_four_times_the_volumes(
    trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, generate = [], evaluation.generate

    def noted(model, side, *, seed):
        seen.append((side, seed))
        return generate(model, side, seed=seed)

    monkeypatch.setattr(evaluation, "generate", noted)
    trained.keep_better()
    count = 4 * trained.record.config.training.validation_volumes
    assert seen == 2 * [(64, 2**62 + index) for index in range(count)]


def test_fractions_of_the_generator_kept_are_those_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run", "training.calibration_volumes=256")
    assert run.train()
    wanted = np.array(image_fractions(run.data))

    def error(name: str) -> float:
        model = load_model(run.folder / name)
        labels = [slicegan.generate(model, 64, seed=seed).labels for seed in range(32)]
        return float(abs(np.mean(labels) - wanted[1]))

    # A nearly untrained net has no large structures: 32 volumes tell its fraction to .001.
    assert error(NAMES[0]) < 0.004
