"""Training runs of a second: an image, settings, and all that two runs can have in common."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metrics.shapes import gaussian_random_field
from slicegan import runs, verdict
from slicegan.checkpoint import load_model, load_state
from slicegan.cli import main
from slicegan.config import DataConfig
from slicegan.runs import Run
from slicegan.settings import override, preset
from slicegan.training import Trainer

CPU = torch.device("cpu")
# Volumes and slices of 32 voxels.
SETTINGS = (
    "generator.filters=[4,4,4,4]",
    "generator.latent_channels=2",
    "critic.filters=[2,2,2]",
    "training.critic_volumes=1",
    "training.generator_volumes=1",
    "training.slices=2",
    "training.validation_volumes=2",
    "training.norm_volumes=8",
    "training.calibration_volumes=8",
    "training.evaluate_every=2",
    "training.steps=4",
)


# Arguments of `slicegan train` for a run of two steps.
TINY = ("--preset", "tiny", "--set", *SETTINGS, "training.steps=2")


def command(*arguments: object) -> None:
    """Run the command ``slicegan``, which must succeed."""
    assert main([str(argument) for argument in arguments]) == 0


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures: they take nine tenths of the time of such a run."""
    for name in ("preview", "plot_losses", "plot_fidelity", "plot_lattice"):
        monkeypatch.setattr(runs, name, lambda *_, **__: None)
    answered = SimpleNamespace(answer=SimpleNamespace(sentence="not compared"))
    monkeypatch.setattr(verdict, "report", lambda *_, **__: answered)


def image_file(path: Path, *, seed: int = 0, side: int = 40) -> str:
    """Square two-phase image with values 0 and 255."""
    body = gaussian_random_field((16, side, side), correlation_length=2, seed=seed)
    np.save(path, 255 * body.volume.labels[0])
    return str(path)


def start(folder: Path, *settings: str, seed: int = 0) -> Run:
    """Start a run on an image beside its folder."""
    image = folder.parent / "image.npy"
    if not image.exists():
        image_file(image)
    config = override(preset("tiny"), [*SETTINGS, *settings])
    return Run.start(folder, DataConfig((str(image),)), config, seed=seed, device=CPU)


def finished(folder: Path, *settings: str, seed: int = 0) -> Path:
    """Folder of a run that has been trained to its end."""
    assert start(folder, *settings, seed=seed).train()
    return folder


def resumed(folder: Path, *, steps: int | None = None) -> Path:
    """Folder of a run that has gone on to its end."""
    assert Run.resume(folder, device=CPU, steps=steps).train()
    return folder


def in_step(patch: pytest.MonkeyPatch, step: int, act: Callable[[], Any]) -> None:
    """Act at the beginning of a step of every trainer."""
    advance = Trainer.advance

    def acting(trainer: Trainer) -> dict[str, torch.Tensor]:
        if trainer.step + 1 == step:
            act()
        return advance(trainer)

    patch.setattr(Trainer, "advance", acting)


def steps_done(folder: Path) -> int:
    return int(load_state(folder / "state.pt")["trainer"]["step"])


def stopped_in(step: int, folder: Path) -> Path:
    """Folder of a run that was stopped in a step."""
    run = start(folder)
    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, step, lambda: signal.raise_signal(signal.SIGTERM))
        assert not run.train()
    return folder


def disk_full(*_: object, **__: object) -> None:
    """What writing does when there is no space left."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leaves(item: Any, place: str = "") -> dict[str, Any]:
    """Everything in nested dicts, lists and tensors by its place, comparable bit for bit."""
    if isinstance(item, torch.Tensor):
        return {place: (str(item.dtype), tuple(item.shape), item.numpy().tobytes())}
    if not isinstance(item, Mapping | list | tuple):
        return {place: repr(item)}
    pairs = item.items() if isinstance(item, Mapping) else enumerate(item)
    return {
        inner: leaf for key, part in pairs for inner, leaf in leaves(part, f"{place}/{key}").items()
    }


def everything(folder: Path) -> dict[str, Any]:
    """All numbers in the files of a run, by their place; those of time left out."""
    with (folder / "log.csv").open(newline="") as file:
        parts = {"log": list(csv.DictReader(file)), "state": load_state(folder / "state.pt")}
    for name in ("generator", "last"):
        model = load_model(folder / f"{name}.safetensors")
        fidelity = json.loads(model.facts["fidelity"])
        parts[name] = {"weights": model.generator.state_dict(), "fidelity": fidelity}
    found = leaves(parts)
    return {place: leaf for place, leaf in found.items() if not place.endswith("/seconds")}


def differences(one: Path, other: Path) -> list[str]:
    """Where the files of two runs differ."""
    here, there = everything(one), everything(other)
    return sorted(place for place in here | there if here.get(place) != there.get(place))


def one_message(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error, if all that was printed is that."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n"), err
    return err
