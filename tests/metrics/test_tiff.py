"""TIFF stacks: dialects of other programs, what is written, and damage."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from volume_files import ANODE, CELL, PLAIN, BadFile, check_refusal, imagej, refusal, save_tiff

from metrics.io import tiff
from metrics.io.volumes import read, write
from metrics.volume import InputError, Volume


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


@pytest.mark.parametrize("spelling", ["um", "\\u00B5m", "micron", "microns", "Micrometers"])
def test_imagej_micrometres(tmp_path: Path, spelling: str) -> None:
    path = imagej(tmp_path / "v.tif", CELL, size=0.25, unit=spelling, spacing=1.5)
    v = read(path)
    assert (v.spacing, v.unit) == ((1.5, 0.25, 0.25), "um")


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


def test_one_bit_stack(tmp_path: Path) -> None:
    bits = [Image.fromarray(255 * image).convert("1") for image in CELL]
    bits[0].save(tmp_path / "v.tif", save_all=True, append_images=bits[1:])
    np.testing.assert_array_equal(read(tmp_path / "v.tif").labels, CELL > 0)


def test_uniform_volume_is_not_taken_for_a_decompression_bomb(tmp_path: Path) -> None:
    # The smallest deflate can make of equal bytes is 1/1032; the limit of 1/1100 must let it pass.
    labels = np.zeros((2, 2048, 2048), np.uint8)
    write(labels, tmp_path / "v.tif")
    assert (tmp_path / "v.tif").stat().st_size < labels.size / 800
    assert read(tmp_path / "v.tif").shape == labels.shape


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


BAD_FILES: dict[str, BadFile] = {
    "png as tif": ("v.tif", lambda p: Image.fromarray(CELL[0]).save(p, "png"), "not a TIFF file"),
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
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refusal(tmp_path, BAD_FILES[case], capfd)


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
