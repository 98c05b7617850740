"""Segmented volumes in TIFF files: ImageJ, OME and plain stacks in, ImageJ or BigTIFF out."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.blur import check_lossy
from metrics.io.plain import HEADER_KEY, Header, Slices
from metrics.machine.memory import allocate
from metrics.units import normal_unit
from metrics.volume import InputError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

# Offsets of a classic TIFF have 32 bits; 32 MB are left for its tags.
CLASSIC_BYTES = 2**32 - 2**25
# The resolution tag, an inverse edge length, is a ratio of two 32-bit integers.
EDGE_RANGE = (1e-9, 1e9)
# ImageJ knows no more channels. tifffile calls slices channels if it is not told their axis.
MAX_CHANNELS = 7
JPEG = (6, 7)  # compression tags
# Most that a stored byte can unpack to, by compression tag: deflate cannot exceed 1032.
MAX_EXPANSION = {1: 1, 8: 1100, 32946: 1100}


def read_tiff(path: Path) -> tuple[NDArray[Any], Header]:
    """Voxel values and header of a TIFF stack; uncompressed contiguous data are memory-mapped.

    The voxel size is taken from ImageJ or OME metadata only: the resolution of a plain TIFF is
    that of a print or a screen.
    """
    import tifffile

    with damage_refused(), tifffile.TiffFile(path) as tif:
        series = _only_stack(tif)
        header = _header(tif)
        _check_size(series, path.stat().st_size)
        if series.dataoffset is None:
            values = allocate(series.shape, series.dtype)
            series.asarray(out=values)
        else:
            values = tifffile.memmap(path, mode="r")
        if series.keyframe.compression in JPEG and values.ndim in (2, 3):
            check_lossy(values.reshape(-1, *values.shape[-2:]))
    # ImageJ metadata cannot tell a stack of one slice from an image; our own header can.
    if header.get("shape") == [1, *values.shape]:
        values = values[np.newaxis]
    return values, header


def write_tiff(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    """Write slices (Y, X), or in colour (Y, X, 3), as a deflated ImageJ stack.

    ImageJ stacks are classic TIFF files. Above 4 GB of voxels the file is a BigTIFF without ImageJ
    metadata; shape, spacing, unit and phases are then in the JSON of the image description.
    """
    import tifffile

    depth, height, width, *samples = header["shape"]
    _, y, x = header["spacing"]
    imagej = math.prod(header["shape"]) * dtype.itemsize <= CLASSIC_BYTES
    layout: dict[str, Any]
    if imagej:
        smallest, largest = EDGE_RANGE
        if not smallest <= min(y, x) <= max(y, x) <= largest:
            raise InputError(
                f"a TIFF holds voxel edges of {smallest:g} to {largest:g}, not {y}, {x} "
                f"{header['unit']}: use a unit nearer to them"
            )
        layout = {
            "shape": (1, depth, 1, height, width, *(samples or [1])),
            "metadata": {"axes": "TZCYXS", **_imagej_metadata(header)},
            "resolution": (1 / x, 1 / y),
        }
    else:
        layout = {
            "shape": header["shape"],
            "metadata": {"axes": "ZYXS" if samples else "ZYX", HEADER_KEY: header},
        }
    with tifffile.TiffWriter(path, imagej=imagej, bigtiff=not imagej) as tif:
        photometric = "rgb" if samples else "minisblack"
        tif.write(slices, dtype=dtype, compression="zlib", photometric=photometric, **layout)


@contextmanager
def damage_refused() -> Iterator[None]:
    """Raise what tifffile only logs: it goes on with zeros or with fewer slices."""
    errors: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            errors.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(note)
    try:
        yield
    finally:
        logger.removeFilter(note)
    if errors:
        raise InputError(f"damaged TIFF ({errors[0]}): copy or export it again")


def _only_stack(tif: TiffFile) -> TiffPageSeries:
    """Return the one image of the file, if its samples are scalars and all its slices are there."""
    if len(tif.series) != 1:
        raise InputError(
            f"holds {len(tif.series)} images of different kinds: save the segmented stack alone"
        )
    series = tif.series[0]
    lengths = dict(zip(series.axes, series.shape, strict=True))
    if "S" in lengths:
        raise InputError("a colour image: save phase labels as 8-bit greyscale")
    if 1 < lengths.get("C", 1) <= MAX_CHANNELS:
        raise InputError(
            "several channels: save one of them, or declare them slices "
            "(ImageJ: Image > Properties)"
        )
    if any(page is None for page in series.pages):
        raise InputError("some slices that the header lists are missing: export it again")
    return series


def _check_size(series: TiffPageSeries, stored: int) -> None:
    """Refuse, before any allocation, a header that claims more voxels than the file can hold."""
    page = series.keyframe
    packed = series.size * int(np.max(page.bitspersample)) // 8
    if packed > stored * MAX_EXPANSION.get(page.compression, math.inf):
        raise InputError(
            f"the header claims shape {series.shape}, too much for a file of {stored} bytes: "
            "it is cut or damaged, export it again"
        )


def _header(tif: TiffFile) -> Header:
    """Header of the file by its dialect."""
    if tif.is_imagej:
        return _imagej_header(tif)
    if tif.is_ome:
        return _ome_header(tif)
    if tif.is_shaped:
        (metadata,) = tif.shaped_metadata or ({},)
        saved: Header = metadata.get(HEADER_KEY, {})
        return saved
    return {}


def _imagej_header(tif: TiffFile) -> Header:
    """Voxel size of an ImageJ stack, and the phases if `write_tiff` left them in its info."""
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    header = _saved_header(metadata.get("Info"))
    unit = metadata.get("unit", "")
    unit = _one_unit([unit, metadata.get("yunit", unit), metadata.get("zunit", unit)])
    # Without an ImageJ unit, pixels per inch or cm are the writer's default, not a voxel size.
    calibrated = unit or tags.valueof("ResolutionUnit", default=1) == 1
    y, x = (
        _pixel_size(tags.valueof(name)) if calibrated else 1.0
        for name in ("YResolution", "XResolution")
    )
    # ImageJ leaves out a spacing of 1, and reads its absolute value.
    spacing = [abs(float(metadata.get("spacing", 1.0))) or 1.0, y, x]
    # The resolution is a rounded ratio; the saved numbers are exact, unless edited in ImageJ.
    if np.allclose(header.get("spacing", np.nan), spacing, rtol=1e-6, atol=0):
        spacing = header["spacing"]
    return {**header, "spacing": spacing, "unit": unit}


def _pixel_size(resolution: tuple[int, int] | None) -> float:
    """Edge length from a resolution tag, 1 where it is missing or void, as ImageJ reads it."""
    pixels, units = resolution or (1, 1)
    return units / pixels if units and pixels else 1.0


def _saved_header(info: Any) -> Header:
    """Header that `write_tiff` left in the ImageJ info, which may hold any other text."""
    try:
        return dict(json.loads(info)[HEADER_KEY])
    except (TypeError, ValueError, KeyError):
        return {}


def _imagej_metadata(header: Header) -> dict[str, Any]:
    """Entries that ImageJ understands, and in its info what it does not."""
    metadata = {
        "spacing": header["spacing"][0],
        # Display range: labels 0, 1, 2 would all look black.
        "min": 0.0,
        "max": float(max(value for _, value in header["phases"])),
        "Info": json.dumps({HEADER_KEY: header}),
    }
    if header["unit"] != "voxel":
        # ImageJ descriptions are ASCII with escapes, e.g. \u00B5m.
        escaped = re.sub(r"[^ -~]", lambda char: f"\\u{ord(char[0]):04X}", header["unit"])
        metadata["unit"] = escaped
    return metadata


def _ome_header(tif: TiffFile) -> Header:
    """Voxel size of an OME-TIFF, if it is given for all three axes."""
    import tifffile

    pixels = tifffile.xml2dict(tif.ome_metadata or "")["OME"]["Image"]["Pixels"]
    spacing = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    if None in spacing:
        return {}
    units = [pixels.get(f"PhysicalSize{axis}Unit", "um") for axis in "ZYX"]
    return {"spacing": spacing, "unit": _one_unit(units)}


def _one_unit(units: Sequence[str]) -> str:
    """Refuse lengths in different units, which a spacing of three numbers would mix up."""
    plain = [
        re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), unit) for unit in units
    ]
    if len(set(map(normal_unit, plain))) != 1:
        raise InputError(
            f"the axes have different units {units}: save it with one unit for all of them"
        )
    return plain[0]
