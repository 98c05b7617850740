"""Reading and writing: lossless round trips in every format, and refusals in one line."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refusal as line_of
from volume_files import ANODE, CELL, BadFile, check_refusal, imagej, refusal, write_h5

from metrics.io.volumes import read, write
from metrics.volume import InputError, Phase, Volume


@pytest.mark.parametrize("name", ["v.tif", "V.TIFF", "v.h5", "v.hdf5", "v.h5:/deep/er", "v.H5:a"])
def test_tiff_and_hdf5_keep_everything(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"
    write(ANODE, path)
    back = read(path)
    np.testing.assert_array_equal(back.labels, CELL)
    assert back.labels.dtype == np.uint8
    assert (back.spacing, back.unit, back.phases) == (ANODE.spacing, "um", ANODE.phases)


@pytest.mark.parametrize("name", ["v.npy", "v.raw", "v.bin", "v.dat", "folder"])
@pytest.mark.parametrize("top", [254, 65535])
def test_other_formats_keep_the_values(tmp_path: Path, name: str, top: int) -> None:
    dtype = np.uint8 if top < 256 else np.dtype("<u2")
    phases = tuple(Phase(str(value), label, value) for label, value in enumerate((0, 127, top)))
    write(Volume(CELL, (3.0, 1.0, 2.0), "nm", phases), tmp_path / name)
    raw = name.endswith((".raw", ".bin", ".dat"))
    options: Any = {"shape": CELL.shape, "dtype": dtype} if raw else {}
    back = read(tmp_path / name, spacing=(3.0, 1.0, 2.0), unit="nm", **options)
    np.testing.assert_array_equal(back.labels, CELL)
    assert (back.phases, back.spacing, back.unit) == (phases, (3.0, 1.0, 2.0), "nm")
    bare = read(tmp_path / name, **options)
    assert (bare.spacing, bare.unit) == ((1.0, 1.0, 1.0), "voxel")


@settings(max_examples=30)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    values=st.lists(st.integers(0, 65535), min_size=1, max_size=16, unique=True),
    spacing=st.tuples(*[st.floats(1e-9, 1e9)] * 3),
    suffix=st.sampled_from([".tif", ".h5"]),
    seed=st.integers(0, 99),
)
def test_any_volume_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    values: list[int],
    spacing: tuple[float, float, float],
    suffix: str,
    seed: int,
) -> None:
    # Among them: one voxel thick, phases without a voxel, values in any order.
    labels = np.random.default_rng(seed).integers(0, len(values), shape)
    phases = tuple(Phase(f"phase {value}", label, value) for label, value in enumerate(values))
    path = tmp_path_factory.mktemp("any") / f"v{suffix}"
    write(Volume(labels, spacing, "mm", phases), path)
    back = read(path)
    np.testing.assert_array_equal(back.labels, labels)
    assert (back.spacing, back.unit, back.phases) == (spacing, "mm", phases)


@pytest.mark.parametrize("labels", [CELL.astype(np.int64), CELL.T, CELL[::2, ::-1], CELL > 1])
def test_any_label_array_is_written(tmp_path: Path, labels: np.ndarray) -> None:
    for name in ("v.tif", "v.npy", "v.h5", "folder"):
        write(labels, tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name).labels, labels)


def test_labels_in_an_uncompressed_file_stay_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", CELL)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(CELL))
    CELL.tofile(tmp_path / "v.raw")
    imagej(tmp_path / "v.tif", CELL)
    with h5py.File(tmp_path / "v.h5", "w", userblock_size=512) as file:
        file["v"] = CELL
    for name in ("v.npy", "fortran.npy", "v.raw", "v.tif", "v.h5"):
        options: Any = {"shape": CELL.shape, "dtype": "u1"} if name == "v.raw" else {}
        labels = read(tmp_path / name, **options).labels
        assert isinstance(labels, np.memmap), name
        assert not labels.flags.writeable, name
        np.testing.assert_array_equal(labels, CELL)


@pytest.mark.parametrize("spelling", ["µm", "μm", " um "])  # micro sign, then Greek mu
def test_argument_overrides_the_file(tmp_path: Path, spelling: str) -> None:
    imagej(tmp_path / "v.tif", CELL, size=0.25, unit="nm", spacing=1.5)
    v = read(tmp_path / "v.tif", spacing=2, unit=spelling)
    assert (v.spacing, v.unit) == ((2.0, 2.0, 2.0), "um")


def test_real_tomogram(data_path: Callable[[str], Path]) -> None:
    v = read(data_path("berea.tif"), phases={"pore": 0, "grain": 255})
    assert (v.shape, v.spacing, v.unit) == ((400, 400, 400), (3.0, 3.0, 3.0), "um")
    # Porosity as the data's README gives it, to its four digits.
    assert np.count_nonzero(v.labels == 0) / v.labels.size == pytest.approx(0.1965, abs=5e-5)


BAD_FILES: dict[str, BadFile] = {
    "empty": ("v.tif", lambda p: p.touch(), "the file is empty"),
    "empty npy": ("v.npy", lambda p: p.touch(), "the file is empty"),
    "unknown": ("v.nii", lambda p: p.write_text("x"), r"unknown type '.nii': use .tif, .tiff"),
    "no suffix": ("v", lambda p: p.write_text("x"), "unknown type ''"),
    "zero spacing": (
        "v.h5",
        lambda p: write_h5(p, '{"spacing": [1, 0, 1]}'),
        "spacing must be",
    ),
    "broken header": ("v.h5", lambda p: write_h5(p, "{"), "cannot be read"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refusal(tmp_path, BAD_FILES[case], capfd)


def test_spacing_and_unit_come_together(tmp_path: Path) -> None:
    npy = tmp_path / "v.npy"
    np.save(npy, CELL)
    assert "without a unit" in refusal(npy, spacing=0.5)
    assert "without a unit" in refusal(npy, spacing=0.5, unit="pixel")
    assert "without a voxel size" in refusal(npy, unit="um")
    assert read(npy, spacing=0.5, unit="um").spacing == (0.5, 0.5, 0.5)


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    npy = tmp_path / "v.npy"
    np.save(npy, CELL)
    assert "no such file" in refusal(tmp_path / "none.tif")
    assert "no such file" in refusal(f"{tmp_path}/none.h5:/v")
    for spacing in (0, -1.0, (1, 2), (1, 2, np.nan), (1.0, 0.0, 1.0)):
        assert "spacing must be" in refusal(npy, spacing=spacing)
    assert "dataset= does not apply" in refusal(npy, dataset="v")
    assert "dtype, shape= does not apply" in refusal(npy, shape=(5, 6, 7), dtype="u1")


def test_larger_than_memory_and_disk_is_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ANODE, tmp_path / "v.tif")
    write(CELL, tmp_path / "folder")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("v", data=CELL, chunks=(5, 6, 7))
    np.save(tmp_path / "grey.npy", CELL + np.uint8(1))
    np.save(tmp_path / "v.npy", CELL)
    free = SimpleNamespace(available=CELL.size - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    full = SimpleNamespace(free=CELL.size - 1)
    monkeypatch.setattr("metrics.machine.memory.shutil.disk_usage", lambda _: full)
    for name in ("v.tif", "folder", "v.h5", "grey.npy"):
        assert "GiB of memory" in refusal(tmp_path / name)
    assert read(tmp_path / "v.npy").shape == CELL.shape  # mapped, so it needs none


@pytest.mark.parametrize("name", ["v.tif", "v.npy", "v.raw", "v.h5", "folder"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (4, 512, 512), dtype=np.uint8)
    if name != "folder":
        write(ANODE, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try:
        with pytest.raises(InputError, match=r"cannot be written .*free some space") as caught:
            write(noise, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metrics.io.labels._translate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(ANODE, tmp_path / "v.tif")
    assert list(tmp_path.iterdir()) == []


def test_bad_targets_and_values_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")

    def refused(volume: Volume | np.ndarray, name: str) -> str:
        message = line_of(write, volume, tmp_path / name)
        assert message.startswith(f"{tmp_path / name}: ")
        return message

    assert "check the path" in refused(CELL, "none/v.tif")
    assert "check the path" in refused(CELL, "file/v.tif")
    assert "choose a new name" in refused(CELL, "full")
    assert "unknown type '.png': use .tif" in refused(CELL, "v.png")
    assert "do not fit into uint16" in refused(CELL.astype(int) * 40000, "v.tif")
    assert "do not fit into uint16" in refused(CELL.astype(int) - 1, "v.npy")
    twice = (Phase("a", 0, 0), Phase("b", 1, 0), Phase("c", 2, 2))
    assert "same value" in refused(Volume(CELL, phases=twice), "v.tif")
    tiny = Volume(CELL, (1.0, 1e-10, 1e-10), "m")
    assert "use a unit nearer to them" in refused(tiny, "v.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
