"""Folders of slices: their order, their kinds, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from volume_files import CELL, BadFile, check_refusal, save_tiff

from metrics.io.volumes import read


def slices(folder: Path, names: list[str], values: np.ndarray = CELL) -> Path:
    folder.mkdir()
    for name, image in zip(names, values, strict=False):
        Image.fromarray(image).save(folder / name)
    return folder


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_slices_are_ordered_by_number(tmp_path: Path, suffix: str) -> None:
    # Text order would put 10 to 12 before 8. The year is a number too, but does not vary.
    names = [f"scan2020_{n}.{suffix}" for n in (8, 9, 10, 11, 12)]
    folder = slices(tmp_path / "s", names)
    (folder / "notes.txt").write_text("not a slice")
    np.testing.assert_array_equal(read(folder).labels, CELL)


def test_single_slice_folder(tmp_path: Path) -> None:
    assert read(slices(tmp_path / "s", ["only.png"], CELL[:1])).shape == (1, 6, 7)


def test_palette_slices_are_read_by_their_indices(tmp_path: Path) -> None:
    for z, image in enumerate(CELL):
        picture = Image.fromarray(image).convert("P")
        picture.putdata(image.ravel())
        picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        picture.save(tmp_path / f"{z}.png")
    np.testing.assert_array_equal(read(tmp_path).labels, CELL)


BAD_FILES: dict[str, BadFile] = {
    "folder empty": ("v", lambda p: p.mkdir(), r"no slice in the folder: use .png"),
    "gap": ("v", lambda p: slices(p, ["1.png", "2.png", "4.png"]), "slice 3 is missing"),
    "twice": ("v", lambda p: slices(p, ["1.png", "2.png", "02.png"]), "2 is there twice"),
    "stray slice": ("v", lambda p: slices(p, ["1.png", "2.png", "mean.png"]), "move others away"),
    "two numbers": ("v", lambda p: slices(p, ["1_1.png", "2_2.png"]), "in one number"),
    "two sizes": (
        "v",
        lambda p: (slices(p, ["1.png"]), Image.fromarray(CELL[0].T).save(p / "2.png")),
        "2.png is .7, 6. uint8, 1.png is .6, 7. uint8: slices must be alike",
    ),
    "colour slice": (
        "v",
        lambda p: (p.mkdir(), Image.new("RGB", (4, 4)).save(p / "1.png")),
        "1.png is in colour",
    ),
    "stack as slice": ("v", lambda p: (p.mkdir(), save_tiff(p / "1.tif", CELL)), "1.tif is"),
    "broken slice": (
        "v",
        lambda p: (slices(p, ["1.png"]), (p / "2.png").write_text("x")),
        r"cannot be read \(slice 2.png: ",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refusal(tmp_path, BAD_FILES[case], capfd)
