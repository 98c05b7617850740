"""Pictures of a validation show what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from benchmarks.validation import readme_pictures
from metrics.report.plots import phase_colours


def test_the_front_picture_is_drawn(tmp_path: Path) -> None:
    assert readme_pictures.main(["snow", "--out", str(tmp_path / "front.png")]) == 0
    with Image.open(tmp_path / "front.png") as picture:
        pixels = np.asarray(picture.convert("RGB")) / 255
    # Both phases in the slice; in the two views the ice alone, in lights and shades of its colour.
    air, ice = map(np.array, map(to_rgb, phase_colours(2)))
    slice_, generated, real = np.array_split(pixels, 3, axis=1)
    for colour in (air, ice):
        assert (abs(slice_ - colour) < 0.02).all(axis=-1).mean() > 0.05
    for view in (generated, real):
        hues = view / np.linalg.norm(view, axis=-1, keepdims=True).clip(1e-6)
        assert (abs(hues - ice / np.linalg.norm(ice)) < 0.05).all(axis=-1).mean() > 0.1
        assert (abs(view - air) < 0.02).all(axis=-1).mean() < 0.01
