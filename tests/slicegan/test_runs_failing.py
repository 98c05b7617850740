"""Runs that cannot go on: damaged, or ended by a full disk or by a loss that diverged."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusing import refusal
from small_runs import (
    CPU,
    differences,
    disk_full,
    image_file,
    in_step,
    resumed,
    start,
    steps_done,
)

from slicegan import checkpoint, runs
from slicegan.checkpoint import load_model, load_state, save_state
from slicegan.runs import Run
from slicegan.training import Trainer

pytestmark = pytest.mark.usefixtures("without_pictures")


def spoil(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))


def spoilt_state(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """What changes a state and gives it a good checksum."""

    def spoil_state(run: Path) -> None:
        state = load_state(run / "state.pt")
        change(state)
        save_state(state, run / "state.pt")

    return spoil_state


def moments(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Of the first weight of the generator."""
    found: dict[str, torch.Tensor] = state["trainer"]["optimiser"]["state"][0]
    return found


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, "holds no run: there is no config.json in it"),
    "no record": (lambda run: (run / "config.json").unlink(), "holds no run"),
    "cut record": (lambda run: os.truncate(run / "config.json", 100), "config.json is damaged"),
    "other record": (lambda run: (run / "config.json").write_text("[]"), "config.json is damaged"),
    "unknown key": (
        lambda run: spoil(run / "config.json", b'"penalty_every"', b'"penalties"'),
        "config.json is damaged or of another version of slicegan "
        "(config.training.penalties: Unexpected keyword argument",
    ),
    "other net": (
        lambda run: spoil(run / "config.json", b'"latent_channels": 2', b'"latent_channels": 3'),
        "state.pt: cannot be used",
    ),
    "moments of another shape": (
        spoilt_state(lambda state: moments(state)["exp_avg"].unsqueeze_(0)),
        "state.pt: a tensor of shape (1, ",
    ),
    "no moments": (spoilt_state(lambda state: moments(state).pop("exp_avg_sq")), "cannot be used"),
    "a score of text": (
        spoilt_state(lambda state: state["rows"][0].update(score="low")),
        "no numbers",
    ),
    "a step of text": (
        spoilt_state(lambda state: state["trainer"].update(step="9")),
        "no numbers",
    ),
    "no losses": (spoilt_state(lambda state: state.update(losses=[1.0])), "cannot be used"),
    "seconds of text": (spoilt_state(lambda state: state.update(seconds="1")), "no numbers"),
    "places of another shape": (
        spoilt_state(lambda state: state["trainer"]["places"].unsqueeze_(0)),
        "a tensor of shape",
    ),
    "cut state": (lambda run: os.truncate(run / "state.pt", 5000), "state.pt: cannot be read"),
    "empty state": (lambda run: os.truncate(run / "state.pt", 0), "state.pt: cannot be read"),
    "other state": (lambda run: save_state({"step": 1}, run / "state.pt"), "cannot be used"),
    "other image": (
        lambda run: image_file(run.parent / "image.npy", seed=9),
        "image.npy has changed since the run began",
    ),
    "no image": (lambda run: (run.parent / "image.npy").unlink(), "image.npy: no such file"),
    "no hash": (
        lambda run: spoil(run / "config.json", b'image.npy": "', b'other.npy": "'),
        "image.npy has changed since the run began",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_go_on_is_refused_and_left_as_it_is(
    damage: str, stopped: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(stopped, tmp_path / "run")
    spoil(run / "config.json", str(stopped.parent).encode(), str(tmp_path).encode())
    shutil.copy(stopped.parent / "image.npy", tmp_path)
    act, said = DAMAGES[damage]
    act(run)
    before = {file: file.read_bytes() for file in run.glob("*.*")}
    message = refusal(Run.resume, run, device=CPU, steps=100)
    assert said in message
    assert str(tmp_path) in message
    assert {file: file.read_bytes() for file in run.glob("*.*")} == before


def zip_error(*_: object, **__: object) -> None:
    """What torch raises where it cannot write the rest of a file."""
    raise RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0: file write")


@pytest.mark.parametrize(
    ("owner", "writer", "failure", "said"),
    [
        (torch, "save", disk_full, "No space left on device"),
        (torch, "save", zip_error, "PytorchStreamWriter failed"),
        (checkpoint, "save", disk_full, "No space left on device"),
        (pd.DataFrame, "to_csv", disk_full, "No space left on device"),
        (runs, "preview", disk_full, "No space left on device"),
        (runs, "plot_losses", disk_full, "No space left on device"),
    ],
)
def test_a_full_disk_stops_the_run_with_the_last_good_state_kept(
    owner: Any,
    writer: str,
    failure: Callable[..., None],
    said: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = start(tmp_path / "run")
    with monkeypatch.context() as patch:
        in_step(patch, 3, lambda: patch.setattr(owner, writer, failure))
        message = refusal(run.train)
    assert str(run.folder) in message and said in message
    assert "make room" in message or "free some space" in message
    assert not list(run.folder.glob(".writing-*"))
    assert steps_done(run.folder) == 2
    assert load_model(run.folder).material == run.data.material
    assert differences(resumed(run.folder), whole) == []


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_with_the_last_good_state_kept(
    value: float, stop: bool, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run")
    advance, good = Trainer.advance, []

    def diverging(trainer: Trainer) -> dict[str, torch.Tensor]:
        losses = advance(trainer)
        if trainer.step == 3:
            good.append((run.folder / "state.pt").read_bytes())
            losses["critic_fake"] = torch.tensor(value)
            if stop:  # Ctrl-C, which saves the state
                signal.raise_signal(signal.SIGINT)
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", diverging)
        message = refusal(run.train)
    assert "a loss or weight is not finite at step" in message
    assert (run.folder / "state.pt").read_bytes() == good[0]
    assert load_model(run.folder).material == run.data.material
    assert len(pd.read_csv(run.folder / "log.csv")) == 1
    assert differences(resumed(run.folder), whole) == []


@pytest.mark.parametrize("rate", ["generator_rate=1e10", "generator_rate=1e30", "critic_rate=1e30"])
def test_rates_that_are_far_too_high_stop_with_one_line(rate: str, tmp_path: Path) -> None:
    run = start(tmp_path / "run", f"training.{rate}")
    assert "not finite" in refusal(run.train)
    assert {file.name for file in run.folder.iterdir()} <= {"config.json", "previews", ".lock"}
