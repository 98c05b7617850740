"""Pictures of a validation show what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.validation import figures, readme_pictures
from metrics.report.plots import phase_colours
from metrics.volume import Volume


def test_a_cube_has_z_on_top_y_to_the_left_x_to_the_right() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[1:, -1] = 1
    labels[1:, :, -1] = 2
    figure = Figure(figsize=(4, 4), dpi=50)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    figures.cube(axes, Volume(labels))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255

    def at(x: float, y: float) -> np.ndarray:
        column, row = axes.transData.transform((x, y))
        return pixels[round(pixels.shape[0] - row), round(column)]

    colours = [np.array(to_rgb(colour)) for colour in phase_colours(3)]
    # Eight bits a channel: half a step is .002.
    assert np.allclose(at(0, -8), colours[0], atol=0.02)  # the middle of the top
    assert np.allclose(at(-9, -26), 0.85 * colours[1], atol=0.02)
    assert np.allclose(at(9, -26), 0.7 * colours[2], atol=0.02)


def test_the_front_picture_is_drawn(tmp_path: Path) -> None:
    assert readme_pictures.main(["snow", "--out", str(tmp_path / "front.png")]) == 0
    with Image.open(tmp_path / "front.png") as picture:
        pixels = np.asarray(picture.convert("RGB")) / 255
    # Both phases in the slice and on top of both cubes, shaded as the left and the right side.
    for colour in map(np.array, map(to_rgb, phase_colours(2))):
        for shade in (1.0, 0.85, 0.7):
            shown = (abs(pixels - shade * colour) < 0.02).all(axis=-1).mean()
            assert shown > 0.01, (colour, shade, shown)
