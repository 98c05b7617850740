"""Whether two samples of volumes are the same material, quantity by quantity."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.description import DEFAULT_METRICS, Row, known_metrics
from metrics.intervals import (
    CONFIDENCE,
    Interval,
    curve_distance,
    difference_interval,
    halves_distance,
    mean_interval,
    ratio_interval,
    verdict,
)
from metrics.matching import Sample, match
from metrics.measuring import ALL_METRICS, CURVE, Measured, measure_all, peak_memory
from metrics.sampling import plan_subvolumes
from metrics.solvers import check_solver
from metrics.volume import InputError, check_max_lag

if TYPE_CHECKING:
    import pandas as pd

COMPARED_METRICS = (*DEFAULT_METRICS, CURVE)

TABLE_COLUMNS = (
    "metric phase axis unit gen gen_low gen_high real real_low real_high "
    "ratio ratio_low ratio_high margin verdict n_gen n_real definition"
).split()

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Outcome of `compare`.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a metric, phase and axis, with the columns `TABLE_COLUMNS`. `gen` and `real` are means
        over sub-volumes with 95 % intervals; `ratio` is gen / real with its interval; `verdict` is
        same, differs or cannot tell. In the rows of the two-point correlation, `gen` is the mean
        absolute difference of the two mean curves, `real` the same figure between random halves of
        the real sub-volumes, `margin` the largest difference that is called same.
    values : pandas.DataFrame
        Every value behind the table: sample, block, metric, phase, axis, value, unit, definition.
    curves : pandas.DataFrame
        Mean two-point correlation and 95 % band: sample, phase, axis (empty: radial), r, unit,
        mean, low, high, n.
    settings : dict
        Everything that decided the outcome: margin, seed, sub-volume shape, counts, metrics.
    seconds : dict of str to float
        Seconds spent on each metric, summed over sub-volumes.
    peak_memory : int
        Largest resident sizes of this process and of all workers, in bytes.
    """

    table: pd.DataFrame
    values: pd.DataFrame
    curves: pd.DataFrame
    settings: dict[str, Any]
    seconds: dict[str, float]
    peak_memory: int


