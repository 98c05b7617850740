"""The paper's table, with what it lacks: intervals, noise floor, verdicts, and a bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cases import Study
from metrics.intervals import halves_distance
from metrics.measuring import CURVE
from metrics.plots import readable, row_label

KEYS = ["metric", "phase", "axis"]
COLUMNS = (
    *("sample", "metric", "phase", "axis", "unit", "value", "low", "high", "real", "real_low"),
    *("real_high", "floor", "ratio", "ratio_low", "ratio_high", "verdict", "bar", "met", "n"),
)


def floors_of(of_real: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Noise floor of each scalar: mean |difference| of random halves over the mean."""
    rng, floors = np.random.default_rng(0), {}
    for key, group in of_real.dropna().groupby(KEYS):
        values = group["value"].to_numpy()
        scale = abs(values.mean())
        floors[key] = halves_distance(values[:, None], rng=rng).value / scale if scale else np.nan
    return floors


def result_rows(
    name: str, table: pd.DataFrame, floors: Mapping[Any, float], study: Study
) -> Iterator[dict[str, Any]]:
    """Rows of one sample from the table of its comparison; S2 errors over phi (1 - phi)."""
    fractions = table[table.metric == "volume_fraction"].set_index("phase")["real"]
    for row in table.to_dict("records"):
        metric, phase = row["metric"], row["phase"]
        bar, floor = study.bar(metric, phase), floors.get((metric, phase, row["axis"]), np.nan)
        error = abs(row["ratio"] - 1)
        limits = {"value": "gen", "low": "gen_low", "high": "gen_high"}
        found = {new: row[old] for new, old in limits.items()}
        if metric == CURVE:
            unit = fractions[phase] * (1 - fractions[phase])
            found = {key: value / unit for key, value in found.items()}
            floor, error = row["real"] / unit, found["value"]
            row |= {"real": 0.0, "real_low": np.nan, "real_high": np.nan}
        met = "" if np.isnan(bar) else "yes" if error < bar else "no"
        row |= {"sample": name, "floor": floor, "bar": bar, "met": met, "n": row["n_gen"], **found}
        yield {column: row[column] for column in COLUMNS}


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """One line a quantity: real value, noise floor, and ratio with interval of every sample."""
    lines = []
    for (metric, phase, axis), group in table.groupby(KEYS, sort=False):
        first = group.iloc[0]
        unit = f" {first['unit']}" if first["unit"] not in ("", "1") else ""
        line = {
            "quantity": named(metric, phase, axis),
            "real": "error" if metric == CURVE else f"{first.real:.4g}{unit}",
            "floor": f"{first.floor:.1%}" if np.isfinite(first.floor) else "",
        }
        for row in group.itertuples():
            value, low, high = (
                (row.value, row.low, row.high)
                if metric == CURVE
                else (row.ratio, row.ratio_low, row.ratio_high)
            )
            text = f"{value:.3f} [{low:.3f}, {high:.3f}] {row.verdict}"
            line[row.sample] = text + {"yes": "", "no": " **above the bar**"}.get(row.met, "")
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def largest(tests: pd.DataFrame) -> pd.DataFrame:
    """Of each test of each sample the row that is farthest from what it should be."""
    should_be = tests.real.where(tests.real.notna(), 0.0)
    with np.errstate(divide="ignore"):  # volumes that are all alike are infinitely far
        ratio = np.log((tests.value / should_be).where(tests.test == "spread", 1.0))
    distance = abs(ratio).where(tests.test == "spread", abs(tests.value - should_be))
    worst = tests.assign(distance=distance).sort_values("distance", kind="stable")
    worst = worst.groupby(["sample", "test"], sort=False).tail(1).sort_values(["test", "sample"])
    return pd.DataFrame(
        {
            "test": worst.test,
            "generator": worst["sample"],
            "largest of": [named(*key) for key in worst[KEYS].itertuples(index=False)],
            "generated": [_interval(*v) for v in worst[["value", "low", "high"]].to_numpy()],
            "real": [_interval(*v) for v in worst[["real", "real_low", "real_high"]].to_numpy()],
        }
    )


def summary(table: pd.DataFrame, sample: str) -> str:
    """How many rows of a generator meet their bar, which do not, and how many differ."""
    rows = table[table["sample"] == sample]
    judged = rows[rows.met != ""]
    failed = judged.loc[judged.met == "no", KEYS].itertuples(index=False)
    above = "; ".join(named(*key) for key in failed)
    return (
        f"{sample}: {(judged.met == 'yes').sum()} of {len(judged)} rows meet the bar, "
        f"{(rows.verdict == 'differs').sum()} of {len(rows)} rows differ."
        + (f" Above the bar: {above}." if above else "")
    )


def named(metric: str, phase: str, axis: str) -> str:
    """Quantity, phase and axis of a row, for people."""
    return f"{readable(metric)}, {row_label(phase, axis)}"


def _interval(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.3g}" + ("" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]")
