"""The tensor of a repeated volume: closed forms, symmetries, and the sparse solve."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trust.sparse_diffusion import sparse_tensor
from metrics import ConvergenceError, InputError, Volume, diffusivity_tensor

TABLE = {0: 1.0, 1: 0.05, 2: 0.0}


def noise(shape: tuple[int, int, int] = (14, 13, 12)) -> np.ndarray:
    return np.random.default_rng(5).choice(3, size=shape, p=[0.5, 0.3, 0.2])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_agrees_with_the_sparse_solve(spacing: tuple[float, float, float]) -> None:
    labels = noise()
    found = diffusivity_tensor(Volume(labels, spacing), diffusivities=TABLE)
    expected = sparse_tensor(np.array(list(TABLE.values()))[labels], spacing)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.trace(expected))
    assert (found == found.T).all()


def test_turning_and_shifting_the_volume_turns_the_tensor_and_leaves_it() -> None:
    labels = noise()
    found = diffusivity_tensor(labels, phase=0, tol=1e-5)
    shifted = diffusivity_tensor(np.roll(labels, (3, 5, 1), (0, 1, 2)), phase=0, tol=1e-5)
    np.testing.assert_allclose(shifted, found, atol=1e-7)
    turned = diffusivity_tensor(labels.transpose(2, 0, 1), phase=0, tol=1e-5)
    order = [2, 0, 1]
    np.testing.assert_allclose(turned, found[np.ix_(order, order)], atol=1e-7)


def test_tilted_layers_have_their_axes_turned() -> None:
    """Layers along z + y: series across, parallel within, halfway between along z and y."""
    series, parallel = 2 / 3, 0.75
    exact = np.array(
        [
            [(series + parallel) / 2, (series - parallel) / 2, 0],
            [(series - parallel) / 2, (series + parallel) / 2, 0],
            [0, 0, parallel],
        ]
    )
    errors = []
    for thickness in (4, 8, 16):
        z, y, _ = np.indices((2 * thickness, 2 * thickness, 3))
        labels = ((z + y) // thickness) % 2
        found = diffusivity_tensor(labels, diffusivities={0: 1.0, 1: 0.5}, tol=1e-5)
        errors.append(abs(found - exact).max())
    # Stairs in place of planes are of first order in the voxel size.
    assert errors[2] < 0.6 * errors[1] < 0.36 * errors[0] < 0.004


def test_what_does_not_connect_to_itself_conducts_nothing() -> None:
    labels = np.zeros((6, 6, 6), int)
    labels[1:4, 2:5, 2:4] = 1
    labels[:, 0, 0] = 1
    found = diffusivity_tensor(labels, phase=1)
    np.testing.assert_allclose(found, np.diag([1 / 36, 0, 0]), atol=1e-9)


@pytest.mark.parametrize("axes", ["z", "y", "x", "zy", "zx"])
def test_a_single_layer_has_the_tensor_of_the_body_that_it_repeats(axes: str) -> None:
    thin = tuple(slice(1) if name in axes else slice(None) for name in "zyx")
    labels = np.random.default_rng(3).integers(0, 2, (4, 5, 6))[thin]
    spacing, values = (1.0, 0.5, 2.0), {0: 1.0, 1: 0.2}
    tiled = np.tile(labels, [3 if name in axes else 1 for name in "zyx"])
    one, many = (
        diffusivity_tensor(Volume(body, spacing), diffusivities=values, tol=1e-6)
        for body in (labels, tiled)
    )
    np.testing.assert_allclose(one, many, atol=1e-7)
    assert (one.diagonal() > 0.2).all()


def test_refusals() -> None:
    with pytest.raises(InputError, match="no phase 9"):
        diffusivity_tensor(noise(), phase=9)
    with pytest.raises(InputError, match="either"):
        diffusivity_tensor(noise())
    with pytest.raises(ConvergenceError, match="in 2 iterations"):
        diffusivity_tensor(noise(), phase=0, tol=1e-9, max_iterations=2)
