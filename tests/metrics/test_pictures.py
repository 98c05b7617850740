"""PNG and its kin: every bit that is stored, one reading everywhere, and damage refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from metrics import read
from metrics.io.images import read_image
from metrics.io.pictures import read_picture
from metrics.volume import InputError

LABELS = np.random.default_rng(0).integers(0, 2, (3, 16, 20))


def both(folder: Path) -> list[NDArray[Any]]:
    """Values that a folder of slices has as a volume, and slice by slice as training images."""
    volume = read(folder)
    of_label = np.array([phase.value for phase in volume.phases])
    return [
        of_label[np.asarray(volume.labels)],
        np.stack([read_image(path) for path in sorted(folder.iterdir())]),
    ]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_of_several_channels(tmp_path: Path, channels: int) -> None:
    stored = np.random.default_rng(1).integers(0, 2**16, (8, 9, channels)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    found = read_picture(tmp_path / "a.png", labels=True)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, stored)


def test_phases_that_differ_in_their_low_byte(tmp_path: Path) -> None:
    values = (256 + LABELS[0]).astype(np.uint16)
    opaque = np.full_like(values, 2**16 - 1)
    for name, channels in (("grey", (values, opaque)), ("rgb", (values, values, values))):
        path = tmp_path / f"{name}.png"
        path.write_bytes(imagecodecs.png_encode(np.stack(channels, axis=-1)))
        np.testing.assert_array_equal(read_image(path), values)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize(
    ("palette", "expected"),
    [([10, 10, 10, 200, 200, 200], [10, 200]), ([10, 20, 30, 200, 0, 0], [0, 1])],
)
def test_a_palette_has_one_reading(
    tmp_path: Path, palette: list[int], expected: list[int], suffix: str
) -> None:
    for z, labels in enumerate(LABELS):
        image = Image.fromarray(labels.astype(np.uint8)).convert("P")
        image.putdata(labels.ravel().tolist())
        image.putpalette(palette)
        image.save(tmp_path / f"{z}{suffix}")
    for found in both(tmp_path):
        np.testing.assert_array_equal(found, np.array(expected)[LABELS])


def test_every_flipped_bit_of_a_png_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray((LABELS[0] * 255).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    for place in range(8, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.png: .*damaged PNG \(wrong checksum\)"):
            read_image(path)
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_image(path), LABELS[0] * 255)


@pytest.mark.parametrize("kept", [20, 60, -1, -12])
def test_a_cut_png_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.png"
    Image.fromarray((LABELS[0] * 255).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.png: "):
        read_image(path)


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    for z in range(2):
        Image.fromarray((LABELS[z] * 255).astype(np.uint8)).save(tmp_path / f"{z}.png")
    damaged = bytearray((tmp_path / "1.png").read_bytes())
    damaged[-20] ^= 1
    (tmp_path / "1.png").write_bytes(damaged)
    with pytest.raises(InputError, match=r"slice 1\.png: damaged PNG"):
        read(tmp_path)


def test_pictures_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow's own limits are 89 megapixels with a warning and 179 with an error.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray((LABELS[0] * 255).astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), LABELS[0] * 255)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (4, 5, 6, 1), (1, 4, 1, 5, 6), (1, 1, 5, 6)])
@pytest.mark.parametrize("chunks", [None, True])
def test_hdf5_axes_of_one_are_no_axes(
    tmp_path: Path, shape: tuple[int, ...], chunks: bool | None
) -> None:
    values = np.random.default_rng(2).integers(0, 2, shape).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("volume", data=values, chunks=chunks)
    expected = (1, 5, 6) if shape[:2] == (1, 1) else (4, 5, 6)
    np.testing.assert_array_equal(read(tmp_path / "a.h5").labels, values.reshape(expected))
