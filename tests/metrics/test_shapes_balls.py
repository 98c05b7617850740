"""Balls against plain counting, integration, and the law of the Boolean model."""

from __future__ import annotations

import numpy as np
import pytest
from reference_counting import assert_mean, counted_fractions, counted_two_point

from metrics import shapes
from metrics.shapes.balls import _ball_overlap, _paint_ball


def test_sphere_converges_at_three_resolutions() -> None:
    errors = []
    for n in (16, 32, 64):
        body = shapes.sphere((n, n, n), radius=0.4, offset=(0.05, 0, -0.05), spacing=1 / n)
        assert body.volume_fraction[1] == pytest.approx(4 / 3 * np.pi * 0.4**3)
        assert body.specific_surface_area == pytest.approx(4 * np.pi * 0.4**2)
        errors.append(abs(counted_fractions(body.volume)[1] - body.volume_fraction[1]))
    # Points of a lattice in a ball miss its volume by less than (h/R)^(3/2) = 0.008 at n = 64.
    assert errors[2] < 0.008 * body.volume_fraction[1]
    assert errors[2] < errors[0]


def test_sphere_two_point_and_euler_number() -> None:
    from skimage.measure import euler_number

    body = shapes.sphere((64, 64, 64), radius=15)
    mask = body.volume.labels == body.phase
    # Up to the image, at 64 - 30. Points miss the volume by less than (h/R)^(3/2) = 1.7 %.
    counted = counted_two_point(mask, 2)[:34]
    np.testing.assert_allclose(body.two_point(np.arange(34)), counted, atol=0.017 * counted[0])
    assert body.two_point(30.0) == 0
    assert euler_number(mask, connectivity=1) == body.euler_number


@pytest.mark.parametrize("contact", [0.8, 1.0, 1.08, 2 / np.sqrt(3)])
def test_fcc_fraction_against_counting_and_surface_against_its_derivative(contact: float) -> None:
    body = shapes.fcc_spheres(80, contact=contact, spacing=0.5)
    # R is 22 voxels or more: points miss the volume by less than (h/R)^(3/2) = 0.9 %, seen 0.2 %.
    assert counted_fractions(body.volume)[1] == pytest.approx(body.volume_fraction[1], rel=5e-3)
    # Growing all balls adds surface times dR, whatever the overlap: central difference, O(e^2).
    inner, outer = (contact - 2e-4, contact - 1e-4)
    grown = [
        shapes.fcc_spheres(1, contact=c, spacing=40).volume_fraction[1] for c in (inner, outer)
    ]
    middle = shapes.fcc_spheres(1, contact=(inner + outer) / 2, spacing=40)
    touching = 40 / np.sqrt(8)
    slope = (grown[1] - grown[0]) / ((outer - inner) * touching)
    assert slope == pytest.approx(middle.specific_surface_area, rel=1e-6)


def test_fcc_cells_repeat() -> None:
    one, many = shapes.fcc_spheres(10), shapes.fcc_spheres(10, cells=2)
    np.testing.assert_array_equal(np.tile(one.volume.labels, (2, 2, 2)), many.volume.labels)
    assert many.volume_fraction[1] == pytest.approx(np.pi / np.sqrt(18))  # Kepler
    assert many.interface_areas == pytest.approx(one.interface_areas)


def test_ball_overlap_against_integration() -> None:
    # Two balls apart by r share two caps: integrate their discs, exact for Simpson (quadratic).
    for r in (0.0, 0.7, 2.5, 3.999, 5.0):
        z = np.linspace(min(r / 2, 2), 2, 3)
        disc = np.pi * (4 - z**2)
        lens = 2 * (z[2] - z[0]) / 6 * (disc[0] + 4 * disc[1] + disc[2])
        assert _ball_overlap(r, 2.0) == pytest.approx(lens, abs=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
def test_painting_equals_all_distances(periodic: bool) -> None:
    shape, spacing, radius = (9, 12, 7), np.array([1.0, 0.5, 1.5]), 2.3
    extent = np.multiply(shape, spacing)
    painted, expected = np.zeros((2, *shape), dtype=bool)
    points = (np.indices(shape).reshape(3, -1).T + 0.5) * spacing
    for centre in np.random.default_rng(0).uniform(-2, extent + 2, size=(6, 3)):
        _paint_ball(painted, centre, radius, spacing, periodic)
        apart = points - centre
        if periodic:
            apart -= extent * np.round(apart / extent)
        expected |= ((apart**2).sum(axis=1) <= radius**2).reshape(shape)
    assert 0 < painted.mean() < 1
    np.testing.assert_array_equal(painted, expected)


def test_overlapping_spheres_ensemble() -> None:
    lags = np.array([1, 3, 6, 10])
    fractions, two_point, lineal = [], [], []
    for seed in range(60):
        body = shapes.overlapping_spheres((32, 32, 32), radius=4, density=0.003, seed=seed)
        void = body.volume.labels == 0
        fractions.append(void.mean())
        two_point.append(counted_two_point(void, 0)[lags])
        run = void.copy()
        for lag in range(1, 5):
            run &= np.roll(void, lag, 1)
        lineal.append(run.mean())
    assert_mean(fractions, body.volume_fraction[0])
    assert_mean(two_point, body.two_point(lags))
    # Points a voxel apart miss balls that a segment cuts between them: for a step h and q = h / 2R
    # balls met by the points of a segment of n steps fill V1 + n (V1 - K(h)), not V1 + n h pi R^2.
    shared = _ball_overlap(1.0, 4.0)
    ball = _ball_overlap(0.0, 4.0)
    assert_mean(lineal, body.volume_fraction[0] * np.exp(-0.003 * 4 * (ball - shared)))
    assert body.lineal_path(4.0) == pytest.approx(
        np.exp(-0.003 * (ball + np.pi * 16 * 4)), rel=1e-12
    )
    # Negative control: the law of another density is told apart by this ensemble.
    with pytest.raises(AssertionError):
        assert_mean(fractions, np.exp(-0.0033 * ball))


def test_overlapping_spheres_fill_open_volumes_to_the_border() -> None:
    border, expected = [], 0.0
    for seed in range(60):
        body = shapes.overlapping_spheres(
            (24, 24, 24), radius=4, density=0.003, seed=seed, periodic=False
        )
        border.append((body.volume.labels[0] == 0).mean())
        expected = body.volume_fraction[0]
    assert_mean(border, expected)
    # Negative control: centres drawn inside the volume alone would leave half the balls out there.
    with pytest.raises(AssertionError):
        assert_mean(border, np.sqrt(expected))
