"""What tables of means leave out: each test passes volumes of one law, and fails a broken one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from benchmarks.validation import checks
from benchmarks.validation.checks import Row
from metrics import describe
from metrics.shapes import gaussian_random_field
from metrics.volume import Volume

SIDE = 48


def fields(count: int, *, length: float | tuple = 3, first: int = 0) -> list[Volume]:
    return [
        gaussian_random_field(
            (SIDE,) * 3, correlation_length=length, fractions=(0.4, 0.6), seed=first + k
        ).volume
        for k in range(count)
    ]


def values(volumes: Iterable[Volume], metrics: list[str]) -> pd.DataFrame:
    tables = [describe(v, metrics=metrics).assign(block=k) for k, v in enumerate(volumes)]
    return pd.concat(tables)[["block", "metric", "phase", "axis", "value"]]


@pytest.fixture(scope="module")
def real() -> list[Volume]:
    return fields(8, first=100)


def clear(row: Row, neutral: float = 0.0) -> bool:
    """Whether the interval excludes what should be."""
    return not row.low <= neutral <= row.high


def test_isotropy_shows_the_axis_that_is_longer(real: list[Volume]) -> None:
    truth = values(real, ["chord_length"])
    alike, stretched = (
        list(checks.isotropy(values(fields(8, length=of), ["chord_length"]), truth))
        for of in (3, (6, 3, 3))
    )
    assert len(alike) == 2 * 3  # phases, axes
    assert max(abs(row.value) for row in alike) < 0.1  # chord lengths of 48^3 scatter by 10 %
    assert all(abs(row.real) < 0.1 for row in alike)
    along = {row.axis: row for row in stretched if row.phase == "0"}
    assert along["z"].value > 0.15 and clear(along["z"])
    assert along["x"].value < 0 and clear(along["x"])


def test_diagonals_see_what_the_axes_do_not(real: list[Volume]) -> None:
    """Sheared by one voxel a row, S2 along x and z is what it was."""
    of_real, same = ([checks.diagonal_curves(v, 12) for v in of] for of in (real, fields(8)))
    rows = np.arange(SIDE)
    sheared = [
        Volume(np.stack([np.roll(v.labels[:, k], k, axis=1) for k in rows], axis=1))
        for v in fields(8)
    ]
    of_sheared = [checks.diagonal_curves(v, 12) for v in sheared]
    rng = np.random.default_rng(0)
    good = {row.axis: row for row in checks.diagonals(same, of_real, rng)}
    bad = {row.axis: row for row in checks.diagonals(of_sheared, of_real, rng)}
    for axis in "zyx":
        assert good[axis].value < 2 * good[axis].real_high
    assert bad["z"].low > good["z"].value and bad["z"].value > 2 * good["z"].value
    assert bad["y"].value == pytest.approx(good["y"].value, abs=0.02)  # faces normal to y hold z, x


def test_spread_finds_volumes_too_much_alike(real: list[Volume]) -> None:
    truth = values(real, ["volume_fraction"])
    (first, *_) = checks.spread(values(fields(8), ["volume_fraction"]), truth)
    assert not clear(first, 1)
    mean = truth.groupby("phase")["value"].transform("mean")
    alike = truth.assign(value=mean + (truth.value - mean) / 10)
    (row, *_) = checks.spread(alike, truth)
    assert row.value == pytest.approx(0.1) and row.high < 0.5
    one = truth[truth.block == 0]
    assert list(checks.spread(one, truth)) == []


def test_edges_that_drift_are_found() -> None:
    volumes = fields(8)
    # Fractions of 48^3 differ by .05, their mean over eight by .02.
    assert max(abs(row.value) for row in checks.edges(volumes)) < 0.05
    drifting = []
    for v in volumes:
        labels = v.labels.copy()
        labels[:, :3] = 0
        drifting.append(Volume(labels))
    rows = {(row.phase, row.axis): row for row in checks.edges(drifting)}
    assert rows["0", "y"].low > 0.02 and rows["1", "y"].high < -0.02
    assert not clear(rows["0", "x"])


def test_a_law_that_differs_from_place_to_place_is_found(real: list[Volume]) -> None:
    volumes = fields(8)
    rows = list(checks.lattices(volumes, real))
    assert [row.metric.split()[4] for row in rows] == ["8", "8", "16", "16"]  # 32: 48 is too small
    assert all(row.low == 0 and row.real_low == 0 for row in rows)
    planted = [
        Volume(np.where(np.indices(v.shape)[2] % 8 == 3, 0, v.labels), phases=v.phases)
        for v in volumes
    ]
    eight = next(row for row in checks.lattices(planted, real) if row.phase == "1")
    # 7/8 of the places have the fraction .6, one none.
    wanted = np.sqrt(7 / 64) / (7 / 8)
    assert eight.low < wanted < eight.high and eight.low > 0.9 * wanted
    assert list(checks.lattices(volumes[:1], real)) == []
    (lonely, *_) = checks.lattices(volumes, real[:1])
    assert np.isnan([lonely.real, lonely.real_high]).all() and lonely.low == 0


def test_a_copied_patch_is_found_however_it_is_turned(real: list[Volume]) -> None:
    seen = [real[0].labels[5]]
    copies = [np.rot90(seen[0][10:34, 3:27]), seen[0][20:44, 20:44][::-1], seen[0][:24, :24].T]
    fresh = checks.patches(fields(4), 24)
    unseen = [v.labels[0, :24, :24] for v in real[1:]]
    row = checks.memorisation(copies, unseen, seen, real[0])
    assert row.value == pytest.approx(1)
    honest = checks.memorisation(fresh, unseen, seen, real[0])
    assert honest.value < 0.7 and honest.low < honest.real_high and honest.high > honest.real_low


def test_fractions_beside_what_the_images_allow(real: list[Volume]) -> None:
    image = Volume(real[0].labels[:1], phases=real[0].phases)
    rows = list(checks.fraction_bar(fields(4), [image], real[0]))
    assert [row.phase for row in rows] == ["0", "1"]
    assert rows[0].real == pytest.approx(np.mean(image.labels == 0))
    four = [Volume(v.labels[:1], phases=v.phases) for v in real[:4]]
    narrower = next(checks.fraction_bar(fields(4), four, real[0]))
    assert narrower.real_high - narrower.real_low < rows[0].real_high - rows[0].real_low


def test_all_tests_of_a_sample_in_one_table(real: list[Volume]) -> None:
    names = ["volume_fraction", "chord_length"]
    table = checks.field_tests(
        fields(3), real[0], windows=(fields(3), real[:4]),
        values=(values(fields(3), names), values(real[:4], names)), axes=("z", "x"),
    )  # fmt: skip
    assert set(table.test) == {
        "inside the interval of the slice",
        *("isotropy", "45 degrees", "spread", "memorisation", "edge drift", "lattice"),
    }
    assert table.value.notna().all()
