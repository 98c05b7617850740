"""Read 2D micrographs: segmented, greyscale or colour."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metrics.files import one_line
from metrics.io.blur import check_lossy
from metrics.io.pictures import SUFFIXES, read_picture
from metrics.io.tiff import JPEG as TIFF_JPEG
from metrics.io.tiff import damage_refused
from metrics.io.volumes import FORMATS, split_path
from metrics.machine.memory import allocate, check_memory
from metrics.units import normal_unit
from metrics.volume import (
    MAX_PHASES,
    InputError,
    check_spacing,
    unique_labels,
)

Kind = Literal["phases", "grey", "colour"]
TIFF = (".tif", ".tiff")
JPEG = (".jpg", ".jpeg")
BYTES = 255
PIXEL_BYTES = 9  # that reading takes at most: values sorted, and the labels made of them
REMEDY = "it is damaged or not what its name says, export it again"


def read_image(path: str | os.PathLike[str], *, kind: Kind = "phases") -> NDArray[Any]:
    """Read a 2D image.

    Channels that are all equal count as one (a grey image saved as RGB), opaque alpha is dropped.
    A palette image has the colours of its palette; if those are not grey, its indices are phases.

    Parameters
    ----------
    path : path
        ``.tif``/``.tiff``, ``.png``, ``.jpg``, ``.bmp`` or ``.npy``.
    kind : {"phases", "grey", "colour"}
        What the pixels mean.

    Returns
    -------
    ndarray
        ``"phases"``: (H, W) integers, the values in the file. ``"grey"``: (H, W) uint8;
        ``"colour"``: (H, W, 3) uint8; other types than uint8 are scaled linearly from the
        image's own minimum and maximum to 0 and 255.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, not 2D, not of this kind, has NaN or transparent
        pixels, or if phases are not whole numbers or more than 16 (a grey image).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.array([[0, 1000], [500, 0]]))
    ...     read_image(f"{folder}/a.npy", kind="grey")
    array([[  0, 255],
           [128,   0]], dtype=uint8)
    """
    check_kind(kind)
    with one_line(path, "read", REMEDY):
        return _understood(_read(Path(path), kind), kind)


def read_pages(path: str | os.PathLike[str], *, kind: Kind = "phases") -> list[NDArray[Any]]:
    """Read the 2D images of a file: the pages of a TIFF, or its only one, as `read_image` would.

    Raises
    ------
    InputError
        As `read_image`, with the number of the page.
    """
    check_kind(kind)
    with one_line(path, "read", REMEDY):
        location = Path(path)
        _check_file(location)
        if location.suffix.lower() not in TIFF:
            return [_understood(_read(location, kind), kind)]
        pages = []
        for number, (pixels, lossy) in enumerate(_tiff_pages(location), 1):
            with one_line(f"page {number}", "read", REMEDY):
                if lossy and kind == "phases":
                    _check_lossy(pixels)
                pages.append(_understood(pixels, kind))
        return pages


def grey_pixels(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Grey values (H, W) of an image as they are in the file; errors as of `read_image`."""
    with one_line(path, "read", REMEDY):
        return _checked(_read(Path(path), "grey"), "grey")


def _understood(pixels: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Pixels of a file as this kind of image."""
    pixels = _checked(pixels, kind)
    if kind == "phases":
        return _whole_numbers(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    return as_bytes(pixels, float(pixels.min()), float(pixels.max()))


def _checked(pixels: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Numbers of a file that can be an image, one channel where all are equal."""
    if pixels.dtype.kind not in "biuf":
        raise InputError(f"{pixels.dtype} values are no image: save numbers")
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] <= 4):
        raise InputError(
            f"an array of shape {pixels.shape} where a 2D image is expected: "
            "save one slice, or give a 3D volume alone"
        )
    check_memory(PIXEL_BYTES * pixels.size, remedy="crop it")
    pixels = _one_channel_if_equal(_without_alpha(pixels), kind)
    if pixels.size == 0:
        raise InputError(f"an image of shape {pixels.shape} holds no pixel")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise InputError("holds NaN or infinite values: fill or cut them away")
    return pixels


def voxel_size(
    spacing: Sequence[float] | float | None, unit: str | None
) -> tuple[tuple[float, float, float], str]:
    """Spacing and unit: both known or neither."""
    name = normal_unit(unit or "")
    if (spacing is None) != (name == "voxel"):
        raise InputError("a spacing needs its unit, and a unit a spacing: give both or neither")
    return check_spacing(1.0 if spacing is None else spacing), name


def is_volume(path: str | os.PathLike[str], *, kind: Kind = "phases") -> bool:
    """Whether a path holds a 3D volume: by the header of a TIFF or npy file, else by its type.

    Raises
    ------
    InputError
        If the file is missing, empty or damaged.
    """
    location, _ = split_path(path)
    suffix = location.suffix.lower()
    if location.is_dir() or suffix not in (*TIFF, ".npy"):
        return location.is_dir() or suffix in FORMATS
    with one_line(path, "read", REMEDY):
        _check_file(location)
        if suffix == ".npy":
            shape = np.lib.format.open_memmap(location, mode="r").shape
            return len(shape) > 2 and not (kind == "colour" and shape[2:] in ((3,), (4,)))
        import tifffile

        with damage_refused(), tifffile.TiffFile(location) as tif:
            return len(tif.series[0].axes.replace("S", "")) > 2


