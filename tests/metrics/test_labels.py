"""Labels and phases from the values in a file, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from volume_files import ANODE, CELL, BadFile, check_refusal, refusal, save_tiff, write_h5

from metrics.io.volumes import read, write
from metrics.volume import Phase, Volume


def test_values_become_ranks_and_names_give_the_order(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([0, 127, 254], np.uint8)[CELL])
    by_rank = read(tmp_path / "v.npy")
    np.testing.assert_array_equal(by_rank.labels, CELL)
    assert by_rank.phases == (Phase("0", 0, 0), Phase("127", 1, 127), Phase("254", 2, 254))
    # 300 is absent, and could not even be stored in the file's type.
    named = read(tmp_path / "v.npy", phases={"ysz": 254, "none": 300, "pore": 0, "ni": 127})
    np.testing.assert_array_equal(named.labels, np.array([2, 3, 0])[CELL])
    assert named.phases[1] == Phase("none", 1, 300)


def test_negative_and_bool_values(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([-1, 0, 7], np.int16)[CELL])
    np.testing.assert_array_equal(read(tmp_path / "v.npy").labels, CELL)
    np.save(tmp_path / "b.npy", CELL > 0)
    assert read(tmp_path / "b.npy").labels.sum() == (CELL > 0).sum()


def test_values_that_need_mapping_or_another_byte_order_are_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", CELL + np.uint8(1))
    CELL.astype(">u2").tofile(tmp_path / "v.raw")
    for labels in (
        read(tmp_path / "v.npy").labels,
        read(tmp_path / "v.raw", shape=(5, 6, 7), dtype=">u2").labels,
    ):
        assert not isinstance(labels, np.memmap)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, CELL)


@pytest.mark.parametrize("name", ["v.tif", "v.h5"])
def test_a_phase_without_voxels_survives(tmp_path: Path, name: str) -> None:
    lacking = Volume(np.where(CELL == 1, 2, CELL), phases=ANODE.phases)
    write(lacking, tmp_path / name)
    assert read(tmp_path / name).phases == ANODE.phases
    np.testing.assert_array_equal(read(tmp_path / name).labels, lacking.labels)
    # A format without metadata ranks what it finds: the label of the third phase moves to 1.
    write(lacking, tmp_path / "v.npy")
    assert [phase.value for phase in read(tmp_path / "v.npy").phases] == [0, 254]


BAD_FILES: dict[str, BadFile] = {
    "2D": ("v.tif", lambda p: save_tiff(p, CELL[0]), "a 2D image of shape .* stack"),
    "2D npy": ("v.npy", lambda p: np.save(p, CELL[0]), "a 2D image"),
    "4D": ("v.npy", lambda p: np.save(p, CELL[None]), "shape .1, 5, 6, 7.: save one 3D"),
    "no voxel": ("v.npy", lambda p: np.save(p, CELL[:0]), ":"),
    "grey": (
        "v.tif",
        lambda p: save_tiff(p, np.arange(210, dtype=np.uint16).reshape(5, 6, 7)),
        "a grey image, more than 16 different values: segment it first .*slicegan segment",
    ),
    "float": ("v.tif", lambda p: save_tiff(p, CELL / 2), "float64 values: segment"),
    "NaN": (
        "v.tif",
        lambda p: save_tiff(p, np.where(CELL, CELL, np.nan).astype("f4")),
        f"float32 values, {(CELL == 0).sum()} of them NaN: segment",
    ),
    "complex": ("v.npy", lambda p: np.save(p, CELL * 1j), "complex128 values"),
    "text dataset": ("v.h5", lambda p: write_h5(p, "{}", np.full((1, 1, 1), b"a")), "S1 values"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refusal(tmp_path, BAD_FILES[case], capfd)


def test_bad_phases_are_refused(tmp_path: Path) -> None:
    npy = tmp_path / "v.npy"
    np.save(npy, CELL)
    assert "the values are [0, 1, 2]" in refusal(npy, phases={"pore": 0, "ni": 1})
    assert "once" in refusal(npy, phases={"a": 0, "b": 1, "c": 2, "d": 2})
    assert "whole numbers" in refusal(npy, phases={"a": 0, "b": 1.5, "c": 2})
