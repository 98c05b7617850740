"""Gaussian fields against the normal law, integration, counting and their own vortices."""

from __future__ import annotations

import numpy as np
import pytest
from reference_counting import (
    assert_mean,
    counted_areas,
    counted_fractions,
    counted_tpb,
    counted_two_point,
)
from scipy.stats import multivariate_normal, norm

from metrics import shapes
from metrics.shapes import Body
from metrics.shapes.fields import _gaussian_field
from metrics.volume import AXES


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8])
def test_field_two_point_against_the_bivariate_normal(fraction: float) -> None:
    body = shapes.gaussian_random_field(
        (1, 1, 64), correlation_length=3, seed=0, fractions=(fraction, 1 - fraction)
    )
    level = norm.ppf(fraction)
    for r in (0.5, 2.0, 5.0, 20.0):
        c = np.exp(-(r**2) / 18)
        orthant = multivariate_normal(cov=[[1, c], [c, 1]]).cdf([level, level])
        # scipy integrates to 1e-8 here.
        assert body.two_point(r, axis="x") == pytest.approx(orthant, abs=1e-6)
    assert body.two_point(64 - 5.0, axis="x") == pytest.approx(body.two_point(5.0, axis="x"))


def test_field_covariance_is_exact_on_the_voxels() -> None:
    shape, spacing, lengths = (6, 5, 16), (1.0, 0.5, 2.0), (0.8, 1.1, 5.0)
    samples = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        field = _gaussian_field(shape, spacing, lengths, rng)
        moved = [np.roll(field, lag, i) for i, lag in ((0, 0), (0, 1), (1, 1), (2, 2), (2, 8))]
        samples.append([(field * other).mean() for other in moved])
    expected = [1.0]
    for i, lag in ((0, 1), (1, 1), (2, 2), (2, 8)):
        extent = shape[i] * spacing[i]
        images = lag * spacing[i] + extent * np.arange(-9, 10)
        zero = extent * np.arange(-9, 10)
        weights = [np.exp(-(r**2) / (2 * lengths[i] ** 2)).sum() for r in (images, zero)]
        expected.append(weights[0] / weights[1])
    assert_mean(samples, expected)


def test_field_fractions_vary_as_the_law_says() -> None:
    # On a ring of n voxels Var(phi) is the mean over lags of S2 - phi^2.
    shape, fractions = (1, 1, 48), (0.3, 0.7)
    samples = []
    for seed in range(500):
        body = shapes.gaussian_random_field(
            shape, correlation_length=3, seed=seed, fractions=fractions
        )
        samples.append((body.volume.labels == 0).mean())
    assert_mean(samples, 0.3)
    variance = (body.two_point(np.arange(48), axis="x") - 0.3**2).mean()
    # Negative control in itself: a fraction forced by the sample's quantile has no variance.
    assert_mean((np.array(samples) - 0.3) ** 2, variance)


def test_field_ensemble_with_anisotropy_and_three_phases() -> None:
    fractions, lengths, lags = (0.3, 0.3, 0.4), (2.0, 3.0, 5.0), np.array([1, 3, 8])
    counts, two_point = [], []
    for seed in range(60):
        body = shapes.gaussian_random_field(
            (24, 24, 32), correlation_length=lengths, seed=seed, fractions=fractions
        )
        counts.append(list(counted_fractions(body.volume).values()))
        mask = body.volume.labels == 0
        two_point.append([counted_two_point(mask, i)[lags] for i in range(3)])
    assert_mean(counts, fractions)
    assert_mean(two_point, [body.two_point(lags, axis=name) for name in AXES])
    # Negative control: the axes are told apart.
    with pytest.raises(AssertionError):
        assert_mean(two_point, [body.two_point(lags, axis=name) for name in "xyz"])


def test_field_areas_against_integration_and_counting() -> None:
    lengths, level = np.array([4.0, 6.0, 9.0]), norm.ppf(0.3)
    body = shapes.gaussian_random_field(
        (4, 4, 4), correlation_length=lengths, seed=0, fractions=(0.3, 0.7)
    )
    # E|gradient| over the sphere by the midpoint rule (error 1e-6) times E|g| = 2 sqrt(2 / pi).
    cosine = (np.arange(2000) + 0.5) / 2000
    turn = (np.arange(400) + 0.5) * np.pi / 800
    sine = np.sqrt(1 - cosine**2)[:, np.newaxis]
    parts = np.broadcast_arrays(cosine[:, np.newaxis], sine * np.cos(turn), sine * np.sin(turn))
    slope = np.sqrt(sum((p / length) ** 2 for p, length in zip(parts, lengths, strict=True))).mean()
    expected = norm.pdf(level) * 2 * np.sqrt(2 / np.pi) * slope
    assert body.interface_areas == pytest.approx({(0, 1): expected}, rel=1e-5)


