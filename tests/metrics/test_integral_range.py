"""The integral range: laws with known answers, and what its interval covers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metrics.integral_range import representativity
from metrics.shapes import gaussian_random_field, overlapping_spheres
from metrics.volume import InputError, Volume


def sections(count: int, *, length: float = 4, spacing: float = 1) -> list[Volume]:
    """Windows of independent Gaussian fields, not periodic themselves."""
    bodies = [
        gaussian_random_field(
            (4, 256, 256), correlation_length=length * spacing, seed=s, fractions=(0.3, 0.7),
            spacing=spacing,
        )
        for s in range(count)
    ]  # fmt: skip
    return [body.volume.crop((slice(1), slice(200), slice(200))) for body in bodies]


def test_the_interval_holds_the_true_fraction_as_often_as_it_says() -> None:
    found = [representativity(v, phase=0).fraction for v in sections(60)]
    held = np.mean([f.low < 0.3 < f.high for f in found])
    assert held > 0.88  # 95 % less 2.5 standard errors of 60 draws
    # A negative control: intervals that take every pixel for a sample of its own.
    naive = [1.96 * math.sqrt(0.3 * 0.7 / 200**2) for _ in found]
    covered = np.mean([abs(f.value - 0.3) < e for f, e in zip(found, naive, strict=True)])
    assert covered < 0.5


def test_overlapping_spheres_have_the_integral_range_of_their_law() -> None:
    r"""Of the space between: int (exp(rho V(r)) - 1) dr * phi / (1 - phi), V the overlap."""
    radius, density = 5.0, 0.001
    r = np.linspace(0, 2 * radius, 2001)
    overlap = math.pi / 12 * (4 * radius + r) * (2 * radius - r) ** 2
    phi = math.exp(-density * 4 / 3 * math.pi * radius**3)
    known = np.trapezoid(np.expm1(density * overlap) * 4 * math.pi * r**2, r) * phi / (1 - phi)
    bodies = [
        overlapping_spheres((80, 80, 80), radius=radius, density=density, seed=s) for s in range(4)
    ]
    found = [representativity(b.volume, phase=0).integral_range for b in bodies]
    # Summing to the first zero keeps positive noise: too large, on the safe side, by a third here.
    assert known < np.mean(found) < 1.5 * known


def test_both_of_two_phases_are_as_uncertain() -> None:
    (v,) = sections(1)
    first, second = (representativity(v, phase=p) for p in (0, 1))
    assert first.integral_range == pytest.approx(second.integral_range, rel=1e-4)  # float32 FFT
    assert first.fraction.high + second.fraction.low == pytest.approx(1, abs=1e-5)


def test_lengths_follow_the_voxel_size() -> None:
    (coarse,), (fine,) = sections(1), sections(1, spacing=0.5)
    a, b = representativity(coarse), representativity(fine)
    assert b.integral_range == pytest.approx(a.integral_range / 4, rel=1e-6)
    assert b.reach == pytest.approx(a.reach / 2)
    assert a.samples == pytest.approx(b.samples, rel=1e-6)
    assert a.dimensions == 2


def test_an_image_smaller_than_its_structure_says_so() -> None:
    v = gaussian_random_field((256, 256, 4), correlation_length=30, seed=0).volume
    small = Volume(v.labels[:64, :64, :1])
    assert not representativity(small).large_enough
    assert representativity(sections(1)[0]).large_enough


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.zeros((1, 16, 16), int), "fills"),
        (np.zeros((1, 4, 16), int), "too small"),
        (np.zeros((1, 1, 1), int), "too small"),
    ],
)
def test_what_has_no_answer_is_refused(labels: np.ndarray, word: str) -> None:
    with pytest.raises(InputError, match=word):
        representativity(labels)
