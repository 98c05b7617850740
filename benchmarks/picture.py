"""The README's picture: what ``make demo`` compares, and what it finds.

Run after ``make demo``: ``python -m benchmarks.picture``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from metrics.io import read
from metrics.measuring import CURVE
from metrics.plots import PHASE_COLOURS, VERDICTS, readable, row_label
from metrics.volume import Volume

# One axis speaks for three.
SHOWN_AXES = ("", "z")


def draw(gen: Volume, real: Volume, table: pd.DataFrame, out: Path) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    rows = table[table.axis.isin(SHOWN_AXES) & (table.metric != CURVE)][::-1]
    figure = Figure(figsize=(11, 3.9), dpi=110, layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    colours = ListedColormap(list(PHASE_COLOURS[: len(real.phases)]))
    for axes, volume, title in (
        (left, real, "real: X-ray tomogram of snow"),
        (middle, gen, "other: random field, same porosity"),
    ):
        axes.imshow(volume.labels[volume.shape[0] // 2], cmap=colours, interpolation="nearest")
        axes.set(title=title, xlabel=f"x [{volume.unit}]", ylabel=f"y [{volume.unit}]")

    position = np.arange(len(rows))
    for verdict, (marker, colour) in VERDICTS.items():
        of = rows.verdict == verdict
        ratio = rows.ratio[of]
        bars = np.array([ratio - rows.ratio_low[of], rows.ratio_high[of] - ratio])
        style = {"fmt": marker, "color": colour, "markersize": 5, "label": verdict}
        right.errorbar(ratio, position[of], xerr=bars, **style)
    margin = rows.margin.iloc[0]
    right.axvspan(1 / (1 + margin), 1 + margin, color="#009988", alpha=0.15, lw=0)
    right.set_xscale("log")
    ticks = [0.2, 0.5, 1, 2]
    right.set_xticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    names = [f"{readable(r.metric)}, {row_label(r.phase, r.axis)}" for r in rows.itertuples()]
    right.set_yticks(position, names)
    right.set(title="are they the same material?", xlabel="other / real, 95 % interval")
    right.legend(loc="lower left", frameon=False)
    for spine in ("top", "right"):
        right.spines[spine].set_visible(False)
    figure.savefig(out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="what make demo wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/demo.png"))
    args = parser.parse_args(argv)
    words = {"phase": str, "axis": str}
    table = pd.read_csv(args.demo / "report" / "table.csv", dtype=words).fillna({"axis": ""})
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(read(args.demo / "gen.tif"), read(args.demo / "real.tif"), table, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
