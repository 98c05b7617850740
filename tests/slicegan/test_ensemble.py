"""Several generators of one image: trained one after the other, and heard in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusing import refusal
from small_runs import TINY, command, image_file

from metrics.io.volumes import read
from slicegan.checkpoint import load_model, save_model
from slicegan.cli import main
from slicegan.ensemble import load_models
from slicegan.generation import generate
from slicegan.record import read_record
from slicegan.runs import Diverged, Run

pytestmark = pytest.mark.usefixtures("without_pictures")


def test_a_member_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = image_file(tmp_path / "image.npy")
    out, train = tmp_path / "both", Run.train

    def failing(run: Run, *, progress: bool = False) -> bool:
        if run.folder.name == "member_0":
            raise Diverged("member_0: a loss is not finite")
        return train(run, progress=progress)

    monkeypatch.setattr(Run, "train", failing)
    argv = ["train", image, "--out", str(out), "--ensemble", "2", *TINY, "--quiet"]
    assert main(argv) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first == "slicegan train: member_0: a loss is not finite"
    assert "1 of 2 members have diverged" in last
    assert (out / "member_1" / "generator.safetensors").exists()
    assert not (out / "member_0" / "generator.safetensors").exists()


def test_an_ensemble_is_trained_one_after_the_other_and_makes_volumes_in_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_file(tmp_path / "image.npy")
    out = tmp_path / "run"
    to_the_end, trained = Run.train, list[Path]()
    with monkeypatch.context() as patch:  # stopped in the second member

        def stopped(run: Run, *, progress: bool) -> bool:
            trained.append(run.folder)
            return len(trained) < 2 and to_the_end(run, progress=progress)

        patch.setattr(Run, "train", stopped)
        argv = ["train", image, "--out", str(out), "--ensemble", "3", "--seed", "5", *TINY]
        assert main(argv) == 130
    assert [folder.name for folder in trained] == ["member_0", "member_1"]
    assert refusal(load_models, out).startswith(f"{out / 'member_1'}: no generator.safetensors")
    command("train", "--out", out, "--resume")
    printed = capsys.readouterr().out
    assert printed.count("steps: 2 of the generator") == 4  # twice of the one that was stopped
    model = load_model(out / "member_2")
    other = replace(model, material=replace(model.material, spacing=(2.0, 1.0, 1.0)))
    save_model(other, out / "member_2" / "generator.safetensors")
    assert "of different materials" in refusal(load_models, out)
    save_model(model, out / "member_2" / "generator.safetensors")
    assert [read_record(out / f"member_{k}").seed for k in range(3)] == [5, 6, 7]
    assert len(load_models(out)) == 3
    assert "an ensemble of generators, name one of them" in refusal(load_model, out)
    command("info", out, "--json")
    assert [item["facts"]["seed"] for item in json.loads(capsys.readouterr().out)] == [5, 6, 7]
    command("generate", out, "--size", 24, "--count", 4, "--out", tmp_path / "g.tif", "--quiet")
    volumes = generate(out, 24, count=4)
    one = generate(out, 24, seed=4)  # seeds take their turn as well
    assert np.array_equal(one.labels, generate(out / "member_1", 24, seed=4).labels)
    for index, volume in enumerate(volumes):
        alone = generate(out / f"member_{index % 3}", 24, count=4)[index]
        assert np.array_equal(volume.labels, alone.labels)
        assert np.array_equal(read(tmp_path / f"g_{index}.tif").labels, volume.labels)
