"""Calls of the effective diffusivity: batches, limits, diffusivities, periodic sides, fields."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from diffusing import random_field

from benchmarks.trust.sparse_diffusion import sparse_diffusivity
from metrics import through_mask
from metrics.diffusivity import (
    ConvergenceError,
    Diffusivity,
    effective_diffusivities,
    effective_diffusivity,
)
from metrics.volume import AXES, InputError, Volume

TAUFACTOR = {"solver": "taufactor"}


@pytest.mark.usefixtures("solver")
def test_spacing_scale_does_not_matter():
    one, two = (
        effective_diffusivity(Volume(random_field(), (scale, scale, scale)), phase=1, axis="z")
        for scale in (1.0, 0.002)
    )
    assert one == two


@pytest.mark.usefixtures("solver")
def test_batch_equals_singles():
    slow, fast = random_field(fraction=0.3, smoothing=0.8, seed=5), random_field(seed=1)
    blocked = np.zeros_like(slow)
    blocked[:10] = 1
    options = {"phase": 1, "axis": "z", "tol": 2e-4}
    batch = effective_diffusivities([slow, blocked, fast], **options)
    singles = [effective_diffusivity(volume, **options) for volume in (slow, blocked, fast)]
    for together, alone in zip(batch, singles, strict=True):
        # Each stops where it would stop alone; only the order of float32 sums may differ.
        assert together.iterations == alone.iterations
        assert together.value == pytest.approx(alone.value, rel=1e-5)
        assert together.percolates == alone.percolates
    assert batch[0].iterations > batch[2].iterations > batch[1].iterations == 0
    assert effective_diffusivities([], phase=1, axis="z") == []


def test_batch_reports_each_volume():
    hard, easy = random_field(fraction=0.3, smoothing=0.8, seed=5), np.ones_like(random_field())
    easy[0, 0, 0] = 0
    options = {"phase": 1, "axis": "z", "tol": 1e-4, "max_iterations": 8}
    results = effective_diffusivities([hard, easy], throw=False, **options)
    assert [result.converged for result in results] == [False, True]
    with pytest.raises(ConvergenceError, match="for 1 of 2 volumes"):
        effective_diffusivities([hard, easy], **options)


@pytest.mark.parametrize("limit", [1, 99, 100])
def test_too_few_iterations_are_an_error(limit):
    options = {"phase": 1, "axis": "z", "max_iterations": limit, "solver": "taufactor"}
    with pytest.raises(ConvergenceError, match=rf"in {limit} iterations.*raise max_iterations"):
        effective_diffusivity(random_field(), **options)
    result = effective_diffusivity(random_field(), throw=False, **options)
    assert isinstance(result, Diffusivity)
    assert not result.converged
    assert result.iterations == limit
    assert result.residual > 0
    assert math.isfinite(result.value)


def test_tighter_tol_is_nearer_to_the_sparse_solve():
    labels = random_field((30, 20, 20), 0.3, 0.8, seed=4)
    expected = sparse_diffusivity(labels == 1)
    errors, residuals = [], []
    for tol in (1e-1, 1e-2, 1e-3):
        result = effective_diffusivity(labels, phase=1, axis="z", tol=tol, solver="taufactor")
        errors.append(abs(result.value / expected - 1))
        residuals.append(result.residual)
        assert result.residual < tol
    assert errors[2] < errors[0] / 10
    assert residuals == sorted(residuals, reverse=True)


@pytest.mark.usefixtures("solver")
def test_prints_and_warns_nothing(capsys, recwarn):
    labels = random_field()
    effective_diffusivity(Volume(labels, (20.0, 1.0, 1.0)), phase=1, axis="y", throw=False)
    effective_diffusivity(labels, phase=1, axis="z", max_iterations=100, throw=False)
    assert capsys.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.usefixtures("solver")
def test_dtype_order_and_stride_do_not_matter():
    labels = random_field((10, 9, 8), 0.5)
    expected = effective_diffusivity(labels, phase=1, axis="y")
    for other in (
        labels.astype(bool),
        labels.astype(np.int64),
        np.asfortranarray(labels),
        np.repeat(labels, 2, axis=0)[::2],
    ):
        assert effective_diffusivity(other, phase=1, axis="y") == expected
    assert effective_diffusivity(labels * 255, phase=255, axis="y") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": None}, "either the conducting phase, or diffusivities"),
        (
            {"solver": "multigrid", "diffusivities": {0: 1.0}},
            "either the conducting phase, or diffusivities",
        ),
        ({**TAUFACTOR, "periodic_sides": True}, "use multigrid"),
        ({**TAUFACTOR, "concentration": True}, "use multigrid"),
        ({**TAUFACTOR, "phase": None, "diffusivities": {0: 1.0}}, "use multigrid"),
        ({"phase": None, "diffusivities": {0: -1.0}}, "must be 0 or positive numbers, got -1.0"),
        ({"phase": None, "diffusivities": {0: math.inf}}, "must be 0 or positive numbers, got inf"),
        ({"phase": None, "diffusivities": {0: 0.0}}, "nothing conducts"),
        ({"phase": None, "diffusivities": {7: 1.0}}, "no phase 7"),
        (
            {"solver": "magic"},
            "solver must be one of multigrid, .*got 'magic'",
        ),
        ({"axis": "q"}, "axis must be one of"),
        ({"phase": 9}, "no phase 9"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"tol": math.nan}, "tol must be positive"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        effective_diffusivity(random_field(), **{"phase": 1, "axis": "z", **options})


@pytest.mark.parametrize("axis", AXES)
def test_layers_of_two_diffusivities_are_series_and_parallel(axis):
    labels = np.broadcast_to(np.arange(10)[:, None, None] % 2, (10, 8, 6))
    result = effective_diffusivity(labels, axis=axis, diffusivities={0: 1.0, 1: 0.25})
    assert result.value == pytest.approx(0.4 if axis == "z" else 0.625, rel=1e-4)
    assert (result.volume_fraction, result.mean_diffusivity) == (1.0, 0.625)
    assert result.tau == pytest.approx(0.625 / result.value)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("periodic", [False, True])
def test_three_diffusivities_agree_with_the_sparse_solve(axis, periodic):
    labels = np.random.default_rng(2).choice(3, size=(18, 17, 15), p=[0.5, 0.3, 0.2])
    table = {0: 1.0, 1: 0.05, 2: 0.0}
    result = effective_diffusivity(
        Volume(labels, (1.0, 2.0, 0.5)),
        axis=axis, diffusivities=table, periodic_sides=periodic, tol=1e-5,
    )  # fmt: skip
    body = np.array(list(table.values()))[labels]
    expected = sparse_diffusivity(body, axis, (1.0, 2.0, 0.5), periodic=periodic)
    assert result.value == pytest.approx(expected, rel=1e-6)
    assert result.mean_diffusivity == pytest.approx(body.mean())
    assert result.volume_fraction == pytest.approx((body > 0).mean())


def test_two_phases_of_one_diffusivity_are_one_phase():
    labels = np.random.default_rng(2).choice(3, size=(12, 11, 10))
    options = {"axis": "y", "tol": 1e-5}
    two = effective_diffusivity(labels, diffusivities={0: 1.0, 2: 1.0}, **options)
    one = effective_diffusivity((labels != 1).astype(int), phase=1, **options)
    assert two.value == pytest.approx(one.value, rel=1e-6)
    assert two.percolating_fraction == one.percolating_fraction


def test_a_channel_may_run_through_a_periodic_side():
    labels = np.zeros((9, 6, 1), dtype=np.uint8)
    labels[:5, 0] = labels[4:, -1] = 1
    options = {"phase": 1, "axis": "z"}
    assert not effective_diffusivity(labels, **options).percolates
    # 9 cells along z, one step across, all in series; one column of six.
    found = effective_diffusivity(labels, periodic_sides=True, **options)
    assert found.value == pytest.approx(9 / 10 / 6, rel=1e-5)


@pytest.mark.parametrize("axis", AXES)
def test_concentration_falls_from_one_plane_to_the_other(axis):
    labels = random_field()
    found = effective_diffusivity(labels, phase=1, axis=axis, tol=1e-5, concentration=True)
    c = found.concentration
    assert c.shape == labels.shape and c.dtype == np.float32
    through = through_mask(labels, phase=1, axis=axis)
    assert (c[~through] == 0).all() and (c[through] > 0).all()
    along, open_ = (np.moveaxis(a, "zyx".index(axis), 0) for a in (c, through))
    flux = 2 * (1 - along[0][open_[0]]).sum() * len(along) / open_[0].size
    assert flux == pytest.approx(found.value, rel=1e-4)
    bar = effective_diffusivity(np.ones((4, 1, 1), int), phase=1, axis="z", concentration=True)
    assert bar.concentration.ravel().tolist() == [0.875, 0.625, 0.375, 0.125]
    assert effective_diffusivity(labels, phase=1, axis=axis).concentration is None


def test_unequal_batches_are_refused():
    labels = random_field()
    for other, what in ((labels[1:], "shape"), (Volume(labels, (1.0, 2.0, 1.0)), "spacing")):
        for pair in itertools.permutations([labels, other]):
            with pytest.raises(InputError, match=f"must have one {what}"):
                effective_diffusivities(pair, phase=1, axis="z")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_value_of_the_cpu():
    volumes = [random_field((48, 40, 44), fraction) for fraction in (0.4, 0.7)]
    options = {"phase": 1, "axis": "y", "tol": 1e-5, "concentration": True}
    for cpu, gpu in zip(
        effective_diffusivities(volumes, **options),
        effective_diffusivities(volumes, **options, device="cuda"),
        strict=True,
    ):
        assert gpu.value == pytest.approx(cpu.value, rel=1e-5)
        np.testing.assert_allclose(gpu.concentration, cpu.concentration, atol=1e-5)
