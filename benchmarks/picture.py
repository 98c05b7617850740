"""The README's picture: what ``make demo`` compares, and what it finds.

Run after ``make demo``: ``python -m benchmarks.picture``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.demo import GENERATED, RANDOM, REAL
from metrics.io import read
from metrics.measuring import CURVE
from metrics.plots import PHASE_COLOURS, VERDICTS, readable, row_label
from metrics.volume import Volume

# One axis speaks for three.
SHOWN_AXES = ("", "z")
TITLES = {
    REAL: "real: X-ray tomogram of snow",
    GENERATED: "generated: learnt from its slices",
    RANDOM: "random field, same porosity",
}
FACES = {GENERATED: "full", RANDOM: "none"}  # of markers


def draw(volumes: Mapping[str, Volume], tables: Mapping[str, pd.DataFrame], out: Path) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.1), dpi=100, layout="constrained")
    *left, right = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.15))
    for axes, (name, title) in zip(left, TITLES.items(), strict=True):
        volume = volumes[name]
        colours = ListedColormap(list(PHASE_COLOURS[: len(volume.phases)]))
        axes.imshow(volume.labels[volume.shape[0] // 2], cmap=colours, interpolation="nearest")
        axes.set(title=title, xlabel=f"x [{volume.unit}]", ylabel=f"y [{volume.unit}]")

    for name, table in tables.items():
        rows = table[table.axis.isin(SHOWN_AXES) & (table.metric != CURVE)][::-1]
        position = np.arange(len(rows)) - (0.2 if name == RANDOM else 0)
        for verdict, (marker, colour) in VERDICTS.items():
            of = rows.verdict == verdict
            ratio = rows.ratio[of]
            bars = np.array([ratio - rows.ratio_low[of], rows.ratio_high[of] - ratio])
            style = {"fmt": marker, "color": colour, "markersize": 5, "fillstyle": FACES[name]}
            label = verdict if name == GENERATED else None
            right.errorbar(ratio, position[of], xerr=bars, label=label, **style)
        names = [f"{readable(r.metric)}, {row_label(r.phase, r.axis)}" for r in rows.itertuples()]
        right.set_yticks(np.arange(len(rows)), names)
    margin = tables[GENERATED].margin.iloc[0]
    right.axvspan(1 / (1 + margin), 1 + margin, color="#009988", alpha=0.15, lw=0)
    right.set_xscale("log")
    ticks = [0.2, 0.5, 1, 2]
    right.set_xticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    right.set(
        title="is it the same material?",
        xlabel="ratio to real, 95 % interval\n(filled: generated, open: random field)",
    )
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
    tables = {
        name: pd.read_csv(args.demo / name / "table.csv", dtype=words).fillna({"axis": ""})
        for name in (GENERATED, RANDOM)
    }
    files = {REAL: "real.tif", GENERATED: "generated_0.tif", RANDOM: "random_field_0.tif"}
    volumes = {name: read(args.demo / file) for name, file in files.items()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(volumes, tables, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
