"""Writing slice by slice: the same files as of a whole volume, and nothing half written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from volume_files import ANODE, CELL

from metrics.io.volumes import read, write, write_slices
from metrics.volume import InputError, Phase

FORMATS = ("v.tif", "v.npy", "v.raw", "v.h5", "folder")
WHAT: dict[str, Any] = {
    "shape": ANODE.shape,
    "phases": ANODE.phases,
    "spacing": ANODE.spacing,
    "unit": ANODE.unit,
}


def content(path: Path) -> list[bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file.read_bytes() for file in files]


@pytest.mark.parametrize("name", FORMATS)
def test_slices_make_the_file_that_write_makes(tmp_path: Path, name: str) -> None:
    for folder in ("slices", "whole"):
        (tmp_path / folder).mkdir()
    write_slices(iter(CELL), tmp_path / "slices" / name, **WHAT)
    write(ANODE, tmp_path / "whole" / name)
    if name.endswith("h5"):  # with the time of writing in it
        back = read(tmp_path / "slices" / name)
        np.testing.assert_array_equal(back.labels, CELL)
        assert (back.spacing, back.phases) == (ANODE.spacing, ANODE.phases)
    else:
        assert content(tmp_path / "slices" / name) == content(tmp_path / "whole" / name)


def test_slices_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive = 0

    class Slice(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def slices() -> Iterator[np.ndarray]:
        nonlocal alive
        for image in CELL:
            alive += 1
            assert alive <= 2  # this one, and the last in the hands of the writer
            yield image.copy().view(Slice)

    write_slices(slices(), tmp_path / "v.npy", **WHAT)
    np.testing.assert_array_equal(read(tmp_path / "v.npy").labels, CELL)


def test_a_phase_that_may_not_occur_makes_the_type(tmp_path: Path) -> None:
    phases = (*ANODE.phases, Phase("void", 3, 300))
    write_slices(CELL, tmp_path / "v.npy", **{**WHAT, "phases": phases})
    assert np.load(tmp_path / "v.npy").dtype == np.uint16
    write_slices(CELL, tmp_path / "v.npy", **{**WHAT, "phases": phases}, present=[0, 1, 2])
    assert np.load(tmp_path / "v.npy").dtype == np.uint8


@pytest.mark.parametrize("name", ["v.npy", "v.raw", "v.h5", "folder"])
def test_colour(tmp_path: Path, name: str) -> None:
    levels = tuple(Phase(str(level), level, level) for level in range(256))
    colour = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    write_slices(colour, tmp_path / name, shape=colour.shape, phases=levels)
    if name == "v.npy":
        np.testing.assert_array_equal(np.load(tmp_path / name), colour)
    assert (tmp_path / name).exists()


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "too few": (CELL[:4], {}, r"4 slices do not fill the shape \(5, 6, 7\)"),
    "none": ([], {}, "0 slices do not fill the shape"),
    "too many": ([*CELL, CELL[0]], {}, r"more slices than the shape \(5, 6, 7\) holds"),
    "other shape": ([CELL[0], CELL[1].T], {}, r"slice 2 of shape \(7, 6\) is no part"),
    "no phase": (CELL + 1, {}, r"slice 1 holds labels that are no phase: \[0, 1, 2\] are"),
    "negative": (CELL.astype(int) - 1, {}, "slice 1 holds labels that are no phase"),
    "not present": (CELL, {"present": [0, 1]}, "slice 1 holds labels that are no phase"),
    "spacing": (CELL, {"spacing": (1, 0, 1)}, "spacing must be"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("case", BAD)
def test_slices_that_do_not_fit_leave_no_file(tmp_path: Path, name: str, case: str) -> None:
    slices, options, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        write_slices(slices, tmp_path / name, **{**WHAT, **options})
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["v.npy", "v.raw", "v.h5"])
def test_too_small_a_disk_is_said_before_the_first_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def slices() -> Iterator[np.ndarray]:
        raise AssertionError("a slice was asked for")
        yield

    needed = CELL.size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError, match=r"GiB on the disk, .* GiB are free: ask for less"):
        write_slices(slices(), tmp_path / name, **WHAT)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    write_slices(CELL, tmp_path / name, **WHAT)


def test_compressed_files_may_fit_a_disk_that_the_voxels_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    write(ANODE, tmp_path / "v.tif")
    assert read(tmp_path / "v.tif").shape == ANODE.shape
