"""Reading and writing: lossless round trips, other programs' files, and refusals in one line."""

from __future__ import annotations

import io
import re
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metrics import tiff
from metrics.io import read, write
from metrics.volume import InputError, Phase, Volume

CELL = np.random.default_rng(0).integers(0, 3, (5, 6, 7), dtype=np.uint8)
ANODE = Volume(
    CELL,
    spacing=(1.7, 1 / 3, 0.390625),
    unit="um",
    phases=(Phase("pore", 0, 0), Phase("ni é", 1, 127), Phase("ysz", 2, 254)),
)

PLAIN: dict[str, Any] = {"photometric": "minisblack"}


def imagej(path: Path, values: np.ndarray, *, size: float = 1.0, **metadata: Any) -> Path:
    """Write an ImageJ stack as other programs do, `size` units per pixel in x and y."""
    metadata = {"axes": "ZYX", **metadata}
    tifffile.imwrite(path, values, imagej=True, resolution=(1 / size, 1 / size), metadata=metadata)
    return path


def slices(folder: Path, names: list[str], values: np.ndarray = CELL) -> Path:
    folder.mkdir()
    for name, image in zip(names, values, strict=False):
        Image.fromarray(image).save(folder / name)
    return folder


# Round trips


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


@pytest.mark.parametrize("name", ["v.tif", "v.h5"])
def test_a_phase_without_voxels_survives(tmp_path: Path, name: str) -> None:
    lacking = Volume(np.where(CELL == 1, 2, CELL), phases=ANODE.phases)
    write(lacking, tmp_path / name)
    assert read(tmp_path / name).phases == ANODE.phases
    np.testing.assert_array_equal(read(tmp_path / name).labels, lacking.labels)
    # A format without metadata ranks what it finds: the label of the third phase moves to 1.
    write(lacking, tmp_path / "v.npy")
    assert [phase.value for phase in read(tmp_path / "v.npy").phases] == [0, 254]


@pytest.mark.parametrize("labels", [CELL.astype(np.int64), CELL.T, CELL[::2, ::-1], CELL > 1])
def test_any_label_array_is_written(tmp_path: Path, labels: np.ndarray) -> None:
    for name in ("v.tif", "v.npy", "v.h5", "folder"):
        write(labels, tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name).labels, labels)


def test_tiff_of_labels_is_small_deflated_and_readable_by_another_library(tmp_path: Path) -> None:
    write(Volume(CELL.astype(np.int64), ANODE.spacing, "um", ANODE.phases), tmp_path / "v.tif")
    with Image.open(tmp_path / "v.tif") as image:
        tags, frames = dict(image.tag_v2), []
        for z in range(image.n_frames):
            image.seek(z)
            frames.append(np.asarray(image))
    np.testing.assert_array_equal(frames, np.array([0, 127, 254])[CELL])
    assert frames[0].dtype == np.uint8
    bits, compression, photometric = tags[258], tags[259], tags[262]
    assert (bits, compression, photometric) == ((8,), 8, 1)  # 8 is deflate, 1 is MINISBLACK
    # The tags hold pixels per unit, rounded to a ratio of 32-bit integers: relative error < 1e-9.
    assert float(tags[282]) == pytest.approx(1 / ANODE.spacing[2], rel=1e-9)
    assert float(tags[283]) == pytest.approx(1 / ANODE.spacing[1], rel=1e-9)
    assert {"spacing=1.7", "unit=um", "slices=5", "min=0.0", "max=254.0"} <= set(
        tags[270].splitlines()
    )


def test_volume_too_large_for_a_classic_tiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "CLASSIC_BYTES", CELL.size - 1)
    write(ANODE, tmp_path / "v.tif")
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.is_bigtiff
        assert not file.is_imagej
    back = read(tmp_path / "v.tif")
    np.testing.assert_array_equal(back.labels, CELL)
    assert (back.spacing, back.unit, back.phases) == (ANODE.spacing, "um", ANODE.phases)


def test_unit_beyond_ascii_is_escaped_as_imagej_does(tmp_path: Path) -> None:
    write(Volume(CELL, unit="Å"), tmp_path / "v.tif")
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert "unit=\\u00C5" in file.pages.first.description
    assert read(tmp_path / "v.tif").unit == "Å"


