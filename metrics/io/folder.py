"""Voxel values in a folder of numbered image slices."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.pictures import read_picture
from metrics.io.plain import Header, Slices
from metrics.io.tiff import read_tiff
from metrics.machine.memory import allocate
from metrics.volume import InputError

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


def read_folder(path: Path) -> tuple[NDArray[Any], Header]:
    """Stack the slices of a folder by number; they must be alike in size and type."""
    files = _in_order(
        [
            file
            for file in path.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ]
    )
    first = _read_slice(files[0])
    values = allocate((len(files), *first.shape), first.dtype)
    for target, file in zip(values, files, strict=True):
        image = _read_slice(file)
        if (image.shape, image.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{file.name} is {image.shape} {image.dtype}, {files[0].name} is {first.shape} "
                f"{first.dtype}: slices must be alike"
            )
        target[:] = image
    return values, {}


def write_folder(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    """Write slices as numbered PNG files into a new folder."""
    from PIL import Image

    path.mkdir()
    for z, image in enumerate(slices):
        Image.fromarray(image).save(path / f"{z:04d}.png")


def _in_order(files: list[Path]) -> list[Path]:
    """Slices by the one number in which their names differ; it must rise in steps of 1."""
    if not files:
        raise InputError(f"no slice in the folder: use {', '.join(SUFFIXES)} (JPEG blurs labels)")
    if len({re.sub(r"\d+", "#", file.name) for file in files}) > 1:
        raise InputError("names of slices must differ in their number alone: move others away")
    if len(files) == 1:
        return files
    columns = zip(*([int(n) for n in re.findall(r"\d+", file.name)] for file in files), strict=True)
    varying = [numbers for numbers in columns if len(set(numbers)) > 1]
    if len(varying) != 1:
        raise InputError("names of slices must differ in one number, e.g. slice_000.png")
    ordered = sorted(zip(varying[0], files, strict=True))
    for (number, _), (following, _) in pairwise(ordered):
        if following != number + 1:
            raise InputError(
                f"slice {number + 1} is missing or {number} is there twice: complete the folder"
            )
    return [file for _, file in ordered]


def _read_slice(path: Path) -> NDArray[Any]:
    """One greyscale, bilevel or palette image."""
    if path.suffix.lower() in (".tif", ".tiff"):
        # As a stack of the same pixels is read: Pillow inverts some, and refuses others.
        pixels, _ = read_tiff(path)
        if pixels.ndim != 2:
            raise InputError(f"{path.name} is a stack: slices must be 2D greyscale")
        return pixels
    try:
        pixels = read_picture(path, labels=True)
    except InputError as error:
        raise InputError(f"slice {path.name}: {error}") from None
    except Exception as error:
        # Not all of Pillow's errors say which slice.
        raise ValueError(f"slice {path.name}: {error}") from error
    if pixels.ndim != 2:
        raise InputError(f"{path.name} is in colour or a stack: slices must be 2D greyscale")
    return pixels
