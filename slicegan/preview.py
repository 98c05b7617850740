"""Pictures of a run: generated planes beside the training images, losses, and fidelity."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.files import replacing
from metrics.report.plots import SAMPLE_COLOURS, phase_colours
from metrics.volume import AXES, Volume
from metrics.wording import row_label
from slicegan.config import Material
from slicegan.data import TrainingData
from slicegan.fidelity import (
    BARS,
    BOUNDARY_BAR,
    DIAGONAL_PLANES,
    ERROR,
    S2_BAR,
)
from slicegan.sources import PLANES, Source

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FilePath = str | os.PathLike[str]

DPI = 150
# Inches of a preview: longest edge of a volume, narrowest column, legend, margins, title
LONGEST, NARROWEST, LEGEND = 2.2, 2.0, 2.7
LEFT, BOTTOM, TOP, TITLE = 0.65, 0.5, 0.3, 0.4
# "vibrant" scheme of Paul Tol (2021), colour-blind safe; lines differ by marker or dash as well
COLOURS = ("#0077bb", "#ee7733", "#009988")
MARKERS = ("o", "s", "^")
LATTICE_COLOUR, DIFFUSIVITY_COLOUR = "#cc3311", "#ee3377"


class _Panel(NamedTuple):
    """Pixels of a plane, what its rows and columns run along, and their edge lengths."""

    pixels: NDArray[Any]
    title: str
    axes: tuple[str, str]
    edges: tuple[float, float]

    @property
    def size(self) -> tuple[float, float]:
        """Height and width in the material's unit."""
        height, width = self.pixels.shape[:2]
        return height * self.edges[0], width * self.edges[1]


def preview(
    path: FilePath, volume: Volume | NDArray[Any], data: TrainingData, *, title: str
) -> None:
    """Write `preview_figure` as a PNG, whole or not at all."""
    save_figure(preview_figure(volume, data, title=title), path)


def preview_figure(volume: Volume | NDArray[Any], data: TrainingData, *, title: str) -> Figure:
    """Middle planes of a volume and one at 45 degrees, under crops of the training images.

    All panels have one scale. Rows and columns of a plane run along the axes that `PLANES` names,
    rows downwards from index 0. The plane at 45 degrees holds the z axis and the diagonal y = x,
    whose pixels are longer by sqrt(2). A crop is as large as the plane under it, or else the whole
    image; crops of one image are taken at different places.

    Parameters
    ----------
    volume : Volume or ndarray
        Labels (Z, Y, X), or uint8 intensities (Z, Y, X[, C]).
    data : TrainingData
        What it was learnt from.
    title : str
        Text above all.
    """
    from matplotlib.figure import Figure

    generated = _generated(volume, data.material)
    training = [_training(panel, axis, data) for panel, axis in zip(generated, AXES, strict=False)]
    scale = LONGEST / max(max(panel.size) for panel in generated[:3])
    widths = [max(scale * panel.size[1], NARROWEST) for panel in generated]
    widths[3] = max(widths[3], LEGEND)
    heights = [scale * max(panel.size[0] for panel in row) for row in (training, generated)]
    lefts = np.cumsum([LEFT, *(width + LEFT for width in widths)])
    low = BOTTOM
    high = low + heights[1] + TOP + BOTTOM
    full = (lefts[-1] - LEFT / 2, high + heights[0] + TOP + TITLE)
    figure = Figure(figsize=full)
    figure.suptitle(title, x=LEFT / full[0], y=1 - 0.12 / full[1], ha="left", va="top",
                    fontsize=11, parse_math=False)  # fmt: skip
    for row, bottom, space in ((training, high, heights[0]), (generated, low, heights[1])):
        for panel, left in zip(row, lefts, strict=False):
            height, width = (scale * edge for edge in panel.size)
            box = (left, bottom + space - height, width, height)
            ax = figure.add_axes((np.array(box) / np.tile(full, 2)).tolist())
            _paint(ax, panel, data.material)
    _add_legend(figure, data.material, (lefts[3] / full[0], (high + heights[0]) / full[1]))
    return figure


def plot_losses(log: pd.DataFrame, path: FilePath) -> None:
    """Write `loss_figure` as a PNG, whole or not at all."""
    save_figure(loss_figure(log), path)


