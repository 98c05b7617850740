"""Pictures: each plane where it belongs, at one scale, nothing clipped; logs with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from training_images import training_data

from metrics.intervals import Interval
from metrics.report.plots import phase_colours
from metrics.volume import Phase, Volume
from slicegan.config import Kind
from slicegan.data import TrainingData
from slicegan.fidelity import Fidelity, PlaneErrors
from slicegan.places import Lattice
from slicegan.preview import (
    fidelity_figure,
    loss_figure,
    plot_fidelity,
    plot_losses,
    preview,
    preview_figure,
)

RANDOM = np.random.default_rng(0)
# z, y and x differ in number, so that no plane has the shape of another
VOLUME = RANDOM.integers(0, 3, (12, 16, 20)).astype(np.uint8)
IMAGES = {
    axis: RANDOM.integers(0, 3, (1, 40, 40)).astype(np.uint8) for axis in "zyx"
}  # larger than any plane


def anisotropic(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> TrainingData:
    return training_data(
        {axis: [image] for axis, image in IMAGES.items()}, phases=3, spacing=spacing
    )


def named(data: TrainingData, names: Sequence[str]) -> TrainingData:
    phases = tuple(Phase(name, k, k) for k, name in enumerate(names))
    return replace(data, material=replace(data.material, phases=phases))


def shown(figure: Figure) -> dict[str, np.ndarray]:
    """Pixels of each panel by its title."""
    return {ax.get_title(loc="left"): np.asarray(ax.images[0].get_array()) for ax in figure.axes}


def is_clipped(figure: Figure) -> bool:
    """Whether something touches the rim of the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    rim = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return any((side != 255).any() for side in rim)


def test_every_plane_is_where_it_belongs() -> None:
    panels = shown(preview_figure(VOLUME, anisotropic(), title=""))
    planes = {"z": VOLUME[6], "y": VOLUME[:, 8], "x": VOLUME[:, :, 10]}
    for axis, plane in planes.items():
        np.testing.assert_array_equal(panels[f"generated, normal to {axis}"], plane)
        crop = panels[f"training image, normal to {axis}"]
        down, across = (20 - n // 2 for n in plane.shape)  # in the middle
        window = np.s_[0, down : down + plane.shape[0], across : across + plane.shape[1]]
        np.testing.assert_array_equal(crop, IMAGES[axis][window])
    diagonal = np.stack([VOLUME[:, i, i] for i in range(16)], axis=1)
    np.testing.assert_array_equal(panels["generated, 45° about z"], diagonal)
    assert len(panels) == 7


def test_axes_are_named_and_measured() -> None:
    figure = preview_figure(Volume(VOLUME), anisotropic((3.0, 1.0, 0.5)), title="")
    labels = {
        ax.get_title(loc="left"): (ax.get_ylabel(), ax.get_xlabel(), *ax.images[0].get_extent())
        for ax in figure.axes
    }
    # left, right, bottom, top: rows run down
    assert labels["generated, normal to z"] == ("y [voxel]", "x [voxel]", 0, 10, 16, 0)
    assert labels["generated, normal to y"] == ("z [voxel]", "x [voxel]", 0, 10, 36, 0)
    assert labels["generated, normal to x"] == ("z [voxel]", "y [voxel]", 0, 16, 36, 0)
    assert labels["training image, normal to x"] == labels["generated, normal to x"]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5)])
def test_all_panels_have_one_scale(spacing: tuple[float, float, float]) -> None:
    figure = preview_figure(VOLUME, anisotropic(spacing), title="")
    scales = []
    for ax in figure.axes:
        left, right, bottom, top = ax.images[0].get_extent()
        box = ax.get_window_extent()
        scales += [box.width / (right - left), box.height / (bottom - top)]
    assert scales == pytest.approx([scales[0]] * 14)


def test_the_diagonal_is_longer_by_the_square_root_of_two() -> None:
    figure = preview_figure(VOLUME, anisotropic(), title="")
    ax = figure.axes[-1]
    assert ax.get_xlabel() == "diagonal y = x [voxel]"
    assert ax.images[0].get_extent() == pytest.approx((0, 16 * sqrt(2), 12, 0))