def test_hdf5_keeps_the_other_datasets(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["other"] = np.arange(3)
    write(ANODE, f"{tmp_path}/v.h5:/a")
    write(CELL, f"{tmp_path}/v.h5:/b")
    write(CELL, f"{tmp_path}/v.h5:/b")
    with h5py.File(tmp_path / "v.h5") as file:
        assert set(file) == {"a", "b", "other"}
    assert read(tmp_path / "v.h5", dataset="a").phases == ANODE.phases


# Labels and names


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


def test_chunked_compressed_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("deep/v", data=CELL, chunks=(2, 3, 4), compression="gzip")
        file["plane"] = CELL[0]
    np.testing.assert_array_equal(read(tmp_path / "v.h5").labels, CELL)


# Files of other programs


@pytest.mark.parametrize("spelling", ["um", "\\u00B5m", "micron", "microns", "Micrometers"])
def test_imagej_micrometres(tmp_path: Path, spelling: str) -> None:
    path = imagej(tmp_path / "v.tif", CELL, size=0.25, unit=spelling, spacing=1.5)
    v = read(path)
    assert (v.spacing, v.unit) == ((1.5, 0.25, 0.25), "um")


@pytest.mark.parametrize("spelling", ["µm", "μm", " um "])  # micro sign, then Greek mu
def test_argument_overrides_the_file(tmp_path: Path, spelling: str) -> None:
    imagej(tmp_path / "v.tif", CELL, size=0.25, unit="nm", spacing=1.5)
    v = read(tmp_path / "v.tif", spacing=2, unit=spelling)
    assert (v.spacing, v.unit) == ((2.0, 2.0, 2.0), "um")


def test_imagej_conventions(tmp_path: Path) -> None:
    # ImageJ omits a spacing of 1, and stores a negative one for a flipped stack.
    path = tmp_path / "v.tif"
    assert read(imagej(path, CELL, size=0.5, unit="nm")).spacing == (1.0, 0.5, 0.5)
    assert read(imagej(path, CELL, size=0.5, unit="nm", spacing=-2.0)).spacing[0] == 2.0
    uncalibrated = read(imagej(path, CELL, unit="pixel"))
    assert (uncalibrated.spacing, uncalibrated.unit) == ((1.0, 1.0, 1.0), "voxel")


def test_slices_that_tifffile_called_channels(tmp_path: Path) -> None:
    labels = np.tile(CELL, (2, 1, 1))
    tifffile.imwrite(tmp_path / "v.tif", labels, imagej=True)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.series[0].axes == "CYX"
    np.testing.assert_array_equal(read(tmp_path / "v.tif").labels, labels)


def test_print_resolution_is_no_voxel_size(tmp_path: Path) -> None:
    path = tmp_path / "v.tif"
    for unit in ("INCH", "CENTIMETER"):
        for dialect in (PLAIN, {"imagej": True, "metadata": {"axes": "ZYX"}}):
            tifffile.imwrite(path, CELL, resolution=(72, 72), resolutionunit=unit, **dialect)
            v = read(path)
            assert (v.spacing, v.unit) == ((1.0, 1.0, 1.0), "voxel")


def test_ome(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 0.4, "PhysicalSizeZ": 1.2}
    micro = {f"{key}Unit": "µm" for key in sizes}
    path = tmp_path / "v.ome.tif"
    tifffile.imwrite(path, CELL, metadata={"axes": "ZYX", **sizes, **micro})
    v = read(path)
    assert (v.spacing, v.unit) == ((1.2, 0.4, 0.3), "um")
    # Without all three the voxel is not known.
    tifffile.imwrite(path, CELL, metadata={"axes": "ZYX", "PhysicalSizeX": 0.3})
    assert read(path).unit == "voxel"


def test_numbers_edited_in_imagej_beat_those_that_write_left(tmp_path: Path) -> None:
    write(ANODE, tmp_path / "v.tif")
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        info = (file.imagej_metadata or {})["Info"]
    # Same info, as ImageJ keeps it, after a new calibration and a threshold (0 and 255).
    path = imagej(
        tmp_path / "edited.tif",
        255 * (CELL > 0).astype(np.uint8),
        size=0.5,
        unit="um",
        spacing=2.0,
        Info=info,
    )
    v = read(path)
    assert v.spacing == (2.0, 0.5, 0.5)
    assert [phase.value for phase in v.phases] == [0, 255]


@pytest.mark.parametrize("info", ["scanned on a Tuesday", "{}", "[1]", '{"segmented_volume": 1}'])
def test_foreign_imagej_info_is_ignored(tmp_path: Path, info: str) -> None:
    assert read(imagej(tmp_path / "v.tif", CELL, Info=info)).shape == CELL.shape


@pytest.mark.parametrize("shape", [(3, 8, 9), (4, 8, 3), (1, 8, 9)])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_plain_int64_stack_of_the_original_slicegan(
    tmp_path: Path, shape: tuple[int, int, int], compression: str | None
) -> None:
    labels = np.random.default_rng(1).integers(0, 3, shape)
    labels.flat[:3] = [0, 1, 2]
    tifffile.imwrite(
        tmp_path / "v.tif", labels * 127, photometric="minisblack", compression=compression
    )
    v = read(tmp_path / "v.tif")
    np.testing.assert_array_equal(v.labels, labels)
    assert v.labels.dtype == np.uint8


def test_one_bit_and_palette_slices(tmp_path: Path) -> None:
    bits = [Image.fromarray(255 * image).convert("1") for image in CELL]
    bits[0].save(tmp_path / "v.tif", save_all=True, append_images=bits[1:])
    np.testing.assert_array_equal(read(tmp_path / "v.tif").labels, CELL > 0)
    folder = tmp_path / "palette"
    folder.mkdir()
    for z, image in enumerate(CELL):
        picture = Image.fromarray(image).convert("P")
        picture.putdata(image.ravel())
        picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        picture.save(folder / f"{z}.png")
    np.testing.assert_array_equal(read(folder).labels, CELL)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_slices_are_ordered_by_number(tmp_path: Path, suffix: str) -> None:
    # Text order would put 10 to 12 before 8. The year is a number too, but does not vary.
    names = [f"scan2020_{n}.{suffix}" for n in (8, 9, 10, 11, 12)]
    folder = slices(tmp_path / "s", names)
    (folder / "notes.txt").write_text("not a slice")
    np.testing.assert_array_equal(read(folder).labels, CELL)


def test_single_slice_folder(tmp_path: Path) -> None:
    assert read(slices(tmp_path / "s", ["only.png"], CELL[:1])).shape == (1, 6, 7)


def test_uniform_volume_is_not_taken_for_a_decompression_bomb(tmp_path: Path) -> None:
    # The smallest deflate can make of equal bytes is 1/1032; the limit of 1/1100 must let it pass.
    labels = np.zeros((2, 2048, 2048), np.uint8)
    write(labels, tmp_path / "v.tif")
    assert (tmp_path / "v.tif").stat().st_size < labels.size / 800
    assert read(tmp_path / "v.tif").shape == labels.shape


def test_real_tomogram(data_path: Callable[[str], Path]) -> None:
    v = read(data_path("berea.tif"), phases={"pore": 0, "grain": 255})
    assert (v.shape, v.spacing, v.unit) == ((400, 400, 400), (3.0, 3.0, 3.0), "um")
    # Porosity as the data's README gives it, to its four digits.
    assert np.count_nonzero(v.labels == 0) / v.labels.size == pytest.approx(0.1965, abs=5e-5)


# Refusals


def refusal(path: Path | str, **options: Any) -> str:
    """Return the message of the refusal; it must be one line that starts with the file."""
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def tiny_tiff(*, width: int, compression: int = 1, description: bytes = b"") -> bytes:
    """Classic TIFF with one page that claims `width` squared voxels and stores eight bytes."""
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, width),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, width),
        (279, 4, 1, 8),
    ]
    if description:
        tags.insert(5, (270, 2, len(description), 16 + 2 + 12 * (len(tags) + 1) + 4))
        tags.sort()
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    ifd = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 16) + bytes(8) + ifd + description


