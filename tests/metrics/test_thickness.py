"""Local thickness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.shapes import sphere
from metrics.thickness import local_thickness
from metrics.volume import AXES, InputError, Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("solid", 1, 1), Phase("other", 2, 2))
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


def plain_thickness(mask):
    """Twice the whole part of the largest distance to the wall among balls that cover a voxel.

    The definition, ball by ball, with distances from voxel to voxel.
    """
    inside, wall = np.argwhere(mask), np.argwhere(~mask)
    to_wall = np.linalg.norm(inside[:, None] - wall, axis=2).min(axis=1)
    radius = np.floor(to_wall + 1e-9)
    covers = np.linalg.norm(inside[:, None] - inside, axis=2) < radius[:, None]
    result = np.zeros(mask.shape)
    result[mask] = 2 * (covers * radius[:, None]).max(axis=0)
    return result


def plate(thickness, axis, shape=(14, 9, 8)):
    along = np.arange(20)
    layers = (along >= 3) & (along < 3 + thickness)
    labels = np.broadcast_to(layers[:, None, None], (20, *shape[1:])).astype(np.uint8)
    return np.moveaxis(labels, 0, AXES.index(axis))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("thickness", [1, 2, 3, 6, 7, 10, 11])
def test_plate(thickness, axis):
    """Even plates are exact, odd ones a voxel too thick, sideways open to the edge."""
    result = local_thickness(plate(thickness, axis), phase=1)
    expected = thickness + thickness % 2
    assert result.mean == expected
    assert result.diameters.tolist() == [expected]
    assert result.fractions.tolist() == [1.0]
    assert np.array_equal(result.map, expected * plate(thickness, axis))


def test_two_plates_are_weighted_by_volume():
    layers = np.array([0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0])
    labels = np.broadcast_to(layers[:, None, None], (12, 5, 6))
    result = local_thickness(labels, phase=1)
    assert result.diameters.tolist() == [2, 6]
    assert result.fractions.tolist() == [0.25, 0.75]
    assert result.mean == 5.0


def test_diameters_are_not_radii():
    """A ball of radius 10 is 20 thick, less the bias of 2.5 that the docstring states."""
    result = local_thickness(sphere((28, 28, 28), radius=10).volume, phase=1)
    # standard deviation of the bias over radii and offsets 0.6; three of them
    assert result.mean == pytest.approx(20 - 2.5, abs=1.8)
    assert result.diameters.max() <= 20


def test_bias_of_balls_is_a_length_not_a_ratio():
    """The same ball at three resolutions: relative error falls in proportion to the voxel."""
    rng = np.random.default_rng(3)
    for spacing in (1.25, 0.8, 0.5):
        error = []
        for _ in range(12):
            offset = spacing * (rng.random(3) - 0.5)
            side = round(14 / spacing)
            body = sphere((side,) * 3, radius=5, offset=offset, spacing=spacing)
            error.append((local_thickness(body.volume, phase=1).mean - 10) / spacing)
        # mean of 12 with standard deviation 0.6, four standard errors
        assert np.mean(error) == pytest.approx(-2.5, abs=0.7)


@settings(max_examples=30)
@given(LABELS)
def test_agrees_with_the_definition_ball_by_ball(labels):
    mask = labels == 1
    volume = Volume(labels, phases=PHASES)
    result = local_thickness(volume, phase=1)
    if mask.any() and not mask.all():
        expected = plain_thickness(mask)
        np.testing.assert_array_equal(result.map, expected)
        # a mean of the same numbers, summed in another order
        assert result.mean == pytest.approx(expected[mask].mean(), rel=1e-12)
        assert result.fractions.sum() == pytest.approx(1.0, rel=1e-12)
        assert (np.diff(result.diameters) >= 2).all()


@settings(max_examples=30)
@given(LABELS, st.permutations(range(3)))
def test_permuting_relabelling_spacing(labels, order):
    phases = (Phase("solid", 10, 10), Phase("other", 20, 20), Phase("pore", 30, 30))
    new_labels = np.array([30, 10, 20])[labels.transpose(order)]
    before = local_thickness(Volume(labels, phases=PHASES), phase=0)
    after = local_thickness(Volume(new_labels, spacing=2.0, phases=phases), phase=30)
    np.testing.assert_array_equal(after.map, 2 * before.map.transpose(order))
    np.testing.assert_array_equal(after.diameters, 2 * before.diameters)
    np.testing.assert_array_equal(after.fractions, before.fractions)
    assert after.mean == pytest.approx(2 * before.mean, rel=1e-12, nan_ok=True)


def test_any_integer_layout():
    labels = np.random.default_rng(0).integers(0, 2, size=(6, 7, 8), dtype=np.uint8)
    labels[:3] = 1
    wide = np.zeros((6, 14, 8), dtype=np.int64)
    wide[:, ::2] = labels
    expected = local_thickness(labels, phase=1)
    assert len(expected.diameters) > 1
    for same in (labels.astype(bool), np.asfortranarray(labels), wide[:, ::2]):
        np.testing.assert_array_equal(local_thickness(same, phase=1).map, expected.map)


def test_without_wall_or_phase_there_is_no_mean():
    volume = Volume(np.zeros((2, 3, 4), dtype=int), phases=PHASES)
    absent, full = local_thickness(volume, phase=2), local_thickness(volume, phase=0)
    for result in (absent, full):
        assert np.isnan(result.mean)
        assert result.diameters.size == result.fractions.size == 0
        assert result.map.dtype == np.float32
    assert (absent.map == 0).all()
    assert np.isnan(full.map).all()


def test_says_nothing(capfd):
    local_thickness(plate(4, "z"), phase=0)
    assert capfd.readouterr() == ("", "")


def test_bad_input():
    labels = np.zeros((2, 3, 4), dtype=int)
    with pytest.raises(InputError, match="no phase 7"):
        local_thickness(labels, phase=7)
    with pytest.raises(InputError, match=r"cubic voxels, spacing is \(1.0, 1.0, 2.0\): resample"):
        local_thickness(Volume(labels, spacing=(1, 1, 2)), phase=0)
    # as files round it, in metres: cubic
    local_thickness(Volume(labels, spacing=(1e-7, 1e-7, 1.0001e-7)), phase=0)
