"""A picture of means over places: what a generator with a lattice writes where."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from metrics.volume import AXES
from metrics.wording import row_label
from slicegan.places import Lattice
from slicegan.preview import save_figure
from slicegan.sources import PLANES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANGE = 0.5  # of a mean over its phase's fraction, on either side of one
SIDE = 1.7  # inches of a plane


def plot_lattice(found: Mapping[str, Lattice], path: str | os.PathLike[str]) -> None:
    """Write `lattice_figure` as a PNG, whole or not at all."""
    save_figure(lattice_figure(found), path)


def lattice_figure(found: Mapping[str, Lattice]) -> Figure:
    """Three middle planes of the cell of places: mean of each phase over its fraction.

    A stationary material is white everywhere, but for noise. Rows are the phases of each sample.

    Parameters
    ----------
    found : mapping of str to Lattice
        By the names of the samples; an empty name is left out of the titles.
    """
    from matplotlib.figure import Figure

    rows = [(name, of, k) for name, of in found.items() for k in range(len(of.phases))]
    figure = Figure(figsize=(3.2 * SIDE + 1.6, SIDE * len(rows) + 0.8), layout="constrained")
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for line, (name, of, k) in zip(grid, rows, strict=True):
        means = of.means[k]
        relative = means / max(float(means.mean()), np.finfo(float).tiny)
        for ax, axis in zip(line, AXES, strict=True):
            plane = relative.take(of.period // 2, axis=AXES.index(axis))
            ax.imshow(plane, cmap="RdBu_r", vmin=1 - RANGE, vmax=1 + RANGE,
                              interpolation="nearest")  # fmt: skip
            down, across = PLANES[axis]
            ax.set_ylabel(down, fontsize=8, labelpad=1)
            ax.set_xlabel(across, fontsize=8, labelpad=1)
            ax.set(xticks=[], yticks=[])
        label = " ".join(part for part in (name, row_label(of.phases[k].name, "")) if part)
        text = f"{label}: {of.means[k].min():.3f} to {of.means[k].max():.3f}, "
        text += f"lattice {of.spread[k].value:.1%}"
        line[0].set_title(text, fontsize=9, loc="left", parse_math=False)
    period = next(iter(found.values())).period
    image = grid[-1, -1].images[0]
    figure.colorbar(image, ax=grid, shrink=min(1.0, 3 / len(rows)), extend="both",
                    label=f"mean at a place modulo {period} voxels / fraction")  # fmt: skip
    return figure