def loss_figure(log: pd.DataFrame) -> Figure:
    """Judgements of the critics, losses and penalty over the steps of the generator.

    Parameters
    ----------
    log : DataFrame
        Columns ``step``, ``seconds``, ``critic_real``, ``critic_fake``, ``wasserstein``,
        ``penalty``, ``generator_loss``; nan where there is nothing to show.
    """
    figure, (judged, losses, penalty) = _three_panels()
    _curve(judged, log, "critic_real", "real slices", SAMPLE_COLOURS["real"])
    _curve(judged, log, "critic_fake", "generated slices", SAMPLE_COLOURS["gen"], "--")
    judged.set_ylabel("critic's score")
    _curve(losses, log, "wasserstein", "Wasserstein estimate", COLOURS[2])
    _curve(losses, log, "generator_loss", "loss of the generator", SAMPLE_COLOURS["gen"], "--")
    losses.set_ylabel("score difference, loss")
    _curve(penalty, log, "penalty", "gradient penalty", SAMPLE_COLOURS["real"])
    penalty.set_ylabel("penalty")
    _log_scale(penalty)
    _finish(figure, log)
    return figure


def plot_fidelity(log: pd.DataFrame, path: FilePath) -> None:
    """Write `fidelity_figure` as a PNG, whole or not at all."""
    save_figure(fidelity_figure(log), path)


def fidelity_figure(log: pd.DataFrame) -> Figure:
    """Errors against the training images over the steps, with the bars of a good generator.

    Parameters
    ----------
    log : DataFrame
        Columns ``step``, ``seconds`` and those of `Fidelity.row`; nan in rows without evaluation
        and for planes that the images say nothing of.
    """
    figure, (summary, s2, boundary) = _three_panels()
    relative = log.copy()
    for name, bar in BARS.items():
        for column in {name, f"{name}{ERROR}"} & set(log):
            relative[column] = log[column] / bar
    names = (
        *("volume fraction", "two-point correlation", "boundary length", "lattice"),
        "effective diffusivity",
    )
    for column, name, colour, marker in zip(
        BARS,
        names,
        (*COLOURS, LATTICE_COLOUR, DIFFUSIVITY_COLOUR),
        (*MARKERS, "D", "v"),
        strict=True,
    ):
        _curve(summary, relative, column, name, colour, marker=marker)
        _band(summary, relative, column, colour)
    _curve(summary, relative, "score", "score (their mean)", "black", width=2.2)
    if summary.collections:
        summary.collections[0].set_label("band: standard error")
    summary.set_ylabel("worst error / bar")
    s2.set_ylabel("S₂ error / φ(1-φ)")
    boundary.set_ylabel("boundary error")
    for ax, quantity in ((s2, "s2"), (boundary, "boundary")):
        for plane, diagonal, colour, marker in zip(
            AXES, DIAGONAL_PLANES, COLOURS, MARKERS, strict=True
        ):
            _curve(ax, log, f"{quantity}_{plane}", f"normal to {plane}", colour, marker=marker)
            name = f"45° about {plane}"
            _curve(ax, log, f"{quantity}_{diagonal}", name, colour, "--", marker=marker)
    scores = log.set_index("step")["score"].dropna()
    for ax, bar in ((summary, 1.0), (s2, S2_BAR), (boundary, BOUNDARY_BAR)):
        ax.axhline(bar, color="0.3", lw=1, ls=":", label=f"bar: {bar:g}")
        if scores.size:
            best = scores.idxmin()
            ax.axvline(best, color="0.7", lw=1, zorder=0, label=f"best: step {best:g}")
        _log_scale(ax)
    _finish(figure, log)
    return figure


