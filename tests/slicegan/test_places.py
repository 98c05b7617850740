"""Means over places: laws that are known, noise taken off, intervals that hold, and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metrics.shapes import gaussian_random_field
from metrics.volume import InputError, Phase, Volume
from slicegan.places import Lattice, lattice, measurable, periods
from slicegan.places_picture import lattice_figure, plot_lattice

PERIOD = 4


def law(spread: float) -> np.ndarray:
    """Probability of phase 1 at each place: mean .4, and that standard deviation over places."""
    random = np.random.default_rng(7).normal(size=(PERIOD,) * 3)
    random = (random - random.mean()) / random.std()
    return 0.4 + spread * random


def drawn(probability: np.ndarray, count: int, *, side: int = 16, seed: int = 0) -> list[Volume]:
    """Volumes of independent voxels of that law."""
    random = np.random.default_rng(seed)
    cells = -(-side // PERIOD)
    everywhere = np.tile(probability, (cells,) * 3)[:side, :side, :side]
    return [
        Volume((random.random((side,) * 3) < everywhere).astype(np.uint8)) for _ in range(count)
    ]


def test_a_planted_lattice_is_found_as_large_as_it_is() -> None:
    found = lattice(drawn(law(0.08), 64), PERIOD)
    # Of 64^2 cells of independent voxels each place's mean has an error of .49 / 64.
    np.testing.assert_allclose(found.means[1], law(0.08), atol=5 * 0.49 / 64)
    np.testing.assert_allclose(found.means.sum(axis=0), 1)
    pore, grain = found.spread
    assert grain.low < 0.08 / 0.4 < grain.high and grain.high - grain.low < 0.02
    assert pore.low < 0.08 / 0.6 < pore.high  # as much, over a larger fraction
    assert found.worst == grain.value
    assert (found.period, [phase.label for phase in found.phases]) == (PERIOD, [0, 1])


def test_two_volumes_by_hand() -> None:
    one, other = drawn(law(0.08), 2)
    means = [
        np.array([[[v.labels[z::4, y::4, x::4].mean() for x in range(4)] for y in range(4)]
                  for z in range(4)]) for v in (one, other)
    ]  # fmt: skip
    a, b = (m - m.mean() for m in means)
    found = lattice([one, other], PERIOD).spread[1]
    assert found.value == pytest.approx(np.sqrt((a * b).mean()) / np.mean(means))
    assert np.isnan([found.low, found.high]).all()  # two volumes say nothing of their scatter


def test_noise_is_no_lattice() -> None:
    """Of one law for all voxels: an estimate that is negative as often as not, which is none."""
    found = [lattice(drawn(law(0), 4, seed=k), PERIOD).spread[1] for k in range(60)]
    none = sum(interval.value == 0 for interval in found)
    assert 15 < none < 45  # of 60, four standard deviations
    assert sum(interval.low == 0 for interval in found) > 52  # 95 %, less three deviations
    # Noise alone: a place's mean of 64 voxels scatters by .06, a sixth of the fraction.
    naive = [np.std(lattice(drawn(law(0), 4, seed=k), PERIOD).means[1]) for k in range(3)]
    assert min(naive) > 0.02


@pytest.mark.parametrize("spread", [0.03, 0.1])
def test_intervals_hold_the_truth(spread: float) -> None:
    wanted, held = spread / 0.4, 0
    for seed in range(100):
        interval = lattice(drawn(law(spread), 6, side=8, seed=seed), PERIOD).spread[1]
        held += interval.low <= wanted <= interval.high
    assert held >= 88  # 95 of 100, less three deviations


def test_correlated_fields_have_none_and_keep_what_is_planted() -> None:
    fields = [
        gaussian_random_field((64,) * 3, correlation_length=4, fractions=(0.85, 0.15), seed=k)
        for k in range(6)
    ]
    volumes = [field.volume for field in fields]
    found = lattice(volumes, 16).spread[1]
    assert found.low == 0 and found.high < 0.25
    # A quarter of the planes lose the second phase: there its mean is 0.
    planted = [Volume(np.where(np.indices(v.shape)[0] % 4 == 0, 0, v.labels)) for v in volumes]
    wanted = np.sqrt(0.25 * 0.75) / 0.75
    for period in (4, 16):  # the longer has fewer cells, and more noise
        spread = lattice(planted, period).spread[1]
        assert spread.low < wanted < spread.high


def test_places_are_coordinates_modulo_the_period() -> None:
    volumes = drawn(law(0.08), 3)
    moved = [Volume(np.roll(v.labels, (1, 2, 3), (0, 1, 2))) for v in volumes]
    here, there = lattice(volumes, PERIOD), lattice(moved, PERIOD)
    np.testing.assert_allclose(there.means[1], np.roll(here.means[1], (1, 2, 3), (0, 1, 2)))
    assert there.worst == pytest.approx(here.worst)


def test_what_is_left_over_is_not_counted() -> None:
    volumes = drawn(law(0.08), 3, side=18)
    cut = [Volume(v.labels[:16, :16, :16]) for v in volumes]
    np.testing.assert_array_equal(lattice(volumes, 4).means, lattice(cut, 4).means)


def test_a_phase_that_never_occurs_has_no_lattice() -> None:
    phases = tuple(Phase(name, k, k) for k, name in enumerate(("a", "b", "never")))
    volumes = [Volume(v.labels, phases=phases) for v in drawn(law(0), 3)]
    found = lattice(volumes, PERIOD)
    assert tuple(found.spread[2]) == (0, 0, 0)


@pytest.mark.parametrize(("count", "side"), [(0, 16), (1, 16), (3, 7)])
def test_too_few_or_too_small_volumes_are_refused(count: int, side: int) -> None:
    volumes = drawn(law(0), count, side=side)
    assert not measurable(volumes, PERIOD)
    with pytest.raises(InputError, match="modulo 4 voxels need two volumes or more, of two peri"):
        lattice(volumes, PERIOD)


def test_periods_divide_the_stride() -> None:
    assert [periods(n) for n in (1, 2, 4, 32, 27, 34)] == [
        (1,), (2, 1), (4, 2), (16, 8), (9, 3), (2, 1),
    ]  # fmt: skip


def test_the_picture_shows_three_planes_of_each_phase(tmp_path: Path) -> None:
    means = np.full((2, 4, 4, 4), 0.5)
    means[0, 2, 1, 3] = 0.9
    found = lattice(drawn(law(0.08), 3), PERIOD)
    found = Lattice(found.phases, means, found.spread)
    figure = lattice_figure({"made": found})
    planes = [ax.images[0].get_array() for ax in figure.axes if ax.images][:6]
    high = 0.9 / means[0].mean()
    # The plane normal to z at 2 has it at (1, 3); those normal to y at 2 and x at 2 do not.
    assert planes[0][1, 3] == pytest.approx(high)
    assert max(planes[1].max(), planes[2].max()) < 1.0
    assert (planes[3] == 1).all()
    assert figure.axes[0].get_title(loc="left").startswith("made 0: 0.500 to 0.900, lattice ")
    plot_lattice({"": found}, tmp_path / "lattice.png")
    with Image.open(tmp_path / "lattice.png") as picture:
        assert min(picture.size) > 500