def compare(
    gen: Sample,
    real: Sample,
    *,
    metrics: Sequence[str] | None = None,
    subvolume: int | None = None,
    samples: int = 16,
    max_lag: int | None = None,
    margin: float = 0.05,
    periodic_gen: bool = False,
    solver: str = "multigrid",
    device: str | None = None,
    seed: int = 0,
    workers: int = -1,
    progress: bool = False,
    cache: Path | None = None,
) -> Comparison:
    r"""Compare generated with real volumes, with uncertainty and a verdict per quantity.

    Both are cut into sub-volumes of one shape (`plan_subvolumes`); every scalar metric is measured
    on every sub-volume; the ratio of the two means gets Welch's t interval of its logarithm. The
    verdict is `same` where the interval lies inside :math:`\pm \log(1 + m)` for the margin m,
    `differs` where it lies wholly outside, else `cannot tell`. Where a value can be 0 (no
    percolation) or negative (Euler number), the interval is of the difference of the means in
    units of the real mean, inside :math:`\pm m`; the row's definition says so.

    For the two-point correlation the distance is the mean absolute difference of both mean curves
    up to max_lag, with a bootstrap interval over sub-volumes: `same` where its upper end lies below
    the larger of :math:`m \phi (1 - \phi)` and the 97.5 % point of the distance between random
    halves of the real sub-volumes; `differs` where its lower end lies above that.

    Where both samples hold the same volumes the intervals are those of the paired differences: a
    material is the same as itself.

    Parameters
    ----------
    gen, real : Volume, (Z, Y, X) integer ndarray, or a sequence of them
        With equal spacing, unit and number of phases; phases match by rank of their labels.
    metrics : sequence of str, optional
        Names among `ALL_METRICS`; `COMPARED_METRICS` if left out.
    subvolume : int, optional
        Side of the sub-volumes in voxels; as large as gives 8 in each sample if left out.
    samples : int
        At most that many sub-volumes a sample.
    max_lag : int, optional
        Longest lag of the two-point correlation in voxels; half the sub-volume if left out.
    margin : float
        Relative difference that still counts as the same material.
    periodic_gen : bool
        Generated volumes repeat along all axes. Only the two-point correlation of whole volumes
        makes use of it: the other metrics treat both samples alike, as windows.
    solver, device : str
        As in `describe`.
    seed : int
        Of the draw of sub-volumes and of the bootstrap.
    workers : int
        Processes; -1 takes all cores.
    progress : bool
        Show a progress bar on a terminal.
    cache : Path, optional
        Folder that keeps what is measured: an interrupted comparison goes on, and a volume that is
        compared again is not measured again. Never stale (`metrics.cache`).

    Raises
    ------
    InputError
        If the samples cannot be compared, or an argument is out of range.
    """
    gen, real = match(gen, real)
    names = check_metrics(metrics)
    if not 0 < margin < 1:
        raise InputError(f"margin must lie between 0 and 1, got {margin}")
    if workers == 0:
        raise InputError("workers must be a number of processes, or -1 for all cores")
    check_solver(solver, device)
    sampling = plan_subvolumes(gen, real, side=subvolume, samples=samples, seed=seed)
    lag = check_max_lag(sampling.real[0], max_lag)
    wraps = periodic_gen and all(v.shape == sampling.shape for v in gen)

    tasks = [(block, wraps) for block in sampling.gen] + [(block, False) for block in sampling.real]
    measured = measure_all(tasks, names, lag, solver, device, workers, progress, cache)
    of_gen, of_real = measured[: len(sampling.gen)], measured[len(sampling.gen) :]

    paired = sampling.same_volumes
    tables = tabulate(of_gen, of_real, unit=real[0].unit, margin=margin, paired=paired, seed=seed)
    if tables.table.empty:
        raise InputError(f"{', '.join(names) or 'no metric'}: needs three phases, gives no row")
    processes = {m.process: m.peak_memory for m in measured} | {os.getpid(): peak_memory()}
    return Comparison(
        **tables._asdict(),
        settings={
            "metrics": list(names),
            "subvolume": list(sampling.shape),
            "n_gen": len(sampling.gen),
            "n_real": len(sampling.real),
            "available_gen": sampling.available[0],
            "available_real": sampling.available[1],
            "max_lag": lag,
            "margin": margin,
            "confidence": CONFIDENCE,
            "periodic_gen": wraps,
            "same_volumes": paired,
            "solver": solver,
            "device": device or "cpu",
            "samples": samples,
            "seed": seed,
        },
        seconds={name: sum(m.seconds[name] for m in measured) for name in names},
        peak_memory=sum(processes.values()),
    )


class Tables(NamedTuple):
    """The first three attributes of a `Comparison`."""

    table: pd.DataFrame
    values: pd.DataFrame
    curves: pd.DataFrame


def tabulate(
    of_gen: list[Measured],
    of_real: list[Measured],
    *,
    unit: str,
    margin: float = 0.05,
    paired: bool = False,
    seed: int = 0,
) -> Tables:
    """Compare sub-volumes already measured; parameters and errors as in `compare`."""
    values = _values(of_gen, of_real)
    curves = _stack_curves(of_gen), _stack_curves(of_real)
    rows = [
        *scalar_rows(values, margin, paired),
        *_curve_rows(*curves, margin, paired, np.random.default_rng(seed)),
    ]
    return Tables(_frame(rows, TABLE_COLUMNS), values, _curve_table(*curves, unit))