def save_tiff(path: Path, values: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, values, **{**PLAIN, **options})


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("v.tif", lambda p: p.touch(), "the file is empty"),
    "empty npy": ("v.npy", lambda p: p.touch(), "the file is empty"),
    "png as tif": ("v.tif", lambda p: Image.fromarray(CELL[0]).save(p, "png"), "not a TIFF file"),
    "unknown": ("v.nii", lambda p: p.write_text("x"), r"unknown type '.nii': use .tif, .tiff"),
    "no suffix": ("v", lambda p: p.write_text("x"), "unknown type ''"),
    "2D": ("v.tif", lambda p: save_tiff(p, CELL[0]), "a 2D image of shape .* stack"),
    "2D npy": ("v.npy", lambda p: np.save(p, CELL[0]), "a 2D image"),
    "4D": ("v.npy", lambda p: np.save(p, CELL[None]), "shape .1, 5, 6, 7.: save one 3D"),
    "no voxel": ("v.npy", lambda p: np.save(p, CELL[:0]), ":"),
    "grey": (
        "v.tif",
        lambda p: save_tiff(p, np.arange(210, dtype=np.uint16).reshape(5, 6, 7)),
        "a grey image, more than 16 different values: segment it first .*Otsu",
    ),
    "float": ("v.tif", lambda p: save_tiff(p, CELL / 2), "float64 values: segment"),
    "NaN": (
        "v.tif",
        lambda p: save_tiff(p, np.where(CELL, CELL, np.nan).astype("f4")),
        f"float32 values, {(CELL == 0).sum()} of them NaN: segment",
    ),
    "complex": ("v.npy", lambda p: np.save(p, CELL * 1j), "complex128 values"),
    "colour": (
        "v.tif",
        lambda p: tifffile.imwrite(p, np.zeros((4, 9, 8, 3), np.uint8), photometric="rgb"),
        "a colour image",
    ),
    "channels": (
        "v.tif",
        lambda p: tifffile.imwrite(p, CELL, imagej=True, metadata={"axes": "CYX"}),
        "several channels",
    ),
    "two images": (
        "v.tif",
        lambda p: [save_tiff(p, CELL[:, : 6 - i], append=bool(i)) for i in (0, 1)],
        "holds 2 images of different kinds",
    ),
    "mixed units": (
        "v.tif",
        lambda p: imagej(p, CELL, unit="um", zunit="nm"),
        "the axes have different units",
    ),
    "zero spacing": (
        "v.h5",
        lambda p: write_h5(p, '{"spacing": [1, 0, 1]}'),
        "spacing must be",
    ),
    "broken header": ("v.h5", lambda p: write_h5(p, "{"), "cannot be read"),
    "10^12 voxels": (
        "v.tif",
        lambda p: p.write_bytes(tiny_tiff(width=10**6)),
        "the header claims shape .1000000, 1000000., too much for a file of 130 bytes",
    ),
    "10^12 deflated": (
        "v.tif",
        lambda p: p.write_bytes(tiny_tiff(width=10**6, compression=8)),
        "the header claims",
    ),
    "10^12 zstd": (  # this codec has no limit; the memory has
        "v.tif",
        lambda p: p.write_bytes(tiny_tiff(width=10**6, compression=50000)),
        "GiB of memory",
    ),
    "10^12 slices": (
        "v.tif",
        lambda p: p.write_bytes(
            tiny_tiff(width=10**3, description=b"ImageJ=1.53\nimages=1000000\nslices=1000000\n\0")
        ),
        "the header claims|damaged TIFF",
    ),
    "10^12 npy": ("v.npy", lambda p: p.write_bytes(huge_npy()), "cannot be read"),
    "10^30 npy": ("v.npy", lambda p: p.write_bytes(huge_npy(10**10)), "cannot be read"),
    "cut npy": ("v.npy", lambda p: p.write_bytes(npy_bytes()[:-1]), "cannot be read"),
    "10^12 hdf5": ("v.h5", lambda p: huge_h5(p), "GiB of memory"),
    "not hdf5": ("v.h5", lambda p: p.write_text("hello"), "cannot be read"),
    "no 3D dataset": ("v.h5", lambda p: write_h5(p, "{}", CELL[0]), "it holds no 3D dataset"),
    "text dataset": ("v.h5", lambda p: write_h5(p, "{}", np.full((1, 1, 1), b"a")), "S1 values"),
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
        "slice 2.png cannot be read",
    ),
}