def expected_faces(field: Body, h: float) -> float:
    """Expected area of the faces around phase 0 per volume, for voxels of edge h."""
    at, beside = field.two_point(np.array([0.0, h]))
    return float(3 * 2 * (at - beside) / h)


def test_field_faces_are_those_of_its_two_point_probability() -> None:
    counted = []
    for seed in range(30):
        body = shapes.gaussian_random_field(
            (32, 32, 32), correlation_length=4, seed=seed, fractions=(0.3, 0.7)
        )
        counted.append(counted_areas(body.volume, periodic=True)[0, 1])
    assert_mean(counted, expected_faces(body, 1.0))


def test_plurigaussian_ensemble() -> None:
    fractions, share, size = (0.4, 0.36, 0.24), 0.6, (32, 32, 32)
    counts, areas, two_point = [], [], []
    for seed in range(30):
        body = shapes.plurigaussian(size, correlation_length=4, seed=seed, fractions=fractions)
        counts.append(list(counted_fractions(body.volume).values()))
        found = counted_areas(body.volume, periodic=True)
        areas.append([found[pair] for pair in body.interface_areas])
        two_point.append(counted_two_point(body.volume.labels == 0, 1)[[1, 4, 9]])
    assert_mean(counts, fractions)
    assert_mean(two_point, body.two_point(np.array([1, 4, 9]), axis="y"))
    first, second = (
        shapes.gaussian_random_field(size, correlation_length=4, seed=0, fractions=(f, 1 - f))
        for f in (fractions[0], share)
    )

    def expected_areas(h: float) -> list[float]:
        # The fields are independent: one changes while the other allows it, at both ends for 1|2.
        outer, inner = expected_faces(first, h), expected_faces(second, h)
        return [outer * share, outer * (1 - share), inner * (0.6 - outer * h / 6)]

    assert_mean(areas, expected_areas(1.0))
    # Faces of ever smaller voxels are 3/2 of the area of the continuous body, to first order in h.
    limit = np.divide(expected_areas(1e-3), 1.5)
    np.testing.assert_allclose(limit, list(body.interface_areas.values()), rtol=1e-3)


def test_plurigaussian_lines_are_the_vortices_of_its_fields() -> None:
    shape, length, lines, edges = (40, 40, 40), 5.0, [], []
    fractions = (0.4, 0.36, 0.24)
    for seed in range(30):
        body = shapes.plurigaussian(
            shape, correlation_length=length, seed=seed, fractions=fractions
        )
        rng = np.random.default_rng(seed)
        first, second = (_gaussian_field(shape, (1, 1, 1), (length,) * 3, rng) for _ in range(2))
        phase = np.angle((first - norm.ppf(0.4)) + 1j * (second - norm.ppf(0.6)))
        pierced = 0
        for i, j in ((0, 1), (0, 2), (1, 2)):
            corners = [
                phase,
                np.roll(phase, -1, i),
                np.roll(phase, -1, (i, j)),
                np.roll(phase, -1, j),
            ]
            turns = np.subtract([*corners[1:], phase], corners)
            winding = (turns - 2 * np.pi * np.round(turns / (2 * np.pi))).sum(axis=0)
            pierced += np.count_nonzero(np.abs(winding) > np.pi)
        # A line of direction d pierces |d_z| + |d_y| + |d_x| squares a voxel: 3/2 on average.
        lines.append(pierced / 1.5 / phase.size)
        edges.append(counted_tpb(body.volume, periodic=True) / 1.5)
    # Loops below a voxel go unseen: 2 % at l = 4.
    assert_mean(lines, body.tpb_density, bias=0.02)
    # As the docstring says, voxel edges see more: 1.17 times 3/2.
    assert_mean(edges, 1.17 * body.tpb_density, bias=0.02)
    with pytest.raises(AssertionError):
        assert_mean(edges, body.tpb_density, bias=0.02)


def test_a_phase_missing_from_a_realisation_is_still_named() -> None:
    body = shapes.gaussian_random_field(
        (1, 1, 4), correlation_length=9, seed=0, fractions=(0.001, 0.999)
    )
    assert not (body.volume.labels == 0).any()
    assert body.volume.phase_labels == (0, 1)
