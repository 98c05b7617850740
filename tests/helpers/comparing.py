"""Fields and files that tests of the command share."""

from __future__ import annotations

from pathlib import Path

from metrics import Volume, write
from metrics.shapes import gaussian_random_field

CHEAP = ["--metrics", "volume_fraction,specific_surface_area,two_point_correlation"]


def field(seed: int, side: int = 32) -> Volume:
    return gaussian_random_field((side,) * 3, correlation_length=2, seed=seed).volume


def spoil_voxel_size(path: Path) -> None:
    write(Volume(field(0).labels, (2.0, 2.0, 2.0), "um"), path)
