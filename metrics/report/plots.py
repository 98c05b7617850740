"""Plots of a comparison, each one a piece of inline SVG that follows the page's text colour."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from metrics.volume import AXES, Volume, axis_index
from metrics.wording import readable, row_label, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Okabe and Ito (2008), with darker and lighter ends: told apart by colour-blind readers and in grey
PHASE_COLOURS = (
    "#16324f",
    "#e69f00",
    "#8ecae6",
    "#d55e00",
    "#009e73",
    "#f0e442",
    "#cc79a7",
    "#888",
)
# "vibrant" scheme of Paul Tol (2021), colour-blind safe; every verdict has its own marker as well
SAMPLE_COLOURS = {"gen": "#ee7733", "real": "#0077bb"}
MARKS = {
    "same": ("o", "#009988"),
    "differs": ("s", "#cc3311"),
    "cannot tell": ("D", "#888888"),
}
INK = "#010203"  # stands for the page's text colour until the SVG is in the page
WIDTH = 4.2  # inches: about a phone's width, so that text keeps its size there
MAX_PIXELS = 400  # of a slice along one side
MAX_DOTS = 200  # of a sample; more are drawn as an image
APART = 5.0  # times: largest value of a phase over that of another with an axis of its own
WIDEST = 2.0  # ratio up to which the whole of an interval is shown
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "metrics",
    "text.color": INK,
    "text.parse_math": False,  # a phase may be called "$\\x$"
    "text.usetex": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def phase_colours(count: int) -> tuple[str, ...]:
    """As many colours as there are phases."""
    if count <= len(PHASE_COLOURS):
        return PHASE_COLOURS[:count]
    import matplotlib
    from matplotlib.colors import to_hex

    shades = matplotlib.colormaps["cividis"](np.linspace(0, 1, count))
    return tuple(map(to_hex, shades))


def shared_extent(volumes: Sequence[Volume]) -> NDArray[np.float64]:
    """Edge lengths in z, y, x of the largest box that fits into every volume.

    Where there are images, volumes of one layer, those of a cube: their rows and columns may stand
    for any axis.
    """
    edges = np.array([np.multiply(v.shape, v.spacing) for v in volumes])
    thin = np.array([v.shape for v in volumes]) == 1
    if thin.any() and not thin.all():
        return np.full(3, edges[~thin].min())
    return edges.min(axis=0)


def central(size: int, edge: float, length: float, most: int | None = None) -> slice:
    """The middle of an axis of so many voxels, of a length, but of one voxel to `most`."""
    count = min(max(round(length / edge), 1), size, size if most is None else most)
    start = (size - count) // 2
    return slice(start, start + count)


def slice_plot(
    volume: Volume, *, axis: str, extent: NDArray[np.float64], colours: Sequence[str], name: str
) -> Markup:
    """Middle slice normal to an axis, its central window of a given extent.

    Parameters
    ----------
    volume : Volume
        Only the slice is read from it.
    axis : {'z', 'y', 'x'}
        Normal of the slice.
    extent : (3,) ndarray
        Edge lengths of the window in z, y, x, in the volume's unit.
    colours : sequence of str
        Colour of each phase, in the volume's order.
    name : str
        Prefix of the ids in the SVG.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.ticker import MaxNLocator

    rows, columns = (i for i in range(3) if i != axis_index(axis))
    window: list[int | slice] = [size // 2 for size in volume.shape]
    for i in (rows, columns):
        inner = central(volume.shape[i], volume.spacing[i], extent[i])
        window[i] = slice(inner.start, inner.stop, -(-(inner.stop - inner.start) // MAX_PIXELS))
    plane = np.asarray(volume.labels[tuple(window)])
    image = np.array([to_rgb(c) for c in colours])[np.searchsorted(volume.phase_labels, plane)]
    # Inches; figures of one width with their axes at one scale, whatever the axis
    left, bottom, longest = 0.5, 0.4, 1.7
    width, height = extent[columns], extent[rows]
    wide, high = (longest / extent.max() * edge for edge in (width, height))
    figure_width, figure_height = left + longest + 0.15, bottom + high + 0.1

    def paint(ax: Axes) -> None:
        ax.set_position(
            (left / figure_width, bottom / figure_height, wide / figure_width, high / figure_height)
        )
        ax.imshow(image, extent=(0, width, height, 0), interpolation="none")
        ax.grid(visible=False)
        for direction, size in ((ax.xaxis, wide), (ax.yaxis, high)):
            direction.set_major_locator(MaxNLocator(max(round(5 * size / longest), 1)))
        ax.tick_params(labelsize=7.5)
        ax.set_xlabel(f"{AXES[columns]} [{volume.unit}]", fontsize=7.5)
        ax.set_ylabel(f"{AXES[rows]} [{volume.unit}]", fontsize=7.5)

    return _svg(name, figure_width, figure_height, paint)


def curve_plot(curve: pd.DataFrame, *, title: str, name: str) -> Markup:
    """Two-point correlation of one phase and axis in both samples, with bands, phi and phi^2."""

    def paint(ax: Axes) -> None:
        for sample, line in (("real", "-"), ("gen", "--")):
            of = curve[curve["sample"] == sample].sort_values("r")
            colour = SAMPLE_COLOURS[sample]
            ax.fill_between(of["r"], of["low"], of["high"], color=colour, alpha=0.2, lw=0)
            ax.plot(of["r"], of["mean"], line, color=colour)
        for phi in curve.loc[(curve["sample"] == "real") & (curve["r"] == 0), "mean"]:
            for level, text in ((phi, "φ"), (phi**2, "φ²")):
                ax.axhline(level, color=INK, lw=0.7, ls=":")
                beside = ax.get_yaxis_transform()
                ax.annotate(text, (1, level), (3, 0), beside, "offset points", va="center")
        ax.locator_params(nbins=4)
        ax.set_title(shortened(title), loc="left", fontweight="bold")
        ax.set_xlabel(f"distance r [{_units(curve['unit'])}]")
        ax.set_ylabel("S₂(r)")
        ax.set_xlim(left=0)

    return _svg(name, 2.4, 2.1, paint)


def ratio_plot(table: pd.DataFrame, *, name: str) -> Markup:
    """Ratios gen/real with their intervals, grouped by metric, over the margin band.

    Intervals may leave the picture: one that says little must not squeeze all others.
    """
    from matplotlib.ticker import AutoLocator, LogLocator, NullLocator, StrMethodFormatter

    labels: list[str] = []
    headings: list[int] = []
    groups = []
    for metric, group in table.groupby("metric", sort=False):
        headings.append(len(labels))
        first = len(labels) + 1
        labels += [readable(str(metric)), *map(row_label, group["phase"], group["axis"])]
        groups.append(group.assign(place=range(first, len(labels))))
    edge = 1 + table["margin"].max()
    ends = table[["ratio_low", "ratio_high"]].clip(1 / WIDEST, WIDEST).to_numpy()
    shown = [*table["ratio"], *ends[np.isfinite(ends)], edge, 1 / edge]
    left, right = min(shown) / 1.02, max(shown) * 1.02

    def paint(ax: Axes) -> None:
        ax.axvspan(1 / edge, edge, color=MARKS["same"][1], alpha=0.15, lw=0)
        ax.axvline(1, color=INK, lw=0.7)
        for verdict, (marker, colour) in MARKS.items():
            for group in groups:
                of = group[group["verdict"] == verdict]
                low, high = (
                    of[f"ratio_{end}"].clip(left / 2, 2 * right) for end in ("low", "high")
                )
                ax.hlines(of["place"], low, high, color=colour, lw=2)
                ax.plot(of["ratio"], of["place"], marker, color=colour, ms=5)
            ax.plot([], [], marker, color=colour, label=verdict)
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        narrow = right < 4 * left
        ax.xaxis.set_major_locator(AutoLocator() if narrow else LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(axis="y", length=0)
        for place in headings:
            ax.get_yticklabels()[place].set_fontweight("bold")
        ax.set_xlabel("generated / real (log scale)")
        ax.figure.legend(loc="outside upper right", ncols=3, handletextpad=0.1, columnspacing=1)

    return _svg(name, 1.15 * WIDTH, 0.9 + 0.21 * len(labels), paint)


def strip_plots(values: pd.DataFrame, table: pd.DataFrame, *, metric: str) -> list[Markup]:
    """Values of one metric in every sub-volume, the generated above the real, with mean and CI.

    One plot, or one for each phase where a phase is that much larger than another that the smaller
    one would be a dot at 0.
    """
    values = values[(values["metric"] == metric) & np.isfinite(values["value"])]
    table = table[table["metric"] == metric]
    sizes = table[["gen", "real"]].abs().max(axis=1).groupby(table["phase"], sort=False).max()
    apart = sizes.max() > APART * sizes[sizes > 0].min()
    groups = [table[table["phase"] == phase] for phase in sizes.index] if apart else [table]
    return [
        _strip_plot(values, group.reset_index(drop=True), name=f"strip-{metric}-{k}")
        for k, group in enumerate(groups)
    ]


def _strip_plot(values: pd.DataFrame, table: pd.DataFrame, *, name: str) -> Markup:
    metric = str(table["metric"].iloc[0])

    def paint(ax: Axes) -> None:
        for row in table.itertuples():
            mine = values[(values["phase"] == row.phase) & (values["axis"] == row.axis)]
            for sample, offset in (("gen", -0.2), ("real", 0.2)):
                dots = mine.loc[mine["sample"] == sample, "value"].to_numpy()
                place = row.Index + offset
                jitter = (np.arange(len(dots)) * 0.618 % 1 - 0.5) * 0.2
                ax.plot(
                    dots, place + jitter, "o", color=SAMPLE_COLOURS[sample], ms=4, mew=0,
                    alpha=0.6, rasterized=len(dots) > MAX_DOTS,
                )  # fmt: skip
                low, high = getattr(row, f"{sample}_low"), getattr(row, f"{sample}_high")
                ax.hlines(place, low, high, color=INK, lw=1.4)
                ax.plot(getattr(row, sample), place, "|", color=INK, ms=9, mew=1.4)
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.set_yticks(range(len(table)), list(map(row_label, table["phase"], table["axis"])))
        ax.tick_params(axis="y", length=0)
        ax.set_title(readable(metric), loc="left", fontweight="bold")
        unit = _units(table["unit"])
        ax.set_xlabel(f"[{unit}]" if unit not in ("", "1") else "dimensionless")
        ax.locator_params(axis="x", nbins=5)

    return _svg(name, WIDTH, 0.8 + 0.42 * len(table), paint)


def porosity_plot(values: pd.DataFrame, *, phase: str, name: str) -> Markup:
    """Effective diffusivity of each sub-volume, mean over axes, over the fraction of the phase."""
    metrics = ("volume_fraction", "effective_diffusivity")
    of = values[(values["phase"] == phase) & values["metric"].isin(metrics)]
    # A mean over the axes that converged would be another quantity.
    each = of.groupby(["sample", "block", "metric"])["value"].agg(lambda x: x.mean(skipna=False))
    points = each.unstack("metric").reindex(columns=list(metrics)).dropna()

    def paint(ax: Axes) -> None:
        for sample, marker in (("real", "o"), ("gen", "^")):
            x, y = points[points.index.get_level_values("sample") == sample].to_numpy().T
            ax.plot(x, y, marker, color=SAMPLE_COLOURS[sample], ms=4.5, mew=0, alpha=0.7)
        left, right = ax.get_xlim()
        phi = np.linspace(max(left, 0), min(right, 1), 50)
        ax.plot(phi, phi**1.5, color=INK, lw=0.7, ls=":")
        ax.set_xlim(left, right)
        most = points["effective_diffusivity"].max()
        ax.set_ylim(0, 1.15 * most if most > 0 else 1)
        ax.locator_params(nbins=4)
        ax.set_title(shortened(phase), loc="left", fontweight="bold")
        ax.set_xlabel("volume fraction φ")
        ax.set_ylabel("D_eff / D₀")

    return _svg(name, 2.4, 2.1, paint)


def flux_plot(
    flux: NDArray[Any], *, most: float, edges: Sequence[float], unit: str, name: str
) -> Markup:
    """Local flux on a plane normal to y, the mean flux along z downwards, in shades up to `most`.

    `edges` are those of a voxel along z, y, x.
    """
    import matplotlib

    height, width = flux.shape[0] * edges[0], flux.shape[1] * edges[2]

    def paint(ax: Axes) -> None:
        shades = matplotlib.colormaps["viridis"].with_extremes(bad="0.75")
        image = ax.imshow(
            np.ma.masked_equal(flux, 0), cmap=shades, vmin=0, vmax=most, interpolation="none",
            extent=(0, width, height, 0),
        )  # fmt: skip
        ax.grid(visible=False)
        ax.locator_params(nbins=4)
        ax.tick_params(labelsize=7.5)
        ax.set_xlabel(f"x [{unit}]", fontsize=7.5)
        ax.set_ylabel(f"z [{unit}]", fontsize=7.5)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.9)
        bar.ax.tick_params(labelsize=7.5)

    return _svg(name, 2.5, 2.1, paint)


def _units(units: pd.Series[str]) -> str:
    """Join the units of a column, as a rule one."""
    return ", ".join(units.unique())


def _svg(name: str, width: float, height: float, paint: Callable[[Any], None]) -> Markup:
    """Paint on the axes of a new figure (inches) and return its SVG, ids prefixed by `name`."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # the browser has the glyphs that matplotlib's font lacks
        warnings.filterwarnings("ignore", "Glyph")
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots())
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    # matplotlib has escaped the texts in it: safe in a page as it is
    return Markup(re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg))
