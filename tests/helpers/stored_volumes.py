"""Volumes in stores of small chunks, for tests of what stays in its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from metrics.io.volumes import read, write
from metrics.shapes import gaussian_random_field
from metrics.volume import Phase, Volume

SHAPE = (23, 18, 21)
CHUNKS = (5, 7, 8)


def field(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Volume:
    """Three phases with clusters of every size."""
    made = gaussian_random_field(
        shape, correlation_length=2, fractions=(0.35, 0.4, 0.25), seed=seed
    ).volume
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 255))
    return Volume(made.labels, (0.5, 0.5, 0.5), "um", phases)


def store(path: Path, values: np.ndarray, chunks: tuple[int, ...] = CHUNKS) -> Path:
    """One array without metadata, as another program writes it."""
    array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, chunks=chunks)
    array[...] = values
    return path


def both(tmp_path: Path) -> tuple[Volume, Volume]:
    """One volume in memory and in a store."""
    write(field(), tmp_path / "v.ome.zarr")
    return field(), read(tmp_path / "v.ome.zarr", lazy=True)
