"""Quantities of sections: exact on small images, close on bodies whose answer is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import euler_number

from metrics.section import (
    boundary_length,
    boundary_lengths,
    normals,
    section_euler_density,
    section_thickness,
    triple_point_density,
)
from metrics.shapes import gaussian_random_field, laminate, overlapping_spheres, plurigaussian
from metrics.volume import AXES, Phase, Volume

LABELS = arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 2))
OTHER = {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}


THREE = tuple(Phase(str(k), k, k) for k in range(3))


def disc(radius: float, pixel: tuple[float, float]) -> Volume:
    """A disc off the middle of a wide image; `radius` and `pixel` (rows, columns) in lengths."""
    rows, columns = (math.ceil(4 * radius / edge) for edge in pixel)
    y = (np.arange(rows)[:, None] - rows / 2 + 0.3) * pixel[0]
    x = (np.arange(columns) - columns / 2 - 0.2) * pixel[1]
    inside = (y**2 + x**2 < radius**2).astype(np.uint8)
    return Volume(inside[np.newaxis], (1.0, *pixel), "um")


# Pixels see a curve in steps: 2 % of circles of 3 pixels and more, 4 % of flat pixels.
@pytest.mark.parametrize(
    ("radius", "pixel", "within"),
    [
        (3, (1, 1), 0.02),
        (8, (1, 1), 0.02),
        (30, (1, 1), 0.01),
        (15, (0.5, 0.5), 0.01),
        (20, (1, 2), 0.04),
        (20, (2, 1), 0.04),
    ],
)
def test_the_boundary_of_a_disc(radius: float, pixel: tuple[float, float], within: float) -> None:
    volume = disc(radius, pixel)
    area = volume.labels.size * pixel[0] * pixel[1]
    found = boundary_length(volume, phase=1, normal="z") * area
    assert found == pytest.approx(2 * math.pi * radius, rel=within)
    assert section_euler_density(volume, phase=1, normal="z") * area == pytest.approx(1)
    assert section_euler_density(volume, phase=0, normal="z") * area == pytest.approx(0)


@pytest.mark.parametrize("normal", AXES)
def test_surface_of_an_isotropic_body_follows_from_its_sections(normal: str) -> None:
    body = overlapping_spheres((128,) * 3, radius=10, density=2e-4, seed=0)
    true = sum(body.interface_areas.values())
    found = 4 / math.pi * boundary_length(body.volume, phase=1, normal=normal)
    # The rim of 128 voxels is not counted, .8 %; one volume of 60 balls is 2 % from its law.
    assert found == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("normal", AXES)
def test_triple_lines_of_an_isotropic_body_follow_from_its_sections(normal: str) -> None:
    body = plurigaussian((128,) * 3, correlation_length=5, seed=0)
    found = 2 * triple_point_density(body.volume, normal=normal)
    # Corners of pixels are 17 % too many at this length, as voxel edges over 3/2 are.
    assert found == pytest.approx(1.17 * body.tpb_density, rel=0.03)


def test_a_laminate_has_no_boundary_on_sections_along_its_layers() -> None:
    volume = laminate((24, 24, 24), thicknesses=(4, 8), axis="y").volume
    assert boundary_length(volume, phase=0, normal="y") == 0
    # Three faces in 24 voxels, of which lines in four directions see 6 % less along pixels.
    for normal in "zx":
        assert boundary_length(volume, phase=0, normal=normal) == pytest.approx(3 / 24, rel=0.08)


def test_a_body_that_is_long_along_z_has_more_boundary_on_sections_across() -> None:
    volume = gaussian_random_field((96,) * 3, correlation_length=(9, 3, 3), seed=0).volume
    z, y, x = (boundary_length(volume, phase=0, normal=normal) for normal in AXES)
    assert z > 1.3 * max(y, x)
    assert y == pytest.approx(x, rel=0.05)


def test_triple_points_are_counted_at_corners() -> None:
    image = np.array([[[0, 1, 1], [2, 1, 0], [2, 2, 0]]])
    # Corners: 0 1 / 2 1 and 2 1 / 2 2 ... only those with three labels.
    corners = [len(set(image[0, y : y + 2, x : x + 2].ravel())) for y, x in product((0, 1), (0, 1))]
    assert triple_point_density(image, normal="z") == sum(n >= 3 for n in corners) / 9


@given(LABELS)
def test_each_layer_counts_by_itself(labels: np.ndarray) -> None:
    volume = Volume(labels, phases=THREE)
    for axis, normal in enumerate(AXES):
        layers = [
            Volume(labels.take([k], axis=axis), phases=volume.phases)
            for k in range(labels.shape[axis])
        ]
        for measure in (
            lambda v, n=normal: boundary_length(v, phase=1, normal=n),
            lambda v, n=normal: triple_point_density(v, normal=n),
            lambda v, n=normal: section_euler_density(v, phase=1, normal=n),
        ):
            assert measure(volume) == pytest.approx(np.mean([measure(one) for one in layers]))


@given(LABELS)
def test_the_boundary_of_a_phase_is_the_sum_over_the_others(labels: np.ndarray) -> None:
    volume = Volume(labels, phases=THREE)
    pairs = boundary_lengths(volume, normal="y")
    for phase in range(3):
        total = sum(length for pair, length in pairs.items() if phase in pair)
        assert boundary_length(volume, phase=phase, normal="y") == pytest.approx(total)


@given(LABELS)
def test_turning_the_volume_turns_the_sections(labels: np.ndarray) -> None:
    here = Volume(labels, (1.0, 2.0, 3.0), "um", THREE)
    there = Volume(labels.transpose(2, 0, 1), (3.0, 1.0, 2.0), "um", THREE)
    for before, after in zip("zyx", ("y", "x", "z"), strict=True):
        assert boundary_lengths(here, normal=before) == pytest.approx(
            boundary_lengths(there, normal=after)
        )
        assert triple_point_density(here, normal=before) == pytest.approx(
            triple_point_density(there, normal=after)
        )


@given(LABELS)
def test_euler_numbers_are_those_of_another_implementation(labels: np.ndarray) -> None:
    volume = Volume(labels, phases=THREE)
    for axis, normal in enumerate(AXES):
        planes = np.moveaxis(labels == 1, axis, 0)
        expected = sum(euler_number(np.pad(plane, 1), connectivity=1) for plane in planes)
        found = section_euler_density(volume, phase=1, normal=normal) * labels.size
        assert found == pytest.approx(expected)


def test_an_image_has_the_sections_of_its_only_layer() -> None:
    assert normals(Volume(np.zeros((1, 5, 5), np.uint8))) == ("z",)
    assert normals(Volume(np.zeros((5, 1, 5), np.uint8))) == ("y",)
    assert normals(Volume(np.zeros((5, 5, 5), np.uint8))) == ("z", "y", "x")


def test_thickness_of_sections_is_that_of_each_layer_by_itself() -> None:
    volume = np.zeros((2, 24, 24), int)
    volume[0, 4:8] = 1  # 96 pixels, 4 wide
    volume[1, :, 2:10] = 1  # 192 pixels, 8 wide
    expected = (96 * 4 + 192 * 8) / (96 + 192)
    for normal in AXES:
        turned = np.moveaxis(volume, 0, AXES.index(normal))
        found = section_thickness(Volume(turned, (0.5,) * 3, "um"), phase=1, normal=normal)
        assert found == pytest.approx(0.5 * expected)
    empty = Volume(np.zeros((1, 8, 8), int), phases=(Phase("a", 0, 0), Phase("b", 1, 1)))
    assert math.isnan(section_thickness(empty, phase="b", normal="z"))
    assert math.isnan(section_thickness(empty, phase="a", normal="z"))  # no wall


def test_densities_are_per_area_of_the_section_whatever_its_layers_are_thick() -> None:
    ring = np.ones((2, 3, 5), int)
    ring[0, 1, 1] = 0
    points = np.zeros((1, 4, 6), int)
    points[0, 2:] = 1
    points[0, 2:, 3:] = 2
    for thick in (1.0, 7.0):
        v = Volume(ring, (thick, 2.0, 3.0), "um")
        # Of the two layers one has a hole: pieces less holes are 0 and 1, areas 3 x 5 pixels of 6.
        assert section_euler_density(v, phase=1, normal="z") == pytest.approx(1 / (2 * 15 * 6))
        three = Volume(points, (thick, 2.0, 3.0), "um")
        assert triple_point_density(three, normal="z") == pytest.approx(1 / (24 * 6))
