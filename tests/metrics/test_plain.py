"""Npy, raw and HDF5 files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from volume_files import ANODE, CELL, BadFile, check_refusal, refusal, write_h5

from metrics.io.volumes import read, write


def test_hdf5_keeps_the_other_datasets(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["other"] = np.arange(3)
    write(ANODE, f"{tmp_path}/v.h5:/a")
    write(CELL, f"{tmp_path}/v.h5:/b")
    write(CELL, f"{tmp_path}/v.h5:/b")
    with h5py.File(tmp_path / "v.h5") as file:
        assert set(file) == {"a", "b", "other"}
    assert read(tmp_path / "v.h5", dataset="a").phases == ANODE.phases


def test_chunked_compressed_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("deep/v", data=CELL, chunks=(2, 3, 4), compression="gzip")
        file["plane"] = CELL[0]
    np.testing.assert_array_equal(read(tmp_path / "v.h5").labels, CELL)


def npy_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, CELL)
    return stream.getvalue()


def huge_npy(edge: int = 10**4) -> bytes:
    stream = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (edge, edge, edge)}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue() + bytes(8)


def huge_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("v", shape=(10**4, 10**4, 10**4), dtype="u1", chunks=(100, 100, 100))


BAD_FILES: dict[str, BadFile] = {
    "10^12 npy": ("v.npy", lambda p: p.write_bytes(huge_npy()), "cannot be read"),
    "10^30 npy": ("v.npy", lambda p: p.write_bytes(huge_npy(10**10)), "cannot be read"),
    "cut npy": ("v.npy", lambda p: p.write_bytes(npy_bytes()[:-1]), "cannot be read"),
    "10^12 hdf5": ("v.h5", lambda p: huge_h5(p), "and no voxels"),
    "not hdf5": ("v.h5", lambda p: p.write_text("hello"), "cannot be read"),
    "no 3D dataset": ("v.h5", lambda p: write_h5(p, "{}", CELL[0]), "it holds no 3D dataset"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refusal(tmp_path, BAD_FILES[case], capfd)


def test_raw_file_needs_the_right_shape_and_dtype(tmp_path: Path) -> None:
    raw = tmp_path / "v.raw"
    CELL.tofile(raw)
    assert "needs shape=" in refusal(raw)
    assert "needs shape=" in refusal(raw, shape=(5, 6, 7))
    assert "needs shape=" in refusal(raw, dtype="u1")
    assert "210 bytes, but shape (5, 6, 7) of uint16 needs 420" in refusal(
        raw, shape=(5, 6, 7), dtype="u2"
    )
    assert "check shape=" in refusal(raw, shape=(-5, -6, 7), dtype="u1")
    for bad in ({"shape": (5, 42), "dtype": "u1"}, {"shape": (5, 6, 7), "dtype": "u99"}):
        assert "three voxel counts" in refusal(raw, **bad)


def test_hdf5_dataset_must_be_named_and_there(tmp_path: Path) -> None:
    h5 = tmp_path / "v.h5"
    with h5py.File(h5, "w") as file:
        file["a"], file["g/b"] = CELL, CELL
    assert "choose one of its 3D datasets as v.h5:/dataset: a, g/b" in refusal(h5)
    assert "no dataset 'c': its 3D datasets are a, g/b" in refusal(h5, dataset="c")
    assert "no dataset 'g'" in refusal(f"{h5}:/g")
    assert "two datasets are named" in refusal(f"{h5}:/a", dataset="g/b")


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    trap = np.empty((1, 1, 1), object)
    trap[0, 0, 0] = Trap(tmp_path / "sprung")
    np.save(tmp_path / "v.npy", trap, allow_pickle=True)
    assert "cannot be read" in refusal(tmp_path / "v.npy")
    assert not (tmp_path / "sprung").exists()
    # The trap does work where pickles are allowed.
    np.load(tmp_path / "v.npy", allow_pickle=True)
    assert (tmp_path / "sprung").exists()
