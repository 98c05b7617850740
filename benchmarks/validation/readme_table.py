"""The README's table, from the committed results.

``python -m benchmarks.validation.readme_table`` prints it. A test holds the README to it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.tables import markdown
from benchmarks.validation.cases import CASES
from metrics.description import CURVE
from metrics.volume import AXES

RESULTS = Path(__file__).parents[1] / "results"
SHOWN = {"nmc-slice": "pore", "nmc": "pore", "berea": "pore"}  # generators, a phase of each


def column(name: str, phase: str) -> dict[str, str]:
    """Generated over real of one generator, with 95 % intervals."""
    table, tests = (
        pd.read_csv(
            RESULTS / CASES[name].dataset / f"{stem}.csv", keep_default_na=False, na_values=[""]
        )
        .fillna({"phase": "", "axis": ""})
        .query("sample == @name")
        for stem in ("table", "tests")
    )
    ratios = {
        f"volume fraction, {phase}": ("volume_fraction", phase),
        f"specific surface area, {phase}": ("specific_surface_area", phase),
        "TPB density": ("tpb_density", ""),
    }
    cells = {}
    for label, (metric, of) in ratios.items():
        rows = table[(table.metric == metric) & (table.phase == of)]
        cells[label] = _ratio(rows.iloc[0]) if len(rows) else "two phases, none"
    errors = table[(table.metric == CURVE) & (table.axis != "")]
    cells["S2, largest error of a phase and axis"] = _percent(errors.value.max())
    at_45 = tests[tests.test == "45 degrees"]
    cells["S2 at 45 degrees, largest error"] = _percent(at_45.value.max())
    flux = table[(table.metric == "effective_diffusivity") & (table.phase == phase)]
    rows = [flux[flux.axis == axis].iloc[0] for axis in AXES]
    cells[f"effective diffusivity, {phase}, z / y / x"] = " / ".join(
        f"{row.ratio:.2f}" for row in rows
    )
    return cells


def _ratio(row: pd.Series[float]) -> str:
    return f"{row.ratio:.3f} [{row.ratio_low:.3f}, {row.ratio_high:.3f}]"


def _percent(error: float) -> str:
    return f"{100 * error:.1f} %"


def lines() -> list[str]:
    """Lines of the Markdown table."""
    columns = {name: column(name, phase) for name, phase in SHOWN.items()}
    labels = list(dict.fromkeys(label for cells in columns.values() for label in cells))
    table = pd.DataFrame(
        {"generated / real": labels}
        | {name: [cells.get(label, "") for label in labels] for name, cells in columns.items()}
    )
    return markdown(table)


if __name__ == "__main__":
    print("\n".join(lines()))