def test_one_image_gives_three_crops() -> None:
    image = RANDOM.integers(0, 3, (1, 64, 64)).astype(np.uint8)
    data = training_data({"zyx": [image]}, phases=3)
    figure = preview_figure(VOLUME[:, :12, :12], data, title="")
    crops = [ax for ax in figure.axes if ax.get_title(loc="left") == "training image, any plane"]
    found = [np.asarray(ax.images[0].get_array()) for ax in crops]
    for crop, start in zip(found, (8, 26, 43), strict=True):  # (1, 3, 5) / 6 of 64 - 12
        np.testing.assert_array_equal(crop, image[0, start : start + 12, start : start + 12])
    assert crops[0].get_xlabel() == "[voxel]"  # its axes are not those of the volume


def test_an_image_smaller_than_the_plane_is_shown_whole() -> None:
    image = RANDOM.integers(0, 3, (1, 10, 14)).astype(np.uint8)
    panels = shown(preview_figure(VOLUME, training_data({"zyx": [image]}, phases=3), title=""))
    np.testing.assert_array_equal(panels["training image, any plane"], image[0, :10, :14])


@pytest.mark.parametrize("count", [2, 3, 4, 5, 16])
def test_phases_have_colours_and_names(count: int) -> None:
    labels = np.arange(16**3).reshape(16, 16, 16) % count
    names = [f"phase ${k}" for k in range(count - 1)] + ["a name too long to be shown in full"]
    data = named(training_data({"zyx": [labels.astype(np.uint8)]}, phases=count), names)
    figure = preview_figure(labels, data, title="step 5: S₂ $0.1")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:-1] == names[:-1]
    assert not is_clipped(figure)
    image = figure.axes[-1].images[0]
    wanted = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in colours_of(count)]
    painted = image.cmap(image.norm(np.arange(count)))[:, :3] * 255
    np.testing.assert_allclose(painted, wanted, atol=0.5)


def colours_of(count: int) -> list[str]:
    """Six-digit colours."""
    return [c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for c in phase_colours(count)]


@pytest.mark.parametrize(("kind", "channels"), [("grey", 1), ("grey", 0), ("colour", 3)])
def test_intensities_are_shown_as_they_are(kind: Kind, channels: int) -> None:
    volume = RANDOM.integers(0, 256, (12, 16, 20, max(channels, 1))).astype(np.uint8)
    data = training_data({"zyx": [volume]}, kind=kind)
    figure = preview_figure(volume if channels else volume[..., 0], data, title="")
    panels = shown(figure)
    plane = volume[:, 8] if kind == "colour" else volume[:, 8, :, 0]
    np.testing.assert_array_equal(panels["generated, normal to y"], plane)
    diagonal = np.stack([volume[:, i, i] for i in range(16)], axis=1)
    found = panels["generated, 45° about z"]
    np.testing.assert_array_equal(found, diagonal if kind == "colour" else diagonal[..., 0])
    assert not figure.legends
    image = figure.axes[0].images[0]
    if kind == "grey":
        assert (image.cmap, image.norm.vmin, image.norm.vmax) == (colormaps["gray"], 0, 255)