def check_kind(kind: str) -> None:
    """Raise `InputError` unless this is a kind of image."""
    if kind not in get_args(Kind):
        raise InputError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")


def _check_file(path: Path) -> None:
    """Raise `InputError` unless there is something to read."""
    if not path.exists():
        raise InputError("no such file: check the path")
    if path.is_dir():
        raise InputError("a folder where a 2D image is expected: a folder of slices is a volume")
    if path.stat().st_size == 0:
        raise InputError("the file is empty: copy or export it again")


def _read(path: Path, kind: Kind) -> NDArray[Any]:
    """Pixels as they are in the file: (H, W) or (H, W, channels)."""
    _check_file(path)
    suffix = path.suffix.lower()
    lossy = suffix in JPEG
    if suffix in TIFF:
        pixels, lossy = _read_tiff(path)
    elif suffix in SUFFIXES:
        pixels = read_picture(path, labels=kind == "phases")
    elif suffix == ".npy":
        # Unlike np.load this can neither unpickle nor open a zip of arrays.
        pixels = np.array(np.lib.format.open_memmap(path, mode="r"))
    else:
        raise InputError(f"unknown type {suffix!r}: use {', '.join((*TIFF, *SUFFIXES, '.npy'))}")
    if lossy and kind == "phases":
        _check_lossy(pixels)
    return pixels


def _check_lossy(pixels: NDArray[Any]) -> None:
    """Raise `InputError` if JPEG has added values to pixels, (H, W) or (H, W, channels)."""
    check_lossy((pixels[..., 0] if pixels.ndim == 3 else pixels)[np.newaxis])


def _read_tiff(path: Path) -> tuple[NDArray[Any], bool]:
    """Pixels of the only image, and whether JPEG has changed them."""
    import tifffile

    with damage_refused(), tifffile.TiffFile(path) as tif:
        if len(tif.series) != 1:
            raise InputError(
                f"holds {len(tif.series)} images: save one of them alone, or take all (--pages)"
            )
        (series,) = tif.series
        check_memory(series.size * series.dtype.itemsize)
        pixels: NDArray[Any] = series.asarray()
        lossy = series.keyframe.compression in TIFF_JPEG
    pixels = np.moveaxis(pixels, series.axes.index("S"), -1) if "S" in series.axes else pixels
    return pixels, lossy


def _tiff_pages(path: Path) -> Iterator[tuple[NDArray[Any], bool]]:
    """Pixels of each page, (H, W) or (H, W, channels), and whether JPEG has changed them.

    Pages may differ in size.
    """
    import tifffile

    with damage_refused(), tifffile.TiffFile(path) as tif:
        check_memory(sum(series.size * series.dtype.itemsize for series in tif.series))
        for series in tif.series:
            pixels: NDArray[Any] = series.asarray()
            colour = "S" in series.axes
            if colour:
                pixels = np.moveaxis(pixels, series.axes.index("S"), -1)
            for page in pixels.reshape(-1, *pixels.shape[-3 if colour else -2 :]):
                yield page, series.keyframe.compression in TIFF_JPEG


def _without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels without their alpha channel, which must be opaque."""
    if pixels.ndim == 2 or pixels.shape[2] in (1, 3):
        return pixels
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
    if (pixels[..., -1] != opaque).any():
        raise InputError("has transparent pixels: save it without an alpha channel")
    return pixels[..., :-1]


def _one_channel_if_equal(pixels: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """(H, W) pixels of phases and grey, (H, W, 3) of colour."""
    if kind == "colour":
        if pixels.ndim == 2 or pixels.shape[2] != 3:
            raise InputError("a greyscale image: use kind grey, or save it as RGB")
        return pixels
    if pixels.ndim == 2:
        return pixels
    if not _equal_channels(pixels):
        remedy = {
            "phases": "save phase labels as 8-bit greyscale",
            "grey": "save it as greyscale, or use kind colour",
        }
        raise InputError(f"a colour image, its channels differ: {remedy[kind]}")
    return pixels[..., 0]


def _equal_channels(pixels: NDArray[Any]) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def _whole_numbers(pixels: NDArray[Any]) -> NDArray[Any]:
    """Phase values as integers, if they are whole and few."""
    if pixels.dtype.kind == "f":
        if (pixels != np.rint(pixels)).any():
            raise InputError(
                f"{pixels.dtype} values that are no whole numbers: "
                "save integer phase labels, or use kind grey"
            )
        pixels = pixels.astype(np.int64)
    if pixels.dtype == bool:
        pixels = pixels.view(np.uint8)
    if len(unique_labels(pixels)) > MAX_PHASES:
        raise InputError(
            f"not segmented, more than {MAX_PHASES} different values: "
            "segment it (slicegan segment; JPEG blurs labels, PNG does not), or use kind grey"
        )
    return pixels


def as_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Intensities 0 to 255 of values from low to high and beyond, row by row or layer by layer."""
    scaled = allocate(values.shape, np.uint8)
    factor = BYTES / ((high - low) or 1.0)
    for part, target in zip(values, scaled, strict=True):
        target[...] = np.rint(np.clip((part.astype(np.float64) - low) * factor, 0, BYTES))
    return scaled
