"""The multigrid solver on many bodies, against the sparse solve and TauFactor."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.trust.accuracy_diffusivity import AGREEMENT, AGREEMENT_TAUFACTOR, BODIES, row
from metrics import (
    Volume,
    diffusivity_tensor,
    effective_diffusivities,
    effective_diffusivity,
    shapes,
)
from metrics.volume import InputError


@pytest.mark.parametrize("name", BODIES)
def test_three_solves_of_one_discretisation_agree(name: str) -> None:
    try:
        found = row(name, BODIES[name])
    except InputError as missing:
        pytest.skip(str(missing))
    assert found["sparse solve"] > 0
    assert abs(found["multigrid / sparse - 1"]) < AGREEMENT
    if not math.isnan(found["TauFactor"]):
        assert abs(found["multigrid / TauFactor - 1"]) < AGREEMENT_TAUFACTOR


def fcc_conductivity(phi: float) -> float:
    """Insulating spheres on an fcc lattice (Sangani and Acrivos 1983, doi 10.1098/rspa.1983.0020).

    Of the multipole series the terms up to phi^(22/3).
    """
    c1, c2, c3, c4, c5, c6 = 0.0753, 0.697, -0.741, 0.0420, 0.0231, 9.14e-7
    l1, l2, l3, l4, l5 = (-(2 * i - 1) / (2 * i) for i in range(1, 6))
    series = c1 * l2 * phi ** (10 / 3) * (1 + c2 * l3 * phi ** (11 / 3))
    series /= 1 - c3 * l2 * phi ** (7 / 3)
    series += c4 * l3 * phi ** (14 / 3) + c5 * l4 * phi**6 + c6 * l5 * phi ** (22 / 3)
    return 1 - 3 * phi / (-1 / l1 + phi + series)


def test_fcc_spheres_approach_the_literature_at_first_order() -> None:
    sizes, errors = np.array([24, 48, 96]), []
    for n in sizes:
        volume = shapes.fcc_spheres(int(n), contact=0.7).volume
        tensor = diffusivity_tensor(volume, phase=0)
        np.testing.assert_allclose(tensor, tensor[0, 0] * np.eye(3), atol=1e-6)
        # Of the fraction that the voxels have: that of the spheres scatters by more than this.
        errors.append(tensor[0, 0] / fcc_conductivity(np.mean(volume.labels == 1)) - 1)
    assert errors[2] == pytest.approx(-0.013, abs=0.001)
    # Stairs in place of spheres: half the error at half the voxel. Extrapolated, nothing is left.
    np.testing.assert_allclose(sizes * errors, sizes[2] * errors[2], rtol=0.1)
    assert abs(2 * errors[2] - errors[1]) < 1e-3


def test_flat_voxels_are_a_stretched_body() -> None:
    flat = shapes.gaussian_random_field(
        (24, 48, 48), correlation_length=6, seed=2, fractions=(0.5, 0.5)
    ).volume.labels
    options = {"phase": 0, "axis": "z", "solver": "multigrid", "tol": 1e-5}
    one = effective_diffusivity(Volume(flat, (2.0, 1.0, 1.0)), **options).value
    other = effective_diffusivity(np.repeat(flat, 2, axis=0), **options).value
    # Twice as many layers resolve more of each bend: 3 %.
    assert one == pytest.approx(other, rel=0.05)
    assert effective_diffusivity(flat, **options).value != pytest.approx(other, rel=0.2)


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
def test_isotropic_fields_lie_below_the_upper_bound_of_hashin_and_shtrikman(
    fraction: float,
) -> None:
    fields = [
        shapes.gaussian_random_field(
            (40,) * 3, correlation_length=3, seed=seed, fractions=(fraction, 1 - fraction)
        ).volume
        for seed in range(4)
    ]
    found = effective_diffusivities(fields, phase=0, axis="z", solver="multigrid")
    phi = np.mean([one.volume_fraction for one in found])
    assert np.mean([one.value for one in found]) < 2 * phi / (3 - phi)
    assert all(one.value <= one.volume_fraction for one in found)
