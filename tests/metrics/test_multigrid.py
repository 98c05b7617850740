"""The multigrid solver: against the float64 sparse solve, and its preconditioner by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.trust.sparse_diffusion import CUBE, sparse_diffusivity, sparse_tensor
from metrics import shapes
from metrics.connectivity import through_mask
from metrics.solver import multigrid
from metrics.solver.arrays import Stencils
from metrics.solver.cells import CellLevel, Cells
from metrics.solver.cells_grid import grids
from metrics.solver.multigrid import Flow

# The value's error is the square of the field's: at tol 1e-3 up to 3e-5 in thin volumes of flat
# voxels, and 1e-6 elsewhere.
AGREEMENT = 1e-4
OPEN = (False, False, False)


def field(shape, fraction, *, seed=0, length=2.0):
    return shapes.gaussian_random_field(
        shape, correlation_length=length, seed=seed, fractions=(fraction, 1 - fraction)
    ).volume


def stencils(body, spacing=CUBE, *, periodic=False):
    return Stencils([body], spacing, "cpu", periodic=periodic)


def cells(body, spacing=CUBE, *, periodic=False):
    return Cells.between_planes(body, spacing, periodic=periodic)


BACK_ENDS = {"cells": cells, "stencils": stencils}


@pytest.fixture(params=BACK_ENDS)
def system(request):
    """What makes a body into equations: each back end in turn."""
    return BACK_ENDS[request.param]


def solve(equations, *, tol, max_iterations):
    """Flow of the only volume."""
    flow = multigrid.solve(equations, tol=tol, max_iterations=max_iterations)
    return Flow(*(of.item() for of in flow))


def homogenise(body, spacing, *, tol, max_iterations):
    systems = Cells.repeated(body, spacing)
    energies, residual = multigrid.homogenise(systems, tol=tol, max_iterations=max_iterations)
    return energies / (body.size * spacing[0] ** 2), residual


def three_phases(shape, seed=0):
    """Voxels at random, a fifth of them closed."""
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([1.0, 0.05, 0.0], np.float32), size=shape, p=[0.5, 0.3, 0.2])


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 0.5), (1.0, 5.0, 1.0), (5.0, 1.0, 1.0)])
@pytest.mark.parametrize("shape", [(32, 32, 32), (33, 17, 22), (5, 40, 21), (50, 20, 20)])
@pytest.mark.parametrize("fraction", [0.35, 0.5, 0.8])
def test_random_fields(system, shape, fraction, spacing):
    labels = field(shape, fraction).labels
    mask = through_mask(labels, phase=0, axis="z")
    found = solve(system(mask, spacing), tol=1e-3, max_iterations=500)
    assert max(found.spread, found.residual) < 1e-3
    expected = sparse_diffusivity(labels == 0, "z", spacing)
    assert found.value == pytest.approx(expected, rel=AGREEMENT)


@pytest.mark.parametrize("seed", [1, 3, 4, 6, 7, 9])
def test_a_phase_near_its_threshold(system, seed):
    """Of the first ten such fields these percolate; all hangs on a few voxels."""
    labels = field((32, 32, 32), 0.16, seed=seed, length=1.5).labels
    expected = sparse_diffusivity(labels == 0)
    assert 0 < expected < 0.02
    mask = through_mask(labels, phase=0, axis="z")
    found = solve(system(mask, CUBE), tol=1e-3, max_iterations=1000)
    assert found.value == pytest.approx(expected, rel=AGREEMENT)


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 0.5)])
@pytest.mark.parametrize("shape", [(24, 24, 24), (21, 15, 13), (5, 20, 19), (6, 2, 4)])
@pytest.mark.parametrize("periodic", [False, True])
def test_several_diffusivities_and_periodic_sides(system, shape, spacing, periodic):
    body = three_phases(shape)
    found = solve(system(body, spacing, periodic=periodic), tol=1e-6, max_iterations=1000)
    assert max(found.spread, found.residual) < 1e-6
    expected = sparse_diffusivity(body, "z", spacing, periodic=periodic)
    assert found.value == pytest.approx(expected, rel=1e-6)  # conductances are float32
    # Negative control: the sides matter.
    other = sparse_diffusivity(body, "z", spacing, periodic=not periodic)
    assert other != pytest.approx(expected, rel=1e-3)


def test_one_diffusivity_is_the_binary_case(system):
    mask = through_mask(field((20, 19, 18), 0.5).labels, phase=0, axis="z")
    one, scaled = (
        solve(system(m, CUBE), tol=1e-4, max_iterations=99) for m in (mask, 3 * np.float32(mask))
    )
    assert scaled.value == pytest.approx(3 * one.value, rel=1e-5)


@pytest.mark.parametrize("tol", [1e-6, 1e-12])
def test_float32_does_not_limit_what_can_be_asked_for(system, tol):
    labels = field((96, 32, 32), 0.3).labels
    mask = through_mask(labels, phase=0, axis="z")
    found = solve(system(mask, CUBE), tol=tol, max_iterations=200)
    assert found.spread < tol and found.residual < tol
    assert found.value == pytest.approx(sparse_diffusivity(labels == 0), rel=1e-9)


def test_without_a_new_residual_rounding_stays(system, monkeypatch):
    """Negative control: what conjugate gradients believe of their residual is not so."""
    mask = through_mask(field((96, 32, 32), 0.3).labels, phase=0, axis="z")
    monkeypatch.setattr(multigrid, "ROUNDING", 0.0)
    found = solve(system(mask, CUBE), tol=1e-7, max_iterations=40)
    assert found.residual < 1e-9 and found.spread > 1e-7


@pytest.mark.parametrize("periodic", [False, True])
def test_the_concentration_satisfies_the_equation(system, periodic):
    body = three_phases((16, 15, 14))
    body *= through_mask((body > 0).astype(np.uint8), phase=1, axis="z", periodic_sides=periodic)
    equations = system(body, CUBE, periodic=periodic)
    solve(equations, tol=1e-7, max_iterations=300)
    c = equations.concentrations([body])[0].astype(float)
    assert c[body == 0].max() == 0 and 0 < c[body > 0].min() and c.max() < 1
    net = np.zeros_like(c)
    for axis in range(3):
        ends = ((0, 1),) if axis and periodic else ((0, 0),)
        wide, d = (
            np.pad(np.moveaxis(a, axis, 0), (*ends, (0, 0), (0, 0)), "wrap") for a in (c, body)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.nan_to_num(2 * d[1:] * d[:-1] / (d[1:] + d[:-1]))
        flux = g * (wide[:-1] - wide[1:])
        of_axis = np.zeros_like(wide)
        of_axis[:-1] -= flux
        of_axis[1:] += flux
        if axis and periodic:
            of_axis[0] += of_axis[-1]
            of_axis = of_axis[:-1]
        net += np.moveaxis(of_axis, 0, axis)
    net[0] += 2 * body[0] * (1 - c[0])
    net[-1] -= 2 * body[-1] * c[-1]
    assert abs(net).max() < 1e-5  # float32 values near 1


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 0.5)])
@pytest.mark.parametrize("shape", [(16, 16, 16), (15, 9, 14), (1, 12, 13)])
def test_tensor_of_a_repeated_volume(shape, spacing):
    for body in (three_phases(shape), three_phases(shape, seed=1) > 0):
        tensor, residual = homogenise(body, spacing, tol=1e-6, max_iterations=500)
        assert residual < 1e-6
        expected = sparse_tensor(body, spacing)
        np.testing.assert_allclose(tensor, expected, atol=1e-6 * np.trace(expected))
        assert abs(expected[1, 2]) > 1e-4  # off the diagonal there is something to be found


def test_tensor_of_layers_is_series_and_parallel():
    body = np.where(np.arange(12)[:, None, None] % 4 < 2, np.float32(1), np.float32(0.25))
    body = np.broadcast_to(body, (12, 5, 7)).copy()
    tensor, _ = homogenise(body, CUBE, tol=1e-6, max_iterations=100)
    np.testing.assert_allclose(tensor, np.diag([0.4, 0.625, 0.625]), atol=1e-7)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.9))
def test_an_open_voxel_more_never_lowers_the_value(seed, fraction):
    rng = np.random.default_rng(seed)
    body = rng.random((8, 7, 6)) < fraction
    more = body.copy()
    more[tuple(rng.integers(body.shape))] = True
    before, after = (
        solve(cells(m), tol=1e-5, max_iterations=200).value
        for m in (
            through_mask(b.astype(np.uint8) + 1, phase=2, axis="z")
            for b in (body | _rod(), more | _rod())
        )
    )
    assert after >= before * (1 - 1e-7)


def _rod():
    """A channel, so that something always percolates."""
    rod = np.zeros((8, 7, 6), bool)
    rod[:, 3, 3] = True
    return rod


@pytest.mark.parametrize("rings", [OPEN, (False, True, True), (True, True, True)])
@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 7, 5), (6, 1, 3), (2, 2, 1)])
def test_grids_are_consistent(shape, rings):
    body = np.random.default_rng(1).random(shape) < 0.7
    for conductivity in (body, np.where(body, np.float32(0.5), np.float32(0))):
        for grid in grids(conductivity, (1.0, 2.0, 0.5), planes=not rings[0], rings=rings):
            n = len(grid.inverse)
            colour = np.concatenate([np.full(b - a, k) for k, (a, b) in enumerate(grid.colours)])
            for d, row in enumerate(grid.neighbours):
                linked = np.flatnonzero(row < n)
                assert (grid.neighbours[d ^ 1, row[linked]] == linked).all()
                assert (colour[linked] != colour[row[linked]]).all()
                if grid.weights.ndim == 2:
                    there = grid.weights[d ^ 1, row[linked]]
                    np.testing.assert_allclose(grid.weights[d, linked], there, rtol=1e-6)
            if grid.weights.ndim == 2:
                sums = grid.weights.sum(axis=0)
                np.testing.assert_allclose(grid.inverse * sums, sums > 0, rtol=1e-6)


def test_a_coarse_face_conducts_half_the_sum_of_its_four():
    fine, coarse = grids(np.ones((8, 8, 8), bool), (1.0, 2.0, 0.5), planes=True, rings=OPEN)
    assert fine.weights.tolist() == [1, 0.25, 4]
    inner = coarse.neighbours < len(coarse.inverse)
    for d, per_face in enumerate((1, 1, 0.25, 0.25, 4, 4)):
        assert set(coarse.weights[d, inner[d]].tolist()) == {2 * per_face}
    assert set(coarse.weights[0, ~inner[0]].tolist()) == {4.0}  # half a cell from the plane
    assert set(coarse.weights[2:,][~inner[2:]].tolist()) == {0.0}


@pytest.mark.parametrize("shape", [(19, 16, 13), (8, 9, 7)])
@pytest.mark.parametrize("periodic", [False, True])
def test_the_cycle_is_symmetric_and_positive(shape, periodic):
    """As a preconditioner of conjugate gradients must be: u M v = v M u, u M u > 0."""
    mask = through_mask(field(shape, 0.45).labels, phase=0, axis="z")
    levels = cells(mask, periodic=periodic).levels
    n = len(levels[0].grid.inverse)
    rng = np.random.default_rng(0)
    u, v = (np.append(rng.normal(size=n), 0).astype(np.float32) for _ in "uv")

    def cycle(b):
        levels[0].b[...] = b
        multigrid._cycle(levels, 0)
        return levels[0].x.astype(float)

    mu, mv = cycle(u), cycle(v)
    assert (u * mv).sum() == pytest.approx((v * mu).sum(), rel=1e-4)  # float32
    assert (u * mu).sum() > 0 and (v * mv).sum() > 0


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 0.5)])
@pytest.mark.parametrize("shape", [(16, 16, 16), (21, 15, 13), (5, 20, 19), (6, 2, 4)])
@pytest.mark.parametrize("periodic", [False, True])
def test_both_back_ends_run_one_algorithm(shape, spacing, periodic):
    for body in (three_phases(shape), field(shape, 0.6, length=1.0).labels == 0):
        body = body * through_mask(
            (body > 0).view(np.uint8), phase=1, axis="z", periodic_sides=periodic
        )
        one, other = (make(body, spacing, periodic=periodic) for make in BACK_ENDS.values())
        flows = [solve(equations, tol=1e-5, max_iterations=200) for equations in (one, other)]
        # Rounding may let one meet the tolerance a check before the other.
        assert abs(flows[0].iterations - flows[1].iterations) <= multigrid.CHECK_EVERY
        assert flows[0].value == pytest.approx(flows[1].value, rel=1e-7)  # float32 conductances
        fields = [equations.concentrations([body])[0] for equations in (one, other)]
        np.testing.assert_allclose(*fields, atol=1e-6)
        for list_, array in zip(one.levels, other.levels, strict=True):
            assert list_.colours == array.colours
            # On every grid the same cells conduct, equally well.
            inverse = np.sort(np.sum([of.numpy().ravel() for of in array.inverse], axis=0))
            inverse = inverse[inverse > 0]
            np.testing.assert_allclose(inverse, np.sort(list_.grid.inverse[list_.grid.inverse > 0]),
                                       rtol=1e-6)  # fmt: skip


def test_a_batch_is_solved_as_its_volumes_alone():
    easy, hard = (
        through_mask(field((20, 19, 18), fraction, seed=seed).labels, phase=0, axis="z")
        for fraction, seed in ((0.8, 0), (0.35, 1))
    )
    options = {"tol": 1e-6, "max_iterations": 200}
    together = multigrid.solve(Stencils([easy, hard, easy], CUBE, "cpu", periodic=False), **options)
    alone = [solve(stencils(mask), **options) for mask in (easy, hard, easy)]
    assert together.iterations.tolist() == [flow.iterations for flow in alone]
    assert together.iterations[0] < together.iterations[1]
    np.testing.assert_allclose(together.value, [flow.value for flow in alone], rtol=1e-9)


def test_without_coarse_grids_it_takes_many_times_longer(monkeypatch):
    mask = through_mask(field((48, 48, 48), 0.5, length=3).labels, phase=0, axis="z")
    found = solve(cells(mask), tol=1e-3, max_iterations=500)

    def relax_only(level):
        level.start()
        for colour in (1, 0):
            level.relax(colour)

    monkeypatch.setattr("metrics.solver.cells_grid.COARSEST", 48)
    monkeypatch.setattr(CellLevel, "solve", relax_only)
    alone = solve(cells(mask), tol=1e-3, max_iterations=500)
    assert alone.iterations > 2 * found.iterations
    assert alone.value == pytest.approx(found.value, rel=AGREEMENT)


def test_iterations_hardly_grow_with_size(system):
    counts = [
        solve(
            system(through_mask(field((n, n, n), 0.5, length=3).labels, phase=0, axis="z")),
            tol=1e-3,
            max_iterations=500,
        ).iterations
        for n in (24, 48, 96)
    ]
    assert all(
        after <= before + 4 for before, after in pairwise(counts)
    )  # relaxation: twice as many


def test_the_limit_of_iterations_holds(system):
    mask = through_mask(field((24, 24, 24), 0.4).labels, phase=0, axis="z")
    found = solve(system(mask, CUBE), tol=1e-5, max_iterations=3)
    assert found.iterations == 3 and found.residual > 1e-5


def test_what_is_straight_takes_no_iteration(system):
    mask = np.zeros((7, 6, 5), bool)
    mask[:, 2:4] = True
    found = solve(system(mask, CUBE), tol=1e-12, max_iterations=50)
    assert found.value == pytest.approx(1 / 3, rel=1e-7)
