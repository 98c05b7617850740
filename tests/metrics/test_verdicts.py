"""Rows of a comparison from values that are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metrics.comparison.verdicts import TABLE_COLUMNS, judge, judge_values

ABOUT_ZERO = np.array([-2.0, 1.5, -0.5, 2.5])  # a mean of .4 whose interval holds 0


def frame(metric: str, gen: list[float], real: list[float]) -> pd.DataFrame:
    rows = [
        (sample, block, metric, "pore", "", value, "", "made up")
        for sample, values in (("gen", gen), ("real", real))
        for block, value in enumerate(values)
    ]
    columns = ["sample", "block", "metric", "phase", "axis", "value", "unit", "definition"]
    return pd.DataFrame(rows, columns=columns)


def row_of(metric: str, gen: list[float], real: list[float], paired: bool = False) -> pd.Series:
    ((row, _),) = judge_values(frame(metric, gen, real), 0.05, paired)
    return pd.Series(row, index=TABLE_COLUMNS)


samples = st.lists(st.floats(0.2, 5), min_size=2, max_size=8).map(np.array)


@given(gen=samples, real=samples, sign=st.sampled_from([1, -1]), zero=st.booleans())
def test_p_below_the_level_is_the_rows_differs(
    gen: np.ndarray, real: np.ndarray, sign: int, zero: bool
) -> None:
    gen = sign * np.r_[gen, 0.0] if zero else sign * gen
    found = judge(gen, real, margin=0.05)
    assert (found.p < 0.05) == (found.verdict == "differs")
    if found.verdict == "same":
        assert found.p == 1


def test_a_real_interval_that_holds_zero_gives_no_ratio() -> None:
    found = judge(ABOUT_ZERO + 1, ABOUT_ZERO, margin=0.05)
    assert np.isnan(found.ratio).all()
    assert found.difference.value == pytest.approx(1)
    assert (found.verdict, "difference" in found.note) == ("cannot tell", True)
    # Far beyond what the real values can mean.
    assert judge(ABOUT_ZERO + 100, ABOUT_ZERO, margin=0.05).verdict == "differs"
    # Never the same however close, unless equal.
    many = np.tile(ABOUT_ZERO, 2)
    assert judge(many + 1e-12, many, margin=0.05, paired=True).verdict != "same"
    assert judge(many, many, margin=0.05, paired=True).verdict == "same"
    zeros = np.zeros(4)
    assert judge(zeros, zeros, margin=0.05).verdict == "same"
    assert judge(zeros + 1, zeros, margin=0.05).verdict == "differs"


def test_negative_means_have_the_sign_of_their_difference() -> None:
    real = np.array([-10.0, -11, -9, -10])
    above = judge(0.5 * real, real, margin=0.05)
    assert above.ratio.value == pytest.approx(0.5)
    assert above.ratio.low < 0.5 < above.ratio.high
    assert above.verdict == "differs"


def test_limits_are_those_that_are_possible() -> None:
    row = row_of("percolating_fraction", [1.0, 0.95, 0.9], [0.9, 0.99, 1.0])
    assert row.gen_high == row.real_high == 1
    assert row.gen_low > 0.8
    row = row_of("effective_diffusivity", [0.0, 0.0, 0.3], [0.2, 0.21, 0.22])
    assert row.gen_low == row.ratio_low == 0
    assert row.difference_low > -1
    row = row_of("euler_density", [-3.0, 1.0], [-9.0, -10.0])
    assert row.gen_low < 0


def test_what_neither_sample_defines_is_a_row_and_no_test() -> None:
    nothing = [np.nan, np.nan]
    ((row, test),) = judge_values(frame("chord_length", nothing, nothing), 0.05)
    assert (row[TABLE_COLUMNS.index("verdict")], test) == ("cannot tell", None)
    ((_, test),) = judge_values(frame("chord_length", nothing, [1.0, 2.0]), 0.05)
    assert test is not None
    assert test.p == 1


@pytest.mark.parametrize(
    ("count", "p", "verdict"),
    [(1, 1, "cannot tell"), (2, 2 / 6, "cannot tell"), (4, 2 / 70, "differs"),
     (8, 2 / 12870, "differs")],
)  # fmt: skip
def test_counts_alike_by_chance_are_no_certainty(count: int, p: float, verdict: str) -> None:
    found = judge(np.full(count, 3.0), np.full(count, 2.0), margin=0.05)
    assert (found.p, found.verdict) == (pytest.approx(p), verdict)
    same = judge(np.full(count, 3.0), np.full(count, 3.0), margin=0.05)
    assert same.p == 1


def test_few_volumes_of_small_counts_differ_no_more_often_than_they_may() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.poisson(2, (2000, 2, 2)) + 1.0
    wrong = np.mean([judge(gen, real, margin=0.05).p < 0.05 / 20 for gen, real in pairs])
    # Without the least p-value of a permutation 11 % have no scatter and p = 0.
    assert wrong < 0.01


close = st.lists(st.floats(0.9, 1.1), min_size=4, max_size=8).map(np.array)


@given(gen=close, real=close, sign=st.sampled_from([1, -1]))
def test_at_the_margin_that_is_needed_it_is_just_the_same(
    gen: np.ndarray, real: np.ndarray, sign: int
) -> None:
    """Of a ratio, and of values below 0, in units of the real mean."""
    least = judge(sign * gen, sign * real, margin=0.05).margin_needed
    assume(1e-6 < least < 0.9)

    def at(margin: float) -> str:
        return judge(sign * gen, sign * real, margin=margin).verdict

    assert at(least * (1 + 1e-9) + 1e-12) == "same"
    assert at(least * (1 - 1e-9) - 1e-12) != "same"


def of_mean_and_spread(count: int, mean: float, spread: float) -> np.ndarray:
    values = np.linspace(-1, 1, count)
    return mean + spread * values / values.std(ddof=1)


@pytest.mark.parametrize("ratio", [0.98, 1.0, 1.03, 1.2])
@pytest.mark.parametrize(("count", "more"), [(64, 40), (40, 64)])
def test_so_many_further_values_decide_and_fewer_do_not(
    ratio: float, count: int, more: int
) -> None:
    gen, real = of_mean_and_spread(count, ratio, 0.1), of_mean_and_spread(more, 1.0, 0.1)
    found = judge(gen, real, margin=0.05)
    if found.verdict != "cannot tell":
        assert found.needed == 0
        return
    fewest = min(count, more)

    def with_more(further: int) -> str:
        larger = of_mean_and_spread(fewest + further, ratio if count < more else 1.0, 0.1)
        pair = (larger, real) if count < more else (gen, larger)
        return judge(*pair, margin=0.05).verdict

    if np.isnan(found.needed):  # the other sample alone scatters too much
        assert with_more(100_000) == "cannot tell"
        return
    assert with_more(int(found.needed)) != "cannot tell"
    assert with_more(int(0.9 * found.needed)) == "cannot tell"
