"""A small volume, files as other programs write them, and what every refusal must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from refusing import refusal as refused

from metrics.io.volumes import read
from metrics.volume import Phase, Volume

CELL = np.random.default_rng(0).integers(0, 3, (5, 6, 7), dtype=np.uint8)
ANODE = Volume(
    CELL,
    spacing=(1.7, 1 / 3, 0.390625),
    unit="um",
    phases=(Phase("pore", 0, 0), Phase("ni é", 1, 127), Phase("ysz", 2, 254)),
)

PLAIN: dict[str, Any] = {"photometric": "minisblack"}

# Name, what makes it, and the pattern of its refusal.
BadFile = tuple[str, Callable[[Path], object], str]


def imagej(path: Path, values: np.ndarray, *, size: float = 1.0, **metadata: Any) -> Path:
    """Write an ImageJ stack as other programs do, `size` units per pixel in x and y."""
    metadata = {"axes": "ZYX", **metadata}
    tifffile.imwrite(path, values, imagej=True, resolution=(1 / size, 1 / size), metadata=metadata)
    return path


def save_tiff(path: Path, values: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, values, **{**PLAIN, **options})


def write_h5(path: Path, header: str, values: np.ndarray = CELL) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=values).attrs["segmented_volume"] = header


def refusal(path: Path | str, **options: Any) -> str:
    """Return the message of the refusal; it must be one line that starts with the file."""
    message = refused(read, path, **options)
    assert message.startswith(f"{path}: ")
    return message


def check_refusal(folder: Path, bad_file: BadFile, capfd: pytest.CaptureFixture[str]) -> None:
    name, make, reason = bad_file
    make(folder / name)
    capfd.readouterr()
    message = refusal(folder / name)
    assert re.search(reason, message), message
    # Libraries must not add lines of their own.
    assert capfd.readouterr() == ("", "")
