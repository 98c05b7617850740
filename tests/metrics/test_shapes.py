"""What holds for every body: consistency, scaling, Debye's relation, seeds, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import shapes
from metrics.shapes import Body
from metrics.volume import InputError

CUBE = (8, 8, 8)

# One small example of every body, its lengths in terms of a unit `u`.
EXAMPLES: dict[str, Callable[[float], Body]] = {
    "slab": lambda u: shapes.slab((8, 3, 2), thickness=2, spacing=u),
    "laminate": lambda u: shapes.laminate((6, 3, 2), thicknesses=(1, 3, 2), spacing=u),
    "checkerboard": lambda u: shapes.checkerboard((4, 4, 8), cell=2, spacing=u),
    "sphere": lambda u: shapes.sphere(CUBE, radius=3 * u, offset=(u, 0, 0), spacing=u),
    "fcc_spheres": lambda u: shapes.fcc_spheres(8, cells=2, spacing=u),
    "overlapping_spheres": lambda u: shapes.overlapping_spheres(
        CUBE, radius=2 * u, density=0.02 / u**3, seed=3, spacing=u
    ),
    "three_phase_corner": lambda u: shapes.three_phase_corner((3, 5, 4), spacing=u),
    "tilted_triple_line": lambda u: shapes.tilted_triple_line(
        CUBE, direction=(1, 2, 3), offset=(0, u, 0), spacing=u
    ),
    "straight_channel": lambda u: shapes.straight_channel((3, 8, 6), spacing=u),
    "tilted_channel": lambda u: shapes.tilted_channel(
        (8, 2, 16), thickness=3 * u, angle=20, spacing=u
    ),
    "gaussian_random_field": lambda u: shapes.gaussian_random_field(
        CUBE, correlation_length=2 * u, seed=1, fractions=(0.3, 0.3, 0.4), spacing=u
    ),
    "plurigaussian": lambda u: shapes.plurigaussian(
        CUBE, correlation_length=2 * u, seed=1, spacing=u
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_bodies_are_consistent(name: str) -> None:
    body = EXAMPLES[name](1.0)
    assert body.volume.labels.dtype == np.uint8
    assert body.phase in body.volume.phase_labels
    if body.volume_fraction is not None:
        assert sum(body.volume_fraction.values()) == pytest.approx(1)
        assert tuple(body.volume_fraction) == body.volume.phase_labels
    if body.two_point is not None and body.volume_fraction is not None:
        assert body.two_point(0.0) == pytest.approx(body.volume_fraction[body.phase])
        assert body.two_point(np.ones((2, 3)), axis="x").shape == (2, 3)


@pytest.mark.parametrize("name", EXAMPLES)
@given(unit=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
@settings(max_examples=4)
def test_scaling_every_length_keeps_the_labels(name: str, unit: float) -> None:
    one, scaled = EXAMPLES[name](1.0), EXAMPLES[name](unit)
    np.testing.assert_array_equal(one.volume.labels, scaled.volume.labels)
    assert one.volume_fraction == pytest.approx(scaled.volume_fraction)
    if one.interface_areas is not None:
        assert scaled.interface_areas == pytest.approx(
            {pair: area / unit for pair, area in one.interface_areas.items()}
        )
    if one.tpb_density is not None:
        assert scaled.tpb_density == pytest.approx(one.tpb_density / unit**2)
    if one.two_point is not None:
        lags = np.arange(4)
        np.testing.assert_allclose(scaled.two_point(unit * lags), one.two_point(lags))
    if one.lineal_path is not None:
        assert scaled.lineal_path(3 * unit) == pytest.approx(one.lineal_path(3))
    assert one.effective_diffusivity == pytest.approx(scaled.effective_diffusivity)


@pytest.mark.parametrize(
    "body",
    [
        shapes.sphere((64, 64, 64), radius=20),
        shapes.overlapping_spheres((64, 64, 64), radius=5, density=0.001, seed=0),
        shapes.gaussian_random_field(CUBE, correlation_length=1, seed=0, fractions=(0.2, 0.8)),
        shapes.plurigaussian(CUBE, correlation_length=1, seed=0, fractions=(0.2, 0.5, 0.3)),
    ],
    ids=["sphere", "overlapping_spheres", "gaussian_random_field", "plurigaussian"],
)
def test_surface_is_minus_four_times_the_slope_of_s2(body: Body) -> None:
    # Debye: S2'(0) = -s / 4 in any isotropic body. The one-sided difference is off by O(h) = 1e-4.
    slope = (body.two_point(1e-4) - body.two_point(0.0)) / 1e-4
    assert -4 * slope == pytest.approx(body.specific_surface_area, rel=1e-3)


@pytest.mark.parametrize("name", ["overlapping_spheres", "gaussian_random_field", "plurigaussian"])
def test_seeds(name: str) -> None:
    options: dict[str, Any] = {"correlation_length": 2.0}
    if name == "overlapping_spheres":
        options = {"radius": 2.0, "density": 0.02}
    first, same, other = (
        getattr(shapes, name)(CUBE, seed=seed, **options).volume.labels for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shapes.slab((7, 2, 2), thickness=2), "sum divides the 7 voxels along z"),
        (lambda: shapes.slab((8, 2, 2), thickness=2, axis="w"), "axis must be one of"),
        (lambda: shapes.laminate(CUBE, thicknesses=(8,)), "two or more"),
        (lambda: shapes.laminate(CUBE, thicknesses=(4, 4), phase=2), "one of the 2 layers"),
        (lambda: shapes.laminate((8, 8), thicknesses=(4, 4)), "three positive voxel counts"),
        (lambda: shapes.checkerboard((4, 4, 6), cell=2), "multiple of two cells"),
        (lambda: shapes.sphere(CUBE, radius=4.5), "leaves the volume"),
        (lambda: shapes.sphere(CUBE, radius=-1), "radius must be positive"),
        (lambda: shapes.fcc_spheres(8, contact=1.2), "at most 2/sqrt"),
        (lambda: shapes.fcc_spheres(8, spacing=(1, 1, 2)), "cubic voxels"),
        (
            lambda: shapes.overlapping_spheres(CUBE, radius=4, density=0.1, seed=0),
            "does not fit into the periodic volume",
        ),
        (
            lambda: shapes.overlapping_spheres(CUBE, radius=2, density=np.nan, seed=0),
            "density must be positive",
        ),
        (lambda: shapes.three_phase_corner((4, 1, 4)), "two voxels across"),
        (lambda: shapes.tilted_triple_line(CUBE, direction=(0, 0, 0)), "must not be zero"),
        (
            lambda: shapes.tilted_triple_line(CUBE, direction=(0, 0, 1), offset=(0, 9, 0)),
            "misses the volume",
        ),
        (
            lambda: shapes.straight_channel(CUBE, section=np.ones((8, 8), dtype=bool)),
            "open in part",
        ),
        (lambda: shapes.straight_channel(CUBE, section=np.eye(3, dtype=bool)), r"shape \(8, 8\)"),
        (lambda: shapes.tilted_channel(CUBE, thickness=2, angle=60), "the slit needs"),
        (lambda: shapes.tilted_channel(CUBE, thickness=2, angle=0, tilt="z"), "cannot lean"),
        (
            lambda: shapes.gaussian_random_field(CUBE, correlation_length=0, seed=0),
            "correlation_length must be positive",
        ),
        (
            lambda: shapes.gaussian_random_field(
                CUBE, correlation_length=2, seed=0, fractions=(0.5, 0.6)
            ),
            "sum 1",
        ),
        (
            lambda: shapes.plurigaussian(CUBE, correlation_length=2, seed=0, fractions=(0.5, 0.5)),
            "three fractions",
        ),
    ],
)
def test_bad_input(make: Callable[[], Body], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
