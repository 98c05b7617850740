"""Rows of a comparison: every quantity with intervals, difference and verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64
from metrics.comparison.answer import Answer, RowTest, answer
from metrics.comparison.bands import judge_curves, noise_floor
from metrics.description import CURVE, Row, across
from metrics.intervals import (
    CONFIDENCE,
    Estimate,
    Interval,
    Verdict,
    difference,
    further_values,
    log_ratio,
    mean,
    mean_interval,
    verdict,
)
from metrics.volume import AXES

if TYPE_CHECKING:
    import pandas as pd

    from metrics.comparison.measuring import Curve, Measured

TABLE_COLUMNS = (
    "metric phase axis unit gen gen_low gen_high real real_low real_high "
    "ratio ratio_low ratio_high difference difference_low difference_high "
    "margin margin_needed needed verdict n_gen n_real definition"
).split()
DISTANCE_COLUMNS = (
    "metric phase axis unit r distance low high floor margin margin_needed lags verdict "
    "n_gen n_real definition"
).split()

# What values are possible: of other metrics all that are not negative.
BOUNDS = {
    "volume_fraction": (0.0, 1.0),
    "percolating_fraction": (0.0, 1.0),
    "largest_cluster": (0.0, 1.0),
    "effective_diffusivity": (0.0, 1.0),
    "euler_density": (-np.inf, np.inf),
}
NOT_NEGATIVE = (0.0, np.inf)
AXIS_ORDER = ("", *AXES, *map(across, AXES))
UNKNOWN = Interval(np.nan, np.nan, np.nan)


class Tables(NamedTuple):
    """What `metrics.comparison.comparing.Comparison` says of two samples; see there."""

    table: pd.DataFrame
    distances: pd.DataFrame
    answer: Answer
    values: pd.DataFrame
    curves: pd.DataFrame


class Judgement(NamedTuple):
    """How the values of two samples differ.

    Attributes
    ----------
    ratio, difference : Interval
    verdict : {"same", "differs", "cannot tell"}
    p : float
        Of the hypothesis that they differ by no more than the margin.
    note : str
        What to add to the definition.
    margin_needed : float
        Least margin at which they are the same; nan where no margin would do.
    needed : float
        Further values of the smaller sample that would decide; nan where none would.
    """

    ratio: Interval
    difference: Interval
    verdict: Verdict
    p: float
    note: str = ""
    margin_needed: float = np.nan
    needed: float = np.nan


def tabulate(
    of_gen: list[Measured],
    of_real: list[Measured],
    *,
    unit: str,
    phases: Sequence[str],
    margin: float = 0.05,
    paired: bool = False,
    isotropic: bool = False,
    seed: int = 0,
    groups: tuple[Sequence[int], Sequence[int]] = ((), ()),
    real: str = "volumes",
) -> Tables:
    """Compare sub-volumes already measured; parameters and errors as in `compare`.

    Those of gen, or of real, that have one number in `groups` are averaged first: they are one
    sample. `real` is what the real sample holds, for the sentence of the answer.
    """
    values = _values(of_gen, of_real, groups)
    if isotropic:
        values = _mean_of_axes(values)
    curves = stack_curves(of_gen, groups[0]), stack_curves(of_real, groups[1])
    rng = np.random.default_rng(seed)
    judged = list(judge_values(values, margin, paired))
    compared = list(_compare_curves(*curves, unit, margin, paired, isotropic, rng))
    tests = [test for _, test in (*judged, *compared) if test is not None]
    return Tables(
        _frame([row for row, _ in judged], TABLE_COLUMNS),
        _frame([row for row, _ in compared], DISTANCE_COLUMNS),
        answer(tests, phases, margin=margin, same_volumes=paired, real=real),
        values,
        _curve_table(*curves, unit),
    )


def judge_values(
    values: pd.DataFrame, margin: float, paired: bool = False
) -> Iterator[tuple[tuple[Any, ...], RowTest | None]]:
    """Rows in the order of `TABLE_COLUMNS`, and their tests, for values of sub-volumes.

    What neither sample defines has no test.
    """
    keys = ["metric", "phase", "axis", "unit", "definition"]
    for key, group in values.groupby(keys, sort=False):
        metric, phase, axis, unit, definition = key
        # What is not defined (no chord) or not reached (no convergence) does not count.
        found = group.dropna(subset="value")
        gen, real = (found.value[found["sample"] == s].to_numpy() for s in ("gen", "real"))
        judged = judge(gen, real, margin, paired and len(gen) == len(real))
        low, high = BOUNDS.get(metric, NOT_NEGATIVE)
        means = [mean_interval(sample).clipped(low, high) for sample in (gen, real)]
        row = (
            metric, phase, axis, unit, *means[0], *means[1],
            *judged.ratio.clipped(-np.inf if low < 0 else 0.0, np.inf),
            *judged.difference.clipped(low - high, high - low),
            margin, judged.margin_needed, judged.needed, judged.verdict, len(gen), len(real),
            definition + judged.note,
        )  # fmt: skip
        test = RowTest(metric, phase, axis, judged.p, judged.verdict, judged.margin_needed)
        yield row, test if len(found) else None


def judge(gen: Float64, real: Float64, margin: float, paired: bool = False) -> Judgement:
    r"""Compare the values of two samples with a margin m.

    Positive values: by the logarithm of the ratio of their means, inside :math:`\pm \log(1 + m)`.
    Where a value is 0 or negative: by the difference in units of the real mean, inside
    :math:`\pm m`. Where the interval of the real mean holds 0 it is no unit: the samples differ
    where the interval of the difference lies beyond m times the largest of its limits, and are the
    same only if they are equal.

    Counts may be alike in all volumes of a sample by chance. Where neither sample has any scatter,
    they differ with the least p-value of a permutation test, :math:`2 / \binom{n_g + n_r}{n_g}`:
    two volumes against two cannot tell.
    """
    found = _judge(gen, real, margin, paired)
    if paired or found.p > 0 or np.ptp(gen) or np.ptp(real):
        return found
    p = min(1.0, 2 / comb(len(gen) + len(real), len(gen)))
    word: Verdict = "differs" if p < 1 - CONFIDENCE else "cannot tell"
    return found._replace(p=p, verdict=word, margin_needed=np.nan, needed=np.nan)


def _judge(gen: Float64, real: Float64, margin: float, paired: bool) -> Judgement:
    if not len(gen) or not len(real):
        return Judgement(UNKNOWN, UNKNOWN, "cannot tell", 1.0, "; undefined in a whole sample")
    apart = difference(gen, real, paired=paired)
    of_real = mean_interval(real)
    scale = of_real.value
    if scale == 0 or of_real.low <= 0 <= of_real.high:
        largest = np.nanmax(np.abs(of_real))
        note = "; the real interval holds 0: margin of the difference: of its largest limit"
        p = float(apart.p_value(margin * largest))
        equal = apart.value == 0 and apart.error == 0
        word: Verdict = "same" if equal else "differs" if p < 1 - CONFIDENCE else "cannot tell"
        return Judgement(UNKNOWN, apart.interval(), word, p, note)
    if gen.min() > 0 and real.min() > 0:
        log = log_ratio(gen, real, paired=paired)
        ratio = Interval(*np.exp(log.interval()).tolist())
        word = verdict(ratio, 1 / (1 + margin), 1 + margin)
        return Judgement(
            ratio,
            apart.interval(),
            word,
            float(log.p_value(np.log1p(margin))),
            margin_needed=float(np.expm1(log.least_margin())),
            needed=_needed(log, gen / gen.mean(), real / scale, np.log1p(margin), paired),
        )
    relative = Estimate(apart.value / scale, apart.error / abs(scale), apart.freedom)
    offset = relative.interval()
    ratio = Interval(1 + offset.value, 1 + offset.low, 1 + offset.high)
    note = "; interval of the difference gen - real in units of the real mean"
    word = verdict(offset, -margin, margin)
    return Judgement(
        ratio,
        apart.interval(),
        word,
        float(relative.p_value(margin)),
        note,
        float(relative.least_margin()),
        _needed(relative, gen / abs(scale), real / abs(scale), margin, paired),
    )


def _needed(found: Estimate, gen: Float64, real: Float64, margin: float, paired: bool) -> float:
    """Further values of the smaller sample, of real if they are as large."""
    if paired:
        return np.nan
    scarcer = gen if len(gen) < len(real) else real
    return further_values(found, mean(scarcer), len(scarcer), margin)


def _values(
    of_gen: list[Measured], of_real: list[Measured], groups: tuple[Sequence[int], Sequence[int]]
) -> pd.DataFrame:
    samples = zip(("gen", "real"), (of_gen, of_real), groups, strict=True)
    rows = [
        (sample, block, *row)
        for sample, measured, blocks in samples
        for block, of_block in zip(blocks or range(len(measured)), measured, strict=True)
        for row in of_block.rows
    ]
    values = _frame(rows, ["sample", "block", *Row._fields])
    if not any(groups):
        return values
    keys = [column for column in values.columns if column != "value"]
    means = values.groupby(keys, sort=False)["value"].mean().reset_index()[list(values.columns)]
    # Sections normal to one axis come after all of another: metric by metric, as of volumes.
    places = {name: place for place, name in enumerate(means["metric"].unique())}
    return means.sort_values("metric", key=lambda of: of.map(places), kind="stable")


def _mean_of_axes(values: pd.DataFrame) -> pd.DataFrame:
    """Mean over z, y and x of what has an axis, sub-volume by sub-volume."""
    keys = [column for column in values.columns if column not in ("axis", "value")]
    directed = values["axis"] != ""
    means = values.groupby(keys, sort=False)["value"].agg(lambda of: of.mean(skipna=False))
    found = means.reset_index().assign(axis="")
    also = values[directed][keys].drop_duplicates().assign(note="; mean over z, y and x")
    found = found.merge(also, how="left").fillna({"note": ""})
    found["definition"] += found.pop("note")
    return found[list(values.columns)]


class Stack(NamedTuple):
    """One curve of every sub-volume of a sample."""

    r: Float64
    values: Float64  # (sub-volumes, lags)
    groups: NDArray[np.int64]  # (sub-volumes,): those of one number are one sample

    def means(self) -> Float64:
        """S2 of each sample."""
        return _group_means(self.values, self.groups)

    def normalised(self) -> Float64:
        """(S2 - phi^2) / (phi (1 - phi)) of the samples that hold the phase, from lag 1 on."""
        phi = self.values[:, :1]
        variance = phi * (1 - phi)
        held = variance[:, 0] > 0
        found = ((self.values - phi**2)[held] / variance[held])[:, 1:]
        return _group_means(found, self.groups[held])


def _group_means(curves: Float64, groups: NDArray[np.int64]) -> Float64:
    """Mean curve of each group."""
    names, member = np.unique(groups, return_inverse=True)
    if len(names) == len(groups):
        return curves
    means = np.zeros((len(names), curves.shape[1]))
    np.add.at(means, member, curves)
    return means / np.bincount(member)[:, np.newaxis]


Stacks = dict[tuple[str, str], Stack]


def stack_curves(measured: list[Measured], groups: Sequence[int] = ()) -> Stacks:
    """Two-point correlations of sub-volumes, of each phase and axis (empty: radial), in order."""
    found: dict[tuple[str, str], list[tuple[int, Curve]]] = {}
    for group, of_block in zip(groups or range(len(measured)), measured, strict=True):
        for curve in of_block.curves:
            found.setdefault((curve.phase, curve.axis), []).append((group, curve))
    phases = list(dict.fromkeys(phase for phase, _ in found))
    keys = sorted(found, key=lambda key: (phases.index(key[0]), AXIS_ORDER.index(key[1])))
    return {
        key: Stack(
            found[key][0][1].r,
            np.array([curve.value for _, curve in found[key]]),
            np.array([group for group, _ in found[key]]),
        )
        for key in keys
    }


def _compare_curves(
    of_gen: Stacks,
    of_real: Stacks,
    unit: str,
    margin: float,
    paired: bool,
    isotropic: bool,
    rng: np.random.Generator,
) -> Iterator[tuple[tuple[Any, ...], RowTest | None]]:
    """Rows in the order of `DISTANCE_COLUMNS`, and their tests."""
    for (phase, axis), stack in of_real.items():
        if isotropic and axis:
            continue
        gen, real = (of[phase, axis].normalised() for of in (of_gen, of_real))
        r = stack.r[1:]
        definition = (
            "largest difference gen - real of the mean normalised autocovariance "
            f"(S2 - phi^2) / (phi (1 - phi)), {'' if axis else 'radial, '}"
            f"at lags {r[0]:.4g} to {r[-1]:.4g}, with the 95 % band over all lags; "
            "floor: 97.5 % point between random halves of the real sub-volumes"
        )
        if not len(gen) or not len(real):
            blank = (np.nan, "", "cannot tell", len(gen), len(real), definition)
            test = RowTest(CURVE, phase, axis, 1.0, "cannot tell") if len(gen) + len(real) else None
            yield (CURVE, phase, axis, unit, *[np.nan] * 5, margin, *blank), test
            continue
        judged = judge_curves(gen, real, margin=margin, paired=paired, rng=rng)
        row = (
            CURVE, phase, axis, unit, r[judged.point], *judged.difference,
            noise_floor(real, rng=rng), margin, judged.margin_needed,
            _ranges(r, judged.outside), judged.verdict, len(gen), len(real), definition,
        )  # fmt: skip
        yield row, RowTest(CURVE, phase, axis, judged.p, judged.verdict, judged.margin_needed)


def _ranges(r: Float64, chosen: NDArray[np.bool_]) -> str:
    """Lags that are chosen, as ranges: ``2 to 5, 9``."""
    edges = np.flatnonzero(np.diff(np.r_[False, chosen, False]))
    spans = zip(edges[::2], edges[1::2] - 1, strict=True)
    return ", ".join(f"{r[a]:.4g}" if a == b else f"{r[a]:.4g} to {r[b]:.4g}" for a, b in spans)


def _curve_table(of_gen: Stacks, of_real: Stacks, unit: str) -> pd.DataFrame:
    rows = []
    for sample, stacks in (("gen", of_gen), ("real", of_real)):
        for (phase, axis), stack in stacks.items():
            for r, values in zip(stack.r, stack.means().T, strict=True):
                band = mean_interval(values)
                rows.append((sample, phase, axis, r, unit, *band, len(values)))
    columns = ["sample", "phase", "axis", "r", "unit", "mean", "low", "high", "n"]
    return _frame(rows, columns)


def _frame(rows: list[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
