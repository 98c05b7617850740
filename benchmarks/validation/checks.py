"""Tests of generated volumes that tables of means leave out.

Each returns rows of one long table: what is tested, of which phase along which axis, its value with
a 95 % interval, and the same figure of the real material.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.validation.cases import middle_slice
from metrics.arrays import Float64
from metrics.correlation import two_point_map
from metrics.fraction import fraction_profile, volume_fraction
from metrics.integral_range import representativity
from metrics.intervals import CONFIDENCE, curve_distance, halves_distance, mean_interval
from metrics.volume import AXES, Volume, axis_index
from slicegan.places import lattice, measurable

Labels = NDArray[np.integer]

DIRECTED = ("chord_length", "effective_diffusivity")
EDGE = 8  # layers
DIAGONAL_LAG = 32
PATCH = 64  # voxels: what a critic sees at once
PERIODS = (8, 16, 32)  # voxels


class Row(NamedTuple):
    """One figure of a sample and that of the real one; nan where there is none."""

    test: str
    metric: str
    phase: str
    axis: str
    value: float
    low: float
    high: float
    real: float
    real_low: float
    real_high: float


def isotropy(gen: pd.DataFrame, real: pd.DataFrame) -> Iterator[Row]:
    """Each axis against the mean of the three, sub-volume by sub-volume: value / mean - 1."""
    samples = [_by_axis(values) for values in (gen, real)]
    for metric, phase in samples[1].index.droplevel("block").unique():
        for axis in AXES:
            both = []
            for sample in samples:
                of = sample.xs((metric, phase), level=("metric", "phase"))
                both.append(mean_interval((of[axis] / of.mean(axis=1) - 1).dropna().to_numpy()))
            yield Row("isotropy", metric, phase, axis, *both[0], *both[1])


def _by_axis(values: pd.DataFrame) -> pd.DataFrame:
    directed = values[values.metric.isin(DIRECTED)]
    return directed.pivot(index=["metric", "phase", "block"], columns="axis", values="value")


def diagonal_curves(volume: Volume, lag: int) -> dict[tuple[str, str], Float64]:
    """S2 of each phase along one diagonal of the faces normal to each axis, then the other.

    At lags k sqrt(2), k up to `lag`.
    """
    curves = {}
    steps = np.arange(lag + 1)
    for phase in volume.independent_phases:  # of two the other has the same S2 - phi^2
        s2, _ = two_point_map(volume, phase=phase.label, max_lag=lag)
        for k, axis in enumerate(AXES):
            face = np.moveaxis(s2, k, 0)[lag]
            both = face[lag + steps, lag + steps], face[lag + steps, lag - steps]
            curves[phase.name, axis] = np.concatenate(both)
    return curves


def diagonals(
    gen: Sequence[dict[tuple[str, str], Float64]],
    real: Sequence[dict[tuple[str, str], Float64]],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Mean |difference| of S2 at 45 degrees over phi (1 - phi); of real: random halves."""
    for phase, axis in real[0]:
        of_gen, of_real = (np.array([c[phase, axis] for c in curves]) for curves in (gen, real))
        phi = of_real[:, 0].mean()
        found = curve_distance(of_gen, of_real, rng=rng), halves_distance(of_real, rng=rng)
        scaled = [np.array(interval) / (phi * (1 - phi)) for interval in found]
        yield Row("45 degrees", "two_point_correlation", phase, axis, *scaled[0], *scaled[1])