def _generated(volume: Volume | NDArray[Any], material: Material) -> list[_Panel]:
    """Middle planes normal to z, y, x, and the one at 45 degrees about z."""
    values = volume.labels if isinstance(volume, Volume) else np.asarray(volume)
    edge = dict(zip(AXES, material.spacing, strict=True))
    panels = []
    for i, axis in enumerate(AXES):
        middle = values.take(values.shape[i] // 2, axis=i)
        down, across = PLANES[axis]
        title = f"generated, normal to {axis}"
        panels.append(_Panel(middle, title, (down, across), (edge[down], edge[across])))
    diagonal = np.moveaxis(np.diagonal(values, axis1=1, axis2=2), -1, 1)
    edges = (edge["z"], hypot(edge["y"], edge["x"]))
    return [*panels, _Panel(diagonal, "generated, 45° about z", ("z", "diagonal y = x"), edges)]


def _training(panel: _Panel, axis: str, data: TrainingData) -> _Panel:
    """Part of the training image of an axis, no larger than the generated plane."""
    source = next(source for source in data.sources if axis in source.axes)
    pixels = _crop(source, axis, panel.pixels.shape[:2])
    if data.isotropic:
        return panel._replace(pixels=pixels, title="training image, any plane", axes=("", ""))
    return panel._replace(pixels=pixels, title=f"training image, normal to {axis}")


def _crop(source: Source, axis: str, shape: Sequence[int]) -> NDArray[Any]:
    """Window of an image; each axis that shares the source has an image or a place of its own."""
    share = (source.axes.index(axis) + 0.5) / len(source.axes)
    stack = source.images[int(share * len(source.images))]
    image: NDArray[Any] = stack[int(share * len(stack))].cpu().numpy()
    window = []
    for size, wanted in zip(image.shape, shape, strict=False):
        start = int(share * max(size - wanted, 0))
        window.append(slice(start, start + wanted))
    return image[tuple(window)]


def _paint(ax: Axes, panel: _Panel, material: Material) -> None:
    """Draw a panel on axes of its size."""
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    height, width = panel.size
    pixels = panel.pixels
    style: dict[str, Any]
    if material.kind == "phases":
        count = len(material.phases)
        style = {"cmap": ListedColormap(phase_colours(count)), "vmin": -0.5, "vmax": count - 0.5}
    else:
        pixels = pixels[..., 0] if material.kind == "grey" and pixels.ndim == 3 else pixels
        style = {"cmap": "gray", "vmin": 0, "vmax": 255}
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="none", aspect="auto", **style)
    ax.set_title(panel.title, fontsize=9, loc="left")
    ax.set_ylabel(f"{panel.axes[0]} [{material.unit}]".strip(), fontsize=9, labelpad=2)
    ax.set_xlabel(f"{panel.axes[1]} [{material.unit}]".strip(), fontsize=9, labelpad=2)
    ax.tick_params(labelsize=8, length=2.5)
    for direction, length in ((ax.xaxis, width), (ax.yaxis, height)):
        direction.set_major_locator(MaxNLocator(4 if 2 * length > max(panel.size) else 2))


def _add_legend(figure: Figure, material: Material, corner: tuple[float, float]) -> None:
    """Names of the phases, in the free place over the plane at 45 degrees."""
    from matplotlib.patches import Patch

    if material.kind != "phases":
        return
    colours = phase_colours(len(material.phases))
    patches = [
        Patch(facecolor=colour, edgecolor="0.4", lw=0.5, label=row_label(phase.name, ""))
        for phase, colour in zip(material.phases, colours, strict=True)
    ]
    size = 9 if len(patches) <= 8 else 7
    legend = figure.legend(handles=patches, loc="upper left", bbox_to_anchor=corner,
                           borderaxespad=0, fontsize=size, frameon=False)  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # a phase may be called "$\\x$"


def _three_panels() -> tuple[Figure, NDArray[Any]]:
    """Figure of three panels over one another, with room for legends at the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 8))
    room = {"left": 0.1, "right": 0.76, "bottom": 0.07, "top": 0.98, "hspace": 0.08}
    return figure, figure.subplots(3, sharex=True, gridspec_kw=room)


def _curve(
    ax: Axes, log: pd.DataFrame, column: str, label: str, colour: str, dash: str = "-", *,
    marker: str = "", width: float = 1.3,
) -> None:  # fmt: skip
    """Draw a column over the steps, without its gaps; nothing if it is empty."""
    rows = log[["step", column]].dropna() if column in log else log[:0]
    if len(rows):
        marker = marker or ("o" if len(rows) == 1 else "")
        ax.plot(rows["step"], rows[column], dash, color=colour, label=label, lw=width,
                marker=marker, ms=3.5)  # fmt: skip


def _band(ax: Axes, log: pd.DataFrame, column: str, colour: str) -> None:
    """One standard error to either side, where it is known."""
    if f"{column}{ERROR}" in log:
        rows = log[["step", column, f"{column}{ERROR}"]].dropna().astype(float)
        low, high = (rows[column] + sign * rows[f"{column}{ERROR}"] for sign in (-1, 1))
        # On a logarithmic axis a limit at zero would have no place.
        ax.fill_between(rows["step"], np.maximum(low, rows[column] / 10), high, color=colour,
                        alpha=0.15, lw=0)  # fmt: skip


def _log_scale(ax: Axes) -> None:
    """Logarithmic, where there is something to show so."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    values = np.concatenate([np.empty(0), *(np.asarray(line.get_ydata()) for line in ax.lines)])
    if (values > 0).any():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _finish(figure: Figure, log: pd.DataFrame) -> None:
    """Grid, legends beside the axes, and the steps under the last."""
    for ax in figure.axes:
        ax.grid(alpha=0.2)
        ax.spines[["top", "right"]].set_visible(False)
        if ax.lines:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    minutes = log["seconds"].max() / 60 if len(log) else 0.0
    figure.axes[-1].set_xlabel(f"step of the generator ({minutes:.3g} minutes in all)")


def save_figure(figure: Figure, path: FilePath) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        # a letter that the font lacks is drawn as a box: no reason to stop or to speak up
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(temporary, format="png", dpi=DPI)
