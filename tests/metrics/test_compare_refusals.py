"""One line and exit status 2 for every bad input of the command, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from comparing import CHEAP, field, spoil_voxel_size

from metrics import Phase, Volume, write
from metrics.command import comparing as command
from metrics.shapes import plurigaussian


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command, expect one line and status 2 and nothing written; return the line."""

    def run(*argv: object) -> str:
        out = tmp_path / "out"
        try:
            status = command.main([*map(str, argv), "--out", str(out), "--workers", "1", *CHEAP])
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


def test_a_phase_that_one_volume_lost_differs_once_it_is_named(
    refuse: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = plurigaussian((32,) * 3, correlation_length=3, seed=0).volume
    names = tuple(Phase(n, k, k) for k, n in enumerate(("pore", "ni", "ysz")))
    for name, labels in (("gen", np.minimum(whole.labels, 1)), ("real", whole.labels)):
        write(Volume(labels, phases=names), tmp_path / f"{name}.tif")
    np.save(tmp_path / "two.npy", np.minimum(whole.labels, 1))
    np.save(tmp_path / "three.npy", whole.labels)
    line = refuse(tmp_path / "two.npy", tmp_path / "three.npy")
    assert "2 phases in gen against 3" in line and "--phases" in line
    files = [str(tmp_path / f"{name}.tif") for name in ("gen", "real")]
    argv = [*files, "--phases", "pore=0,ni=1,ysz=2", "--out", str(tmp_path / "out")]
    assert command.main([*argv, "--workers", "1", "--fail-on", "differs"]) == 3
    printed = capsys.readouterr().out
    assert "gen has no voxel of phase ysz" in printed
    assert "Not the same material: volume fraction of ni, interface area of " in printed


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
        status = command.main([*pair, "--out", str(out), "--workers", "1", *metrics, *argv])
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
    assert command.main([*pair, "--out", str(out), *CHEAP]) == 2
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
    assert command.main([*pair, "--out", ".", *CHEAP]) == 2
    assert "name a new folder in it" in capsys.readouterr().err


def test_a_row_undefined_in_one_sample_is_reported(tmp_path: Path) -> None:
    real = field(0)
    write(real, tmp_path / "real.tif")
    write(Volume(np.repeat(real.labels[:1], 32, axis=0)), tmp_path / "gen.tif")
    argv = [str(tmp_path / "gen.tif"), str(tmp_path / "real.tif"), "--quiet", "--workers", "1",
            "--metrics", "chord_length", "--fail-on", "unsure",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert command.main(argv) == 3
    assert len(pd.read_csv(tmp_path / "out" / "table.csv")) == 6
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "16 of 96 values undefined" in summary["left_out"][0]


def test_unwritable_folder(pair: tuple[str, str], capsys: pytest.CaptureFixture) -> None:
    below_a_file = f"{pair[0]}/out"
    assert command.main([*pair, "--out", below_a_file, *CHEAP]) == 2
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
    assert command.main([*pair, "--out", str(out), "--workers", "1", "--quiet", *CHEAP]) == 2
    assert "No space left" in capsys.readouterr().err
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_loop_of_links_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(tmp_path / f"{name}.tif") for name in ("gen", "real")]
    for seed, path in enumerate(pair):
        write(field(seed), path)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert command.main([*pair, "--out", str(tmp_path / "a"), *CHEAP]) == 2
    assert capsys.readouterr().err.count("\n") == 1
