"""Interface areas: exact on axis-aligned bodies, close on curved ones, consistent over pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.trust.accuracy_surface import overlapping
from metrics.shapes import checkerboard, gaussian_random_field, laminate, slab, sphere
from metrics.surface import interface_areas, specific_surface_area
from metrics.volume import InputError, Volume

LABELS = arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 2))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_slabs_are_exact(axis: str, periodic: bool) -> None:
    body = slab((8, 8, 8), thickness=2, axis=axis, periodic=periodic, spacing=(1, 2, 3))
    found = interface_areas(body.volume, periodic=periodic)
    assert found == pytest.approx(body.interface_areas, rel=1e-12)  # rounding


def test_laminate_of_three_phases_touches_in_order() -> None:
    body = laminate((6, 4, 4), thicknesses=(2, 2, 2))
    assert interface_areas(body.volume) == pytest.approx({(0, 1): 1 / 6, (0, 2): 0, (1, 2): 1 / 6})


@pytest.mark.parametrize("periodic", [False, True])
def test_checkerboard_is_exact(periodic: bool) -> None:
    body = checkerboard((8, 8, 4), cell=2, periodic=periodic, spacing=0.5)
    found = specific_surface_area(body.volume, phase=1, periodic=periodic)
    assert found == pytest.approx(body.specific_surface_area, rel=1e-12)


@pytest.mark.parametrize("radius", [6, 8, 10, 15, 20, 30])
def test_crofton_sphere_within_two_percent(radius: int) -> None:
    side = 2 * radius + 4
    body = sphere((side,) * 3, radius=radius, offset=(0.31, 0.17, 0.43))
    found = specific_surface_area(body.volume, phase=1, estimator="crofton")
    # 13 directions average an isotropic surface without bias; what is left is voxelation.
    assert found == pytest.approx(body.specific_surface_area, rel=0.02)


@pytest.mark.parametrize(("radius", "solid"), [(4, 0.6), (8, 0.6), (4, 0.3)])
def test_crofton_of_overlapping_balls_within_two_percent(radius: int, solid: float) -> None:
    found: dict[str, list[float]] = {"crofton": [], "crofton_adjacent": []}
    for seed in range(3):
        volume, area = overlapping(radius, solid, (1, 1, 1), seed)
        for estimator, errors in found.items():
            share = specific_surface_area(volume, phase=1, estimator=estimator, periodic=True)
            errors.append(share / area - 1)
    # One realisation scatters by 1 to 2 %.
    assert abs(np.mean(found["crofton"])) < 0.025
    # Negative control: without what goes unseen between two voxels it is low.
    assert np.mean(found["crofton_adjacent"]) < -0.035


def test_two_phases_that_a_layer_keeps_apart_share_no_surface() -> None:
    labels = np.zeros((12, 12, 12), int)
    labels[6:], labels[5] = 2, 1
    areas = interface_areas(labels, estimator="crofton")
    assert areas[0, 2] == 0
    assert areas[0, 1] == pytest.approx(areas[1, 2])


def test_faces_of_a_sphere_are_half_too_many_at_every_resolution() -> None:
    for radius in (8, 16, 32):
        body = sphere((2 * radius + 4,) * 3, radius=radius, offset=(0.31, 0.17, 0.43))
        ratio = specific_surface_area(body.volume, phase=1) / body.specific_surface_area
        assert ratio == pytest.approx(1.5, abs=0.02)  # voxelation, as in the test above


@pytest.mark.parametrize("estimator", ["faces", "crofton"])
def test_same_body_at_three_resolutions(estimator: str) -> None:
    found = [
        specific_surface_area(
            sphere((n,) * 3, radius=12, spacing=32 / n, offset=(0.3, 0.2, 0.4)).volume,
            phase=1, estimator=estimator,
        )
        for n in (32, 64, 128)
    ]  # fmt: skip
    # The per-volume area of one physical ball: first order in the voxel size, 1 % at 12 voxels.
    np.testing.assert_allclose(found, found[-1], rtol=0.02)


def test_crofton_follows_anisotropic_voxels() -> None:
    body = sphere((40, 80, 56), radius=18, spacing=(1.0, 0.5, 0.75), offset=(0.3, 0.2, 0.4))
    found = specific_surface_area(body.volume, phase=1, estimator="crofton")
    assert found == pytest.approx(body.specific_surface_area, rel=0.02)  # as for cubic voxels
    # Negative control: directions weighted as if voxels were cubes miss it.
    cubic = specific_surface_area(Volume(body.volume.labels), phase=1, estimator="crofton")
    assert abs(cubic / body.specific_surface_area - 1) > 0.1


def test_crofton_on_a_random_field_agrees_with_its_law() -> None:
    bodies = [
        gaussian_random_field((64,) * 3, correlation_length=5, seed=s, fractions=(0.3, 0.7))
        for s in range(6)
    ]
    found = [
        specific_surface_area(b.volume, phase=0, estimator="crofton", periodic=True) for b in bodies
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    expected = bodies[0].specific_surface_area
    # 4 standard errors, and 2 % for features of a few voxels.
    assert abs(np.mean(found) - expected) < 4 * error + 0.02 * expected


@pytest.mark.parametrize("estimator", ["faces", "crofton"])
@given(labels=LABELS)
def test_pairs_add_up_to_phases(estimator: str, labels: np.ndarray) -> None:
    areas = interface_areas(labels, estimator=estimator)
    total = sum(
        specific_surface_area(labels, phase=int(p), estimator=estimator) for p in np.unique(labels)
    )
    assert total == pytest.approx(2 * sum(areas.values()), abs=1e-12)


@pytest.mark.parametrize("estimator", ["faces", "crofton"])
@given(labels=LABELS)
def test_invariant_under_axes_and_mirrors(estimator: str, labels: np.ndarray) -> None:
    spacing = np.array([1.0, 1.5, 2.0])
    expected = interface_areas(Volume(labels, tuple(spacing)), estimator=estimator)
    order = [2, 0, 1]
    turned = Volume(labels.transpose(order), tuple(spacing[order]))
    mirrored = Volume(labels[::-1, :, ::-1], tuple(spacing))
    for other in (turned, mirrored):
        assert interface_areas(other, estimator=estimator) == pytest.approx(expected, rel=1e-9)


@given(labels=LABELS)
def test_doubled_spacing_halves_area_per_volume(labels: np.ndarray) -> None:
    single, double = interface_areas(labels), interface_areas(Volume(labels, (2, 2, 2)))
    assert {p: 2 * a for p, a in double.items()} == pytest.approx(single)


@given(labels=LABELS)
def test_relabelling_renames_the_pairs(labels: np.ndarray) -> None:
    renamed = interface_areas(labels.astype(np.int32) * 100 - 5)
    expected = {(100 * i - 5, 100 * j - 5): a for (i, j), a in interface_areas(labels).items()}
    assert renamed == expected


def test_agrees_with_taufactor() -> None:
    from taufactor.metrics import interfacial_areas

    labels = np.random.default_rng(0).integers(0, 3, (9, 8, 7))
    assert interface_areas(labels) == pytest.approx(interfacial_areas(labels, device="cpu"))


def test_unknown_estimator_and_phase() -> None:
    with pytest.raises(InputError, match="estimator"):
        interface_areas(np.zeros((2, 2, 2), int), estimator="mesh")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no phase 3"):
        specific_surface_area(np.zeros((2, 2, 2), int), phase=3)