def test_the_file_is_a_picture_of_its_planes(tmp_path: Path) -> None:
    path = tmp_path / "preview.png"
    preview(path, VOLUME, anisotropic(), title="step 1")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0] > 500
    # the three colours of the phases cover much of it, in like parts as VOLUME and IMAGES do
    parts = [
        (pixels == [int(c[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).mean()
        for c in colours_of(3)
    ]
    assert parts == pytest.approx([np.mean(parts)] * 3, rel=0.15)  # 1400 pixels: 5 %, 3 sigma
    assert sum(parts) > 0.25
    assert list(tmp_path.iterdir()) == [path]


def test_a_letter_that_the_font_lacks_is_no_error(tmp_path: Path) -> None:
    data = named(training_data({"zyx": [IMAGES["z"]]}, phases=3), ["孔", "b", "c"])
    preview(tmp_path / "preview.png", VOLUME, data, title="")


def made_up(error: float) -> tuple[Lattice, ...]:
    return (Lattice((), np.zeros((1, 4, 4, 4)), (Interval(error, nan, nan),)),)


def log(steps: int = 6, *, isotropic: bool = True, every: int = 1) -> pd.DataFrame:
    """A log whose last evaluation but one is the best."""
    rows = []
    for k in range(1, steps + 1):
        error = 0.01 + abs(k - steps + 1) / 10
        names = ("z", "y", "x", "45z", "45y", "45x") if isotropic else ("z", "y", "x")
        planes = {name: PlaneErrors(error, 2 * error) for name in names}
        fidelity = Fidelity(error, planes, made_up(3 * error)).row()
        if k % every != (steps - 1) % every:
            fidelity = dict.fromkeys(fidelity, nan)
        losses = {"critic_real": 3 / k, "critic_fake": -2 / k, "wasserstein": 5 / k}
        losses |= {"penalty": 0.1 / k, "generator_loss": 2 / k}
        rows.append({"step": 100 * k, "seconds": 90.0 * k, **losses, **fidelity})
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else list(log(1)))


def curves(figure: Figure) -> list[dict[str, np.ndarray]]:
    """Lines of each panel by their labels: steps and values."""
    return [{str(line.get_label()): line.get_xydata() for line in ax.lines} for ax in figure.axes]


def test_losses_are_drawn_over_steps() -> None:
    figure = loss_figure(log())
    judged, losses, penalty = curves(figure)
    steps = np.arange(100, 700, 100)
    np.testing.assert_allclose(judged["real slices"], np.stack([steps, 300 / steps], 1))
    np.testing.assert_allclose(judged["generated slices"], np.stack([steps, -200 / steps], 1))
    np.testing.assert_allclose(losses["Wasserstein estimate"], np.stack([steps, 500 / steps], 1))
    np.testing.assert_allclose(losses["loss of the generator"][:, 1], 200 / steps)
    np.testing.assert_allclose(penalty["gradient penalty"][:, 1], 10 / steps)
    assert figure.axes[2].get_xlabel() == "step of the generator (9 minutes in all)"
    assert not is_clipped(figure)


def test_fidelity_shows_bars_and_the_best_step() -> None:
    figure = fidelity_figure(log())
    summary, s2, boundary = curves(figure)
    assert summary["two-point correlation"][-2] == pytest.approx((500, 0.01 / 0.02))
    assert summary["lattice"][-2] == pytest.approx((500, 1))
    assert summary["score (their mean)"][-2] == pytest.approx((500, (1 + 0.5 + 0.4 + 1) / 4))
    assert s2["45° about y"][-2] == pytest.approx((500, 0.01))
    assert boundary["normal to x"][-2] == pytest.approx((500, 0.02))
    for panel, bar in ((summary, 1), (s2, 0.02), (boundary, 0.05)):
        assert (panel[f"bar: {bar}"][:, 1] == bar).all()
        assert (panel["best: step 500"][:, 0] == 500).all()
    assert {ax.get_yscale() for ax in figure.axes} == {"log"}
    assert not is_clipped(figure)


def test_a_standard_error_is_a_band_about_its_curve() -> None:
    rows = log()
    rows["s2_se"] = rows["s2"] / 2
    summary = fidelity_figure(rows).axes[0]
    (band,) = (found for found in summary.collections if found.get_paths())
    heights = band.get_paths()[0].vertices[:, 1]
    errors = rows["s2"] / 0.02
    assert (heights.min(), heights.max()) == pytest.approx((errors.min() / 2, errors.max() * 1.5))
    assert "band: standard error" in {text.get_text() for text in summary.get_legend().texts}


def test_gaps_and_unknown_planes_are_left_out() -> None:
    figure = fidelity_figure(log(7, isotropic=False, every=3))
    summary, s2, _ = curves(figure)
    assert summary["score (their mean)"][:, 0].tolist() == [300, 600]
    assert "best: step 600" in s2
    assert set(s2) == {f"normal to {axis}" for axis in "zyx"} | {"bar: 0.02", "best: step 600"}


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_logs_of_any_length_are_written(tmp_path: Path, steps: int) -> None:
    rows = log(steps)
    rows.loc[:, "penalty"] = 0.0  # no logarithm
    for plot, name in ((plot_losses, "losses.png"), (plot_fidelity, "fidelity.png")):
        plot(rows, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 900


def test_one_evaluation_is_seen() -> None:
    for figure in (fidelity_figure(log(1)), loss_figure(log(1))):
        drawn = [line for ax in figure.axes for line in ax.lines if len(line.get_xydata()) == 1]
        assert drawn
        assert all(line.get_marker() not in ("", "None") for line in drawn)
