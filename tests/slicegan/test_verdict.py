"""A run ends with a report: its volumes compared with its own images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import TINY, command, draw_nothing, image_file

from metrics.io.volumes import write
from metrics.shapes import gaussian_random_field
from metrics.volume import InputError
from slicegan import verdict
from slicegan.cli import main
from slicegan.config import Material
from slicegan.data import TrainingData, load_training_data
from slicegan.sources import Source

REPORT = (
    *("report.html", "report.md", "summary.json", "table.csv", "distances.csv", "curves.csv"),
)


@pytest.fixture(autouse=True)
def _without_pictures_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    report = verdict.report
    draw_nothing(monkeypatch)
    monkeypatch.setattr(verdict, "report", report)
    monkeypatch.setattr(verdict, "REPORTED", 2)


def test_a_run_ends_with_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command("train", image_file(tmp_path / "image.npy"), "--out", run, *TINY)
    answer, page = capsys.readouterr().out.splitlines()[-2:]
    assert sorted(path.name for path in (run / "report").iterdir()) == sorted(REPORT)
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert answer == f"compared with the images: {summary['answer']['sentence']}"
    assert page == f"report: {run / 'report' / 'report.html'}"
    assert summary["command"].startswith("slicegan train")
    assert summary["settings"]["sections"] == "any"
    assert "image.npy" in (run / "report" / "report.html").read_text()
    # Nothing was trained: the report stands. It is made anew if the generator is another one, also
    # where that was trained without a report.
    before = (run / "report" / "summary.json").stat().st_mtime_ns
    command("train", "--out", run, "--resume")
    assert (run / "report" / "summary.json").stat().st_mtime_ns == before
    command("train", "--out", run, "--resume", "--steps", "3", "--no-report")
    assert (run / "report" / "summary.json").stat().st_mtime_ns == before
    command("train", "--out", run, "--resume")
    assert (run / "report" / "summary.json").stat().st_mtime_ns != before


def test_it_can_be_left_out(tmp_path: Path) -> None:
    image = image_file(tmp_path / "image.npy")
    command("train", image, "--out", tmp_path / "run", *TINY, "--no-report", "--quiet")
    assert not (tmp_path / "run" / "report").exists()


def test_what_cannot_be_compared_is_trained_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise InputError("windows do not fit")

    monkeypatch.setattr(verdict, "compare_sections", refused)
    image = image_file(tmp_path / "image.npy")
    assert main(["train", image, "--out", str(tmp_path / "run"), *TINY, "--quiet"]) == 0
    run = tmp_path / "run"
    assert capsys.readouterr().err == f"slicegan train: {run}: no report: windows do not fit\n"
    assert not (tmp_path / "run" / "report").exists()


def test_a_volume_is_shown_by_slices_along_each_axis(tmp_path: Path) -> None:
    body = gaussian_random_field((40, 44, 48), correlation_length=2, seed=0).volume
    write(body, tmp_path / "body.tif")
    apart = dict(verdict.images_of(load_training_data(tmp_path / "body.tif"), 16))
    # At 3 and 19 and 35 of 40, 5 and 21 and 37 of 44, 7 and 23 and 39 of 48.
    assert {axis: len(some) for axis, some in apart.items()} == dict.fromkeys("zyx", 3)
    assert np.array_equal(apart["y"][0].labels, body.labels[:, 5:6])
    assert np.array_equal(apart["x"][-1].labels, body.labels[:, :, 39:40])
    pooled = dict(verdict.images_of(load_training_data(tmp_path / "body.tif", isotropic=True), 16))
    assert {axis: len(some) for axis, some in pooled.items()} == {"": 9}
    assert {image.shape[0] for image in pooled[""]} == {1}


def test_a_shared_image_stands_for_each_of_its_axes() -> None:
    body = gaussian_random_field((16,) * 3, correlation_length=2, seed=0).volume
    first, second = (torch.zeros((1, 20, 20), dtype=torch.uint8) for _ in range(2))
    sources = (Source(("z",), (first,), 2), Source(("y", "x"), (second,), 2))
    material = Material("phases", body.phases, (2.0, 1.0, 1.0), "um")
    pictured = dict(verdict.images_of(TrainingData(material, sources, False, ()), 16))
    assert {axis: some[0].shape for axis, some in pictured.items()} == {
        "z": (1, 20, 20),
        "y": (20, 1, 20),
        "x": (20, 20, 1),
    }
    assert {image.spacing for some in pictured.values() for image in some} == {(2.0, 1.0, 1.0)}


def test_three_images_of_flat_voxels_are_reported(tmp_path: Path) -> None:
    images = [image_file(tmp_path / f"{axis}.npy", seed=k) for k, axis in enumerate("zyx")]
    axes = [f"{axis}={image}" for axis, image in zip("zyx", images, strict=True)]
    run = tmp_path / "run"
    flat = ("--spacing", "2,1,1", "--unit", "um")
    command("train", "--axis", *axes, "--out", run, *TINY, "--quiet", *flat)
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert summary["settings"]["sections"] == "axes"


def test_volumes_are_those_of_no_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    generate = verdict.generate

    def watched(model: object, side: int, *, seed: int) -> object:
        seeds.append(seed)
        return generate(model, side, seed=seed)

    monkeypatch.setattr(verdict, "generate", watched)
    command("train", image_file(tmp_path / "image.npy"), "--out", tmp_path / "run", *TINY)
    assert seeds == [2**61, 2**61 + 1]
