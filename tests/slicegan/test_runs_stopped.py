"""Runs that were stopped, by a user or by the system, go on as if never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from refusing import refusal
from small_runs import (
    CPU,
    SETTINGS,
    differences,
    finished,
    image_file,
    in_step,
    leaves,
    one_message,
    resumed,
    start,
    steps_done,
)

from slicegan.checkpoint import load_state, save_state
from slicegan.cli import main
from slicegan.record import read_record
from slicegan.runs import Run

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("without_pictures")


def train_command(folder: Path, *options: str) -> list[str]:
    image = image_file(folder.parent / "image.npy")
    settings = ("--preset", "tiny", "--quiet", "--set", *SETTINGS, *options)
    return ["train", image, "--out", str(folder), *settings]


def test_a_killed_run_goes_on_to_the_bits_of_one_that_nothing_stopped(tmp_path: Path) -> None:
    options = ("training.steps=24", "training.evaluate_every=3")
    run = tmp_path / "run"
    # The order in which threads add up numbers would change the last bits.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "slicegan", *train_command(run, *options)]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        deadline = time.monotonic() + 120
        while not (run / "state.pt").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()  # SIGKILL
    assert process.returncode != 0
    assert 0 < steps_done(run) < 24
    assert main(["train", "--out", str(run), "--resume", "--quiet"]) == 0
    whole = finished(tmp_path / "whole", *options)
    assert differences(run, whole) == []
    other = finished(tmp_path / "other", *options, seed=1)
    assert "/generator/weights/convs.0.weight" in differences(other, whole)


class Crash(BaseException):
    """The end of a process."""


# The second evaluation writes the best generator (if it is better), the last one, log and state.
@pytest.mark.parametrize("writes", range(1, 8))
def test_a_run_that_ends_before_any_of_its_writes_goes_on_to_the_same_bits(
    writes: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = Path.replace, [writes]

    def crashing(path: Path, target: Path) -> Path:
        left[0] -= 1
        if not left[0]:
            raise Crash
        return replace(path, target)

    run = start(tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Path, "replace", crashing)
        run.train()
    assert (run.folder / "state.pt").exists() == (writes > 4)
    assert differences(resumed(run.folder), whole) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_signal_ends_the_step_and_saves_the_state(
    number: signal.Signals,
    step: int,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    handlers = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        in_step(patch, step, lambda: signal.raise_signal(number))
        assert main(train_command(run)) == 130
    assert [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert steps_done(run) == step
    assert main(["train", "--out", str(run), "--resume", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert differences(run, whole) == []


def test_a_second_signal_ends_the_step_at_once_and_the_last_state_is_kept(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def twice() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        in_step(patch, 3, twice)
        assert main(train_command(run)) == 130
    assert one_message(capsys) == "slicegan train: interrupted\n"
    assert steps_done(run) == 2
    assert differences(resumed(run), whole) == []


# Each a part of the state that, were it not saved and restored, would change what follows.
PARTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "random": lambda state: state["trainer"].update(random=torch.Generator().get_state()),
    "step": lambda state: state["trainer"].update(step=2),
    "generator": lambda state: state["trainer"]["generator"]["convs.0.weight"].mul_(1.01),
    "norm": lambda state: state["trainer"]["generator"]["norms.0.running_mean"].add_(1),
    "average": lambda state: state["trainer"]["average"]["module.convs.0.weight"].mul_(1.01),
    "optimiser": lambda state: state["trainer"]["optimiser"]["state"][0]["exp_avg_sq"].zero_(),
    "critic": lambda state: state["trainer"]["players"][0]["critic"]["judge.weight"].mul_(1.01),
    "its optimiser": lambda state: state["trainer"]["players"][0]["optimiser"]["state"][0][
        "exp_avg_sq"
    ].zero_(),
    "its steps": lambda state: state["trainer"]["players"][0].update(steps=4),
    "losses": lambda state: state["losses"]["generator_loss"].add_(1),
    "rows": lambda state: state["rows"][0].update(score=0.0),
}


@pytest.mark.parametrize("part", [None, *PARTS])
def test_every_part_of_the_state_counts(
    part: str | None, whole: Path, stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    state = load_state(tmp_path / "run" / "state.pt")
    if part is not None:
        PARTS[part](state)
    save_state(state, tmp_path / "run" / "state.pt")
    assert bool(differences(resumed(tmp_path / "run"), whole)) == (part is not None)


def test_a_finished_run_can_be_trained_longer(tmp_path: Path) -> None:
    # With constant rates the first steps of a longer run are those of a shorter one.
    constant = "training.decay=1"
    run = finished(tmp_path / "run", constant)
    assert resumed(run) == run  # nothing left to do
    resumed(run, steps=7)
    assert read_record(run).config.training.steps == 7
    assert list(pd.read_csv(run / "log.csv")["step"]) == [2, 4, 6, 7]
    assert differences(run, finished(tmp_path / "whole", constant, "training.steps=7")) == []
    before = (run / "config.json").read_bytes()
    assert "has done 7 steps" in refusal(Run.resume, run, device=CPU, steps=6)
    assert "training.steps" in refusal(Run.resume, run, device=CPU, steps=0)
    assert (run / "config.json").read_bytes() == before


def test_the_best_generator_before_a_stop_stays_the_best(
    tmp_path: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(stopped, tmp_path / "run")
    state = load_state(run / "state.pt")
    state["rows"][0]["score"] = 0.0
    save_state(state, run / "state.pt")
    before = (run / "generator.safetensors").read_bytes()
    monkeypatch.setattr(Run, "keep_better", lambda *_, **__: None)  # which is another question
    assert (resumed(run) / "generator.safetensors").read_bytes() == before


def test_a_run_whose_first_state_is_missing_starts_anew(whole: Path, tmp_path: Path) -> None:
    start(tmp_path / "run")  # and stopped before anything was learnt
    assert differences(resumed(tmp_path / "run"), whole) == []


def test_leaves_tell_the_last_bit() -> None:
    one = {"a": [torch.ones(2), 0.1]}
    assert leaves(one) == leaves({"a": (torch.ones(2), 0.1)})
    assert leaves(one) != leaves({"a": [torch.ones(2) + torch.tensor([0, 2**-23]), 0.1]})
    assert leaves(one) != leaves({"a": [torch.ones(2), 0.1 + 2**-56]})


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    run, other = start(tmp_path / "run"), Run.resume(tmp_path / "run", device=CPU)
    messages = []
    advance = run.trainer.advance

    def meanwhile() -> dict[str, torch.Tensor]:
        messages.append(refusal(other.train))
        before = (run.folder / "config.json").read_bytes()
        messages.append(refusal(Run.resume, run.folder, device=CPU, steps=99))
        assert (run.folder / "config.json").read_bytes() == before
        return advance()

    run.trainer.advance = meanwhile  # type: ignore[method-assign]
    assert run.train()
    assert all("another process trains here" in message for message in messages)
    assert Run.resume(tmp_path / "run", device=CPU).train()  # the lock is gone
