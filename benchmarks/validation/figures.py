"""Figures of a validation: middle planes side by side, S2 with bands, distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metrics.report.plots import phase_colours
from metrics.volume import Phase, Volume
from metrics.wording import readable, row_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Place = Literal["outside upper center", "outside upper right", "outside lower center"]

# Paul Tol's "vibrant" scheme; black is real.
COLOURS = ("black", "#ee7733", "#0077bb", "#cc3311", "#888888", "#009988", "#33bbee")
MARKERS = "osD^vPX"
SHOWN = 100  # voxels of a plane, at most
PANELS = 6  # in a row
PAPER = (
    *("volume_fraction", "specific_surface_area", "interface_area", "tpb_density"),
    "effective_diffusivity",
)


def slices(volumes: Mapping[str, Sequence[Volume]], file: Path) -> None:
    """Middle planes normal to z, y and x, and one at 45 degrees, of a volume of each sample."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    first = next(iter(volumes.values()))[0]
    colours = ListedColormap(list(phase_colours(len(first.phases))))
    side = min(SHOWN, *(min(of[0].shape) for of in volumes.values()))
    titles = ("normal to z", "normal to y", "normal to x", "45° about z")
    figure = Figure(figsize=(10, 2.4 * len(volumes)), dpi=90, layout="constrained")
    grid = figure.subplots(len(volumes), 4, squeeze=False)
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title)
    for row, (name, of) in zip(grid, volumes.items(), strict=True):
        cube = _middle(of[0], side)
        diagonal = cube[:, np.arange(side), np.arange(side)]
        planes = (cube[side // 2], cube[:, side // 2], cube[:, :, side // 2], diagonal)
        for ax, plane, aspect in zip(row, planes, (1, 1, 1, 2**-0.5), strict=True):
            ax.imshow(
                plane, cmap=colours, vmin=-0.5, vmax=len(first.phases) - 0.5,
                interpolation="nearest", aspect=aspect,
            )  # fmt: skip
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    edge = side * first.spacing[2]
    figure.supxlabel(f"side of a plane: {edge:.4g} {first.unit}", fontsize=9)
    phase_legend(figure, first.phases, loc="outside upper right")
    figure.savefig(file)


def phase_legend(figure: Figure, phases: Sequence[Phase], *, loc: Place) -> None:
    """Names of the phases beside their colours."""
    pairs = zip(phases, phase_colours(len(phases)), strict=True)
    legend(figure, [(phase.name, colour, "s") for phase, colour in pairs], loc=loc)


def legend(figure: Figure, entries: Sequence[tuple[str, str, str]], *, loc: Place) -> None:
    """Names beside a marker each: (name, colour, marker)."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=name)
        for name, colour, marker in entries
    ]
    figure.legend(handles=marks, loc=loc, ncols=len(marks), frameon=False)


def _middle(volume: Volume, side: int) -> NDArray[np.integer]:
    """Central cube, labels by rank."""
    starts = [(n - side) // 2 for n in volume.shape]
    cube = volume.labels[tuple(slice(s, s + side) for s in starts)]
    return np.searchsorted(volume.phase_labels, cube)


def curves(table: pd.DataFrame, file: Path) -> None:
    """S2 of every phase over all directions and along each axis, mean and 95 % band."""
    from matplotlib.figure import Figure

    groups = list(table.groupby(["phase", "axis"], sort=False))
    axes_of = ("", "z", "y", "x")
    phases = list(dict.fromkeys(phase for (phase, _), _ in groups))
    figure = Figure(figsize=(13, 2.9 * len(phases)), dpi=90, layout="constrained")
    grid = figure.subplots(len(phases), len(axes_of), squeeze=False, sharex=True, sharey="row")
    names = list(dict.fromkeys(table["sample"]))
    for (phase, axis), group in groups:
        ax = grid[phases.index(phase), axes_of.index(axis)]
        for name, colour in zip(names, cycle(COLOURS), strict=False):
            of = group[group["sample"] == name]
            ax.fill_between(of.r, of.low, of.high, color=colour, alpha=0.15, lw=0)
            style = "-" if name == names[0] else "--"
            ax.plot(of.r, of["mean"], style, color=colour, lw=1.3, label=name)
        ax.set_title(f"{phase}, {f'along {axis}' if axis else 'all directions'}", fontsize=10)
        ax.set_xlabel(f"r [{group.unit.iloc[0]}]")
        ax.set_ylabel("S₂(r)")
        ax.set_ylim(0, 1.1 * group["mean"].max())  # few samples have bands beyond all values
        _clean(ax)
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(names),
        frameon=False,
    )  # fmt: skip
    figure.savefig(file)


def distributions(values: pd.DataFrame, file: Path) -> None:
    """Values of every sub-volume of the paper's quantities, a panel a quantity, with the means."""
    from matplotlib.figure import Figure

    shown = values[values.metric.isin(PAPER)]
    styles = list(zip(dict.fromkeys(shown["sample"]), cycle(COLOURS), cycle(MARKERS), strict=False))
    groups = list(shown.groupby(["metric", "phase", "axis", "unit"], sort=False))
    rows = -(-len(groups) // PANELS)
    figure = Figure(figsize=(15, 2.5 * rows), dpi=80, layout="constrained")
    grid = figure.subplots(rows, PANELS, squeeze=False).ravel()
    for ax, ((metric, phase, axis, unit), group) in zip(grid, groups, strict=False):
        for place, (name, colour, marker) in enumerate(styles):
            of = group.loc[group["sample"] == name, "value"].dropna().to_numpy()
            jitter = (np.arange(len(of)) * 0.618 % 1 - 0.5) * 0.5
            ax.plot(place + jitter, of, marker, color=colour, ms=3.5, mew=0, alpha=0.5)
            if len(of):
                ax.hlines(of.mean(), place - 0.35, place + 0.35, color=colour, lw=2)
        measure = readable(metric) if unit in ("", "1") else f"{readable(metric)} [{unit}]"
        ax.set_title(f"{measure}\n{row_label(phase, axis)}", fontsize=9)
        ax.set_xticks([])
        _clean(ax)
    for ax in grid[len(groups) :]:
        ax.set_axis_off()
    legend(figure, styles, loc="outside upper center")
    figure.savefig(file)


def _clean(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
