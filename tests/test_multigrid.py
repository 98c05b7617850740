"""The multigrid solver: against the float64 sparse solve, and its preconditioner by itself."""

from __future__ import annotations

import numpy as np
import pytest
from reference_diffusion import sparse_diffusivity

from metrics import multigrid, shapes
from metrics.connectivity import through_mask
from metrics.multigrid import solve

CUBE = (1.0, 1.0, 1.0)
# The value's error is the square of the field's, at tol 1e-3 up to 3e-5 in thin volumes of flat
# voxels and 1e-6 elsewhere.
AGREEMENT = 1e-4


def field(shape, fraction, *, seed=0, length=2.0):
    return shapes.gaussian_random_field(
        shape, correlation_length=length, seed=seed, fractions=(fraction, 1 - fraction)
    ).volume


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 0.5), (1.0, 5.0, 1.0), (5.0, 1.0, 1.0)])
@pytest.mark.parametrize("shape", [(32, 32, 32), (33, 17, 22), (5, 40, 21), (50, 20, 20)])
@pytest.mark.parametrize("fraction", [0.35, 0.5, 0.8])
def test_random_fields(shape, fraction, spacing):
    labels = field(shape, fraction).labels
    mask = through_mask(labels, phase=0, axis="z")
    found = solve(mask, spacing, tol=1e-3, max_iterations=500)
    assert max(found.spread, found.residual) < 1e-3
    expected = sparse_diffusivity(labels == 0, "z", spacing)
    assert found.value == pytest.approx(expected, rel=AGREEMENT)


@pytest.mark.parametrize("seed", [1, 3, 4, 6, 7, 9])
def test_a_phase_near_its_threshold(seed):
    """Of the first ten such fields these percolate; all hangs on a few voxels."""
    labels = field((32, 32, 32), 0.16, seed=seed, length=1.5).labels
    expected = sparse_diffusivity(labels == 0)
    assert 0 < expected < 0.02
    mask = through_mask(labels, phase=0, axis="z")
    found = solve(mask, CUBE, tol=1e-3, max_iterations=1000)
    assert found.value == pytest.approx(expected, rel=AGREEMENT)


def test_a_spread_of_one_in_a_million_is_reached_where_asked():
    mask = through_mask(field((24, 24, 24), 0.5).labels, phase=0, axis="z")
    found = solve(mask, CUBE, tol=2e-6, max_iterations=100)
    assert found.spread < 2e-6 and found.residual < 2e-6


def test_the_concentration_satisfies_the_equation():
    labels = field((16, 16, 16), 0.5).labels
    mask = through_mask(labels, phase=0, axis="z")
    c = solve(mask, CUBE, tol=1e-6, max_iterations=100).concentration.astype(float)
    assert c[~mask].max() == 0 and 0 < c[mask].min() and c.max() < 1
    net = np.zeros_like(c)
    for axis in range(3):
        ahead, here = (np.moveaxis(a, axis, 0) for a in (c, net))
        open_ = np.moveaxis(mask, axis, 0)
        flux = np.where(open_[1:] & open_[:-1], ahead[:-1] - ahead[1:], 0)
        here[:-1] -= flux
        here[1:] += flux
    net[0] += np.where(mask[0], 2 * (1 - c[0]), 0)
    net[-1] -= np.where(mask[-1], 2 * c[-1], 0)
    assert abs(net).max() < 1e-5  # float32 values near 1


def test_the_cycle_is_symmetric_and_positive():
    """As a preconditioner of conjugate gradients must be: u M v = v M u, u M u > 0."""
    mask = through_mask(field((19, 16, 13), 0.45).labels, phase=0, axis="z")
    levels = multigrid._levels(mask, (np.float32(1),) * 3)
    rng = np.random.default_rng(0)
    inside = np.pad(mask, 1)
    u, v = (np.where(inside, rng.normal(size=inside.shape), 0).astype(np.float32) for _ in "uv")

    def cycle(b):
        levels[0].b[...] = b
        return multigrid._cycle(levels, 0).astype(float)

    mu, mv = cycle(u).copy(), cycle(v).copy()
    assert (u * mv).sum() == pytest.approx((v * mu).sum(), rel=1e-4)  # float32
    assert (u * mu).sum() > 0 and (v * mv).sum() > 0


def test_without_coarse_grids_it_takes_many_times_longer(monkeypatch):
    mask = through_mask(field((48, 48, 48), 0.5, length=3).labels, phase=0, axis="z")
    found = solve(mask, CUBE, tol=1e-3, max_iterations=500)
    monkeypatch.setattr(multigrid, "COARSEST", 48)
    monkeypatch.setattr(multigrid, "COARSEST_SWEEPS", 1)
    alone = solve(mask, CUBE, tol=1e-3, max_iterations=500)
    assert alone.iterations > 2 * found.iterations
    assert alone.value == pytest.approx(found.value, rel=AGREEMENT)


def test_iterations_hardly_grow_with_size():
    counts = [
        solve(
            through_mask(field((n, n, n), 0.5, length=3).labels, phase=0, axis="z"),
            CUBE, tol=1e-3, max_iterations=500,
        ).iterations
        for n in (24, 48, 96)
    ]  # fmt: skip
    assert counts[2] < 2 * counts[0]  # a relaxation alone would take four times as many


def test_the_limit_of_iterations_holds():
    mask = through_mask(field((24, 24, 24), 0.4).labels, phase=0, axis="z")
    found = solve(mask, CUBE, tol=1e-3, max_iterations=3)
    assert found.iterations == 3 and found.residual > 1e-3
