"""Layers, cubes and sectors against plain counting and an independent solve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_counting import counted_areas, counted_fractions, counted_tpb, counted_two_point

from benchmarks.trust.sparse_diffusion import sparse_diffusivity
from metrics import shapes
from metrics.volume import AXES


def test_slab_by_hand() -> None:
    body = shapes.slab((4, 1, 3), thickness=1, spacing=(0.5, 1, 1), unit="um")
    assert body.volume.labels[:, 0, 0].tolist() == [0, 1, 0, 1]
    assert body.volume.unit == "um"
    assert body.interface_areas == {(0, 1): 1.5}  # three faces in 2 um
    assert shapes.slab((4, 1, 3), thickness=1, periodic=True).specific_surface_area == 1.0
    assert body.two_point([0, 0.5, 1, 1.5, 2]).tolist() == [0.5, 0, 0.5, 0, 0.5]
    assert body.effective_diffusivity == {"z": 0.0, "y": 0.5, "x": 0.5}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("thicknesses", [(1, 1), (3, 1), (1, 2, 3), (2, 1, 1, 2)])
def test_laminate_against_counting(axis: str, periodic: bool, thicknesses: tuple[int, ...]) -> None:
    spacing = (0.5, 2.0, 3.0)
    phase = len(thicknesses) - 1
    shape = tuple(2 * sum(thicknesses) if name == axis else 3 for name in AXES)
    body = shapes.laminate(
        shape, thicknesses=thicknesses, axis=axis, phase=phase, periodic=periodic, spacing=spacing
    )
    assert body.volume_fraction == pytest.approx(counted_fractions(body.volume))
    assert body.interface_areas == pytest.approx(counted_areas(body.volume, periodic))
    mask = body.volume.labels == phase
    for i, name in enumerate(AXES):
        lags = spacing[i] * np.arange(shape[i])
        np.testing.assert_allclose(
            body.two_point(lags, axis=name), counted_two_point(mask, i), atol=1e-14
        )
        # Solved by conjugate gradients to 1e-10.
        assert body.effective_diffusivity[name] == pytest.approx(
            sparse_diffusivity(mask, name, spacing), abs=1e-8
        )


@pytest.mark.parametrize("periodic", [False, True])
def test_checkerboard_against_counting(periodic: bool) -> None:
    spacing = (0.5, 2.0, 3.0)
    body = shapes.checkerboard((12, 6, 18), cell=3, periodic=periodic, spacing=spacing)
    assert body.volume_fraction == counted_fractions(body.volume)
    assert body.interface_areas == pytest.approx(counted_areas(body.volume, periodic))
    assert body.tpb_density == counted_tpb(body.volume, periodic)
    for i, name in enumerate(AXES):
        lags = spacing[i] * np.arange(body.volume.shape[i])
        counted = counted_two_point(body.volume.labels == 0, i)
        np.testing.assert_allclose(body.two_point(lags, axis=name), counted, atol=1e-14)
        # Solved to rounding, as no cluster touches two faces.
        assert abs(sparse_diffusivity(body.volume.labels == 0, name, spacing)) < 1e-12


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("periodic", [False, True])
def test_three_phase_corner_against_counting(axis: str, periodic: bool) -> None:
    body = shapes.three_phase_corner(
        (5, 6, 7), axis=axis, periodic=periodic, spacing=(0.5, 2.0, 3.0)
    )
    assert body.volume_fraction == pytest.approx(counted_fractions(body.volume))
    assert body.interface_areas == pytest.approx(counted_areas(body.volume, periodic))
    assert body.tpb_density == pytest.approx(counted_tpb(body.volume, periodic))


@given(
    direction=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.1),
    offset=st.tuples(*[st.floats(-2, 2)] * 3),
)
@settings(max_examples=30)
def test_length_of_a_tilted_line_against_sampling(
    direction: tuple[float, float, float], offset: tuple[float, float, float]
) -> None:
    extent = np.array([6.0, 5.0, 8.0])
    body = shapes.tilted_triple_line(
        (6, 10, 4), direction=direction, offset=offset, spacing=(1, 0.5, 2)
    )
    step = 0.001
    steps = np.arange(-15, 15, step)[:, np.newaxis]
    points = offset + steps * np.divide(direction, np.linalg.norm(direction))
    length = step * (np.abs(points) < extent / 2).all(axis=1).sum()
    assert body.tpb_density * extent.prod() == pytest.approx(length, abs=2 * step)


def test_tilted_line_by_hand() -> None:
    assert shapes.tilted_triple_line((8, 8, 8), direction=(0, -3, 0)).tpb_density == 8 / 8**3
    diagonal = shapes.tilted_triple_line((8, 8, 8), direction=(1, -1, 1))
    assert diagonal.tpb_density == pytest.approx(8 * np.sqrt(3) / 8**3)


@pytest.mark.parametrize("direction", [(1, 0, 0), (1, 2, -3), (0.3, 1, 0.2)])
def test_sectors_meet_at_120_degrees_in_the_line(direction: tuple[float, float, float]) -> None:
    n = 48
    offset = np.array([1.3, -2.1, 0.7])
    body = shapes.tilted_triple_line((n, n, n), direction=direction, offset=offset, angle=17)
    unit = np.divide(direction, np.linalg.norm(direction))
    position = np.indices((n, n, n)) + 0.5 - n / 2 - offset[:, None, None, None]
    height = np.tensordot(unit, position, 1)
    near = (np.linalg.norm(position, axis=0) < 20) & (np.abs(height) < 18)
    # A ball around a point of the line is cut in three: 1/3 each, to the 2 % of 30 000 points.
    shares = np.bincount(body.volume.labels[near], minlength=3) / near.sum()
    np.testing.assert_allclose(shares, 1 / 3, rtol=0.02)
    # A stair-case along d is |d_z| + |d_y| + |d_x| as long; each end may lose or gain two edges.
    counted = counted_tpb(body.volume) * n**3
    assert counted == pytest.approx(np.abs(unit).sum() * body.tpb_density * n**3, abs=4)
    turned = shapes.tilted_triple_line((n, n, n), direction=direction, offset=offset, angle=137)
    assert (turned.volume.labels == (body.volume.labels + 2) % 3).mean() > 0.999
