"""The paper's table, with what it lacks: intervals, noise floor, verdicts, and a bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.validation.cases import Study
from metrics.comparison.answer import Answer
from metrics.comparison.measuring import Measured
from metrics.comparison.verdicts import Tables, stack_curves
from metrics.description import CURVE
from metrics.intervals import Interval, curve_distance, halves_distance
from metrics.wording import readable, row_label

KEYS = ["metric", "phase", "axis"]
COLUMNS = (
    *("sample", "metric", "phase", "axis", "unit", "value", "low", "high", "real", "real_low"),
    *("real_high", "floor", "ratio", "ratio_low", "ratio_high", "verdict", "bar", "met", "n"),
)

BLANK_OF_CURVES = ("real_low", "real_high", "ratio", "ratio_low", "ratio_high")


def floors_of(of_real: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Noise floor of each scalar: mean |difference| of random halves over the mean."""
    rng, floors = np.random.default_rng(0), {}
    for key, group in of_real.dropna().groupby(KEYS):
        values = group["value"].to_numpy()
        scale = abs(values.mean())
        floors[key] = halves_distance(values[:, None], rng=rng).value / scale if scale else np.nan
    return floors


class CurveError(NamedTuple):
    """Mean |difference| of mean S2 curves over phi (1 - phi), and that of halves of the real."""

    error: Interval
    floor: float


def curve_errors(
    of_gen: list[Measured], of_real: list[Measured]
) -> dict[tuple[str, str], CurveError]:
    """Error of S2 as the paper states it, of each phase and axis (empty: radial)."""
    rng, gen = np.random.default_rng(0), stack_curves(of_gen)
    errors = {}
    for key, real in stack_curves(of_real).items():
        phi = real.values[:, 0].mean()
        found = curve_distance(gen[key].values, real.values, rng=rng)
        floor = halves_distance(real.values, rng=rng).value
        scaled = [value / (phi * (1 - phi)) for value in (*found, floor)]
        errors[key] = CurveError(Interval(*scaled[:3]), scaled[3])
    return errors


def result_rows(
    name: str,
    found: Tables,
    errors: Mapping[tuple[str, str], CurveError],
    floors: Mapping[Any, float],
    study: Study,
) -> Iterator[dict[str, Any]]:
    """Rows of one sample: of S2 its error, and the verdict on the curves."""
    for row in found.table.to_dict("records"):
        limits = {"value": row["gen"], "low": row["gen_low"], "high": row["gen_high"]}
        floor = floors.get((row["metric"], row["phase"], row["axis"]), np.nan)
        yield _judged(name, row | limits | {"floor": floor}, abs(row["ratio"] - 1), study)
    for row in found.distances.to_dict("records"):
        error, floor = errors[row["phase"], row["axis"]]
        row |= dict.fromkeys(BLANK_OF_CURVES, np.nan) | error._asdict()
        row |= {"unit": "", "real": 0.0, "floor": floor}
        yield _judged(name, row, error.value, study)


def _judged(name: str, row: Mapping[str, Any], error: float, study: Study) -> dict[str, Any]:
    """Row of the table, with the bar of its quantity and whether the error is below it."""
    bar = study.bar(row["metric"], row["phase"])
    met = "" if np.isnan(bar) else "yes" if error < bar else "no"
    full = {**row, "sample": name, "bar": bar, "met": met, "n": row["n_gen"]}
    return {column: full[column] for column in COLUMNS}


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
            of = row.value, row.low, row.high
            ratio = of if metric == CURVE else (row.ratio, row.ratio_low, row.ratio_high)
            mark = " **above the bar**" if row.met == "no" else ""
            line[row.sample] = f"{_interval(*ratio, '.3f')} {row.verdict}{mark}"
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


def summary(table: pd.DataFrame, sample: str, answer: Answer) -> str:
    """How many rows of a generator meet their bar, which do not, and the answer over all rows."""
    rows = table[table["sample"] == sample]
    judged = rows[rows.met != ""]
    failed = judged.loc[judged.met == "no", KEYS].itertuples(index=False)
    above = "; ".join(named(*key) for key in failed)
    return (
        f"{sample}: {(judged.met == 'yes').sum()} of {len(judged)} rows meet the bar."
        + (f" Above it: {above}." if above else "")
        + f" {answer.sentence}"
    )


def named(metric: str, phase: str, axis: str) -> str:
    """Quantity, phase and axis of a row, for people."""
    return f"{readable(metric)}, {row_label(phase, axis)}"


def _interval(value: float, low: float, high: float, digits: str = ".3g") -> str:
    if np.isnan(value):
        return "-"
    return f"{value:{digits}}" + ("" if np.isnan(low) else f" [{low:{digits}}, {high:{digits}}]")
