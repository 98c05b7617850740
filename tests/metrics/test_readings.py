"""One image, one reading: the same pixels as a stack, a folder of slices and a training image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from metrics import read
from metrics.io.images import read_image

LABELS = np.random.default_rng(0).integers(0, 2, (4, 16, 20))
GREYS = np.arange(256, dtype=np.uint16)[::-1] * 257


def written(folder: Path, values: NDArray[Any], **options: Any) -> list[NDArray[Any]]:
    """Values that each reader finds in the pages of these options."""
    options = {"photometric": "minisblack"} | options
    (folder / "slices").mkdir()
    tifffile.imwrite(folder / "stack.tif", values, **options)
    for z, page in enumerate(values):
        tifffile.imwrite(folder / "slices" / f"slice_{z}.tif", page, **options)
    read_by = []
    for path in (folder / "stack.tif", folder / "slices"):
        volume = read(path)
        of_label = np.array([phase.value for phase in volume.phases])
        read_by.append(of_label[np.asarray(volume.labels)])
    pages = [read_image(path) for path in sorted((folder / "slices").iterdir())]
    return [*read_by, np.stack(pages)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_values_of_every_type_are_what_they_are(tmp_path: Path, dtype: str, order: str) -> None:
    values = (LABELS * 7 - (np.dtype(dtype).kind != "u")).astype(order + dtype)
    for found in written(tmp_path, values, byteorder=order):
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    "codec", [None, "zlib", "lzw", "lzma", "zstd", "packbits", "png", "jpeg2000", "jpegxl"]
)
def test_every_codec_gives_the_same_pixels(tmp_path: Path, codec: str | None) -> None:
    values = (LABELS * 255).astype(np.uint8)
    for found in written(tmp_path, values, compression=codec):
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_min_is_white_changes_no_value(tmp_path: Path, photometric: str, dtype: Any) -> None:
    values = LABELS.astype(dtype)
    for found in written(tmp_path, values, photometric=photometric):
        np.testing.assert_array_equal(found, LABELS)


def test_a_palette_is_read_by_its_indices(tmp_path: Path) -> None:
    values = (LABELS * 3).astype(np.uint8)
    palette = np.stack([GREYS, GREYS // 2, GREYS // 3])
    for found in written(tmp_path, values, photometric="palette", colormap=palette):
        np.testing.assert_array_equal(found, values)
