"""The command `slicegan measure`: one row for each file, metric, phase and axis."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metrics import describe, read, volume_fraction, write
from metrics.volume import Volume
from slicegan.cli import main

CHEAP = ["--metrics", "volume_fraction,chord_length", "--workers", "1"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / name) for name in ("a.tif", "b.npy")]
    for path, side in zip(paths, (20, 24), strict=True):
        write(Volume(rng.integers(0, 2, (side, 20, 20))), path)
    return paths


def test_a_table_holds_what_describe_says_of_each_file(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"
    assert main(["measure", *files, "--out", str(out), *CHEAP]) == 0
    table = pd.read_csv(out, keep_default_na=False, dtype={"phase": str})
    assert list(table.columns) == ["file", *describe(read(files[0]), metrics=[]).columns]
    for path in files:
        own = table[table.file == path].drop(columns="file").reset_index(drop=True)
        wanted = describe(read(path), metrics=["volume_fraction", "chord_length"])
        assert own["value"].tolist() == pytest.approx(wanted["value"].tolist(), rel=1e-12)
        assert (own.drop(columns="value") == wanted.astype(str).drop(columns="value")).all(
            axis=None
        )
    said = capsys.readouterr().out
    assert f"{files[0]}: 20x20x20 voxels, 0 = value 0 (" in said and f"table: {out}" in said


def test_a_glob_and_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pattern = str(Path(files[0]).parent / "*.*")
    assert main(["measure", pattern, "--json", *CHEAP]) == 0
    known = json.loads(capsys.readouterr().out)
    assert {row["file"] for row in known["rows"]} == set(files)
    first = next(row for row in known["rows"] if row["file"] == files[1])
    assert first["value"] == volume_fraction(read(files[1]))[0]
    assert "numpy" in known["versions"]


def test_what_is_kept_is_not_measured_again(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ["--cache", str(tmp_path / "kept"), "--quiet"]
    out = tmp_path / "one.csv", tmp_path / "two.csv"
    assert main(["measure", files[0], "--out", str(out[0]), *cache, *CHEAP]) == 0
    monkeypatch.setattr(
        "metrics.comparison.measuring.measure", lambda *_, **__: pytest.fail("again")
    )
    assert main(["measure", files[0], "--out", str(out[1]), *cache, *CHEAP]) == 0
    assert out[0].read_text() == out[1].read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a.tif", "a.tif"], "a.tif is named twice"),
        (["a.tif", "missing.tif"], "missing.tif"),
        (["nothing*.tif"], "no file matches nothing*.tif"),
        (["a.tif", "--metrics", "porosity"], "unknown metric 'porosity'"),
        (["a.tif", "--metrics", "tpb_density"], "need three phases"),
        (["a.tif", "--out", "new/table.csv"], "new/table.csv: no such folder"),
        (["a.tif", "--out", "table.txt"], "--out must end in .csv"),
        (["a.tif", "--shape", "2,2,2"], "--shape and --dtype are of raw files"),
        (["a.tif", "--solver", "magic"], "magic"),
        (["a.tif", "--workers", "0"], "workers must be"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], line: str, files: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = Path(files[0]).parent
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    options = ["--out", "table.csv"] if "--out" not in words else []
    assert main(["measure", *words, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("slicegan measure: ") and error.count("\n") == 1 and line in error
    assert sorted(folder.iterdir()) == before


def test_compare_is_the_same_command_by_another_door(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", files[0], files[0], "--out", str(tmp_path / "out"), *CHEAP]
    assert main([*argv, "--margin", "0.2"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["command"].startswith(f"slicegan compare {files[0]}")
    assert summary["settings"]["margin"] == 0.2
    assert main([*argv, "--subvolume", "999"]) == 2
    assert "slicegan compare: " in capsys.readouterr().err


def test_quiet_work_of_which_nothing_is_left_is_refused(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", files[0], "--quiet", *CHEAP]) == 2
    assert "give --out, --json or --cache" in capsys.readouterr().err


def test_undefined_values_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = np.zeros((6, 6, 6), np.uint8)
    layers[3:] = 1
    write(Volume(layers), tmp_path / "layers.tif")
    assert main(["measure", str(tmp_path / "layers.tif"), *CHEAP]) == 0
    # No chord of either phase begins or ends along y and x.
    assert "4 of 8 values undefined or not converged" in capsys.readouterr().out
