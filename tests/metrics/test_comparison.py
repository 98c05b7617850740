"""Verdicts on samples whose truth is known: same, different, and too few to tell."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.comparison.comparing import compare
from metrics.comparison.verdicts import DISTANCE_COLUMNS, TABLE_COLUMNS
from metrics.description import COMPARED_METRICS, CURVE
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import InputError, Volume

CHEAP = ["volume_fraction", "specific_surface_area", "chord_length", CURVE]


def fields(count: int, seed: int, **law: object) -> list[Volume]:
    law = {"correlation_length": 2, "fractions": (0.4, 0.6)} | law
    return [
        gaussian_random_field((32,) * 3, seed=seed + k, **law).volume  # type: ignore[arg-type]
        for k in range(count)
    ]


def test_one_law_is_the_same_and_another_is_not() -> None:
    real = fields(8, 0)
    same = compare(fields(8, 100), real, metrics=CHEAP, subvolume=32, margin=0.2, workers=1)
    assert set(same.table.verdict) == set(same.distances.verdict) == {"same"}
    assert same.answer.verdict == "same"
    assert same.answer.sentence.startswith("The same material: all 8 quantities")
    coarse = fields(8, 200, correlation_length=3)
    other = compare(coarse, real, metrics=CHEAP, subvolume=32, workers=1)
    verdicts = other.table.set_index(["metric", "phase", "axis"]).verdict
    # Lengths scale by 3/2: all but the fraction must tell.
    assert verdicts["specific_surface_area", "0", ""] == "differs"
    assert verdicts["chord_length", "0", "z"] == "differs"
    assert verdicts["volume_fraction", "0", ""] != "differs"
    assert set(other.distances.verdict) == {"differs"}
    assert other.answer.verdict == "differs"


def test_correlations_of_one_fraction_and_other_length_are_never_the_same() -> None:
    # By the mean over lags, with noise that widens the margin, most of these rows said `same`.
    verdicts = [
        verdict
        for pair in range(4)
        for verdict in compare(
            fields(8, 1000 * pair, correlation_length=4),
            fields(8, 1000 * pair + 500, correlation_length=2.5),
            metrics=[CURVE], subvolume=32, workers=1,
        ).distances.verdict
    ]  # fmt: skip
    assert verdicts.count("same") == 0
    assert verdicts.count("differs") >= 14  # of 16: the power is stated in coverage.md


def test_a_sub_volume_without_the_phase_has_no_normalised_curve() -> None:
    gen, real = fields(3, 0), fields(3, 9)
    empty = Volume(np.ones((32,) * 3, np.uint8), phases=gen[0].phases)
    with_one, without = (
        compare(sample, real, metrics=[CURVE], subvolume=32, workers=1).distances
        for sample in ([*gen, empty], gen)
    )
    assert (with_one.n_gen == 3).all()
    assert with_one.distance.equals(without.distance)


def test_a_lost_phase_differs_and_what_exists_is_compared() -> None:
    real = plurigaussian((32,) * 3, correlation_length=3, seed=0).volume
    labels = np.where(real.labels == 2, 1, real.labels)
    gen = Volume(labels, phases=real.phases)
    found = compare(gen, real, subvolume=16, workers=1)
    assert found.answer.verdict == "differs"
    rows = found.table.set_index(["metric", "phase", "axis"])
    lost, kept = rows.loc["volume_fraction", "2", ""], rows.loc["volume_fraction", "0", ""]
    assert (lost.gen, lost.verdict) == (0, "differs")
    assert kept.ratio == pytest.approx(1)
    assert rows.loc["tpb_density", "", ""].gen == 0
    assert rows.loc["chord_length", "2", "z"].verdict == "cannot tell"


def test_isotropic_averages_the_axes_of_each_sub_volume() -> None:
    gen, real = fields(3, 0), fields(4, 9)
    names = ["volume_fraction", "chord_length", CURVE]
    by_axis, mean = (
        compare(gen, real, metrics=names, subvolume=32, isotropic=isotropic, workers=1)
        for isotropic in (False, True)
    )
    chords = by_axis.values.query("metric == 'chord_length'")
    of_gen = chords[chords["sample"] == "gen"].groupby(["phase", "block"]).value.mean()
    rows = mean.table.query("metric == 'chord_length'")
    assert rows.axis.tolist() == ["", ""]
    assert rows.gen.tolist() == pytest.approx(of_gen.groupby("phase").mean().tolist())
    assert rows.definition.str.contains("mean over z, y and x").all()
    assert mean.distances.axis.tolist() == [""]
    fractions = [of.table.query("metric == 'volume_fraction'") for of in (by_axis, mean)]
    assert fractions[0].equals(fractions[1])
    assert len(mean.answer.tests) == 3  # one fraction, one chord length, one curve


def test_other_fractions_differ_in_curve_and_fraction() -> None:
    gen = fields(8, 200, fractions=(0.7, 0.3))
    found = compare(gen, fields(8, 0), metrics=CHEAP, subvolume=32, workers=1)
    tests = found.answer.tests
    assert "volume_fraction" in set(tests.metric[tests.differs])
    assert found.answer.verdict == "differs"


def test_few_small_samples_cannot_tell() -> None:
    table = compare(
        fields(2, 300, correlation_length=4), fields(2, 400, correlation_length=4),
        metrics=["volume_fraction"], subvolume=32, workers=1,
    ).table  # fmt: skip
    assert set(table.verdict) == {"cannot tell"}


def test_one_subvolume_gives_values_without_intervals() -> None:
    table = compare(fields(1, 0), fields(1, 1), metrics=CHEAP, subvolume=32, workers=1).table
    assert table.gen.notna().all()
    assert table.gen_low.isna().all()
    assert set(table.verdict) == {"cannot tell"}


def test_a_volume_is_the_same_as_itself() -> None:
    volume = plurigaussian((32,) * 3, correlation_length=3, seed=0).volume
    comparison = compare(volume, volume, workers=1)
    table, distances = comparison.table, comparison.distances
    assert comparison.settings["same_volumes"]
    assert set(table.verdict) == set(distances.verdict) == {"same"}
    assert comparison.answer.verdict == "same"
    ratios = table[table.ratio.notna()]
    np.testing.assert_allclose(ratios[["ratio", "ratio_low", "ratio_high"]], 1, atol=1e-12)
    assert (table[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    assert (distances[["distance", "low", "high"]] == 0).all(axis=None)
    assert {*table.metric, *distances.metric} == set(COMPARED_METRICS)


def test_a_single_sub_volume_is_the_same_as_itself() -> None:
    (volume,) = fields(1, 0)
    found = compare(volume, volume, metrics=CHEAP, subvolume=32, workers=1)
    assert set(found.table.verdict) == set(found.distances.verdict) == {"same"}
    assert found.answer.verdict == "same"


def test_almost_the_same_volume_is_not_taken_for_itself() -> None:
    (volume,) = fields(1, 0)
    labels = volume.labels.copy()
    labels[0, 0, 0] = 1 - labels[0, 0, 0]
    comparison = compare(labels, volume.labels, metrics=["volume_fraction"], workers=1)
    assert not comparison.settings["same_volumes"]
    assert (comparison.table.ratio_high > comparison.table.ratio).all()


def test_curves_end_where_a_sub_volume_does() -> None:
    def layer(seed: int) -> Volume:
        law = {"correlation_length": 2, "fractions": (0.4, 0.6)}
        return gaussian_random_field((16, 40, 40), seed=seed, **law).volume  # type: ignore[arg-type]

    gen, real = ([layer(seed) for seed in seeds] for seeds in (range(5), range(5, 10)))
    found = compare(gen, real, metrics=[CURVE], subvolume=40, max_lag=30, workers=1)
    reach = found.curves.groupby("axis").r.max()
    assert reach[["z", "y", "x"]].tolist() == [15, 30, 30]
    assert found.curves["mean"].notna().all()
    assert found.distances.distance.notna().all()


def test_table_values_and_curves_agree() -> None:
    comparison = compare(fields(3, 0), fields(4, 9), metrics=CHEAP, subvolume=32, workers=1)
    table, values, curves = comparison.table, comparison.values, comparison.curves
    assert list(table) == TABLE_COLUMNS
    assert list(comparison.distances) == DISTANCE_COLUMNS
    for row in table.itertuples():
        of = values[
            (values.metric == row.metric) & (values.phase == row.phase) & (values.axis == row.axis)
        ]
        gen, real = (of.value[of["sample"] == s] for s in ("gen", "real"))
        assert (row.n_gen, row.n_real) == (len(gen), len(real)) == (3, 4)
        assert (row.gen, row.real) == pytest.approx((gen.mean(), real.mean()))
        assert row.ratio == pytest.approx(gen.mean() / real.mean())
        assert row.difference == pytest.approx(gen.mean() - real.mean())
        assert row.gen_low < row.gen < row.gen_high
    assert curves.groupby(["sample", "axis"]).r.min().eq(0).all()


def test_nothing_percolates_in_either_is_the_same_and_in_one_is_not() -> None:
    def layers(axis: int, phase: int) -> Volume:
        labels = np.zeros((32, 32, 32), np.uint8)
        labels.swapaxes(0, axis)[8 * phase : 8 * phase + 8] = 1
        return Volume(labels)

    names = ["effective_diffusivity", "percolating_fraction"]
    blocked = [layers(0, p) for p in range(4)]
    both = compare(blocked, blocked[::-1], metrics=names, subvolume=32, workers=1).table
    row = both[(both.phase == "1") & (both.axis == "z") & (both.metric == names[0])].iloc[0]
    assert (row.gen, row.real, row.verdict) == (0, 0, "same")
    assert "difference" in row.definition
    open_z = [layers(1, p) for p in range(4)]
    one = compare(open_z, blocked, metrics=names, subvolume=32, workers=1).table
    row = one[(one.phase == "1") & (one.axis == "z") & (one.metric == names[0])].iloc[0]
    assert (row.real, row.verdict) == (0, "differs")


def test_a_metric_named_twice_counts_once() -> None:
    gen, real = fields(2, 0), fields(2, 5)
    names = ["volume_fraction"]
    once, twice = (compare(gen, real, metrics=n, workers=1).table for n in (names, names * 2))
    assert once.equals(twice)


def test_a_value_undefined_in_one_sample_is_a_row_that_cannot_tell() -> None:
    (real,) = fields(1, 0)
    extruded = np.repeat(real.labels[:1], 32, axis=0)  # no chord along z begins or ends
    table = compare(extruded, real, metrics=["chord_length"], workers=1).table
    row = table[(table.axis == "z") & (table.phase == "0")].iloc[0]
    assert (row.n_gen, row.n_real, row.verdict) == (0, 8, "cannot tell")
    assert np.isnan(row.gen)
    assert np.isfinite(row.real)


def test_metrics_that_give_no_row_are_refused() -> None:
    gen, real = fields(1, 0), fields(1, 5)
    with pytest.raises(InputError, match="three phases"):
        compare(gen, real, metrics=["tpb_density", "interface_area"], workers=1)


def test_workers_and_order_do_not_change_the_result() -> None:
    gen, real = fields(2, 0), fields(2, 5)
    one = compare(gen, real, metrics=CHEAP, subvolume=16, workers=1)
    two = compare(gen, real, metrics=CHEAP, subvolume=16, workers=2)
    assert one.table.equals(two.table)


def test_seed_decides_the_draw() -> None:
    gen, real = fields(2, 0), fields(2, 5)
    runs = [
        compare(gen, real, metrics=CHEAP, subvolume=16, samples=4, seed=s, workers=1).table
        for s in (0, 0, 1)
    ]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_periodic_curves_are_used_for_whole_volumes_only() -> None:
    gen, real = fields(3, 0), fields(3, 5)
    whole = compare(gen, real, metrics=[CURVE], subvolume=32, periodic_gen=True, workers=1)
    cut = compare(gen, real, metrics=[CURVE], subvolume=16, periodic_gen=True, workers=1)
    assert whole.settings["periodic_gen"]
    assert not cut.settings["periodic_gen"]
    open_ends = compare(gen, real, metrics=[CURVE], subvolume=32, workers=1)
    assert not whole.distances.distance.equals(open_ends.distances.distance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["porosity"]}, "unknown metric"),
        ({"margin": 0}, "margin"),
        ({"max_lag": 32}, "max_lag"),
        ({"max_lag": 0}, "max_lag"),
        ({"solver": "magic"}, "magic"),
        ({"seed": -1}, "seed"),
        ({"device": "abacus"}, "abacus"),
        ({"metrics": []}, "no metric"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    volume = fields(1, 0)
    with pytest.raises(InputError, match=message):
        compare(volume, volume, subvolume=16, samples=1, workers=1, **arguments)