def write_h5(path: Path, header: str, values: np.ndarray = CELL) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=values).attrs["segmented_volume"] = header


def huge_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("v", shape=(10**4, 10**4, 10**4), dtype="u1", chunks=(100, 100, 100))


def npy_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, CELL)
    return stream.getvalue()


def huge_npy(edge: int = 10**4) -> bytes:
    stream = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (edge, edge, edge)}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue() + bytes(8)


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    name, make, reason = BAD_FILES[case]
    make(tmp_path / name)
    capfd.readouterr()
    message = refusal(tmp_path / name)
    assert re.search(reason, message), message
    # Libraries must not add lines of their own.
    assert capfd.readouterr() == ("", "")


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    npy, raw, h5 = tmp_path / "v.npy", tmp_path / "v.raw", tmp_path / "v.h5"
    np.save(npy, CELL)
    CELL.tofile(raw)
    with h5py.File(h5, "w") as file:
        file["a"], file["g/b"] = CELL, CELL
    assert "no such file" in refusal(tmp_path / "none.tif")
    assert "no such file" in refusal(f"{tmp_path}/none.h5:/v")
    for spacing in (0, -1.0, (1, 2), (1, 2, np.nan), (1.0, 0.0, 1.0)):
        assert "spacing must be" in refusal(npy, spacing=spacing)
    assert "dataset= does not apply" in refusal(npy, dataset="v")
    assert "dtype, shape= does not apply" in refusal(npy, shape=(5, 6, 7), dtype="u1")
    assert "the values are [0, 1, 2]" in refusal(npy, phases={"pore": 0, "ni": 1})
    assert "once" in refusal(npy, phases={"a": 0, "b": 1, "c": 2, "d": 2})
    assert "whole numbers" in refusal(npy, phases={"a": 0, "b": 1.5, "c": 2})
    assert "needs shape=" in refusal(raw)
    assert "needs shape=" in refusal(raw, shape=(5, 6, 7))
    assert "needs shape=" in refusal(raw, dtype="u1")
    assert "210 bytes, but shape (5, 6, 7) of uint16 needs 420" in refusal(
        raw, shape=(5, 6, 7), dtype="u2"
    )
    assert "check shape=" in refusal(raw, shape=(-5, -6, 7), dtype="u1")
    for bad in ({"shape": (5, 42), "dtype": "u1"}, {"shape": (5, 6, 7), "dtype": "u99"}):
        assert "three voxel counts" in refusal(raw, **bad)
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


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dialect", ["imagej", "shaped", "plain", "ome"])
def test_truncated_tiff(tmp_path: Path, dialect: str, compression: str | None) -> None:
    stream = io.BytesIO()
    options: dict[str, Any] = {**PLAIN, "compression": compression}
    options |= {"imagej": {"imagej": True}, "ome": {"ome": True}}.get(dialect, {})
    if dialect == "plain":
        options["metadata"] = None
    tifffile.imwrite(stream, CELL, **options)
    whole = stream.getvalue()
    path, silent, refused = tmp_path / "v.tif", 0, 0
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        try:
            labels = read(path).labels
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            # Cut in padding or in tags behind the data: harmless only if the data are whole.
            np.testing.assert_array_equal(labels, CELL)
        silent += _library_accepts_less(path)
    assert refused >= 50
    if (dialect, compression) == ("imagej", None):
        # What the refusal is for: the library alone returns one slice, and only logs.
        assert silent > 0