def spread(gen: pd.DataFrame, real: pd.DataFrame) -> Iterator[Row]:
    """Standard deviation over sub-volumes, generated over real, with its F interval.

    Those of one real volume are not quite independent: their deviation is a little too small.
    """
    from scipy.stats import f

    gen, real = (
        values.dropna(subset="value")
        .groupby(["metric", "phase", "axis"], sort=False)["value"]
        .agg(["std", "count"])
        for values in (gen, real)
    )
    both = real.add_suffix("_real").join(gen.add_suffix("_gen"), how="inner")
    both = both[(both.std_real > 0) & (both.count_gen > 1)]
    ends = (1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2
    for row in both.itertuples():
        metric, phase, axis = row.Index
        ratio = row.std_gen / row.std_real
        low, high = ratio / f.ppf(ends, row.count_gen - 1, row.count_real - 1) ** 0.5
        yield Row("spread", metric, phase, axis, ratio, low, high, 1.0, np.nan, np.nan)


def edges(volumes: Sequence[Volume]) -> Iterator[Row]:
    """Fraction in the first and last 8 layers along each axis, less that of the volume."""
    for phase, axis in product(volumes[0].phases, AXES):
        drifts = []
        for volume in volumes:
            profile = fraction_profile(volume, axis=axis)[phase.label]
            drifts.append(np.r_[profile[:EDGE], profile[-EDGE:]].mean() - profile.mean())
        found = mean_interval(np.array(drifts))
        yield Row("edge drift", "volume_fraction", phase.name, axis, *found, *[np.nan] * 3)


def lattices(volumes: Sequence[Volume], windows: Sequence[Volume]) -> Iterator[Row]:
    """Spread of a phase's mean over places modulo a period, beyond noise, over its fraction.

    The first voxel of each generated volume is at place 0; windows of the real volume, which has no
    lattice, may begin anywhere.
    """
    for period in PERIODS:
        if not measurable(volumes, period):
            continue
        found = lattice(volumes, period)
        nothing = [(np.nan,) * 3] * len(found.phases)
        real = lattice(windows, period).spread if measurable(windows, period) else nothing
        for phase, *both in zip(found.phases, found.spread, real, strict=True):
            metric = f"mean at places modulo {period} voxels"
            yield Row("lattice", metric, phase.name, "", *both[0], *both[1])


def fraction_bar(
    volumes: Sequence[Volume], sections: Sequence[Volume], real: Volume
) -> Iterator[Row]:
    """Fractions, beside the interval that slices of the real volume themselves allow.

    Several slices: the mean of their fractions, the error of the mean from their integral ranges.
    """
    for phase in real.phases:
        found = mean_interval(np.array([volume_fraction(v)[phase.label] for v in volumes]))
        each = [representativity(section, phase=phase.label).fraction for section in sections]
        mean = float(np.mean([one.value for one in each]))
        half = float(np.linalg.norm([one.high - one.value for one in each])) / len(each)
        yield Row(
            "inside the interval of the slice", "volume_fraction", phase.name, "",
            *found, mean, mean - half, mean + half,
        )  # fmt: skip


def memorisation(
    generated: Sequence[Labels], unseen: Sequence[Labels], seen: Sequence[Labels], real: Volume
) -> Row:
    """How much of the training images generated patches repeat.

    The largest normalised cross-correlation of a patch with a training image over all shifts,
    turns and reflections (mean over phases): mean over patches, and the same of real patches that
    are not in those images.

    Parameters
    ----------
    generated, unseen : sequence of (n, n) ndarray
        Patches of labels.
    seen : sequence of (H, W) ndarray
        Training images.
    real : Volume
        Whose phases they show.
    """
    shown = [phase.label for phase in real.independent_phases]
    both = [
        mean_interval(np.array([_likeness(patch, seen, shown) for patch in patches]))
        for patches in (generated, unseen)
    ]
    return Row("memorisation", "largest cross-correlation", "", "", *both[0], *both[1])


def _likeness(patch: Labels, images: Sequence[Labels], shown: Sequence[int]) -> float:
    from skimage.feature import match_template

    best = -1.0
    for image in images:
        for turns, mirrored in product(range(4), (False, True)):
            moved = np.rot90(patch[:, ::-1] if mirrored else patch, turns)
            maps = [match_template((image == k) * 1.0, (moved == k) * 1.0) for k in shown]
            best = max(best, float(np.mean(maps, axis=0).max()))
    return best


def patches(volumes: Sequence[Volume], side: int) -> list[Labels]:
    """Central patch of the middle slice along each axis of each volume."""
    found = []
    for volume, axis in product(volumes, AXES):
        plane = middle_slice(volume, axis)
        corner = [(edge - side) // 2 for edge in plane.shape]
        found.append(plane[corner[0] : corner[0] + side, corner[1] : corner[1] + side])
    return found


def field_tests(
    volumes: Sequence[Volume],
    real: Volume,
    *,
    windows: tuple[Sequence[Volume], Sequence[Volume]],
    values: tuple[pd.DataFrame, pd.DataFrame],
    axes: Sequence[str],
) -> pd.DataFrame:
    """All tests of one generator.

    Parameters
    ----------
    volumes : sequence of Volume
        Generated, of independent seeds.
    real : Volume
    windows : (generated, real)
        Sub-volumes of one shape.
    values : (generated, real)
        What was measured on them: block, metric, phase, axis, value.
    axes : sequence of str
        Axes whose middle slices were among those learnt from.
    """
    gen, true = values
    lag = min(DIAGONAL_LAG, windows[1][0].shape[0] // 2)
    gen_at_45, real_at_45 = ([diagonal_curves(v, lag) for v in of] for of in windows)
    side = min(PATCH, *volumes[0].shape, *real.shape)
    seen = [np.asarray(middle_slice(real, axis)) for axis in axes]
    sections = [Volume(plane[np.newaxis], phases=real.phases) for plane in seen]
    rows = [
        *fraction_bar(volumes, sections, real),
        *isotropy(gen, true),
        *diagonals(gen_at_45, real_at_45, np.random.default_rng(0)),
        *spread(gen, true),
        memorisation(patches(volumes, side), far_patches(real, axes, side), seen, real),
        *edges(volumes),
        *lattices(volumes, windows[1]),
    ]
    return pd.DataFrame(rows, columns=list(Row._fields))


def far_patches(real: Volume, axes: Sequence[str], side: int) -> list[Labels]:
    """Patches of real slices a quarter and a third of the volume away from the middle ones."""
    found = []
    for axis, part, sign in product(axes, (4, 3), (-1, 1)):
        k = axis_index(axis)
        n = real.shape[k]
        plane = real.labels.take(n // 2 + sign * (n // part), axis=k)
        found += [plane[:side, :side], plane[-side:, -side:]]
    return found
