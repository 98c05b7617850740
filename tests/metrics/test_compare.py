"""The command: what it writes and says, and when it stops."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparing import CHEAP, field, spoil_voxel_size

from metrics import DISTANCE_COLUMNS, TABLE_COLUMNS, Volume, write
from metrics.command import comparing as command
from metrics.shapes import gaussian_random_field

FILES = {"table.csv", "distances.csv", "curves.csv", "summary.json", "report.html", "report.md"}
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "compare.py"


def test_whole_command(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert command.main([*pair, "--out", str(out), "--workers", "1"]) == 0
    assert {p.name for p in out.iterdir()} == FILES
    table = pd.read_csv(out / "table.csv", keep_default_na=False)
    assert list(table) == TABLE_COLUMNS
    distances = pd.read_csv(out / "distances.csv")
    assert list(distances) == DISTANCE_COLUMNS
    summary = json.loads((out / "summary.json").read_text())
    assert sum(summary["verdicts"].values()) == len(table) + len(distances)
    assert summary["answer"]["verdict"] in ("same", "differs", "undecided")
    columns = {"metric", "phase", "axis", "p", "verdict", "margin_needed", "differs"}
    assert set(summary["answer"]["tests"][0]) == columns
    assert summary["settings"]["subvolume"] == [16, 16, 16]
    assert summary["settings"]["seed"] == 0
    assert summary["command"].startswith("python benchmarks/compare.py ")
    assert summary["peak_memory_bytes"] > 1e6
    assert set(summary["seconds_per_metric"]) == set(summary["settings"]["metrics"])
    assert {"numpy", "torch", "taufactor"} <= set(summary["versions"])
    printed = capsys.readouterr().out
    for said in (
        "32x32x32 voxels", "sub-volumes of 16x16x16", "estimated time", "voxel size unknown",
        "volume_fraction", "report.html", summary["answer"]["sentence"],
    ):  # fmt: skip
        assert said in printed


def test_a_second_run_replaces_the_first(pair: tuple[str, str], tmp_path: Path) -> None:
    argv = [*pair, "--out", str(tmp_path / "out"), "--workers", "1", "--quiet", *CHEAP]
    assert command.main(argv) == 0
    first = (tmp_path / "out" / "table.csv").read_bytes()
    assert command.main(argv) == 0
    assert (tmp_path / "out" / "table.csv").read_bytes() == first


def test_quiet_prints_nothing(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command.main([*pair, "--out", str(tmp_path / "out"), "--workers", "1", "--quiet", *CHEAP])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_glob_of_several_volumes(tmp_path: Path) -> None:
    for seed in range(3):
        write(field(seed), tmp_path / f"gen_{seed}.tif")
    out = tmp_path / "out"
    argv = [str(tmp_path / "gen_*.tif"), str(tmp_path / "gen_0.tif"), "--out", str(out), "--quiet",
            "--subvolume", "32", "--workers", "1", *CHEAP]  # fmt: skip
    assert command.main(argv) == 0
    table = pd.read_csv(out / "table.csv")
    assert set(table.n_gen) == {3}
    assert set(table.n_real) == {1}


def test_folder_of_slices_is_the_same_as_its_stack(tmp_path: Path) -> None:
    write(field(0), tmp_path / "slices")
    write(field(0), tmp_path / "stack.tif")
    out = tmp_path / "out"
    argv = [str(tmp_path / "slices"), str(tmp_path / "stack.tif"), "--out", str(out), "--quiet",
            "--workers", "1", *CHEAP]  # fmt: skip
    assert command.main(argv) == 0
    assert set(pd.read_csv(out / "table.csv").verdict) == {"same"}


@pytest.mark.parametrize(("fail_on", "status"), [("never", 0), ("differs", 3), ("unsure", 3)])
def test_fail_on(tmp_path: Path, fail_on: str, status: int) -> None:
    coarse = gaussian_random_field((32,) * 3, correlation_length=4, seed=0).volume
    write(coarse, tmp_path / "gen.tif")
    write(field(0), tmp_path / "real.tif")
    argv = [str(tmp_path / "gen.tif"), str(tmp_path / "real.tif"), "--out", str(tmp_path / "out"),
            "--fail-on", fail_on, "--quiet", "--workers", "1", *CHEAP]  # fmt: skip
    assert command.main(argv) == status
    assert (tmp_path / "out" / "report.html").exists()


def test_spacing_and_names_override_the_files(pair: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [*pair, "--out", str(out), "--spacing", "0.5,1,1", "--unit", "um", "--quiet",
            "--phases", "pore=0,solid=1", "--workers", "1", *CHEAP]  # fmt: skip
    assert command.main(argv) == 0
    table = pd.read_csv(out / "table.csv", keep_default_na=False)
    assert set(table.phase) == {"pore", "solid"}
    assert table.set_index("metric").unit["specific_surface_area"] == "1/um"


def test_phases_that_do_not_percolate_are_values(tmp_path: Path) -> None:
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[::4, ::4, ::4] = 1
    for name in ("gen", "real"):
        write(Volume(np.roll(labels, name == "gen", 0)), tmp_path / f"{name}.tif")
    out = tmp_path / "out"
    argv = [str(tmp_path / "gen.tif"), str(tmp_path / "real.tif"), "--out", str(out), "--quiet",
            "--workers", "1",
            "--metrics", "effective_diffusivity,percolating_fraction"]  # fmt: skip
    assert command.main(argv) == 0
    table = pd.read_csv(out / "table.csv")
    isolated = table[table.phase.astype(str) == "1"]
    assert (isolated.gen == 0).all()
    assert set(isolated.verdict) == {"same"}


def test_spacing_settles_voxel_sizes_that_differ(tmp_path: Path, pair: tuple[str, str]) -> None:
    spoil_voxel_size(tmp_path / "spoilt.tif")
    argv = [str(tmp_path / "spoilt.tif"), pair[1], "--out", str(tmp_path / "out"), "--quiet",
            "--spacing", "2", "--unit", "um", "--workers", "1", *CHEAP]  # fmt: skip
    assert command.main(argv) == 0


def test_interrupt_leaves_nothing(pair: tuple[str, str], tmp_path: Path) -> None:
    write(field(0, side=96), tmp_path / "gen.tif")
    write(field(1, side=96), tmp_path / "real.tif")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *pair, "--out", str(tmp_path / "out"), "--workers", "1",
         "--subvolume", "48"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "estimated" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(1)  # well into the measuring, which takes several seconds
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert {p.name for p in tmp_path.iterdir()} == {"gen.tif", "real.tif"}


def test_script_runs_without_being_installed(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True
    )
    assert "GEN" in run.stdout


def test_raw_files_and_phases_of_each_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gen, real = field(0), field(1)
    (tmp_path / "gen.raw").write_bytes((gen.labels.astype("u2") * 500).astype(">u2").tobytes())
    (tmp_path / "real.raw").write_bytes((real.labels.astype("u2") * 7).astype(">u2").tobytes())
    files = [str(tmp_path / "gen.raw"), str(tmp_path / "real.raw")]
    raw = ["--shape", "32,32,32", "--dtype", ">u2"]
    sides = ["--gen-phases", "pore=500,ni=0", "--real-phases", "pore=7,ni=0"]
    argv = [*files, *raw, *sides, *CHEAP, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert command.main(argv) == 0
    said = capsys.readouterr().out
    assert "pore = value 500" in said and "pore = value 7" in said
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    fraction = table[(table.metric == "volume_fraction") & (table.phase == "pore")].iloc[0]
    assert fraction.gen == pytest.approx(np.mean(np.asarray(gen.labels) == 1))
    assert fraction.real == pytest.approx(np.mean(np.asarray(real.labels) == 1))


def test_shape_and_type_of_other_files_are_refused(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*pair, "--dtype", "u1"]) == 2
    assert "are of raw files" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main([*pair, "--shape", "8,8"])
    assert "expected z,y,x" in capsys.readouterr().err