def _library_accepts_less(path: Path) -> bool:
    try:
        return tifffile.imread(path).shape != CELL.shape
    except Exception:
        return False


def test_damaged_page_data(tmp_path: Path) -> None:
    save_tiff(tmp_path / "v.tif", CELL, compression="zlib", rowsperstrip=6)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        offset = file.pages[3].dataoffsets[0]
    content = bytearray((tmp_path / "v.tif").read_bytes())
    content[offset + 2 : offset + 12] = b"\xff" * 10
    (tmp_path / "v.tif").write_bytes(content)
    assert "cannot be read" in refusal(tmp_path / "v.tif")


def test_ome_that_lists_slices_it_lacks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, CELL, ome=True, metadata={"axes": "ZYX"})
    content = stream.getvalue().replace(b'SizeZ="5"', b'SizeZ="8"')
    content = content.replace(b'PlaneCount="5"', b'PlaneCount="8"')
    (tmp_path / "v.ome.tif").write_bytes(content)
    assert "missing" in refusal(tmp_path / "v.ome.tif")
    assert capfd.readouterr() == ("", "")


def test_larger_than_memory_is_refused_before_reading(
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
    for name in ("v.tif", "folder", "v.h5", "grey.npy"):
        assert "GiB of memory" in refusal(tmp_path / name)
    assert read(tmp_path / "v.npy").shape == CELL.shape  # mapped, so it needs none


# Writing whole or not at all


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

    monkeypatch.setattr("metrics.io._translate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(ANODE, tmp_path / "v.tif")
    assert list(tmp_path.iterdir()) == []


def test_bad_targets_and_values_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")

    def refused(volume: Volume | np.ndarray, name: str) -> str:
        with pytest.raises(InputError) as caught:
            write(volume, tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "choose another folder" in refused(CELL, "none/v.tif")
    assert "choose another folder" in refused(CELL, "file/v.tif")
    assert "choose a new name" in refused(CELL, "full")
    assert "unknown type '.png': use .tif" in refused(CELL, "v.png")
    assert "do not fit into uint16" in refused(CELL.astype(int) * 40000, "v.tif")
    assert "do not fit into uint16" in refused(CELL.astype(int) - 1, "v.npy")
    twice = (Phase("a", 0, 0), Phase("b", 1, 0), Phase("c", 2, 2))
    assert "same value" in refused(Volume(CELL, phases=twice), "v.tif")
    tiny = Volume(CELL, (1.0, 1e-10, 1e-10), "m")
    assert "use a unit nearer to them" in refused(tiny, "v.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
