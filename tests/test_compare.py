"""The command: what it writes and says; one line and exit status 2 for every bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from benchmarks import compare
from metrics import TABLE_COLUMNS, Phase, Volume, write
from metrics.shapes import gaussian_random_field, plurigaussian

CHEAP = ["--metrics", "volume_fraction,specific_surface_area,two_point_correlation"]
FILES = {"table.csv", "curves.csv", "summary.json", "report.html"}
SCRIPT = Path(compare.__file__)


def field(seed: int, side: int = 32) -> Volume:
    return gaussian_random_field((side,) * 3, correlation_length=2, seed=seed).volume


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    for name, seed in (("gen", 0), ("real", 1)):
        write(field(seed), tmp_path / f"{name}.tif")
    return str(tmp_path / "gen.tif"), str(tmp_path / "real.tif")


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command, expect one line and status 2 and nothing written; return the line."""

    def run(*argv: object) -> str:
        out = tmp_path / "out"
        try:
            status = compare.main([*map(str, argv), "--out", str(out), "--workers", "1", *CHEAP])
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        assert status == 2
        assert captured.err.count("\n") == 1, captured.err
        assert "Traceback" not in captured.err
        assert not out.exists()
        assert not list(tmp_path.glob(".*"))
        return captured.err

    return run


def test_whole_command(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert compare.main([*pair, "--out", str(out), "--workers", "1"]) == 0
    assert {p.name for p in out.iterdir()} == FILES
    table = pd.read_csv(out / "table.csv", keep_default_na=False)
    assert list(table) == TABLE_COLUMNS
    summary = json.loads((out / "summary.json").read_text())
    assert sum(summary["verdicts"].values()) == len(table)
    assert summary["settings"]["subvolume"] == [16, 16, 16]
    assert summary["settings"]["seed"] == 0
    assert summary["command"].startswith("python benchmarks/compare.py ")
    assert summary["peak_memory_bytes"] > 1e6
    assert set(summary["seconds_per_metric"]) == set(summary["settings"]["metrics"])
    assert {"numpy", "torch", "taufactor"} <= set(summary["versions"])
    printed = capsys.readouterr().out
    for said in (
        "32x32x32 voxels", "sub-volumes of 16x16x16", "estimated time", "voxel size unknown",
        "volume_fraction", "report.html",
    ):  # fmt: skip
        assert said in printed


def test_a_second_run_replaces_the_first(pair: tuple[str, str], tmp_path: Path) -> None:
    argv = [*pair, "--out", str(tmp_path / "out"), "--workers", "1", "--quiet", *CHEAP]
    assert compare.main(argv) == 0
    first = (tmp_path / "out" / "table.csv").read_bytes()
    assert compare.main(argv) == 0
    assert (tmp_path / "out" / "table.csv").read_bytes() == first


def test_quiet_prints_nothing(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    compare.main([*pair, "--out", str(tmp_path / "out"), "--workers", "1", "--quiet", *CHEAP])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_glob_of_several_volumes(tmp_path: Path) -> None:
    for seed in range(3):
        write(field(seed), tmp_path / f"gen_{seed}.tif")
    out = tmp_path / "out"
    argv = [str(tmp_path / "gen_*.tif"), str(tmp_path / "gen_0.tif"), "--out", str(out), "--quiet",
            "--subvolume", "32", "--workers", "1", *CHEAP]  # fmt: skip
    assert compare.main(argv) == 0
    table = pd.read_csv(out / "table.csv")
    assert set(table.n_gen) == {3}
    assert set(table.n_real) == {1}


def test_folder_of_slices_is_the_same_as_its_stack(tmp_path: Path) -> None:
    write(field(0), tmp_path / "slices")
    write(field(0), tmp_path / "stack.tif")
    out = tmp_path / "out"
    argv = [str(tmp_path / "slices"), str(tmp_path / "stack.tif"), "--out", str(out), "--quiet",
            "--workers", "1", *CHEAP]  # fmt: skip
    assert compare.main(argv) == 0
    assert set(pd.read_csv(out / "table.csv").verdict) == {"same"}


@pytest.mark.parametrize(("fail_on", "status"), [("never", 0), ("differs", 3), ("unsure", 3)])
def test_fail_on(tmp_path: Path, fail_on: str, status: int) -> None:
    coarse = gaussian_random_field((32,) * 3, correlation_length=4, seed=0).volume
    write(coarse, tmp_path / "gen.tif")
    write(field(0), tmp_path / "real.tif")
    argv = [str(tmp_path / "gen.tif"), str(tmp_path / "real.tif"), "--out", str(tmp_path / "out"),
            "--fail-on", fail_on, "--quiet", "--workers", "1", *CHEAP]  # fmt: skip
    assert compare.main(argv) == status
    assert (tmp_path / "out" / "report.html").exists()


def test_spacing_and_names_override_the_files(pair: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [*pair, "--out", str(out), "--spacing", "0.5,1,1", "--unit", "um", "--quiet",
            "--phases", "pore=0,solid=1", "--workers", "1", *CHEAP]  # fmt: skip
    assert compare.main(argv) == 0
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
    assert compare.main(argv) == 0
    table = pd.read_csv(out / "table.csv")
    isolated = table[table.phase.astype(str) == "1"]
    assert (isolated.gen == 0).all()
    assert set(isolated.verdict) == {"same"}


def test_missing_path(refuse: Callable[..., str], pair: tuple[str, str]) -> None:
    assert "absent.tif" in refuse("absent.tif", pair[1])


def test_glob_without_match(refuse: Callable[..., str], pair: tuple[str, str]) -> None:
    assert "no file matches nothing_*.tif" in refuse("nothing_*.tif", pair[1])


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil_truncated(path: Path) -> None:
    write(field(0), path)
    path.write_bytes(path.read_bytes()[:3000])


def spoil_png(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((32, 32), np.uint8)).save(path, format="PNG")


def spoil_nan(path: Path) -> None:
    tifffile.imwrite(path, np.full((32, 32, 32), np.nan, np.float32))


def spoil_grey(path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 60000, (32, 32, 32), dtype=np.uint16)
    tifffile.imwrite(path, grey, photometric="minisblack")


def spoil_2d(path: Path) -> None:
    tifffile.imwrite(path, np.eye(32, dtype=np.uint8))


def spoil_one_phase(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((32, 32, 32), np.uint8))


def spoil_three_phases(path: Path) -> None:
    write(plurigaussian((32,) * 3, correlation_length=3, seed=0).volume, path)


def spoil_voxel_size(path: Path) -> None:
    write(Volume(field(0).labels, (2.0, 2.0, 2.0), "um"), path)


def spoil_small(path: Path) -> None:
    write(field(0, side=12), path)


def spoil_header(path: Path) -> None:
    """A TIFF whose header claims 10^12 voxels."""
    write(field(0), path)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tags = tif.pages[0].tags
        tags["ImageWidth"].overwrite(1_000_000)
        tags["ImageLength"].overwrite(1_000_000)
        if "RowsPerStrip" in tags:
            tags["RowsPerStrip"].overwrite(1_000_000)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_empty, "empty"),
        (spoil_truncated, ""),
        (spoil_png, ""),
        (spoil_nan, "float"),
        (spoil_grey, "segment"),
        (spoil_2d, "2D"),
        (spoil_one_phase, "gen holds one phase only"),
        (spoil_three_phases, "3 phases in gen against 2"),
        (spoil_voxel_size, "voxels of 2 x 2 x 2 um"),
        (spoil_small, "smaller than the smallest"),
        (spoil_header, ""),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of the writing library about the files spoilt on purpose
def test_spoilt_file(
    refuse: Callable[..., str],
    pair: tuple[str, str],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    path = tmp_path / "spoilt.tif"
    spoil(path)
    line = refuse(path, pair[1])
    assert "spoilt.tif" in line
    assert said in line


def test_phase_missing_in_one_volume(refuse: Callable[..., str], tmp_path: Path) -> None:
    whole = plurigaussian((32,) * 3, correlation_length=3, seed=0).volume
    names = tuple(Phase(n, k, k) for k, n in enumerate(("pore", "ni", "ysz")))
    for name, labels in (("gen", np.minimum(whole.labels, 1)), ("real", whole.labels)):
        write(Volume(labels, phases=names), tmp_path / f"{name}.tif")
    line = refuse(tmp_path / "gen.tif", tmp_path / "real.tif", "--phases", "pore=0,ni=1,ysz=2")
    assert "phase ysz has no voxel in gen" in line
    assert "2 phases in gen against 3" in refuse_plain(refuse, tmp_path, whole)


def refuse_plain(refuse: Callable[..., str], tmp_path: Path, whole: Volume) -> str:
    np.save(tmp_path / "two.npy", np.minimum(whole.labels, 1))
    np.save(tmp_path / "three.npy", whole.labels)
    return refuse(tmp_path / "two.npy", tmp_path / "three.npy")


def test_spacing_settles_voxel_sizes_that_differ(tmp_path: Path, pair: tuple[str, str]) -> None:
    spoil_voxel_size(tmp_path / "spoilt.tif")
    argv = [str(tmp_path / "spoilt.tif"), pair[1], "--out", str(tmp_path / "out"), "--quiet",
            "--spacing", "2", "--unit", "um", "--workers", "1", *CHEAP]  # fmt: skip
    assert compare.main(argv) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--spacing", "-1"], "spacing"),
        (["--spacing", "0,1,1"], "spacing"),
        (["--spacing", "wide"], "spacing"),
        (["--metrics", "porosity"], "unknown metric 'porosity'"),
        (["--subvolume", "33"], "do not fit"),
        (["--max-lag", "99"], "max_lag"),
        (["--margin", "0"], "margin"),
        (["--solver", "magic"], "magic"),
        (["--samples", "0"], "samples"),
        (["--phases", "pore"], "name=value"),
        (["--workers", "0"], "workers"),
        (["--seed=-1"], "seed"),
        (["--device", "abacus"], "abacus"),
        (["--spacing", "2"], "unit"),
        (["--unit", "um"], "spacing"),
    ],
)
def test_bad_option(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture, argv: list[str], said: str
) -> None:
    out = tmp_path / "out"
    metrics = CHEAP if "--solver" not in argv else ["--metrics", "effective_diffusivity"]
    try:
        status = compare.main([*pair, "--out", str(out), "--workers", "1", *metrics, *argv])
    except SystemExit as stop:
        status = int(stop.code or 0)
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    assert said in error
    assert not out.exists()


def test_raw_file_without_shape(
    refuse: Callable[..., str], pair: tuple[str, str], tmp_path: Path
) -> None:
    field(0).labels.tofile(tmp_path / "gen.raw")
    line = refuse(tmp_path / "gen.raw", pair[1])
    assert "gen.raw" in line
    assert "shape" in line


def test_folder_that_is_no_report_is_left_alone(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    assert compare.main([*pair, "--out", str(out), *CHEAP]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]


def test_the_folder_one_works_in_is_not_replaced(
    pair: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert compare.main([*pair, "--out", ".", *CHEAP]) == 2
    assert "name a new folder in it" in capsys.readouterr().err


def test_a_row_undefined_in_one_sample_is_reported(tmp_path: Path) -> None:
    real = field(0)
    write(real, tmp_path / "real.tif")
    write(Volume(np.repeat(real.labels[:1], 32, axis=0)), tmp_path / "gen.tif")
    argv = [str(tmp_path / "gen.tif"), str(tmp_path / "real.tif"), "--quiet", "--workers", "1",
            "--metrics", "chord_length", "--fail-on", "unsure",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert compare.main(argv) == 3
    assert len(pd.read_csv(tmp_path / "out" / "table.csv")) == 6
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "16 of 96 values undefined" in summary["left_out"][0]


def test_unwritable_folder(pair: tuple[str, str], capsys: pytest.CaptureFixture) -> None:
    below_a_file = f"{pair[0]}/out"
    assert compare.main([*pair, "--out", below_a_file, *CHEAP]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert below_a_file in error


def test_full_disk(
    pair: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    out = tmp_path / "out"
    assert compare.main([*pair, "--out", str(out), "--workers", "1", "--quiet", *CHEAP]) == 2
    assert "No space left" in capsys.readouterr().err
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


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