def check_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Names to compare, `COMPARED_METRICS` if none are given; `InputError` for an unknown one."""
    if metrics is None:
        return COMPARED_METRICS
    return known_metrics(metrics, ALL_METRICS)


def _values(of_gen: list[Measured], of_real: list[Measured]) -> pd.DataFrame:
    rows = [
        (sample, block, *row)
        for sample, measured in (("gen", of_gen), ("real", of_real))
        for block, of_block in enumerate(measured)
        for row in of_block.rows
    ]
    return _frame(rows, ["sample", "block", *Row._fields])


def scalar_rows(
    values: pd.DataFrame, margin: float, paired: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Rows of the table, in the order of `TABLE_COLUMNS`, for values of sub-volumes."""
    keys = ["metric", "phase", "axis", "unit", "definition"]
    for key, group in values.groupby(keys, sort=False):
        metric, phase, axis, unit, definition = key
        # What is not defined (no chord) or not reached (no convergence) does not count.
        found = group.dropna(subset="value")
        gen, real = (found.value[found["sample"] == s].to_numpy() for s in ("gen", "real"))
        ratio, note, decision = _judge(gen, real, margin, paired and len(found) == len(group))
        yield (
            metric, phase, axis, unit, *mean_interval(gen), *mean_interval(real),
            *ratio, margin, decision, len(gen), len(real), definition + note,
        )  # fmt: skip


def _judge(gen: Floats, real: Floats, margin: float, paired: bool) -> tuple[Interval, str, str]:
    """Ratio with its interval, what to add to the definition, and the verdict."""
    if not len(gen) or not len(real):
        return Interval(np.nan, np.nan, np.nan), "; undefined in a whole sample", "cannot tell"
    if gen.min() > 0 and real.min() > 0:
        ratio = ratio_interval(gen, real, paired=paired)
        return ratio, "", verdict(ratio, 1 / (1 + margin), 1 + margin)
    difference = difference_interval(gen, real, paired=paired)
    scale = real.mean()
    note = "; interval of the difference gen - real in units of the real mean"
    if scale == 0:
        nothing = np.nextafter(0, 1)  # without a scale only "both are 0" is the same
        return Interval(np.nan, np.nan, np.nan), note, verdict(difference, -nothing, nothing)
    low, high = sorted([1 + difference.low / scale, 1 + difference.high / scale])
    ratio = Interval(1 + difference.value / scale, low, high)
    return ratio, note, verdict(ratio, 1 - margin, 1 + margin)


class Stack(NamedTuple):
    """One curve of every sub-volume of a sample."""

    r: Floats
    values: Floats  # (sub-volumes, lags)


def _stack_curves(measured: list[Measured]) -> dict[tuple[str, str], Stack]:
    first = measured[0].curves
    return {
        (curve.phase, curve.axis): Stack(curve.r, np.array([m.curves[k].value for m in measured]))
        for k, curve in enumerate(first)
    }


def _curve_rows(
    of_gen: dict[tuple[str, str], Stack],
    of_real: dict[tuple[str, str], Stack],
    margin: float,
    paired: bool,
    rng: np.random.Generator,
) -> Iterator[tuple[Any, ...]]:
    for (phase, axis), real in of_real.items():
        gen = of_gen[phase, axis]
        distance = curve_distance(gen.values, real.values, paired=paired, rng=rng)
        floor = halves_distance(real.values, rng=rng)
        phi = real.values[:, 0].mean()
        threshold = np.fmax(margin * phi * (1 - phi), floor.high)
        definition = (
            f"mean |difference| of mean S2 curves, lag 0 to {real.r[-1]:.4g}"
            f"{'' if axis else ', radial'}; real: between random halves of the real sub-volumes"
        )
        yield (
            CURVE, phase, axis, "", *distance, *floor, np.nan, np.nan, np.nan,
            threshold, verdict(distance, -np.inf, threshold), len(gen.values), len(real.values),
            definition,
        )  # fmt: skip


def _curve_table(
    of_gen: dict[tuple[str, str], Stack], of_real: dict[tuple[str, str], Stack], unit: str
) -> pd.DataFrame:
    rows = []
    for sample, stacks in (("gen", of_gen), ("real", of_real)):
        for (phase, axis), stack in stacks.items():
            for r, values in zip(stack.r, stack.values.T, strict=True):
                band = mean_interval(values)
                rows.append((sample, phase, axis, r, unit, *band, len(values)))
    columns = ["sample", "phase", "axis", "r", "unit", "mean", "low", "high", "n"]
    return _frame(rows, columns)


def _frame(rows: list[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
