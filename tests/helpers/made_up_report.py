"""A comparison made up by hand, and reports of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metrics.comparison.answer import RowTest, answer
from metrics.comparison.comparing import Comparison
from metrics.comparison.verdicts import DISTANCE_COLUMNS, TABLE_COLUMNS
from metrics.report import page as report_page
from metrics.report.page import write_report
from metrics.volume import Phase, Volume

NAN = math.nan
HOSTILE = "<script>alert(1)</script>.tif"
SECTIONS = (
    "verdict slices views ratios curves transport inputs distributions table reading "
    "definitions methods record"
).split()


def make_volume(shape: tuple[int, int, int], seed: int, unit: str = "um") -> Volume:
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz <b>", 2, 254))
    return Volume(labels, spacing=(0.1, 0.05, 0.05), unit=unit, phases=phases)


def make_comparison() -> Comparison:
    """Six rows by hand: each verdict, a correlation, a negative and a missing ratio."""
    fraction, area = "voxels of the phase / all voxels", "voxel faces per total volume"
    rows = [
        # metric, phase, axis, unit, gen, real, ratio with limits, margin, verdict, definition
        ("volume_fraction", "pore", "", "", 0.3, 0.31, 0.968, 0.96, 0.976, 0.05, "same", fraction),
        ("volume_fraction", "ni", "", "", 0.3, 0.32, 0.94, 0.8, 1.1, 0.05, "cannot tell", fraction),
        ("tpb_density", "", "", "1/um^2", 2.6, 2, 1.3, 1.2, 1.4, 0.05, "differs", area),
        ("euler_density", "pore", "", "1/um^3", -1, 1, -1, -1.5, -0.5, 0.05, "differs", "Euler"),
        ("effective_diffusivity", "ni", "z", "", 0, 0, NAN, NAN, NAN, 0.05, "same", "D_eff/D_0"),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            (*row[:4], row[4], row[4] - 0.01, row[4] + 0.01, row[5], row[5] - 0.01, row[5] + 0.01,
             *row[6:9], row[4] - row[5], row[4] - row[5] - 0.02, row[4] - row[5] + 0.02,
             row[9], 0.1, 12.0 if row[10] == "cannot tell" else 0.0, row[10], 4, 5, row[11])
            for row in rows
        ],
        columns=TABLE_COLUMNS,
    )  # fmt: skip
    values = pd.DataFrame(
        [
            (sample, block, row.metric, row.phase, row.axis, getattr(row, sample) + 0.01 * block,
             row.unit, row.definition)
            for row in table.itertuples()
            for sample, count in (("gen", 4), ("real", 5))
            for block in range(count)
        ],
        columns="sample block metric phase axis value unit definition".split(),
    )  # fmt: skip
    curves = pd.DataFrame(
        [
            (sample, phase, axis, r, "um", s2, s2 - 0.01, s2 + 0.01, 4)
            for sample in ("gen", "real")
            for phase in ("pore", "ysz <b>")
            for axis in ("", "z")
            for r, s2 in ((0.0, 0.3), (0.1, 1 / 3), (0.2, 0.09))
        ],
        columns="sample phase axis r unit mean low high n".split(),
    )
    curve = (
        "two_point_correlation", "pore", "z", "um", 0.2, 0.03, -0.04, 0.1, 0.02, 0.05, 0.1,
        "0.2 to 0.3", "cannot tell", 4, 5, "largest difference",
    )  # fmt: skip
    distances = pd.DataFrame([curve], columns=DISTANCE_COLUMNS)
    tests = [RowTest("tpb_density", "", "", 0.001, "differs"), RowTest(*curve[:3], 1, curve[12])]
    counts = {"n_gen": 4, "n_real": 5}
    settings = {"margin": 0.05, "seed": 0, "subvolume": [8, 8, 8], "sections": "", **counts}
    return Comparison(
        table,
        distances,
        answer(tests, ["pore", "ni", "ysz <b>"], margin=0.05),
        values,
        curves,
        settings,
        seconds={},
        peak_memory=0,
    )


def write(folder: Path, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "gen": [make_volume((8, 20, 12), seed=1)],
        "real": [make_volume((10, 16, 16), seed=2)],
        "gen_names": [HOSTILE],
        "real_names": ["real.tif"],
        "summary": {"command": "compare.py <gen>", "seed": 0, "seconds": {"tpb": np.float64(NAN)}},
    }
    write_report(folder, make_comparison(), **arguments | changes)


def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the slow part where only the files matter."""
    monkeypatch.setattr(report_page, "_page", lambda *_: "<html>")
